"""What an architecture space is: parameters with choices, and blocks whose operators are arithmetic on them.

An architecture is a mapping of parameter names, with a list for what each layer chooses. As *codes* it is one int64
row of indices into the choices, columns of layers that it does not have 0. As *blocks* it is a multiset of pieces (a
stem, layers, a head), each with a fixed list of operators at a setting: whatever adds up over operators adds up over
blocks, so that thousands of architectures cost one product of matrices.
"""

from __future__ import annotations

import math
from abc import abstractmethod
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import product
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hetbench.errors import InvalidInputError, UnknownNameError
from hetbench.graphs import OperatorGroup, OperatorTable, Setting, resolve_dtype
from hetbench.operators import operator_type
from hetbench.spaces._registry import space

__all__ = ["Block", "BlockSpace", "Parameter", "Space", "Step", "tabulate"]

Ints = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Parameter:
    """One choice of an architecture."""

    name: str
    """`embed`, or `heads.3`: what the fourth layer chooses."""
    choices: tuple[Any, ...]
    needs: tuple[str, int] | None = None
    """It exists only where this parameter is above this number; None: always."""


class Space:
    """A finite set of architectures.

    >>> from hetbench.spaces import space
    >>> space("gpt-s").sample(seed=0)["embed"] in (192, 384, 768)
    True
    """

    quality: str | None = None
    """Objective that stands for how good an architecture is, where the space has one; see `hetbench.spaces.quality`."""

    def __init__(self, name: str, title: str, parameters: Iterable[Parameter]) -> None:
        self.name, self.title, self.parameters = name, title, tuple(parameters)
        self.column = {parameter.name: index for index, parameter in enumerate(self.parameters)}
        self._values = [np.array(parameter.choices, dtype=object) for parameter in self.parameters]

    def __reduce__(self) -> tuple[Any, ...]:
        return space, (self.name,)

    def size(self) -> int:
        """How many different architectures there are.

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
        """One architecture; every parameter is drawn uniformly, the same for the same seed."""
        return self.archs(self.sample_codes(1, seed))[0]

    def sample_codes(self, count: int, seed: int) -> Ints:
        """Codes of `count` architectures, [count, parameters]; repetitions are possible."""
        rng = np.random.default_rng(seed)
        columns = [rng.integers(len(parameter.choices), size=count) for parameter in self.parameters]
        return self.canonical(np.stack(columns, axis=1).astype(np.int64))

    def canonical(self, codes: Any) -> Ints:
        """The codes with 0 for every parameter that the architecture does not have; bad indices are refused."""
        found = np.atleast_2d(np.array(codes))
        counts = np.array([len(parameter.choices) for parameter in self.parameters])
        if found.ndim != 2 or found.shape[1] != len(counts) or not np.issubdtype(found.dtype, np.integer):
            raise InvalidInputError(
                f"codes of {self.name} are whole numbers [architectures, {len(counts)}]; given: {found.dtype} "
                f"{list(found.shape)}."
            )
        if ((found < 0) | (found >= counts)).any():
            row, column = np.argwhere((found < 0) | (found >= counts))[0]
            raise InvalidInputError(
                f"code {found[row, column]} of {self.parameters[column].name} is no index of its {counts[column]} "
                f"choices: {self.parameters[column].choices}."
            )
        return np.where(self._active(found), found, 0).astype(np.int64)

    def codes(self, archs: Any) -> Ints:
        """Codes [n, parameters] of architectures: mappings, their texts, or codes already."""
        if isinstance(archs, np.ndarray) and archs.dtype != object:
            return self.canonical(archs)
        if isinstance(archs, str | Mapping):
            archs = [archs]
        return np.array([self._code(arch) for arch in archs], dtype=np.int64).reshape(-1, len(self.parameters))

    def archs(self, codes: Any) -> list[dict[str, Any]]:
        """The architectures of codes, each a mapping with a list for what its layers choose."""
        codes = self.canonical(codes)
        return [self._nested(row, active) for row, active in zip(codes, self._active(codes), strict=True)]

    def check(self, arch: Any) -> dict[str, Any]:
        """The architecture in canonical form; an error says which part cannot be meant."""
        return self.archs(self.codes([arch]))[0]

    def text(self, arch: Any) -> str:
        """One line that names the architecture; `parse` reads it back.

        >>> from hetbench.spaces import space
        >>> s = space("gpt-s")
        >>> s.parse(s.text(s.sample(1))) == s.sample(1)
        True
        """
        parts = (f"{name}={'-'.join(map(str, value)) if isinstance(value, list) else value}"
                 for name, value in self.check(arch).items())  # fmt: skip
        return f"{self.name}:{','.join(parts)}"

    def parse(self, text: str) -> dict[str, Any]:
        """The architecture that a line of `text` names."""
        return self.archs(np.array([self._parsed(text)], dtype=np.int64))[0]

    def texts(self, codes: Any) -> list[str]:
        """The line of each row of codes."""
        return [self.text(arch) for arch in self.archs(codes)]

    def values(self, codes: Ints, name: str) -> Any:
        """What each row chose for a parameter, [n]."""
        column = self.column[name]
        return self._values[column][codes[:, column]]

    def _active(self, codes: Ints) -> NDArray[np.bool_]:
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
        """Codes of one architecture; `spelled`: its values are words."""
        if isinstance(arch, str):
            return self._parsed(arch)
        if not isinstance(arch, Mapping):
            raise InvalidInputError(f"an architecture of {self.name} is a mapping or its text; given: {arch!r}.")
        names = tuple(dict.fromkeys(parameter.name.partition(".")[0] for parameter in self.parameters))
        for name in arch:
            if name not in names:
                raise UnknownNameError(f"parameter of {self.name}", str(name), names)
        missing = [name for name in names if name not in arch]
        if missing:
            raise InvalidInputError(f"an architecture of {self.name} needs {', '.join(missing)} too.")
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
        if not isinstance(arch[name], Sequence | np.ndarray) or isinstance(arch[name], str):
            raise InvalidInputError(f"{name} of {self.name} is a list, one entry a layer; given: {arch[name]!r}.")
        if int(place) >= len(arch[name]):
            raise InvalidInputError(f"{name} of {self.name} has {len(arch[name])} entries; more layers need one.")
        return arch[name][int(place)]

    def _check_lengths(self, arch: Mapping[str, Any], chosen: Mapping[str, Any]) -> None:
        """No list may say more than the architecture has layers."""
        wanted = Counter(
            each.name.partition(".")[0] for each in self.parameters
            if "." in each.name and (each.needs is None or chosen[each.needs[0]] > each.needs[1])
        )  # fmt: skip
        for name, count in wanted.items():
            if len(arch[name]) != count:
                raise InvalidInputError(f"{name} of {self.name} needs {count} entries; given: {len(arch[name])}.")

    def _index(self, parameter: Parameter, value: Any, spelled: bool) -> int:
        value = value.item() if isinstance(value, np.generic) else value
        for index, choice in enumerate(parameter.choices):
            same = choice == value and isinstance(choice, bool) == isinstance(value, bool)  # True is not 1 here
            if str(choice) == value if spelled else same:
                return index
        known = ", ".join(map(str, parameter.choices))
        raise InvalidInputError(f"{parameter.name}={value!r} is no choice of {self.name}. Choices: {known}.")

    def _parsed(self, text: str) -> list[int]:
        name, _, rest = text.partition(":")
        if name != self.name:
            raise InvalidInputError(f"{text!r} is no architecture of {self.name}: it starts with '{self.name}:'.")
        arch: dict[str, Any] = {}
        for part in rest.split(","):
            key, equals, value = part.partition("=")
            if not equals:
                raise InvalidInputError(f"{part!r} of {text!r} is not name=value.")
            arch[key] = value
        words = {key: value.split("-") if f"{key}.0" in self.column else value for key, value in arch.items()}
        return self._code(words, spelled=True)


@dataclass(frozen=True, slots=True)
class Step:
    """One operator of a block."""

    op: str
    dims: Mapping[str, int]
    out: int
    """Elements of its result."""
    reads: tuple[int, ...]
    """Which steps' results it reads; -1 is what the block before made."""


