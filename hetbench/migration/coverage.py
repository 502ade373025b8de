"""Operator coverage: which ATen operators of a model a chip's PyTorch back end runs, by calls and by predicted time.

Status and references come from the operator registrations of the back end (`hetbench.catalog.support`). The time is
that of the model's operators launched eagerly on the chip; where eager PyTorch calls several ATen operators for one of
them, its time is divided by calls. ATen operators that only prepare positions and masks have no predicted time.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from hetbench.answers import percent
from hetbench.catalog.chips import Chip
from hetbench.catalog.support import SUPPORT, Support
from hetbench.display import Range, Tabular, View
from hetbench.errors import RefusedError
from hetbench.graphs import ModelGraph, operator_coverage
from hetbench.predict.intervals import pass_factor
from hetbench.query.breakdown import Signature, rows, signature
from hetbench.query.latency import PROTOCOL
from hetbench.query.question import Question

__all__ = ["CoverageReport", "CoveredOperator", "coverage_report"]


@dataclass(frozen=True, slots=True)
class CoveredOperator:
    """One ATen operator of a model on one back end."""

    support: Support
    calls: int
    """Number of calls in one pass."""
    serves: tuple[str, ...]
    """Operator types of the graph that call it; empty where it only prepares positions and masks."""
    ms: float | None
    """Predicted time of its calls; None where not predicted."""
    time_share: float | None
    """Percent of the predicted time of the model; None where not predicted."""

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        known = self.support
        return {
            "operator": known.operator, "status": known.status, "via": list(known.via), "calls": self.calls,
            "serves": list(self.serves), "ms": self.ms, "time_share": self.time_share, "refs": list(known.refs),
        }  # fmt: skip


@dataclass(frozen=True, slots=True)
class CoverageReport(Tabular):
    """Operator coverage of a model on a chip, operators with most predicted time first."""

    model: str
    chip: str
    platform: str
    title: str
    """Back end and version whose registrations were read."""
    precision: str
    precision_units: bool | None
    """Whether the chip has units of this precision; None where its datasheet does not say. Registrations are by
    operator and do not depend on the precision."""
    phase: str
    operators: tuple[CoveredOperator, ...]
    notes: tuple[str, ...]

    def shares(self) -> dict[str, float]:
        """Status -> percent of the calls; they sum to 100."""
        total = sum(each.calls for each in self.operators)
        return {status: 100.0 * sum(each.calls for each in self.operators if each.support.status == status) / total
                for status in SUPPORT}  # fmt: skip

    def time_shares(self) -> dict[str, float] | None:
        """Status -> percent of the predicted time; None where no time is predicted."""
        if all(each.time_share is None for each in self.operators):
            return None
        return {status: sum(each.time_share or 0.0 for each in self.operators if each.support.status == status)
                for status in SUPPORT}  # fmt: skip

    @property
    def share(self) -> float:
        """Percent of the calls that are covered (native or composite)."""
        covered = sum(each.calls for each in self.operators if each.support.covered)
        return 100.0 * covered / sum(each.calls for each in self.operators)

    @property
    def time_share(self) -> float | None:
        """Percent of the predicted time that is covered; None where no time is predicted."""
        if self.time_shares() is None:
            return None
        covered, uncovered = (
            sum(each.time_share or 0.0 for each in self.operators if each.support.covered is sort)
            for sort in (True, False)
        )
        return 100.0 * covered / (covered + uncovered)

    @property
    def uncovered(self) -> tuple[CoveredOperator, ...]:
        """The operators that fall back to the CPU, are absent, or are not known."""
        return tuple(each for each in self.operators if not each.support.covered)

    def __str__(self) -> str:
        return "\n".join(self.lines())

    def lines(self) -> list[str]:
        """The report as text, one line an operator."""
        time = "" if self.time_share is None else f", {percent(self.time_share)} of the predicted time"
        lines = [f"{self.model} on {self.chip}: {percent(self.share)} of the eager calls covered{time} ({self.title})"]
        width = max(len(each.support.operator) for each in self.operators)
        for each in self.operators:
            known = each.support
            via = f", {'via' if known.covered else 'lacks'} {', '.join(known.via)}" if known.via else ""
            time = "  time –  " if each.time_share is None else f"{each.time_share:6.1f} % "
            lines.append(f"  {known.operator:<{width}} {each.calls:6,} calls {time} {known.status}{via}")
        refs = dict.fromkeys(ref for each in self.operators for ref in each.support.refs)
        return lines + [f"  note: {note}" for note in self.notes] + [f"  ref: {ref}" for ref in refs]

    def records(self) -> list[dict[str, Any]]:
        """One row an ATen operator, those with most predicted time first."""
        return [
            {**row, **{name: ", ".join(row[name]) for name in ("via", "serves", "refs")}}
            for row in (each.to_dict() for each in self.operators)
        ]

    def view(self) -> View:
        """One row an ATen operator with its status, calls and share of the predicted time."""
        rows = tuple(
            (
                each.support.operator, each.support.status, f"{each.calls:,}",
                "" if each.time_share is None else Range(each.time_share, "%"), ", ".join(each.support.via),
            )
            for each in self.operators
        )  # fmt: skip
        refs = dict.fromkeys(ref for each in self.operators for ref in each.support.refs)
        columns = ("operator", "status", "calls", "share of the time", "via")
        return View(self.lines()[0], columns, rows, self.notes, tuple(refs))

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        names = ("model", "chip", "platform", "title", "precision", "precision_units", "phase", "share", "time_share")
        return {name: getattr(self, name) for name in names} | {
            "shares": self.shares(), "time_shares": self.time_shares(),
            "operators": [each.to_dict() for each in self.operators], "notes": list(self.notes),
        }  # fmt: skip


def coverage_report(graph: ModelGraph, question: Question) -> CoverageReport:
    """The operator coverage of one pass of a model on the chip and at the setting of a question.

    Raises `RefusedError` where no registrations are known for the chip, `InvalidInputError` without a chip.

    >>> from hetbench.catalog.chips import chip
    >>> from hetbench.graphs.model_graph import load
    >>> found = coverage_report(load("resnet-50"), Question.build(load("resnet-50"), chip("cann"), {}))
    >>> found.share, round(found.time_share), found.operators[0].support.operator
    (100.0, 100, 'conv2d')
    """
    chip = question.require_chip("coverage")
    batch, seq_len, image_size, precision, phase = question.sizes
    setting: dict[str, Any] = {"precision": precision, "phase": phase, "batch": batch, "seq_len": seq_len,
                               "image_size": image_size}  # fmt: skip
    known = operator_coverage(graph, chip, **setting)
    each, note = _times(graph, question, chip)
    ms: dict[str, float] = {}
    serves: dict[str, dict[str, None]] = {}
    for node, times, calls in graph.aten_calls(**setting):
        took = each.get(signature(node.op, node.dtype, node.dims))
        for name, number in calls.items():
            serves.setdefault(name, {})[node.op] = None
            if took is not None:
                ms[name] = ms.get(name, 0.0) + took * times * number / sum(calls.values())
    total = sum(ms.values())
    operators = [
        CoveredOperator(
            support, known.calls[support.operator], tuple(serves.get(support.operator, ())), ms.get(support.operator),
            100.0 * ms[support.operator] / total if support.operator in ms else None,
        ) for support in known.operators
    ]  # fmt: skip
    operators.sort(key=lambda each: (-(each.ms or 0.0), -each.calls))
    return CoverageReport(
        graph.name, chip.name, known.platform, known.title, precision, chip.supports(precision), phase,
        tuple(operators), (*question.notes, *note),
    )  # fmt: skip


def _times(graph: ModelGraph, question: Question, chip: Chip) -> tuple[Mapping[Signature, float], tuple[str, ...]]:
    """Predicted ms of one eager run of each distinct operator; where that is refused, none and a note."""
    surrogate, table = question.surrogate, graph.operators(*question.sizes)
    try:
        parts = surrogate.predict_by_class(table, chip, PROTOCOL, "auto")
    except RefusedError as why:
        return {}, (f"no shares of the predicted time: {why}",)
    usual = pass_factor(surrogate, chip)
    ms = [usual * float(value) for *_, bounds in parts for value in bounds[0]]
    return {key: took / count for (key, count), took in zip(rows(table), ms, strict=True)}, ()
