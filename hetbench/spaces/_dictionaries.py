"""Codes of many architectures at once, where all of them are plain dictionaries of plain values.

`Space.codes` reads one architecture after another and says what is wrong with it. Most lists have nothing wrong: their
values are looked up column by column here, and whatever is unusual is left to `Space.codes`.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from hetbench.spaces._space import Space

__all__ = ["codes_of_dictionaries"]

Ints = NDArray[np.int64]
_PLAIN = {int, float, str}


def codes_of_dictionaries(space: Space, archs: Sequence[Any]) -> Ints | None:
    """Codes [n, parameters], or None where an architecture has to be read by itself.

    >>> from hetbench.spaces import space
    >>> s = space("gpt-s")
    >>> archs = s.archs(s.sample_codes(3, seed=0))
    >>> bool((codes_of_dictionaries(s, archs) == s.codes(archs)).all()), codes_of_dictionaries(s, [{"layers": 10}])
    (True, None)
    """
    columns: dict[str, list[int]] = {}
    for index, parameter in enumerate(space.parameters):
        columns.setdefault(parameter.name.partition(".")[0], []).append(index)
    if set(map(type, archs)) != {dict} or any(arch.keys() != columns.keys() for arch in archs):
        return None
    out = np.zeros((len(archs), len(space.parameters)), dtype=np.int64)
    lists = {name: at for name, at in columns.items() if "." in space.parameters[at[0]].name}
    for name, at in columns.items():
        if name not in lists:
            found = _looked_up(space, at[0], [arch[name] for arch in archs])
            if found is None:
                return None
            out[:, at[0]] = found
    for name, at in lists.items():
        if not _fill(space, at, [arch[name] for arch in archs], out):
            return None
    return np.where(space.active(out), out, 0)


def _fill(space: Space, at: list[int], given: list[Any], out: Ints) -> bool:
    """Write the codes of one list per architecture into the columns `at`; False where one is unusual."""
    if not set(map(type, given)) <= {list, tuple}:
        return False
    there = np.arange(len(at)) < np.array(list(map(len, given)))[:, None]  # [n, layers]
    if (there != space.active(out)[:, at]).any() or max(map(len, given)) > len(at):
        return False
    own = np.zeros(there.shape, dtype=np.int64)
    if all(space.parameters[each].choices == space.parameters[at[0]].choices for each in at):
        found = _looked_up(space, at[0], list(chain.from_iterable(given)))
        if found is not None:
            own[there] = found
    else:
        for place, column in enumerate(at):
            found = _looked_up(space, column, [each[place] for each in given if len(each) > place])
            if found is None:
                break
            own[there[:, place], place] = found
    out[:, at] = own
    return found is not None


def _looked_up(space: Space, column: int, values: list[Any]) -> Ints | None:
    """Index of each value among the choices of a parameter; None where one is no plain choice."""
    choices = space.parameters[column].choices
    kinds = {bool} if set(map(type, choices)) == {bool} else _PLAIN
    if not set(map(type, values)) <= kinds or not set(map(type, choices)) <= kinds:
        return None  # True equals 1 as a key, and is not that choice
    found = list(map({choice: index for index, choice in enumerate(choices)}.get, values))
    return None if None in found else np.array(found, dtype=np.int64)
