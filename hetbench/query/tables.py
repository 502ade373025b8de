"""Many questions at once, in columns: a row that cannot be answered never raises, it gets NaN and a reason.

A table is a mapping of equal-length columns. Rows that share operator, dtype, chip, protocol, library and layout go
to the surrogate as one call, and dims given as JSON of one layout are read as one array of numbers.
"""

from __future__ import annotations

import json
import string
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hetbench import schema
from hetbench.catalog.chips import Chip
from hetbench.errors import HetBenchError, InvalidInputError, UnknownNameError, nearest
from hetbench.operators import OperatorType, operator_type
from hetbench.operators._base import MAX_DIM, ZERO_ALLOWED
from hetbench.predict.operators import OperatorSurrogate, load
from hetbench.query.question import check_precision

__all__ = ["Columns", "by_phase", "checked_cells", "checked_work", "grouped", "models", "operators", "parsed",
           "positive", "read_columns"]

_REQUIRED = ("op", "dims", "dtype", "phase", "chip")
_OPTIONAL = ("protocol", "library", "layout")
_MODEL_COLUMNS = ("model", "chip", "precision", "batch", "seq_len", "image_size", "phase", "stack", "software",
                  "metric")
_MAX_FLOPS, _MAX_BYTES = 1e18, 1e15  # of one operator: beyond any chip, and far from overflow
_MAX_OTHER_DIM = 2**31  # of a dim that is not a whole tensor's size
_NO_DIGITS = str.maketrans("", "", string.digits)
_DIGITS_ONLY = {ord(c): " " for c in string.printable if not c.isdigit()}

Rows = NDArray[np.int64]


class Columns:
    """The answer columns of a table of `rows` rows: value, lower, upper (float64), level and reason (text)."""

    def __init__(self, rows: int) -> None:
        self.value, self.lower, self.upper = (np.full(rows, np.nan) for _ in range(3))
        self.level = np.full(rows, "", dtype="U1")
        self.reason = np.full(rows, "", dtype=object)

    def to_dict(self) -> dict[str, NDArray[Any]]:
        """The columns by name, each [rows]."""
        return {name: getattr(self, name) for name in ("value", "lower", "upper", "level", "reason")}


def operators(
    table: Mapping[str, Sequence[Any]], chip_named: Callable[[str], Chip], predictor: str = "auto",
    surrogate: OperatorSurrogate | None = None,
) -> dict[str, NDArray[Any]]:  # fmt: skip
    """Forward latency of operators in ms.

    Columns op, dims (a mapping, or its JSON), dtype, phase (`fwd`), chip, and optionally protocol (default event),
    library and layout. Returns value, lower, upper, level and reason, each of shape [rows]; a malformed table raises
    `InvalidInputError`, a malformed row gets NaN and a reason.

    >>> columns = {"op": ["Linear"], "dims": ['{"m": 1}'], "dtype": ["fp16"], "phase": ["bwd"], "chip": ["cuda"]}
    >>> str(operators(columns, lambda name: None)["reason"][0])
    "phase 'bwd' is not answered: only fwd."
    """
    given = read_columns(table, _REQUIRED, _OPTIONAL)
    rows = len(given["op"])
    out = Columns(rows)
    names = [name for name in (*_REQUIRED, *_OPTIONAL) if name != "dims"]
    for key, members in grouped([given.get(name) for name in names], rows).items():
        cells = dict(zip(names, key, strict=True))
        try:
            _operator_group(cells, members, given["dims"], out, chip_named, predictor, surrogate or load())
        except HetBenchError as why:
            empty = members[out.reason[members] == ""]
            out.reason[empty] = str(why)
    return out.to_dict()


