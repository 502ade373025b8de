"""Architecture spaces: parameters with their choices, and the codes and texts of architectures.

An architecture is a mapping of parameter names to choices, with a list for what each layer chooses. Its *codes* are one
int64 row of indices into the choices, with 0 for parameters of layers that it does not have.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hetbench.checks import whole_number
from hetbench.errors import InvalidInputError, UnknownNameError, shown
from hetbench.spaces._dictionaries import codes_of_dictionaries
from hetbench.spaces._predecessors import in_own_words
from hetbench.spaces._registry import space

__all__ = ["Parameter", "Space"]

Ints = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Parameter:
    """One parameter of an architecture with its choices."""

    name: str
    """Name such as `embed`, or for a parameter of layer 3 (counted from 0) `heads.3`."""
    choices: tuple[Any, ...]
    needs: tuple[str, int] | None = None
    """(parameter, number): it exists only where that parameter is above the number; None: always."""


class Space:
    """A finite set of architectures.

    >>> from hetbench.spaces import space
    >>> space("gpt-s").sample(seed=0)["embed"] in (192, 384, 768)
    True
    """

    quality: str | None = None
    """Name of the quality proxy of the space, see `hetbench.spaces.quality`; None where it has none."""

    @property
    def qualities(self) -> tuple[str, ...]:
        """Every quality measure that can be asked of the space: its proxy, and perplexity for gpt-s, gpt-m and gpt-l.

        >>> from hetbench.spaces import space
        >>> space("gpt-s").qualities, space("vit").qualities
        (('loss_proxy', 'perplexity'), ('capacity_proxy',))
        """
        return (self.quality,) if self.quality else ()

    def __init__(self, name: str, title: str, parameters: Iterable[Parameter]) -> None:
        self.name, self.title, self.parameters = name, title, tuple(parameters)
        self.column = {parameter.name: index for index, parameter in enumerate(self.parameters)}
        self._values = [np.array(parameter.choices, dtype=object) for parameter in self.parameters]

    def __reduce__(self) -> tuple[Any, ...]:
        return space, (self.name,)

    def size(self) -> int:
        """Number of different architectures.

        >>> from hetbench.spaces import space
        >>> space("gpt-s").size() == 3 * 2 * sum(9**layers for layers in (10, 11, 12))
        True
        """
        parents = sorted({parameter.needs[0] for parameter in self.parameters if parameter.needs})
        total = 0
        for values in product(*(self.parameters[self.column[name]].choices for name in parents)):
            depth = dict(zip(parents, values, strict=True))
            total += math.prod(
                len(each.choices) for each in self.parameters
                if each.name not in depth and (each.needs is None or depth[each.needs[0]] > each.needs[1])
            )  # fmt: skip
        return total

    def sample(self, seed: int) -> dict[str, Any]:
        """One architecture with every parameter drawn uniformly; the same seed gives the same architecture."""
        return self.archs(self.sample_codes(1, seed))[0]

    def sample_codes(self, count: int, seed: int) -> Ints:
        """Codes of `count` random architectures, int64 [count, parameters]; repetitions are possible."""
        rng = np.random.default_rng(whole_number("seed", seed, 0))
        columns = [rng.integers(len(parameter.choices), size=count) for parameter in self.parameters]
        return self.canonical(np.stack(columns, axis=1).astype(np.int64))

    def canonical(self, codes: Any) -> Ints:
        """Codes [n, parameters] with 0 for every parameter that an architecture does not have.

        Raises `InvalidInputError` for another shape or type and for an index out of range.
        """
        found = np.atleast_2d(np.array(codes))
        counts = np.array([len(parameter.choices) for parameter in self.parameters])
        if found.ndim != 2 or found.shape[1] != len(counts) or not np.issubdtype(found.dtype, np.integer):
            raise InvalidInputError(
                f"codes of {self.name} are integers of shape [architectures, {len(counts)}]; given: {found.dtype} "
                f"{list(found.shape)}."
            )
        if ((found < 0) | (found >= counts)).any():
            row, column = np.argwhere((found < 0) | (found >= counts))[0]
            raise InvalidInputError(
                f"code {found[row, column]} of {self.parameters[column].name} is not an index of its {counts[column]} "
                f"choices: {self.parameters[column].choices}."
            )
        return np.where(self.active(found), found, 0).astype(np.int64)

    def codes(self, archs: Any) -> Ints:
        """Codes [n, parameters] of architectures, given as mappings, texts or codes.

        Raises `InvalidInputError` or `UnknownNameError` for anything that is not an architecture of this space.
        """
        if isinstance(archs, np.ndarray) and archs.dtype != object:
            return self.canonical(archs)
        if isinstance(archs, str | Mapping):
            archs = [archs]
        if not isinstance(archs, Iterable):
            given = shown(archs)
            raise InvalidInputError(f"architectures of {self.name} are mappings, texts or codes; given: {given}.")
        if isinstance(archs, list | tuple) and len(archs) > 1:
            found = codes_of_dictionaries(self, archs)
            if found is not None:
                return found
        return np.array([self._code(arch) for arch in archs], dtype=np.int64).reshape(-1, len(self.parameters))

    def archs(self, codes: Any) -> list[dict[str, Any]]:
        """The architectures of codes, as mappings with a list for each parameter of layers."""
        codes = self.canonical(codes)
        return [self._nested(row, active) for row, active in zip(codes, self.active(codes), strict=True)]

    def check(self, arch: Any) -> dict[str, Any]:
        """Check an architecture and return it in canonical form; errors as in `codes`."""
        return self.archs(self.codes([arch]))[0]

    def text(self, arch: Any) -> str:
        """The architecture as one line of text; `parse` reads it back.

        >>> from hetbench.spaces import space
        >>> s = space("gpt-s")
        >>> s.parse(s.text(s.sample(1))) == s.sample(1)
        True
        """
        parts = (f"{name}={'-'.join(map(str, value)) if isinstance(value, list) else value}"
                 for name, value in self.check(arch).items())  # fmt: skip
        return f"{self.name}:{','.join(parts)}"

    def parse(self, text: str) -> dict[str, Any]:
        """The architecture of a line written by `text`."""
        return self.archs(np.array([self._parsed(text)], dtype=np.int64))[0]

    def texts(self, codes: Any) -> list[str]:
        """The text of each row of codes."""
        return [self.text(arch) for arch in self.archs(codes)]

    def values(self, codes: Ints, name: str) -> Any:
        """The choice of each row for one parameter, [n]."""
        column = self.column[name]
        return self._values[column][codes[:, column]]

    def active(self, codes: Ints) -> NDArray[np.bool_]:
        """Which parameters each row has, [n, parameters]."""
        shown = np.ones(codes.shape, dtype=bool)
        for column, parameter in enumerate(self.parameters):
            if parameter.needs is not None:
                shown[:, column] = self.values(codes, parameter.needs[0]) > parameter.needs[1]
        return shown

    def _nested(self, row: Ints, active: NDArray[np.bool_]) -> dict[str, Any]:
        arch: dict[str, Any] = {}
        for parameter, code, exists in zip(self.parameters, row, active, strict=True):
            name, dot, _ = parameter.name.partition(".")
            if dot:
                arch.setdefault(name, [])
            if exists and dot:
                arch[name].append(parameter.choices[code])
            elif exists:
                arch[name] = parameter.choices[code]
        return arch

    def _code(self, arch: Any, spelled: bool = False) -> list[int]:
        """Codes of one architecture; with `spelled` its values are texts."""
        if isinstance(arch, str):
            return self._parsed(arch)
        if not isinstance(arch, Mapping):
            raise InvalidInputError(f"an architecture of {self.name} is a mapping or its text; given: {shown(arch)}.")
        names = tuple(dict.fromkeys(parameter.name.partition(".")[0] for parameter in self.parameters))
        arch = in_own_words(arch, names)
        for name in arch:
            if name not in names:
                raise UnknownNameError(f"parameter of {self.name}", str(name), names)
        missing = [name for name in names if name not in arch]
        if missing:
            raise InvalidInputError(f"an architecture of {self.name} lacks {', '.join(missing)}.")
        chosen: dict[str, Any] = {}
        codes = []
        for parameter in self.parameters:
            exists = parameter.needs is None or chosen[parameter.needs[0]] > parameter.needs[1]
            code = self._index(parameter, self._given(arch, parameter), spelled) if exists else 0
            chosen[parameter.name] = parameter.choices[code]
            codes.append(code)
        self._check_lengths(arch, chosen)
        return codes

    def _given(self, arch: Mapping[str, Any], parameter: Parameter) -> Any:
        name, dot, place = parameter.name.partition(".")
        if not dot:
            return arch[name]
        array = isinstance(arch[name], np.ndarray) and arch[name].ndim == 1
        if not array and (not isinstance(arch[name], Sequence) or isinstance(arch[name], str)):
            given = shown(arch[name])
            raise InvalidInputError(f"{name} of {self.name} is a list with one entry per layer; given: {given}.")
        if int(place) >= len(arch[name]):
            raise InvalidInputError(f"{name} of {self.name} has {len(arch[name])} entries, fewer than layers.")
        return arch[name][int(place)]

    def _check_lengths(self, arch: Mapping[str, Any], chosen: Mapping[str, Any]) -> None:
        """Raise `InvalidInputError` where a list is longer than the architecture has layers."""
        wanted = Counter(
            each.name.partition(".")[0] for each in self.parameters
            if "." in each.name and (each.needs is None or chosen[each.needs[0]] > each.needs[1])
        )  # fmt: skip
        for name, count in wanted.items():
            if len(arch[name]) != count:
                raise InvalidInputError(f"{name} of {self.name} needs {count} entries; given: {len(arch[name])}.")

    def _index(self, parameter: Parameter, value: Any, spelled: bool) -> int:
        value = value.item() if isinstance(value, np.generic) else value
        if not isinstance(value, bool | int | float | str):
            value = shown(value)  # nothing else is a choice, nor can be compared with one
        for index, choice in enumerate(parameter.choices):
            same = choice == value and isinstance(choice, bool) == isinstance(value, bool)  # True is not 1 here
            if str(choice) == value if spelled else same:
                return index
        known = ", ".join(map(str, parameter.choices))
        raise InvalidInputError(f"{parameter.name}={shown(value)} is not a choice of {self.name}. Choices: {known}.")

    def _parsed(self, text: str) -> list[int]:
        name, _, rest = text.partition(":")
        if name != self.name:
            raise InvalidInputError(f"{shown(text)} does not start with '{self.name}:', as texts of {self.name} do.")
        arch: dict[str, Any] = {}
        for part in rest.split(","):
            key, equals, value = part.partition("=")
            if not equals:
                raise InvalidInputError(f"{shown(part)} of {shown(text)} is not name=value.")
            arch[key] = value
        words = {key: value.split("-") if f"{key}.0" in self.column else value for key, value in arch.items()}
        return self._code(words, spelled=True)
