"""What a question gets: one number with its unit, interval, kind, evidence level and references.

Kinds: `measured` (the answer is a published row, and `refs` says which), `predicted` (a surrogate's, with an
interval and an evidence level), `derived` (exact arithmetic on the operator graph).
Levels of a prediction: B this chip has operator rows for these operators; C only few of them, or model rows; D none,
datasheet and other chips only. A is a measured row of exactly this setting. A level is that of the weakest part.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, fields, replace
from types import MappingProxyType
from typing import Any

from hetbench.errors import RefusedError

__all__ = ["KINDS", "LEVELS", "LEVEL_TEXTS", "Answer", "Answers"]

KINDS = ("measured", "predicted", "derived")
LEVEL_TEXTS = MappingProxyType({
    "A": "this model, chip and setting was measured",
    "B": "this chip has measured rows of these operators",
    "C": "this chip has few of them or rows of related operators, or rows of whole models under this stack",
    "D": "nothing of this chip was measured: its datasheet, and other chips' rows",
})
LEVELS = tuple(LEVEL_TEXTS)


@dataclass(frozen=True, slots=True)
class Answer:
    """One number and what it rests on; `float(answer)` is the number.

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
    """Share of true values that intervals of this kind are calibrated to hold."""
    kind: str = "predicted"
    level: str | None = None
    """A, B, C or D; None where the number is derived."""
    support: int | None = None
    """Measured rows behind the answer; 0: none of this chip. None: not counted."""
    refs: tuple[str, ...] = ()
    """repository@commit:path of every measured row, registration table or derivation that the number is of."""
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
    """What the time includes: kernel, graph, event or wall."""
    surrogate: str | None = None
    """Surrogate and head that predicted; None otherwise."""
    notes: tuple[str, ...] = ()
    """What a reader must know: the default chip taken, memory that does not suffice, refused alternatives."""
    shares: Mapping[str, float] = field(default_factory=dict, hash=False)
    """Where a model's time goes: operator class -> ms."""
    source: Answer | None = None
    """The same question on the source chip, where one was named."""
    ratio: float | None = None
    """value / source value."""

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
        """The same answer with value and interval multiplied by `factor` (> 0), and `changes` made.

        >>> Answer(2.0, "ms", 1.0, 4.0).scaled(0.5).upper
        2.0
        """
        lower = None if self.lower is None else self.lower * factor
        upper = None if self.upper is None else self.upper * factor
        return replace(self, value=self.value * factor, lower=lower, upper=upper, **changes)

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON, the source side included; what is not known is None.

        >>> Answer(2.0, "ms", refs=("o/r@c:p",)).to_dict()["refs"]
        ['o/r@c:p']
        """
        out: dict[str, Any] = {f.name: getattr(self, f.name) for f in fields(self)}
        out |= {"refs": list(self.refs), "notes": list(self.notes), "shares": dict(self.shares)}
        return out | {"source": None if self.source is None else self.source.to_dict()}


class Answers(Mapping[str, Answer]):
    """Answers by metric, read-only; a metric that was refused is not in it: `refused` says why.

    >>> answers = Answers({"latency": Answer(2.0, "ms")}, {"energy": "nobody measured it"})
    >>> list(answers), answers.refused["energy"]
    (['latency'], 'nobody measured it')
    """

    __slots__ = ("_answers", "refused")

    def __init__(self, answers: Mapping[str, Answer], refused: Mapping[str, str]) -> None:
        self._answers = dict(answers)
        self.refused: Mapping[str, str] = MappingProxyType(dict(refused))

    def __getitem__(self, metric: str) -> Answer:
        if metric in self.refused:
            raise RefusedError(self.refused[metric])
        return self._answers[metric]

    def get(self, metric: str, default: Any = None) -> Any:
        """The answer, or `default` where it was refused or not asked."""
        return self._answers.get(metric, default)

    def __contains__(self, metric: object) -> bool:
        return metric in self._answers

    def __iter__(self) -> Iterator[str]:
        return iter(self._answers)

    def __len__(self) -> int:
        return len(self._answers)

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON: the answers and the refusals, each by metric."""
        answers = {name: answer.to_dict() for name, answer in self._answers.items()}
        return {"answers": answers, "refused": dict(self.refused)}

    def __repr__(self) -> str:
        lines = [f"{name}: {answer}" for name, answer in self._answers.items()]
        lines += [f"{name}: refused, {why}" for name, why in self.refused.items()]
        return "\n".join(lines)


def digits(value: float) -> str:
    """Three significant digits, large numbers with thousands separators.

    >>> digits(0.012345), digits(1234567.0)
    ('0.0123', '1,234,567')
    >>> digits(999.7)
    '1,000'
    """
    if abs(value) >= 999.5:
        return f"{value:,.0f}"
    return f"{value:.3g}"


def number(value: float, unit: str) -> str:
    """The number with its unit, the unit `1` left out.

    >>> number(2.5, "ms"), number(124439808, "1")
    ('2.5 ms', '124,439,808')
    """
    return digits(value) if unit == "1" else f"{digits(value)} {unit}"