@dataclass(frozen=True, slots=True)
class Block:
    """A piece of a network: one tensor goes in, one comes out."""

    steps: tuple[Step, ...]
    params: int
    carried: int
    """Elements of what goes in; 0 for the first block, which reads the network's inputs."""

    def peak(self) -> int:
        """Most elements of intermediate results alive at once while it runs.

        >>> steps = Step("ReLU", {"numel": 8}, 8, (-1,)), Step("ReLU", {"numel": 8}, 8, (0,))
        >>> Block(steps, params=0, carried=8).peak()
        16
        """
        last = {index: index for index in range(-1, len(self.steps))}
        for place, step in enumerate(self.steps):
            last |= dict.fromkeys(step.reads, place)
        sizes = {-1: self.carried, **{index: step.out for index, step in enumerate(self.steps)}}
        return max(
            sum(size for made, size in sizes.items() if made <= place <= last[made]) for place in range(len(self.steps))
        )


class BlockSpace(Space):
    """A space of networks that are composed of blocks."""

    phases = ("inference",)
    vocabulary: int
    """How many different blocks there are."""

    @property
    @abstractmethod
    def limits(self) -> dict[str, Any]:
        """Defaults and bounds of the sizes, as `ModelGraph` reads them."""

    @abstractmethod
    def slots(self, codes: Ints) -> Ints:
        """Blocks of each architecture in order, [n, places]; -1 where there is none."""

    @abstractmethod
    def build(self, index: int, setting: Setting) -> Block:
        """One block of the vocabulary at a setting."""

    @abstractmethod
    def inputs(self, setting: Setting) -> tuple[tuple[int, str], ...]:
        """Elements and dtype of what a call is given; `data` means the precision asked for."""

    @lru_cache(maxsize=4096)  # noqa: B019 - spaces live as long as the process
    def block(self, index: int, setting: Setting) -> Block:
        """`build`, kept."""
        return self.build(index, setting)

    def counts(self, codes: Ints) -> NDArray[np.float64]:
        """How often each architecture has each block, [n, vocabulary]."""
        slots = self.slots(codes)
        rows = np.broadcast_to(np.arange(len(slots))[:, None], slots.shape)
        used = slots >= 0
        flat = rows[used] * self.vocabulary + slots[used]
        found = np.bincount(flat, minlength=len(slots) * self.vocabulary).reshape(len(slots), self.vocabulary)
        return found.astype(np.float64)


def tabulate(steps: Iterable[tuple[Step, int]], precision: str) -> OperatorTable:
    """Steps, each with how often it runs, as the table that surrogates read."""
    rows: dict[tuple[str, str, tuple[str, ...]], Counter[tuple[int, ...]]] = {}
    for step, times in steps:
        if operator_type(step.op).cost_class != "free":
            key = step.op, resolve_dtype(step.op, "data", precision), tuple(step.dims)
            rows.setdefault(key, Counter())[tuple(step.dims.values())] += times
    groups = []
    for (op, dtype, names), found in sorted(rows.items()):
        sizes = np.array(list(found), dtype=np.int64).T.copy()
        count = np.array(list(found.values()), dtype=np.int64)
        groups.append(OperatorGroup(op, dtype, dict(zip(names, sizes, strict=True)), count))
    return OperatorTable(tuple(groups))
