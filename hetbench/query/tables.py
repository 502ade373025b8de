"""Many questions at once, in columns: a row that cannot be answered gets NaN and a reason, and never raises.

Rows that share operator, dtype, chip, protocol, library and layout go to the surrogate as one call.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hetbench import schema
from hetbench.catalog.chips import Chip
from hetbench.errors import HetBenchError, InvalidInputError, UnknownNameError, shown
from hetbench.operators import OperatorType, operator_type
from hetbench.predict.operators import OperatorSurrogate, load
from hetbench.query.columns import AnswerColumns, Rows, group_rows, read_columns, text_of
from hetbench.query.operator_dims import read_dims
from hetbench.query.question import check_precision
from hetbench.query.wording import answer_as_written
from hetbench.serving.collectives import COLLECTIVES, collective
from hetbench.serving.deployment import OPTIONS

__all__ = [
    "MODEL_COLUMNS", "OPERATOR_COLUMNS", "answer_models", "answer_operators", "check_cells", "question_rows",
    "split_decode",
]  # fmt: skip

_REQUIRED = ("op", "dims", "dtype", "phase", "chip")
_OPTIONAL = ("protocol", "library", "layout")
OPERATOR_COLUMNS = (*_REQUIRED, *_OPTIONAL)
MODEL_COLUMNS = ("model", "chip", "precision", "batch", "seq_len", "image_size", "phase", "stack", "software",
                  "metric", *OPTIONS, "optimizer")
_WHOLE = ("batch", "seq_len", "image_size", "input_len", "output_len", "concurrency", "chips")


def answer_operators(
    table: Mapping[str, Sequence[Any]], chip_named: Callable[[str], Chip], predictor: str = "auto",
    surrogate: OperatorSurrogate | None = None,
) -> dict[str, NDArray[Any]]:  # fmt: skip
    """Forward latency of operators in ms: see `HetBench.query_operators` for the columns of the table and the answer.

    `chip_named` finds a chip by name; `surrogate` predicts, left out the one in the package.

    >>> columns = {"op": ["Linear"], "dims": ['{"m": 1}'], "dtype": ["fp16"], "phase": ["bwd"], "chip": ["cuda"]}
    >>> str(answer_operators(columns, lambda name: None)["reason"][0])
    "phase 'bwd' of an operator is not supported; use 'fwd'."
    """
    given = read_columns(table, _REQUIRED, _OPTIONAL)
    rows = len(given["op"])
    out = AnswerColumns(rows)
    names = [name for name in (*_REQUIRED, *_OPTIONAL) if name != "dims"]
    for key, members in group_rows([given.get(name) for name in names], rows).items():
        cells = dict(zip(names, key, strict=True))
        try:
            _operator_group(cells, members, given["dims"], out, chip_named, predictor, surrogate or load())
        except HetBenchError as why:
            empty = members[out.reason[members] == ""]
            out.reason[empty] = str(why)
    return out.to_dict()


def _operator_group(
    cells: Mapping[str, Any], members: Rows, dims: Sequence[Any], out: AnswerColumns,
    chip_named: Callable[[str], Chip], predictor: str, surrogate: OperatorSurrogate,
) -> None:  # fmt: skip
    """Answer the rows `members`, which differ in their dims only."""
    if isinstance(cells["op"], str) and cells["op"] in COLLECTIVES:
        _collectives(cells, members, dims, out, chip_named)
        return
    kind, chip, dtype, protocol = check_cells(cells, chip_named)
    for sizes, good in read_dims(kind, [dims[at] for at in members.tolist()], members, out):
        if kind.cost_class == "free":
            out.value[good] = 0.0
            continue
        for own, rows in split_decode(sizes, len(good)):
            found = surrogate.predict(
                kind.name, dtype, own, chip, protocol=protocol, library=cells["library"], layout=cells["layout"],
                predictor=predictor,
            )  # fmt: skip
            at = good[rows]
            out.value[at], out.lower[at], out.upper[at] = found.value, found.lower, found.upper
            out.level[at] = found.level


def _collectives(
    cells: Mapping[str, Any], members: Rows, dims: Sequence[Any], out: AnswerColumns, chip_named: Callable[[str], Chip]
) -> None:
    chip, kind = chip_named(cells["chip"]), COLLECTIVES[cells["op"]]
    for sizes, good in read_dims(kind, [dims[at] for at in members.tolist()], members, out):
        for n, at in enumerate(good.tolist()):
            own = {name: int(values[n]) for name, values in sizes.items()}
            try:
                found = collective(kind.name, own, chip, cells["library"])
            except HetBenchError as why:
                out.reason[at] = str(why)
                continue
            out.value[at], out.lower[at], out.upper[at] = found.value, found.lower, found.upper
            out.level[at] = found.level


def split_decode(sizes: Mapping[str, Rows], rows: int) -> Iterator[tuple[dict[str, Rows], Rows]]:
    """Dims and row numbers of decode attention (q_len 1) and of all other rows: different surrogates answer them."""
    decode = sizes["q_len"] == 1 if "q_len" in sizes else np.zeros(rows, dtype=bool)
    for part in (np.flatnonzero(decode), np.flatnonzero(~decode)):
        if len(part):
            yield {name: array[part] for name, array in sizes.items()}, part


def check_cells(
    cells: Mapping[str, Any], chip_named: Callable[[str], Chip]
) -> tuple[OperatorType, Chip, str, str]:
    """Operator type, chip, dtype and protocol of a row; raises the `HetBenchError` that says which cell is wrong."""
    if cells.get("phase") not in (None, "fwd"):
        raise InvalidInputError(f"phase {shown(cells['phase'])} of an operator is not supported; use 'fwd'.")
    kind, chip, dtype = operator_type(cells["op"]), chip_named(cells["chip"]), _dtype(cells["dtype"])
    if dtype in schema.QUERY_PRECISIONS:
        check_precision(dtype, chip)
    protocol = "event" if cells.get("protocol") is None else text_of(cells["protocol"])
    if protocol not in schema.PROTOCOLS:
        raise UnknownNameError("protocol", protocol, schema.PROTOCOLS)
    return kind, chip, dtype, protocol


def _dtype(given: Any) -> str:
    return given if isinstance(given, str) and given in schema.STORAGE_BYTES else schema.precision(given)


def _text(column: str, cell: Any) -> str:
    """A cell that holds one name."""
    if cell is None:
        raise InvalidInputError(f"no {column} in this row.")
    if not isinstance(cell, str):
        raise InvalidInputError(f"the cell of column {column!r} must be a text; given: {shown(cell)}.")
    return cell


def question_rows(given: Mapping[str, list[Any]]) -> Iterator[dict[str, Any]]:
    """The rows of columns without their gaps; sizes that a column with gaps holds as floats are whole numbers."""
    for cells in zip(*given.values(), strict=True):
        row = {name: cell for name, cell in zip(given, cells, strict=True) if cell is not None}
        for name in _WHOLE:
            if isinstance(row.get(name), float) and row[name].is_integer():
                row[name] = int(row[name])
        yield row


def answer_models(table: Mapping[str, Sequence[Any]], query: Callable[..., Any]) -> dict[str, NDArray[Any]]:
    """Answers to model queries: see `HetBench.query_models` for the columns of the table and the answer.

    `query` answers one row, with the arguments of `HetBench.query`.

    >>> from hetbench import HetBench
    >>> columns = {"model": ["gpt2", "gpt3"], "chip": ["cuda"] * 2, "metric": ["params"] * 2}
    >>> found = HetBench().query_models(columns)
    >>> [float(value) for value in found["value"]], str(found["reason"][1]).split(".")[0]
    ([124439808.0, nan], "unknown model 'gpt3'")
    """
    required = ("model", "chip")
    given = read_columns(table, required, tuple(name for name in MODEL_COLUMNS if name not in required))
    rows = len(given["model"])
    out, notes = AnswerColumns(rows), np.full(rows, "", dtype=object)
    for at, row in enumerate(question_rows(given)):
        try:
            for name in ("chip", "metric"):
                row[name] = _text(name, row.get(name, "latency" if name == "metric" else None))
            answer, notes[at] = answer_as_written(query, row)
        except HetBenchError as why:
            out.reason[at] = str(why)
            continue
        out.value[at], out.level[at] = answer.value, answer.level or ""
        if answer.lower is not None:
            out.lower[at], out.upper[at] = answer.lower, answer.upper
    return {**out.to_dict(), "note": notes}