def _operator_group(
    cells: Mapping[str, Any], members: Rows, dims: Sequence[Any], out: Columns,
    chip_named: Callable[[str], Chip], predictor: str, surrogate: OperatorSurrogate,
) -> None:  # fmt: skip
    """Answer the rows `members`, which differ in nothing but their dims."""
    kind, chip, dtype, protocol = checked_cells(cells, chip_named)
    for sizes, good in parsed(kind, [dims[at] for at in members.tolist()], members, out):
        if kind.cost_class == "free":
            out.value[good] = 0.0
            continue
        for own, rows in by_phase(sizes, len(good)):
            found = surrogate.predict(
                kind.name, dtype, own, chip, protocol=protocol, library=cells["library"], layout=cells["layout"],
                predictor=predictor,
            )  # fmt: skip
            at = good[rows]
            out.value[at], out.lower[at], out.upper[at] = found.value, found.lower, found.upper
            out.level[at] = found.level


def by_phase(sizes: Mapping[str, Rows], rows: int) -> Iterator[tuple[dict[str, Rows], Rows]]:
    """Decoding attention apart from all else, since another surrogate answers it: dims and row numbers of each part."""
    decode = sizes["q_len"] == 1 if "q_len" in sizes else np.zeros(rows, dtype=bool)
    for part in (np.flatnonzero(decode), np.flatnonzero(~decode)):
        if len(part):
            yield {name: array[part] for name, array in sizes.items()}, part


def positive(value: Any) -> float:
    """The number where it is a positive finite one, else NaN.

    >>> positive(2), positive(-1.0), positive(True)
    (2.0, nan, nan)
    """
    real = isinstance(value, int | float | np.number) and not isinstance(value, bool)
    return float(value) if real and np.isfinite(value) and value > 0 else float("nan")


def checked_cells(
    cells: Mapping[str, Any], chip_named: Callable[[str], Chip]
) -> tuple[OperatorType, Chip, str, str]:
    """Operator type, chip, dtype and protocol of the cells of a row, or the error that says what is wrong."""
    if cells.get("phase") not in (None, "fwd"):
        raise InvalidInputError(f"phase {cells['phase']!r} is not answered: only fwd.")
    kind, chip, dtype = operator_type(str(cells["op"])), chip_named(cells["chip"]), _dtype(cells["dtype"])
    if dtype in schema.ITEMSIZE:
        check_precision(dtype, chip)
    protocol = cells.get("protocol") or "event"
    if protocol not in schema.PROTOCOLS:
        raise UnknownNameError("protocol", str(protocol), schema.PROTOCOLS)
    return kind, chip, dtype, protocol


def _dtype(given: Any) -> str:
    text = str(given)
    return text if text in schema.STORAGE_BYTES else schema.precision(text)


def parsed(
    kind: OperatorType, cells: Sequence[Any], members: Rows, out: Columns
) -> Iterator[tuple[dict[str, Rows], Rows]]:
    """Dims as int64 arrays and the rows of the table they are of, one batch a JSON layout; bad rows get a reason."""
    texts = cells if set(map(type, cells)) == {str} else [c if isinstance(c, str) else _as_json(c) for c in cells]
    whole = _uniform(kind, texts)
    if whole is not None:
        yield _sound(kind, whole, members, out)
        return
    layouts: dict[str, list[int]] = {}
    for at, text in enumerate(texts):
        layouts.setdefault(text.translate(_NO_DIGITS), []).append(at)
    for places in layouts.values():
        batch = _uniform(kind, [texts[at] for at in places])
        if batch is not None:
            yield _sound(kind, batch, members[places], out)
            continue
        for at in places:
            try:
                one = kind.check(_mapping(texts[at]))
            except InvalidInputError as why:
                out.reason[members[at]] = str(why)
                continue
            yield _sound(kind, {name: np.array([value]) for name, value in one.items()}, members[at : at + 1], out)


def _as_json(cell: Any) -> str:
    """Text of a dims cell that is not text; what cannot be one is refused when it is read."""
    try:
        return json.dumps(dict(cell), default=lambda value: value.item())
    except (TypeError, ValueError, AttributeError):
        return repr(cell)


