"""The caller's own timings of whole models and deployments: from a table to offsets of the chip's predictions.

A table has the columns model, chip, metric and value, and those of a question: stack or software, precision, batch,
seq_len, image_size, phase, and of a deployment its load and plan. The figures are in the metric's unit, or in that of a
column `unit`. Rows stay in memory until they are saved or forgotten; their predictions are computed anew whenever
operators of the chip are observed, so that the order of observing does not matter.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from hetbench.catalog.chips import Chip
from hetbench.errors import HetBenchError, InvalidInputError, RefusedError, shown
from hetbench.graphs.model_graph import ModelGraph
from hetbench.metrics import metric as metric_named
from hetbench.predict.offsets import OffsetRows, Offsets
from hetbench.query.columns import AnswerColumns, positive_or_nan, read_columns, whole_text
from hetbench.query.latency import estimator, with_usable_stack
from hetbench.query.model_offsets import deviation, pass_rows
from hetbench.query.observed_serving import RATES, deployment_row
from hetbench.query.published import unsupported_stack
from hetbench.query.question import DEFAULT_STACK, Question
from hetbench.query.tables import MODEL_COLUMNS, question_rows
from hetbench.query.training import observed_step
from hetbench.query.wording import plain_cells
from hetbench.serving.engines import is_serving
from hetbench.training import TrainingGraph

__all__ = ["COLUMNS", "MOST_MODEL_ROWS", "Asks", "ObservedModels", "SeenRow", "likely_unit"]

COLUMNS = (*MODEL_COLUMNS, "value", "unit", "latency_ms")
MOST_MODEL_ROWS = 500
"""Limit of observed passes and deployments of one chip: each is predicted anew whenever the chip is observed."""
_UNITS = {
    "latency": {"ms": 1.0, "s": 1e3, "us": 1e-3, "ns": 1e-6},
    "throughput": {"1/s": 1.0, "samples/s": 1.0, "images/s": 1.0, "tokens/s": 1.0, "token/s": 1.0},
}  # fmt: skip
_ABSURD, _FAR, _REPEATED = 100.0, 3.0, 2.0
_PEAK = 0.95  # of the time at the chip's peak: what is faster has another unit, precision, network or batch
_TIMES = ("latency", "ttft", "tpot")


class Asks(Protocol):
    """What is needed of a session: how it finds chips and models, and what it would ask."""

    artifacts: Any

    def chip(self, name: str) -> tuple[Chip, tuple[str, ...]]:
        """The chip of a name."""

    def graph(self, model: Any, options: Mapping[str, Any] = ...) -> ModelGraph:
        """The operator graph of a model, of its step where the options ask for training."""

    def question_on(
        self, graph: ModelGraph, chip: Chip, options: Mapping[str, Any], notes: tuple[str, ...] = ()
    ) -> Question:
        """A complete question."""


@dataclass(frozen=True, slots=True)
class SeenRow:
    """One observed figure beside its prediction."""

    chip: str
    serving: bool
    rows: OffsetRows
    """One row."""
    predicted: float
    """What was predicted, in the metric's unit."""
    residual: float
    """log(measured / predicted) of a time, its negative of a rate."""
    centre: float
    """Middle of the prediction's interval, in log units over the prediction."""
    deviation: float
    """Standard deviation of the prediction, in log units."""


