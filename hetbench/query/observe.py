"""The caller's own operator timings: from a table to the residuals on which the operator surrogate is conditioned.

A table has the columns op, dims, dtype, chip and latency_ms, and optionally phase (`fwd`) and protocol (default event).
The residual of a row is log(measured / predicted). The rows stay in memory; nothing is fitted or written.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hetbench.catalog.chips import Chip
from hetbench.errors import HetBenchError, InvalidInputError
from hetbench.predict.features import canonical_dims, class_of
from hetbench.predict.gaussian_process import OperatorRows, Posterior
from hetbench.predict.operators import OperatorSurrogate
from hetbench.query.columns import AnswerColumns, group_rows, positive_or_nan, read_columns
from hetbench.query.operator_dims import read_dims
from hetbench.query.tables import check_cells, split_decode
from hetbench.schema import STORAGE_BYTES

__all__ = ["MOST_ROWS", "Observations"]

MOST_ROWS = 2000
"""Limit of observed rows of one chip: conditioning solves a linear system of that size."""
_CELLS = ("op", "dtype", "phase", "chip", "protocol")


class Observations:
    """Observed operators by chip: their coordinates for the Gaussian process, and their log residuals."""

    def __init__(self) -> None:
        self._by_chip: dict[str, list[tuple[OperatorRows, NDArray[np.float64]]]] = {}

    def add(
        self, table: Mapping[str, Sequence[Any]], chip_named: Callable[[str], Chip], surrogate: OperatorSurrogate
    ) -> dict[str, NDArray[Any]]:
        """Add the rows of a table; returns the columns `value`, predicted before in ms, and `reason`, [rows] each.

        A row that cannot be used has NaN and a reason. Raises `InvalidInputError` for a malformed table, and where a
        chip would have more than `MOST_ROWS` rows; then no row of the table is added.
        """
        given = read_columns(table, ("op", "dims", "dtype", "chip", "latency_ms"), ("phase", "protocol"))
        rows = len(given["op"])
        out = AnswerColumns(rows)
        measured = np.array([positive_or_nan(value) for value in given["latency_ms"]], dtype=np.float64)
        out.reason[np.isnan(measured)] = "latency_ms must be a positive number"
        taken: dict[str, list[tuple[OperatorRows, NDArray[np.float64]]]] = {}
        for key, members in group_rows([given.get(name) for name in _CELLS], rows).items():
            cells = dict(zip(_CELLS, key, strict=True))
            try:
                self._group(cells, members[~np.isnan(measured[members])], given["dims"], measured, out, chip_named,
                            surrogate, taken)  # fmt: skip
            except HetBenchError as why:
                empty = members[out.reason[members] == ""]
                out.reason[empty] = str(why)
        for chip, parts in taken.items():
            total = sum(len(residual) for _, residual in (*self._by_chip.get(chip, ()), *parts))
            if total > MOST_ROWS:
                raise InvalidInputError(f"{total:,} observed rows of {chip}; at most {MOST_ROWS:,} are allowed.")
        for chip, parts in taken.items():
            self._by_chip.setdefault(chip, []).extend(parts)
        return {"value": out.value, "reason": out.reason}

    def __bool__(self) -> bool:
        return bool(self._by_chip)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Observations) or self._by_chip.keys() != other._by_chip.keys():
            return False
        return all(
            len(parts) == len(other._by_chip[chip])
            and all(np.array_equal(a[1], b[1]) for a, b in zip(parts, other._by_chip[chip], strict=True))
            for chip, parts in self._by_chip.items()
        )

    __hash__ = None  # type: ignore[assignment]

    def forget(self, chip: str) -> int:
        """Drop the rows of one chip, by its full name; returns how many were dropped."""
        return sum(len(residual) for _, residual in self._by_chip.pop(chip, ()))

    def _group(
        self, cells: Mapping[str, Any], members: NDArray[np.int64], dims: Sequence[Any], measured: NDArray[np.float64],
        out: AnswerColumns, chip_named: Callable[[str], Chip], surrogate: OperatorSurrogate,
        taken: dict[str, list[tuple[OperatorRows, NDArray[np.float64]]]],
    ) -> None:  # fmt: skip
        """Add the rows `members`, which differ in their dims only."""
        kind, chip, dtype, protocol = check_cells(cells, chip_named)
        if kind.cost_class == "free":
            raise InvalidInputError(f"{kind.name} does nothing at inference: there is nothing to observe.")
        for sizes, good in read_dims(kind, [dims[at] for at in members.tolist()], members, out):
            for own, rows in split_decode(sizes, len(good)):
                cls, shared = class_of(kind.name, own), canonical_dims(kind.name, own, STORAGE_BYTES[dtype])
                choices = [surrogate.choose(cls, kind.name, dtype, chip, protocol, None, None)]
                which = np.zeros(len(rows), dtype=np.int64)
                value = surrogate.evaluate(cls, shared, chip, protocol, choices, which)[0]
                seen = surrogate.operator_rows(cls, shared, chip, protocol, choices, which)
                at = good[rows]
                out.value[at] = value
                taken.setdefault(chip.name, []).append((seen, np.log(measured[at] / value)))

    def conditioned(self, surrogate: OperatorSurrogate) -> dict[str, Posterior]:
        """The Gaussian process of each observed chip, conditioned on its rows."""
        scale = surrogate.network.scale
        found = {}
        for chip, parts in self._by_chip.items():
            columns = {
                field.name: np.concatenate([getattr(rows, field.name) for rows, _ in parts])
                for field in fields(OperatorRows)
            }
            found[chip] = Posterior(scale, OperatorRows(**columns), np.concatenate([residual for _, residual in parts]))
        return found