def _mapping(text: str) -> dict[str, Any]:
    try:
        found = json.loads(text)
    except ValueError:
        found = None
    if not isinstance(found, dict):
        raise InvalidInputError(f"dims must be a mapping of whole numbers or its JSON; given: {text[:80]}")
    return found


def _uniform(kind: OperatorType, texts: Sequence[str]) -> dict[str, Rows] | None:
    """Columns of JSON texts that differ in their digits only; None where they are anything else."""
    try:
        first = _mapping(texts[0])
        sizes = kind.check(first)
    except InvalidInputError:
        return None
    joined = "\n".join(texts)
    layout = texts[0].translate(_NO_DIGITS)
    if joined.translate(_NO_DIGITS) != "\n".join([layout] * len(texts)):
        return None
    numbers = np.fromstring(joined.translate(_DIGITS_ONLY), dtype=np.int64, sep=" ")
    if len(numbers) != len(first) * len(texts):
        return None
    matrix = numbers.reshape(len(texts), len(first))  # [rows, dims]
    if [sizes[name] for name in first] != matrix[0].tolist():  # a digit inside a name, 1e3, 2.0
        return None
    return {name: matrix[:, at] for at, name in enumerate(first)}


def _sound(
    kind: OperatorType, sizes: dict[str, Rows], members: Rows, out: Columns
) -> tuple[dict[str, Rows], Rows]:
    """The rows whose dims can be; the others get their reason."""
    good = np.ones(len(members), dtype=bool)
    for reason, bad in _faults(kind, sizes):
        out.reason[members[bad & good]] = f"{kind.name}: {reason}."
        good &= ~bad
        sizes = {name: np.where(good, array, 1) for name, array in sizes.items()}  # so that later sums stay finite
    return {name: array[good] for name, array in sizes.items()}, members[good]


def _faults(kind: OperatorType, sizes: Mapping[str, Rows]) -> Iterator[tuple[str, NDArray[np.bool_]]]:
    """What is wrong with which rows, cheapest first."""
    for name, array in sizes.items():
        least, most = int(name not in ZERO_ALLOWED), MAX_DIM if name == "numel" else _MAX_OTHER_DIM
        yield f"dim {name} must be a whole number from {least} to {most:.0e}", (array < least) | (array > most)
    d = {**{name: np.full(1, value) for name, value in kind.optional.items()}, **sizes}
    for side, window in (("h", "kh"), ("w", "kw"), ("l", "k")):
        if side in sizes and window in sizes and "pad" in d:
            yield f"{window} is larger than the padded {side}", d[window] > d[side] + 2 * d["pad"]
    for whole, part in (("c", "groups"), ("oc", "groups"), ("heads", "kv_heads")):
        if whole in sizes and part in sizes:
            yield f"{part} must divide {whole}", d[whole] % d[part] != 0
    real = {name: array.astype(np.float64) for name, array in sizes.items()}
    flops, moved = kind.flops(real), kind.bytes_moved(real, 8)
    absurd = (np.asarray(flops) > _MAX_FLOPS) | (np.asarray(moved) > _MAX_BYTES)
    absurd = np.broadcast_to(absurd, next(iter(sizes.values())).shape)
    yield f"more than {_MAX_FLOPS:.0e} FLOP or {_MAX_BYTES:.0e} bytes cannot be meant", absurd


def checked_work(kind: OperatorType, sizes: Mapping[str, int]) -> dict[str, int]:
    """The dims of one operator, or `InvalidInputError` where they fit no tensor.

    >>> checked_work(operator_type("Linear"), {"m": 1, "n": 2, "k": 3})
    {'m': 1, 'n': 2, 'k': 3}
    """
    columns = {name: np.array([value], dtype=np.int64) for name, value in sizes.items()}
    for reason, bad in _faults(kind, columns):
        if bad.any():
            raise InvalidInputError(f"{kind.name}: {reason}; given: {dict(sizes)}.")
    return dict(sizes)