class ObservedModels:
    """Observed passes and deployments by chip."""

    def __init__(self) -> None:
        self._rows: list[tuple[str, dict[str, Any]]] = []
        """Every row taken, by the name of its chip."""

    def add(self, table: Mapping[str, Sequence[Any]], asks: Asks) -> dict[str, NDArray[Any]]:
        """Add the rows of a table; returns columns `value` (predicted before, in the metric's unit), `reason` and
        `flag`, [rows] each.

        A row that cannot be used has NaN and a reason. Raises `InvalidInputError` for a malformed table, and where a
        chip would have more than `MOST_MODEL_ROWS` rows; then no row of the table is added.
        """
        given = read_columns(table, ("model", "chip"), tuple(name for name in COLUMNS if name not in ("model", "chip")))
        out, taken = AnswerColumns(len(given["model"])), []
        known = {_said(name, row) for name, row in self._rows}
        for at, row in enumerate(question_rows(given)):
            try:
                seen = read_row(row, asks)
            except HetBenchError as why:
                out.reason[at] = str(why)
                continue
            if (said := _said(seen.chip, row)) in known:
                out.reason[at] = "this row was observed before, to the last digit: it counts once"
                continue
            known.add(said)
            out.value[at] = seen.predicted
            taken.append((at, seen, row))
        for chip in {seen.chip for _, seen, _ in taken}:
            total = sum(name == chip for name in (*(n for n, _ in self._rows), *(s.chip for _, s, _ in taken)))
            if total > MOST_MODEL_ROWS:
                raise InvalidInputError(
                    f"{total:,} observed models of {chip}; at most {MOST_MODEL_ROWS:,} are allowed."
                )
        before = len(self._rows)
        self._rows = [*self._rows, *((seen.chip, dict(row)) for _, seen, row in taken)]
        flags = np.full(len(out.value), "", dtype=object)
        surprise = self._surprise(asks)[before:]
        for (at, seen, _), off in zip(taken, surprise, strict=True):
            flags[at] = _flag(seen, off)
        _flag_repeats(taken, flags)
        return {"value": out.value, "reason": out.reason, "flag": flags}

    def forget(self, chip: str | None = None) -> int:
        """Drop the rows of one chip, by its catalogue name, or of all chips; returns how many were dropped."""
        before = len(self._rows)
        self._rows = [(name, row) for name, row in self._rows if chip is not None and name != chip]
        return before - len(self._rows)

    def rows(self) -> list[dict[str, Any]]:
        """The rows taken, as cells by column."""
        return [dict(row) for _, row in self._rows]

    def __bool__(self) -> bool:
        return bool(self._rows)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, ObservedModels) and self._rows == other._rows

    __hash__ = None  # type: ignore[assignment]

    def conditioned(self, asks: Asks) -> tuple[dict[str, Offsets], dict[str, Offsets]]:
        """Offsets of passes and of deployments, each by chip; the predictions are asked anew."""
        seen = [read_row(row, asks) for _, row in self._rows]
        return _by_chip(seen, serving=False), _by_chip(seen, serving=True)

    def _surprise(self, asks: Asks) -> list[float]:
        """Leave-one-out error of each row in standard deviations; 0 where a chip has too few rows to tell."""
        seen = [read_row(row, asks) for _, row in self._rows]
        found = [0.0] * len(seen)
        for serving in (False, True):
            for chip in {row.chip for row in seen}:
                at = [n for n, row in enumerate(seen) if row.chip == chip and row.serving is serving]
                if len(at) > 2:
                    for place, off in zip(at, _offsets([seen[n] for n in at]).surprise.tolist(), strict=True):
                        found[place] = off
        return found


def read_row(row: Mapping[str, Any], asks: Asks) -> SeenRow:
    """One row beside its prediction; raises the `HetBenchError` that says why it cannot be used."""
    cells, meant = plain_cells(row)
    metric, value = _figure(cells)
    if meant and cells.get("stack") is None:
        cells["stack"] = meant
    model, (chip, _) = cells.pop("model", None), asks.chip(_text(cells.pop("chip", None)))
    options = {name: cell for name, cell in cells.items() if cell is not None}
    graph = asks.graph(model, {name: options[name] for name in ("phase", "optimizer", "chips") if name in options})
    if is_serving(options.get("phase")):
        found = deployment_row(graph, chip, metric, options, asks.artifacts)
        predicted, rows, centre, sd, least = found
    else:
        predicted, rows, centre, sd, least = _pass(graph, chip, metric, options, asks)
    sign = -1.0 if metric in RATES else 1.0
    off = value / predicted
    _check_plausible(metric, value, off, predicted, least)
    return SeenRow(
        chip.name, is_serving(options.get("phase")), rows, predicted, sign * float(np.log(off)), centre, sd
    )  # fmt: skip


def _pass(
    graph: ModelGraph, chip: Chip, metric: str, options: Mapping[str, Any], asks: Asks
) -> tuple[float, OffsetRows, float, float, float]:
    """Predicted figure, row, middle, deviation and the least ms at the chip's peak, of one pass."""
    question = replace(asks.question_on(graph, chip, options), observed=None, confidence=0.9)
    if isinstance(graph, TrainingGraph):
        return observed_step(question, chip, graph, metric)
    question = with_usable_stack(question, chip, "auto")
    made = estimator(question, chip, graph, "auto")
    if made.source(question.stack, question.precision) is None and question.stack != DEFAULT_STACK:
        raise RefusedError(unsupported_stack(question))
    found = made.latency().arrays()
    middle, sd = deviation(found.lower / found.value, found.upper / found.value, 0.9)
    ms = float(found.value[0])
    predicted = ms if metric == "latency" else 1e3 * question.items_per_call()[0] / ms
    least = float(made.floor())
    if metric != "latency" and least:
        least = 1e3 * question.items_per_call()[0] / least
    return predicted, pass_rows(question, found), float(middle[0]), float(sd[0]), least


