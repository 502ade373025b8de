"""The caller's own operator timings: from a table to the residuals on which the operator surrogate is conditioned.

A table has the columns op, dims, dtype, chip and latency_ms, and optionally phase (`fwd`) and protocol (default event).
The residual of a row is log(measured / predicted). Nothing is fitted; the rows
stay in memory until they are saved to a JSON file or forgotten.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hetbench.catalog.chips import Chip
from hetbench.errors import HetBenchError, InvalidInputError
from hetbench.formats import STORED
from hetbench.predict.canonical import canonical_dims
from hetbench.predict.features import chip_facts, class_of, features
from hetbench.predict.gaussian_process import OperatorRows, Posterior
from hetbench.predict.operators import OperatorSurrogate
from hetbench.predict.selection import said_by
from hetbench.query.columns import AnswerColumns, group_rows, positive_or_nan, read_columns
from hetbench.query.operator_dims import read_dims
from hetbench.query.tables import check_cells, split_decode
from hetbench.schema import STORAGE_BYTES

__all__ = ["COLUMNS", "MOST_ROWS", "Observations"]

MOST_ROWS = 2000
"""Limit of observed rows of one chip: conditioning solves a linear system of that size."""
_ABSURD = 100.0  # times the prediction, either way: more likely another unit than another speed
_DOUBTFUL = 5.0
_REPEATED = 2.0  # between two timings of one operator
_BEYOND = 0.5  # of the least time at the chip's peaks: such a row is of other dims, another dtype or unit
COLUMNS = ("op", "dims", "dtype", "chip", "latency_ms", "phase", "protocol")
_CELLS = ("op", "dtype", "phase", "chip", "protocol")


class Observations:
    """Observed operators by chip: their coordinates for the Gaussian process, and their log residuals."""

    def __init__(self) -> None:
        self._by_chip: dict[str, list[tuple[OperatorRows, NDArray[np.float64]]]] = {}
        self._rows: list[tuple[str, dict[str, Any]]] = []
        """Every row taken, by the name of its chip."""
        self._keys: set[tuple[Any, ...]] = set()
        """What the rows taken say, beginning with the chip."""

    def add(
        self, table: Mapping[str, Sequence[Any]], chip_named: Callable[[str], Chip], surrogate: OperatorSurrogate
    ) -> dict[str, NDArray[Any]]:
        """Add the rows of a table; returns columns `value` (predicted before, ms), `reason` and `flag`, [rows] each.

        A latency a hundred times the prediction or more, either way, is not used: its unit is likely another. Nor is
        one under half of what the chip's peaks allow, nor a row that was taken before, to the last digit. One five
        times off is flagged, and so are timings of one operator that differ by a factor of two.

        A row that cannot be used has NaN and a reason. Raises `InvalidInputError` for a malformed table, and where a
        chip would have more than `MOST_ROWS` rows; then no row of the table is added.
        """
        given = read_columns(table, ("op", "dims", "dtype", "chip", "latency_ms"), ("phase", "protocol"))
        rows = len(given["op"])
        out = AnswerColumns(rows)
        measured = np.array([positive_or_nan(value) for value in given["latency_ms"]], dtype=np.float64)
        out.reason[np.isnan(measured)] = "latency_ms must be a positive number"
        taken: dict[str, list[tuple[OperatorRows, NDArray[np.float64]]]] = {}
        keys = set(self._keys)
        for key, members in group_rows([given.get(name) for name in _CELLS], rows).items():
            cells = dict(zip(_CELLS, key, strict=True))
            try:
                self._group(cells, members[~np.isnan(measured[members])], given["dims"], measured, out, chip_named,
                            surrogate, taken, keys)  # fmt: skip
            except HetBenchError as why:
                empty = members[out.reason[members] == ""]
                out.reason[empty] = str(why)
        for chip, parts in taken.items():
            total = sum(len(residual) for _, residual in (*self._by_chip.get(chip, ()), *parts))
            if total > MOST_ROWS:
                raise InvalidInputError(f"{total:,} observed rows of {chip}; at most {MOST_ROWS:,} are allowed.")
        for chip, parts in taken.items():
            self._by_chip.setdefault(chip, []).extend(parts)
        self._keys = keys
        good = np.flatnonzero((out.reason == "") & np.isfinite(out.value))
        for row in good.tolist():
            cells = {name: given[name][row] for name in COLUMNS if given.get(name) is not None}
            self._rows.append((chip_named(cells["chip"]).name, cells))
        return {"value": out.value, "reason": out.reason, "flag": _flags(given, measured, out.value, good)}

    def forget(self, chip: str | None = None) -> int:
        """Drop the rows of one chip, by its catalogue name, or of all chips; returns how many were dropped."""
        before = len(self._rows)
        self._rows = [(name, row) for name, row in self._rows if chip is not None and name != chip]
        self._by_chip = {name: parts for name, parts in self._by_chip.items() if chip is not None and name != chip}
        self._keys = {key for key in self._keys if chip is not None and key[0] != chip}
        return before - len(self._rows)

    def rows(self) -> list[dict[str, Any]]:
        """The rows taken, as cells by column."""
        return [dict(row) for _, row in self._rows]

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

    def _group(
        self, cells: Mapping[str, Any], members: NDArray[np.int64], dims: Sequence[Any], measured: NDArray[np.float64],
        out: AnswerColumns, chip_named: Callable[[str], Chip], surrogate: OperatorSurrogate,
        taken: dict[str, list[tuple[OperatorRows, NDArray[np.float64]]]], keys: set[tuple[Any, ...]],
    ) -> None:  # fmt: skip
        """Add the rows `members`, which differ in their dims only, and to `keys` what they say."""
        kind, chip, dtype, protocol = check_cells(cells, chip_named)
        if dtype in STORED:
            raise InvalidInputError(f"operators are observed in the dtype that they compute in, not in {dtype}.")
        if kind.cost_class == "free":
            raise InvalidInputError(f"{kind.name} does nothing at inference: there is nothing to observe.")
        for sizes, good in read_dims(kind, [dims[at] for at in members.tolist()], members, out):
            for own, rows in split_decode(sizes, len(good)):
                cls, shared = class_of(kind.name, own), canonical_dims(kind.name, own, STORAGE_BYTES[dtype])
                on = surrogate.speaker(cls, chip)
                choices = [surrogate.choose(cls, kind.name, dtype, on, protocol, None, None)]
                which = np.zeros(len(rows), dtype=np.int64)
                value = surrogate.evaluate(cls, shared, chip, protocol, choices, which, on=on)[0]
                said = [said_by(on, chip, choice) for choice in choices]
                seen = surrogate.operator_rows(cls, shared, chip, protocol, said, which)
                at, off = good[rows], np.log(measured[good[rows]] / value)
                out.value[at] = value
                least = features(cls, shared, chip_facts(chip, dtype, 0.0)).least_ms
                for place, row in enumerate(at.tolist()):
                    key = (chip.name, kind.name, dtype, protocol, float(measured[row]),
                           *(int(sizes_of[place]) for sizes_of in shared.values()))
                    out.reason[row] = _doubt(float(np.exp(off[place])), measured[row], float(least[place]), key, keys)
                    keys.add(key)
                usual = out.reason[at] == ""
                out.value[at[~usual]] = np.nan
                if usual.any():
                    taken.setdefault(chip.name, []).append((seen.take(usual), off[usual]))

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


def _doubt(ratio: float, measured: float, least: float, said: tuple[Any, ...], known: set[tuple[Any, ...]]) -> str:
    """Why a row is not used, "" where it is; `ratio` is its latency over the prediction, `least` the peaks' time."""
    if not 1 / _ABSURD < ratio < _ABSURD:
        return f"latency_ms is {ratio:.3g} times the prediction: is it in milliseconds?"
    if measured < _BEYOND * least:
        return (
            f"latency_ms is {measured:.4g}, where the chip's peaks allow no less than {least:.4g}: is it in "
            "milliseconds, and of these dims and this dtype?"
        )
    return "this row was observed before, to the last digit: it counts once" if said in known else ""


def _flags(
    given: Mapping[str, Sequence[Any]], measured: NDArray[np.float64], told: NDArray[np.float64],
    taken: NDArray[np.int64],
) -> NDArray[Any]:  # fmt: skip
    """What is doubtful about each row that was taken, "" where nothing is, [rows]."""
    flags = np.full(len(measured), "", dtype=object)
    by_operator: dict[tuple[str, ...], list[int]] = {}
    for row in taken.tolist():
        ratio = measured[row] / told[row]
        if not 1 / _DOUBTFUL < ratio < _DOUBTFUL:
            flags[row] = f"{ratio:.3g} times the prediction"
        key = tuple(str(given[name][row]) for name in COLUMNS if name != "latency_ms" and given.get(name) is not None)
        by_operator.setdefault(key, []).append(row)
    for rows in by_operator.values():
        most = float(measured[rows].max() / measured[rows].min())
        if most > _REPEATED:
            flags[rows] = f"timings of this operator differ by a factor of {most:.3g}"
    return flags
