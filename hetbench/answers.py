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
from types import MappingProxyType
from typing import Any

from hetbench.errors import RefusedError
from hetbench.mappings import ReadOnly

__all__ = ["KINDS", "LEVELS", "LEVEL_TEXTS", "Answer", "Answers", "digits", "number", "percent"]

KINDS = ("measured", "predicted", "derived")
LEVEL_TEXTS = MappingProxyType({
    "A": "this model, chip and setting was measured",
    "B": "this chip has measured rows of these operators",
    "C": "this chip has few rows of these operators, rows of related ones, or rows of whole models under this stack",
    "D": "no row of this chip was measured: predicted from its datasheet and the rows of other chips",
})
LEVELS = tuple(LEVEL_TEXTS)


@dataclass(frozen=True, slots=True)
class Answer:
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

    def to_dict(self) -> dict[str, Any]:
        """The answer as plain values for JSON, the source answer included; unknown is None.

        >>> Answer(2.0, "ms", refs=("o/r@c:p",)).to_dict()["refs"]
        ['o/r@c:p']
        """
        out: dict[str, Any] = {f.name: getattr(self, f.name) for f in fields(self)}
        out |= {"refs": list(self.refs), "notes": list(self.notes), "shares": dict(self.shares)}
        return out | {"source": None if self.source is None else self.source.to_dict()}


class Answers(Mapping[str, Answer]):
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

    def __repr__(self) -> str:
        lines = [f"{name}: {answer}" for name, answer in self._answers.items()]
        lines += [f"{name}: refused, {why}" for name, why in self.refused.items()]
        return "\n".join(lines)


def digits(value: float) -> str:
    """A number as text: three significant digits, thousands separators from 1,000 on.

    >>> digits(0.012345), digits(1234567.0)
    ('0.0123', '1,234,567')
    >>> digits(999.7)
    '1,000'
    """
    if abs(value) >= 999.5:
        return f"{value:,.0f}"
    return f"{value:.3g}"


def percent(share: float) -> str:
    """A share of a whole as text: 0 and 100 only where nothing is in it, or nothing is left over.

    What is smaller than rounding errors of sums, 1e-9, counts as nothing.

    >>> percent(1.4e-14), percent(0.004), percent(42.123), percent(99.97), percent(100.0)
    ('0 %', 'below 0.01 %', '42.1 %', 'above 99.9 %', '100 %')
    """
    if abs(share) < _ROUNDING:
        return "0 %"
    if 0 < share < _LEAST_SHOWN:
        return f"below {_LEAST_SHOWN:g} %"
    if _MOST_SHOWN < share < 100 - _ROUNDING:
        return f"above {_MOST_SHOWN:g} %"
    return f"{digits(share)} %"


_ROUNDING, _LEAST_SHOWN, _MOST_SHOWN = 1e-9, 0.01, 99.9


def number(value: float, unit: str) -> str:
    """A number with its unit as text; the unit `1` is not shown.

    >>> number(2.5, "ms"), number(124439808, "1")
    ('2.5 ms', '124,439,808')
    """
    return digits(value) if unit == "1" else f"{digits(value)} {unit}"
