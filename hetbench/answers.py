"""Answers: one number with its unit, interval, kind, evidence level and references.

Kinds: `measured` (a published row, named in `refs`), `predicted` (by a surrogate, with an interval and an evidence
level), `derived` (exact arithmetic on the operator graph).
Evidence levels: A a measured row of exactly this setting; B predicted, with operator rows of these operators on this
chip; C predicted from few such rows, from rows of related operators or from rows of whole models; D predicted from the
datasheet and rows of other chips. An answer that combines several has the weakest level.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, fields, replace
from math import isfinite
from types import MappingProxyType
from typing import Any

from hetbench.display.numbers import digits, number, percent
from hetbench.display.tabular import Tabular
from hetbench.display.view import Cell, Level, Range, View
from hetbench.errors import RefusedError
from hetbench.mappings import ReadOnly

__all__ = ["KINDS", "LEVELS", "LEVEL_TEXTS", "Answer", "Answers", "digits", "level_cell", "number", "percent"]

KINDS = ("measured", "predicted", "derived")
LEVEL_TEXTS = MappingProxyType({
    "A": "this model, chip and setting was measured",
    "B": "this chip has measured rows of these operators",
    "C": "this chip has few rows of these operators, rows of related ones, or rows of whole models under this stack",
    "D": "no row of this chip was measured: predicted from its datasheet and the rows of other chips",
})
LEVELS = tuple(LEVEL_TEXTS)


@dataclass(frozen=True, slots=True)
class Answer(Tabular):
    """One number with its unit and evidence; `float(answer)` is the number.

    >>> answer = Answer(1.9, "ms", 1.7, 2.2, kind="predicted", level="B", metric="latency", chip="nvidia-l4")
    >>> float(answer), answer
    (1.9, latency = 1.9 ms [1.7, 2.2 at 90 %] on nvidia-l4 (predicted, level B))
    """

    value: float
    unit: str
    lower: float | None = None
    """Lower end of the interval; None for measured and derived numbers."""
    upper: float | None = None
    interval_level: float = 0.9
    """Share of true values that such intervals are calibrated to contain, 0 to 1."""
    kind: str = "predicted"
    level: str | None = None
    """Evidence level A, B, C or D; None for a derived number."""
    support: int | None = None
    """Number of measured rows behind the answer: 0 where this chip has none, None where they are not counted."""
    refs: tuple[str, ...] = ()
    """repository@commit:path of every measured row, registration table or derivation that gives the number."""
    metric: str = "latency"
    model: str | None = None
    operator: str | None = None
    chip: str | None = None
    family: str | None = None
    precision: str | None = None
    batch: int | None = None
    seq_len: int | None = None
    image_size: int | None = None
    phase: str | None = None
    stack: str | None = None
    protocol: str | None = None
    """Timing protocol: kernel, graph, event or wall (see `hetbench.schema`)."""
    surrogate: str | None = None
    """Surrogate and head that predicted the number; None for other kinds."""
    notes: tuple[str, ...] = ()
    """Remarks: the default chip that was taken, too little device memory, alternatives that were refused."""
    shares: Mapping[str, float] = field(default_factory=dict, hash=False)
    """Share of the latency by operator class -> ms; read-only."""
    source: Answer | None = None
    """Answer to the same question on the source chip; None where no source was named."""
    ratio: float | None = None
    """Value divided by the value on the source chip; None without a source."""

    def __post_init__(self) -> None:
        if not isfinite(self.value):
            raise RefusedError(
                f"the evidence gives no finite {self.metric} for {self.model or self.operator or 'this'}: check its "
                f"sizes, and the datasheet of {self.chip or 'the chip'}."
            )
        if type(self.shares) is not ReadOnly:
            object.__setattr__(self, "shares", ReadOnly(self.shares))

    def __float__(self) -> float:
        return float(self.value)

    def __str__(self) -> str:
        subject = self.model or self.operator
        parts = [f"{self.metric} = {number(self.value, self.unit)}"]
        if self.lower is not None and self.upper is not None:
            parts.append(f"[{digits(self.lower)}, {digits(self.upper)} at {100 * self.interval_level:g} %]")
        if subject:
            parts.append(f"for {subject}")
        if self.chip:
            parts.append(f"on {self.chip}")
        parts.append(f"({self.kind}, level {self.level})" if self.level else f"({self.kind})")
        if self.source is not None and self.ratio is not None:
            parts.append(f"= {digits(self.ratio)} x {number(self.source.value, self.unit)} on {self.source.chip}")
        return " ".join(parts)

    __repr__ = __str__

    def scaled(self, factor: float, **changes: Any) -> Answer:
        """A copy with value and interval multiplied by `factor` (above 0); `changes` replaces further fields.

        >>> Answer(2.0, "ms", 1.0, 4.0).scaled(0.5).upper
        2.0
        """
        lower = None if self.lower is None else self.lower * factor
        upper = None if self.upper is None else self.upper * factor
        return replace(self, value=self.value * factor, lower=lower, upper=upper, **changes)

    def records(self) -> list[dict[str, Any]]:
        """One row: every field; references and notes as one text each, the source by chip and value.

        >>> Answer(2.0, "ms", notes=("a", "b")).records()[0]["notes"]
        'a; b'
        """
        row: dict[str, Any] = {f.name: getattr(self, f.name) for f in fields(self) if f.name not in _NOT_FLAT}
        row |= {"refs": "; ".join(self.refs), "notes": "; ".join(self.notes)}
        there = self.source
        return [row | {"source_chip": there and there.chip, "source_value": None if there is None else there.value}]

    def cells(self) -> tuple[Cell, ...]:
        """Value with interval, evidence level, and what it is compared with, for a row of a table."""
        compared = "" if self.source is None or self.ratio is None else f"{digits(self.ratio)} x {self.source.chip}"
        return Range(self.value, self.unit, self.lower, self.upper), level_cell(self.level, self.kind), compared

    def view(self) -> View:
        """One row: metric, value, level and setting."""
        sizes = ((name, getattr(self, name)) for name in _SETTING)
        setting = ", ".join(f"{name} {value}" for name, value in sizes if value is not None)
        where = " on ".join(name for name in (self.model or self.operator, self.chip) if name)
        columns = ("metric", "value", "evidence", "compared", "setting")
        return View(where or self.metric, columns, ((self.metric, *self.cells(), setting),), self.notes, self.refs)

    def to_dict(self) -> dict[str, Any]:
        """The answer as plain values for JSON, the source answer included; unknown is None.

        >>> Answer(2.0, "ms", refs=("o/r@c:p",)).to_dict()["refs"]
        ['o/r@c:p']
        """
        out: dict[str, Any] = {f.name: getattr(self, f.name) for f in fields(self)}
        out |= {"refs": list(self.refs), "notes": list(self.notes), "shares": dict(self.shares)}
        return out | {"source": None if self.source is None else self.source.to_dict()}


_SETTING = ("precision", "batch", "seq_len", "image_size", "phase", "stack")
_NOT_FLAT = ("refs", "notes", "shares", "source")  # fields that `records` writes otherwise or leaves out


def level_cell(level: str | None, kind: str) -> Cell:
    """An evidence level with its meaning, or the kind of an answer that has none.

    >>> level_cell("A", "measured").letter, level_cell(None, "derived")
    ('A', 'derived')
    """
    return kind if level is None else Level(level, f"{kind}: {LEVEL_TEXTS[level]}")


class Answers(Tabular, Mapping[str, Answer]):
    """Read-only mapping of metric -> answer; `refused` maps the metrics without an answer to the reason.

    Indexing with a refused metric raises `RefusedError`.

    >>> answers = Answers({"latency": Answer(2.0, "ms")}, {"energy": "nobody measured it"})
    >>> list(answers), answers.refused["energy"]
    (['latency'], 'nobody measured it')
    """

    __slots__ = ("_answers", "refused")

    def __init__(self, answers: Mapping[str, Answer], refused: Mapping[str, str]) -> None:
        self._answers = dict(answers)
        self.refused: Mapping[str, str] = ReadOnly(refused)

    def __reduce__(self) -> tuple[Any, ...]:
        return Answers, (self._answers, dict(self.refused))

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Answers):
            return NotImplemented
        return self._answers == other._answers and self.refused == other.refused

    def __hash__(self) -> int:
        return hash((frozenset(self._answers.items()), frozenset(self.refused.items())))

    def __getitem__(self, metric: str) -> Answer:
        if metric in self.refused:
            raise RefusedError(self.refused[metric])
        return self._answers[metric]

    def get(self, metric: str, default: Any = None) -> Any:
        """The answer, or `default` for a metric that was refused or not asked for."""
        return self._answers.get(metric, default)

    def __contains__(self, metric: object) -> bool:
        return metric in self._answers

    def __iter__(self) -> Iterator[str]:
        return iter(self._answers)

    def __len__(self) -> int:
        return len(self._answers)

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON: `answers` and `refused`, each by metric."""
        answers = {name: answer.to_dict() for name, answer in self._answers.items()}
        return {"answers": answers, "refused": dict(self.refused)}

    def records(self) -> list[dict[str, Any]]:
        """One row an answer, as `Answer.records`, and one for each that was refused, with its reason."""
        rows = [answer.records()[0] | {"refused": None} for answer in self._answers.values()]
        return rows + [{"metric": name, "refused": why} for name, why in self.refused.items()]

    def view(self) -> View:
        """One row an answer, then those refused."""
        rows: list[tuple[Cell, ...]] = [(name, *answer.cells()) for name, answer in self._answers.items()]
        rows += [(name, f"refused: {why}", "", "") for name, why in self.refused.items()]
        first = next(iter(self._answers.values()), None)
        caption = first.view().caption if first else "nothing could be answered"
        notes = dict.fromkeys(note for answer in self._answers.values() for note in answer.notes)
        refs = dict.fromkeys(ref for answer in self._answers.values() for ref in answer.refs)
        return View(caption, ("metric", "value", "evidence", "compared"), tuple(rows), tuple(notes), tuple(refs))

    def __repr__(self) -> str:
        lines = [f"{name}: {answer}" for name, answer in self._answers.items()]
        lines += [f"{name}: refused, {why}" for name, why in self.refused.items()]
        return "\n".join(lines)