def models(table: Mapping[str, Sequence[Any]], query: Callable[..., Any]) -> dict[str, NDArray[Any]]:
    """Answers to model queries, each in its metric's unit.

    Columns model, chip, and optionally precision, batch, seq_len, image_size, phase, stack (or software) and metric
    (default latency); an empty cell takes the default. Returns value, lower, upper, level and reason, each [rows].

    >>> from hetbench import HetBench
    >>> columns = {"model": ["gpt2", "gpt3"], "chip": ["cuda"] * 2, "metric": ["params"] * 2}
    >>> found = HetBench().query_models(columns)
    >>> [float(value) for value in found["value"]], str(found["reason"][1]).split(".")[0]
    ([124439808.0, nan], "unknown model 'gpt3'")
    """
    required = ("model", "chip")
    given = read_columns(table, required, tuple(name for name in _MODEL_COLUMNS if name not in required))
    if "software" in given:
        given.setdefault("stack", given["software"])
        del given["software"]
    rows = len(given["model"])
    out = Columns(rows)
    for at, cells in enumerate(zip(*given.values(), strict=True)):
        row = dict(zip(given, cells, strict=True))
        row = {name: cell for name, cell in row.items() if cell is not None and cell != ""}
        for name in ("batch", "seq_len", "image_size"):  # a column with gaps holds floats
            if isinstance(row.get(name), float) and row[name].is_integer():
                row[name] = int(row[name])
        try:
            answer = query(row.pop("model", None), None, row.pop("chip", None), row.pop("metric", "latency"), **row)
        except HetBenchError as why:
            out.reason[at] = str(why)
            continue
        out.value[at], out.level[at] = answer.value, answer.level or ""
        if answer.lower is not None:
            out.lower[at], out.upper[at] = answer.lower, answer.upper
    return out.to_dict()


def read_columns(table: Mapping[str, Any], required: Sequence[str], optional: Sequence[str]) -> dict[str, list[Any]]:
    """The known columns as lists of equal length, NaN and missing cells as None; others are left aside."""
    if not isinstance(table, Mapping):
        raise InvalidInputError(
            f"a table is a mapping of columns, such as {{{required[0]!r}: [...]}}; given: {type(table).__name__}. "
            "A data frame becomes one by frame.to_dict('list')."
        )
    missing = [name for name in required if name not in table]
    if missing:
        near = nearest(missing[0], [str(name) for name in table], 1)
        raise InvalidInputError(
            f"the table lacks the columns {', '.join(missing)}; it has: {', '.join(map(str, table)) or 'none'}."
            + (f" Is {near[0]!r} meant as {missing[0]!r}?" if near else "")
        )
    out = {}
    for name in (*required, *optional):
        if name in table:
            column = table[name]
            if isinstance(column, str | bytes) or not hasattr(column, "__len__"):
                raise InvalidInputError(f"column {name!r} must be a sequence of cells; given: {column!r}.")
            cells = column.tolist() if hasattr(column, "tolist") else list(column)
            if float in set(map(type, cells)):
                cells = [None if isinstance(cell, float) and cell != cell else cell for cell in cells]
            out[name] = cells
    lengths = {name: len(column) for name, column in out.items()}
    if len(set(lengths.values())) > 1:
        raise InvalidInputError(f"columns differ in length: {', '.join(f'{n} {k}' for n, k in lengths.items())}.")
    return out


def grouped(columns: Sequence[list[Any] | None], rows: int) -> dict[tuple[Any, ...], Rows]:
    """Row numbers by the cells they share; a column that is not given counts as None throughout."""
    filled = [[None] * rows if column is None else column for column in columns]
    found: dict[tuple[Any, ...], list[int]] = {}
    try:
        for at, key in enumerate(zip(*filled, strict=True)):
            found.setdefault(key, []).append(at)
    except TypeError:  # a cell that cannot be a key, such as a list
        return grouped([[cell if cell is None else str(cell) for cell in column] for column in filled], rows)
    return {key: np.array(members, dtype=np.int64) for key, members in found.items()}
