"""Dims of many operators of one type, from JSON texts or mappings to checked int64 columns.

JSON texts that differ in their digits only are read as one array of numbers, which is what makes tables fast. A row
whose dims fit no tensor gets its reason in the answer columns and goes no further.
"""

from __future__ import annotations

import json
import re
import string
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hetbench.errors import InvalidInputError, shown
from hetbench.operators import OperatorType
from hetbench.operators._base import FLAGS, MAX_DIM, ZERO_ALLOWED
from hetbench.query.columns import AnswerColumns, Rows

__all__ = ["check_dims", "read_dims"]

_MAX_FLOPS, _MAX_BYTES = 1e18, 1e15  # of one operator: beyond any chip, and well below overflow
_MAX_OTHER_DIM = 2**31  # of a dim other than `numel`
_NUMBER = re.compile("[0-9]+")
_NO_DIGITS = str.maketrans("", "", string.digits)
_DIGITS_ONLY = {ord(c): " " for c in string.printable if not c.isdigit()}


def read_dims(
    kind: OperatorType, cells: Sequence[Any], members: Rows, out: AnswerColumns
) -> Iterator[tuple[dict[str, Rows], Rows]]:
    """Checked dims as int64 arrays [rows] with their row numbers [rows], one batch for each JSON layout.

    `cells` are the dims cells of the rows `members`; a row with invalid dims gets its reason in `out` instead.
    """
    if not len(cells):
        return
    texts = cells if set(map(type, cells)) == {str} else [c if isinstance(c, str) else _as_json(c) for c in cells]
    whole = _uniform(kind, texts)
    if whole is not None:
        yield _keep_possible(kind, whole, members, out)
        return
    layouts: dict[str, list[int]] = {}
    for at, text in enumerate(texts):
        layouts.setdefault(text.translate(_NO_DIGITS), []).append(at)
    for places in layouts.values():
        batch = _uniform(kind, [texts[at] for at in places])
        if batch is not None:
            yield _keep_possible(kind, batch, members[places], out)
            continue
        for at in places:
            try:
                one = kind.check(_mapping(texts[at]))
            except InvalidInputError as why:
                out.reason[members[at]] = str(why)
                continue
            columns = {name: np.array([value]) for name, value in one.items()}
            yield _keep_possible(kind, columns, members[at : at + 1], out)


def _as_json(cell: Any) -> str:
    """JSON of a dims cell that is a mapping; anything else as its repr, which is refused when it is parsed."""
    try:
        return json.dumps(dict(cell), default=lambda value: value.item())
    except (TypeError, ValueError, AttributeError, RecursionError):
        return shown(cell)


def _mapping(text: str) -> dict[str, Any]:
    try:
        found = json.loads(text, object_pairs_hook=_once_each)
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict):
        raise InvalidInputError(f"dims must be a mapping of whole numbers, or JSON of one; given: {shown(text)}")
    return found


def _once_each(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise InvalidInputError(f"dims name a size twice; given: {', '.join(f'{n}={shown(v)}' for n, v in pairs)}.")
    return found


def _pattern(text: str) -> re.Pattern[str]:
    """What matches lines that differ from `text` in their whole numbers only."""
    one = "(?:0|[1-9][0-9]{0,17})".join(map(re.escape, _NUMBER.split(text)))
    return re.compile(f"(?:{one}\n)*+")


def _uniform(kind: OperatorType, texts: Sequence[str]) -> dict[str, Rows] | None:
    """Columns of JSON texts that differ in their digits only, parsed at once; None where they differ otherwise."""
    try:
        first = _mapping(texts[0])
        sizes = kind.check(first)
    except InvalidInputError:
        return None
    joined = "\n".join((*texts, ""))
    if not _pattern(texts[0]).fullmatch(joined):
        return None
    numbers = np.fromstring(joined.translate(_DIGITS_ONLY), dtype=np.int64, sep=" ")
    if len(numbers) != len(first) * len(texts):
        return None
    matrix = numbers.reshape(len(texts), len(first))  # [rows, dims]
    if [sizes[name] for name in first] != matrix[0].tolist():  # a digit inside a name, 1e3, 2.0
        return None
    return {name: matrix[:, at] for at, name in enumerate(first)}


def _keep_possible(
    kind: OperatorType, sizes: dict[str, Rows], members: Rows, out: AnswerColumns
) -> tuple[dict[str, Rows], Rows]:
    """The rows whose dims are possible; the others get their reason in `out`."""
    good = np.ones(len(members), dtype=bool)
    for reason, bad in _impossible(kind, sizes):
        out.reason[members[bad & good]] = f"{kind.name}: {reason}."
        good &= ~bad
        sizes = {name: np.where(good, array, 1) for name, array in sizes.items()}  # so that later checks stay finite
    return {name: array[good] for name, array in sizes.items()}, members[good]


def _impossible(kind: OperatorType, sizes: Mapping[str, Rows]) -> Iterator[tuple[str, NDArray[np.bool_]]]:
    """Pairs of a reason and the rows [rows] that it rules out, cheapest check first."""
    for name, array in sizes.items():
        least, most = int(name not in ZERO_ALLOWED), MAX_DIM if name == "numel" else _MAX_OTHER_DIM
        if name in FLAGS:
            yield f"dim {name} must be 0 or 1", (array < 0) | (array > 1)
        else:
            yield f"dim {name} must be a whole number from {least} to {most:.0e}", (array < least) | (array > most)
    d = {**{name: np.full(1, value) for name, value in kind.optional.items()}, **sizes}
    for side, window in (("d", "kd"), ("h", "kh"), ("w", "kw"), ("l", "k")):
        if side in sizes and window in sizes and "pad" in d:
            if "extra" in d:  # a transposed convolution, whose result is larger than its input
                out = (d[side] - 1) * d["stride"] - 2 * d["pad"] + d[window] + d["extra"]
                yield f"pad leaves nothing of {side}", out < 1
            else:
                yield f"{window} is larger than the padded {side}", d[window] > d[side] + 2 * d["pad"]
    for whole, part in (("c", "groups"), ("oc", "groups"), ("heads", "kv_heads")):
        if whole in sizes and part in sizes:
            yield f"{part} must divide {whole}", d[whole] % d[part] != 0
    real = {name: array.astype(np.float64) for name, array in sizes.items()}
    flops, moved = kind.flops(real), kind.bytes_moved(real, 8)
    shape = next(iter(sizes.values())).shape
    yield "its result would have no elements", np.broadcast_to((np.asarray(flops) < 0) | (np.asarray(moved) < 0), shape)
    absurd = (np.asarray(flops) > _MAX_FLOPS) | (np.asarray(moved) > _MAX_BYTES)
    absurd = np.broadcast_to(absurd, shape)
    yield f"more than {_MAX_FLOPS:.0e} FLOP or {_MAX_BYTES:.0e} bytes exceed any chip", absurd


def check_dims(kind: OperatorType, sizes: Mapping[str, int]) -> dict[str, int]:
    """The dims of one operator, unchanged; `InvalidInputError` where no tensor can have them.

    >>> from hetbench.operators import operator_type
    >>> check_dims(operator_type("Linear"), {"m": 1, "n": 2, "k": 3})
    {'m': 1, 'n': 2, 'k': 3}
    """
    columns = {name: np.array([value], dtype=np.int64) for name, value in sizes.items()}
    for reason, bad in _impossible(kind, columns):
        if bad.any():
            raise InvalidInputError(f"{kind.name}: {reason}; given: {shown(dict(sizes))}.")
    return dict(sizes)
