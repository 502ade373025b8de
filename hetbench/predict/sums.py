"""Sums over the operators of one structure of a network on one chip, by the kernel: one call for each new setting.

A `Layout` is what of a structure doesn't depend on sizes or chip: which dims each operator type takes from the sizes,
the steps to canonical dims, and how often each row runs. A `SumPlan` adds the heads of a chip. The figures are those
of `OperatorSurrogate.predict_model`, to 1e-6.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from hetbench.catalog.chips import Chip
from hetbench.graphs.operator_table import SizedTable
from hetbench.kernel.library import library
from hetbench.kernel.programs import Program, record_formula
from hetbench.kernel.records import Record, address
from hetbench.loading import LOCK
from hetbench.operators import operator_type
from hetbench.predict.canonical import canonical_columns
from hetbench.predict.compiled import COLUMNS, Block
from hetbench.predict.doubling import DOUBLINGS, rows_of_work
from hetbench.predict.features import CLASSES
from hetbench.predict.selection import said_by
from hetbench.schema import STORAGE_BYTES

if TYPE_CHECKING:
    from hetbench.predict.operators import OperatorSurrogate

__all__ = ["Layout", "SumPlan", "Sums", "layout_of", "plan_of", "scratch"]

_POINTER, _INT = np.uintp, np.int64
_PIECE = np.dtype([
    ("steps", _POINTER), ("many", _INT), ("inputs", _INT), ("rows", _INT), ("at", _INT), ("axis", _INT),
    ("sizes", _POINTER), ("outputs", _POINTER),
])  # fmt: skip
_PART = np.dtype([
    ("which_class", _INT), ("rows", _INT), ("columns", _INT), ("pieces", _INT), ("groups", _INT), ("piece", _POINTER),
    ("count", _POINTER), ("which", _POINTER), ("cls", _POINTER), ("group", _POINTER), ("facts", _POINTER),
])  # fmt: skip
_ENDS = 3
"""Value, lower and upper bound come before the groups in what the kernel returns."""
_INDICES, _OWN = 4, 5  # numbers that the kernel keeps of every row, halves included, and of every row asked for
_SCRATCH = threading.local()
_MOST_PLANS = 2048
"""Plans kept before the store starts afresh; each takes about 10 kB."""


class LayoutPart(NamedTuple):
    """The operators of one class."""

    cls: str
    kinds: tuple[tuple[str, str], ...]
    """Operator type and dtype of each group."""
    pieces: Record
    rows: int
    times: NDArray[np.float64]
    """How often each row runs."""
    which: NDArray[np.int32]
    runs: tuple[int, ...]
    """How often each group runs."""


class Layout(NamedTuple):
    """The operators of a structure, by class."""

    parts: tuple[LayoutPart, ...]
    records: Record
    """The parts as the kernel takes them, without what belongs to a chip."""
    work: int
    """Numbers that the kernel keeps while it runs."""


class SumPlan(NamedTuple):
    """A layout on a chip under a protocol."""

    layout: Layout
    parts: Record
    choices: tuple[Any, ...]
    """Of every group, class by class."""
    names: tuple[tuple[str, str], ...]
    """Level and operator type of every group."""
    operators: tuple[str, ...]
    """Operator type of every group."""
    launch_ms: float
    support: int
    kept: tuple[Any, ...]

    def ms(self, kernel: Any, values: NDArray[np.float64]) -> NDArray[np.float64] | None:
        """Value, lower and upper bound of the sum, then of each group, in ms; None where rows left their class."""
        out, work = np.empty(_ENDS + len(self.names)), scratch(self.layout.work)
        failed = kernel.hetbench_sums(
            self.parts.address, len(self.layout.parts), address(values), work, address(out)
        )
        return None if failed else out


def scratch(size: int) -> int:
    """Address of room for `size` numbers, which this thread alone uses."""
    if getattr(_SCRATCH, "size", 0) < size:
        _SCRATCH.room, _SCRATCH.size = np.empty(max(size, 4096)), max(size, 4096)
        _SCRATCH.address = address(_SCRATCH.room)
    found: int = _SCRATCH.address
    return found


@lru_cache(maxsize=1024)
def _program(op: str, names: tuple[str, ...], cls: str, itemsize: int) -> Program | None:
    optional = {name: value for name, value in operator_type(op).optional.items() if name not in names}
    return record_formula(lambda dims: canonical_columns(op, dims, itemsize), names, optional, COLUMNS[cls])


def layout_of(table: SizedTable) -> Layout | None:
    """The layout of a table's structure, attention of one query apart from other attention; None where the kernel
    cannot run a formula."""
    found: dict[str, list[tuple[str, str, Any, Any, int, Program]]] = {}
    for op, dtype, names, sizes, count in table.structure.groups(table.precision):
        kind = operator_type(op).cost_class
        if kind == "free":
            continue
        if dtype not in STORAGE_BYTES:  # a format that numpy's side knows how to read
            return None
        rows = {kind: np.ones(len(count), dtype=bool)}
        if kind == "attention":
            single = table.values[sizes[names.index("q_len")]] == 1
            rows = {"decode": single, "prefill": ~single}
        for cls, own in rows.items():
            if own.any():
                program = _program(op, names, cls, STORAGE_BYTES[dtype])
                if program is None:
                    return None
                axis = names.index(rows_of_work(op))
                found.setdefault(cls, []).append((op, dtype, sizes[:, own], count[own], axis, program))
    parts = tuple(_part(cls, groups) for cls, groups in found.items())
    room = ((len(COLUMNS[part.cls]) + _INDICES) * (1 + DOUBLINGS) * part.rows + _OWN * part.rows for part in parts)
    records = np.zeros(len(parts), dtype=_PART)
    for index, part in enumerate(parts):
        records[index] = (
            CLASSES.index(part.cls), part.rows, len(COLUMNS[part.cls]), len(part.kinds), len(part.kinds),
            part.pieces.address, address(part.times), address(part.which), 0, 0, 0,
        )  # fmt: skip
    return Layout(parts, Record(records), max(room, default=0))


def _part(cls: str, groups: Sequence[tuple[str, str, Any, Any, int, Program]]) -> LayoutPart:
    pieces, kept, at = np.zeros(len(groups), dtype=_PIECE), [], 0
    for index, (_, _, sizes, count, axis, program) in enumerate(groups):
        indices = np.ascontiguousarray(sizes, dtype=np.int32)
        kept += [indices, program]
        pieces[index] = (program.steps.address, len(program.steps.values), program.inputs, len(count), at,
                         axis, address(indices), address(program.outputs))  # fmt: skip
        at += len(count)
    counts = [count for *_, count, _, _ in groups]
    which = np.repeat(np.arange(len(groups)), [len(count) for count in counts]).astype(np.int32)
    return LayoutPart(
        cls, tuple((op, dtype) for op, dtype, *_ in groups), Record(pieces, kept), at,
        np.concatenate(counts).astype(np.float64), which, tuple(int(count.sum()) for count in counts),
    )  # fmt: skip


def plan_of(
    layout: Layout, surrogate: OperatorSurrogate, chip: Chip, protocol: str, predictor: str
) -> SumPlan | None:
    """The plan of a layout on a chip; None where the kernel cannot take its heads. Raises as `choose` does."""
    parts, kept = layout.records.values.copy(), []
    chosen, names, launch_ms = [], [], 0.0
    block: Block | None = None
    for index, part in enumerate(layout.parts):
        on = surrogate.speaker(part.cls, chip, predictor)
        choices = [
            surrogate.choose(part.cls, op, dtype, on, protocol, None, None, predictor) for op, dtype in part.kinds
        ]
        block = surrogate.kernel.block(part.cls, chip, on, protocol, choices)
        if block is None:
            return None
        parts["cls"][index], parts["group"][index] = block.cls.address, block.groups.address
        parts["facts"][index] = address(block.facts)
        kept.append(block)
        choices = [said_by(on, chip, choice) for choice in choices]
        chosen += choices
        names += [(choice.level, op) for choice, (op, _) in zip(choices, part.kinds, strict=True)]
        launch_ms += surrogate.asked_floor(part.cls, chip, protocol) * sum(part.runs)
    if block is None:
        return None
    support = sum({id(choice): choice.support for choice in chosen}.values())
    return SumPlan(
        layout, Record(parts), tuple(chosen), tuple(names), tuple(op for _, op in names), launch_ms, support,
        (layout, kept, chip),
    )  # fmt: skip


class Sums:
    """The plans of one set of operator surrogates."""

    def __init__(self, surrogate: OperatorSurrogate) -> None:
        self._surrogate, self._library = surrogate, library()
        self._layouts: dict[tuple[Any, ...], tuple[Layout | None, Any]] = {}
        self._plans: dict[tuple[Any, ...], SumPlan] = {}
        self._queries: dict[tuple[Any, ...], tuple[NDArray[np.int64], Any]] = {}

    def find(
        self, table: SizedTable, chip: Chip, protocol: str, predictor: str
    ) -> tuple[SumPlan, NDArray[np.float64]] | None:
        """The plan of a table on a chip, and what `SumPlan.ms` gives; None where numpy has to answer."""
        if self._library is None:
            return None
        values = table.values.astype(np.float64)
        key = id(table.structure), table.precision, id(chip), protocol, predictor
        plan = self._plans.get(key)
        found = None if plan is None else plan.ms(self._library, values)
        if plan is not None and found is not None:
            return plan, found
        plan = self._plan(table, chip, protocol, predictor)
        found = None if plan is None else plan.ms(self._library, values)
        if plan is None or found is None:
            return None
        with LOCK:
            if len(self._plans) >= _MOST_PLANS:
                self._plans.clear()
            self._plans[key] = plan
        return plan, found

    def work(self, table: SizedTable) -> tuple[float, float] | None:
        """FLOP and bytes of one pass, as sums of reals; None where numpy has to add them up."""
        layout = None if self._library is None else self.layout(table)
        if layout is None:
            return None
        values, out = table.values.astype(np.float64), np.empty(2)
        room = scratch(layout.work)
        self._library.hetbench_work(layout.records.address, len(layout.parts), address(values), room, address(out))
        flops, moved = out.tolist()
        return flops, moved

    def _plan(self, table: SizedTable, chip: Chip, protocol: str, predictor: str) -> SumPlan | None:
        layout = self.layout(table)
        return None if layout is None else plan_of(layout, self._surrogate, chip, protocol, predictor)

    def layout(self, table: SizedTable) -> Layout | None:
        """The layout of a table; attention of one query and of several queries are of different classes."""
        attention = self._attention(table)
        single = (table.values[attention] == 1).tobytes() if len(attention) else b""
        key = id(table.structure), table.precision, single
        found = self._layouts.get(key)
        if found is None:
            with LOCK:
                if len(self._layouts) >= _MOST_PLANS:
                    self._layouts.clear()
                found = self._layouts[key] = layout_of(table), table.structure
        return found[0]

    def _attention(self, table: SizedTable) -> NDArray[np.int64]:
        """Where the number of queries of every attention operator stands."""
        key = id(table.structure), table.precision
        found = self._queries.get(key)
        if found is None:
            rows = [sizes[names.index("q_len")] for _, _, names, sizes, _ in table.structure.groups(table.precision)
                    if "q_len" in names]  # fmt: skip
            made = np.concatenate(rows) if rows else np.empty(0, dtype=np.int64)
            with LOCK:
                if len(self._queries) >= _MOST_PLANS:
                    self._queries.clear()
                found = self._queries[key] = made, table.structure
        return found[0]