def _figure(cells: dict[str, Any]) -> tuple[str, float]:
    """Metric and figure of a row, in the metric's unit; takes their cells out."""
    given, value, unit = (cells.pop(name, None) for name in ("latency_ms", "value", "unit"))
    metric = cells.pop("metric", None)
    if given is not None and value is not None:
        raise InvalidInputError("latency_ms and value both hold the figure; give one of them.")
    if given is not None:
        value = given
    metric = "latency" if metric is None else _text(metric)
    metric = metric if metric in (*RATES, *_TIMES) else metric_named(metric).name
    if metric not in (*RATES, *_TIMES):
        raise InvalidInputError(
            f"{metric} is not observed: observe latency, throughput, ttft or tpot; power and energy follow from these."
        )
    number = positive_or_nan(value)
    if np.isnan(number):
        raise InvalidInputError("value must be a positive number")
    if unit is None:
        return metric, number
    known = _UNITS["throughput" if metric in RATES else "latency"]
    if not isinstance(unit, str) or unit not in known:
        raise InvalidInputError(f"unit {shown(unit)} of {metric} is not known; known: {', '.join(known)}.")
    return metric, number * known[unit]


def _check_plausible(metric: str, value: float, off: float, predicted: float, least: float) -> None:
    if not 1 / _ABSURD < off < _ABSURD:
        raise InvalidInputError(
            f"value is {off:.3g} times the prediction of {predicted:.4g}: is it {likely_unit(metric, off)}?"
        )
    if least and (value < _PEAK * least if metric in _TIMES else value > least / _PEAK):
        raise InvalidInputError(
            f"value is beyond what the chip's peak allows, {least:.4g}: is it {likely_unit(metric, off)}?"
        )


def likely_unit(metric: str, off: float) -> str:
    """What a figure so many times its prediction may be instead.

    >>> likely_unit("latency", 970.0), likely_unit("latency", 0.0012)
    ('in us', 'in s')
    """
    if metric in _TIMES and 300 < off < 3000:
        return "in us"
    if metric in _TIMES and 1 / 3000 < off < 1 / 300:
        return "in s"
    unit = "ms" if metric in _TIMES else "items per second"
    return f"in {unit}, of one call, and of this model, batch and precision"


def _said(chip: str, row: Mapping[str, Any]) -> str:
    """What a row says, alike for rows that say the same of the chip."""
    cells = {name: whole_text(cell) for name, cell in row.items() if cell is not None and name != "chip"}
    return repr((chip, sorted(cells.items())))


def _flag(seen: SeenRow, surprise: float) -> str:
    """What is doubtful about a row that was taken, "" where nothing is."""
    said = []
    if abs(seen.residual - seen.centre) > _FAR * seen.deviation:
        said.append(f"{np.exp(abs(seen.residual)):.3g} times {'slower' if seen.residual > 0 else 'faster'} than "
                    "predicted, far outside the interval")  # fmt: skip
    if abs(surprise) > _FAR:
        said.append("contradicts the other rows observed on this chip, and counts for less")
    return "; ".join(said)


def _flag_repeats(taken: list[tuple[int, SeenRow, dict[str, Any]]], flags: NDArray[Any]) -> None:
    by_setting: dict[str, list[tuple[int, float]]] = {}
    for at, seen, row in taken:
        key = repr(sorted((name, whole_text(row[name])) for name in row if name not in ("value", "latency_ms")))
        by_setting.setdefault(key, []).append((at, seen.residual))
    for members in by_setting.values():
        most = np.exp(np.ptp([residual for _, residual in members]))
        if most > _REPEATED:
            for at, _ in members:
                flags[at] = f"figures of this setting differ by a factor of {most:.3g}"


def _by_chip(seen: list[SeenRow], *, serving: bool) -> dict[str, Offsets]:
    rows = [row for row in seen if row.serving is serving]
    chips = sorted({row.chip for row in rows})
    return {chip: _offsets([row for row in rows if row.chip == chip]) for chip in chips}


def _offsets(rows: list[SeenRow]) -> Offsets:
    residual, centre = (np.array([getattr(row, name) for row in rows]) for name in ("residual", "centre"))
    return Offsets(OffsetRows.concatenated([row.rows for row in rows]), residual, centre)


def _text(cell: Any) -> str:
    if not isinstance(cell, str):
        raise InvalidInputError(f"a chip or metric is named by a text; given: {shown(cell)}.")
    return cell
