"""What an attribution holds: groups with their Shapley values, and every operator by itself on each chip.

The computing is in `hetbench.attribution.copa`; these records are what it returns, in a form to read and a form for
JSON.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from hetbench.answers import Answer, digits
from hetbench.attribution.rooflines import RooflinePoint

__all__ = ["Attribution", "GroupShare", "OperatorShare"]


@dataclass(frozen=True, slots=True)
class OperatorShare:
    """Stage I of one distinct operator of a group, all its runs together."""

    group: str
    op: str
    dtype: str
    dims: Mapping[str, int]
    count: int
    target: RooflinePoint
    source: RooflinePoint | None

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        source = None if self.source is None else self.source.to_dict()
        return {"group": self.group, "op": self.op, "dtype": self.dtype, "dims": dict(self.dims), "count": self.count,
                "target": self.target.to_dict(), "source": source}  # fmt: skip


@dataclass(frozen=True, slots=True)
class GroupShare:
    """What a group of operators contributes; ms and percentage points of the base."""

    name: str
    count: int
    """Operator runs in it."""
    value_ms: float
    """Shapley value: its part of the target's latency less the source's, or without a source of the latency."""
    error_ms: float | None
    """Standard error of a sampled value; None where exact."""
    points: float
    """`value_ms` in percent of the source's latency, or without a source of the target's."""
    first_ms: float
    """Change when it alone moves, transfers and broken fusions included."""
    last_ms: float
    """Change when it moves after all the others."""
    target_ms: float
    """Its operators in the model on the target; additive, without overhead."""
    source_ms: float | None
    target: RooflinePoint
    """Stage I: each operator by itself."""
    source: RooflinePoint | None

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        names = ("name", "count", "value_ms", "error_ms", "points", "first_ms", "last_ms", "target_ms", "source_ms")
        source = None if self.source is None else self.source.to_dict()
        return {name: getattr(self, name) for name in names} | {"target": self.target.to_dict(), "source": source}


@dataclass(frozen=True, slots=True)
class Attribution:
    """Where the latency of a model, or its change from source to target, comes from; largest contribution first."""

    model: str
    by: str
    target: Answer
    source: Answer | None
    target_ms: float
    """v(all): the target's answer, plus the time of what does not fit its memory."""
    source_ms: float
    """v(none): the same of the source; 0 without one."""
    groups: tuple[GroupShare, ...]
    operators: tuple[OperatorShare, ...]
    exact: bool
    """Whether every coalition was evaluated; else the values are sampled, see `error_ms`."""
    evaluated: int
    """Coalitions evaluated."""
    parts: Mapping[str, Mapping[str, float]]
    """`source` and `target`: what v is made of there, in ms, by the names of `hetbench.attribution.placement.PARTS`."""
    notes: tuple[str, ...]

    @property
    def difference_ms(self) -> float:
        """What the values of the groups sum to."""
        return self.target_ms - self.source_ms

    @property
    def percent(self) -> float:
        """The difference in percent of the source; 100 without a source."""
        return 100.0 * self.difference_ms / (self.source_ms if self.source is not None else self.target_ms)

    def __str__(self) -> str:
        return "\n".join(self.lines())

    def lines(self) -> list[str]:
        """The readable form."""
        return _lines(self)

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON: all that a waterfall (source, values, target) or a treemap (operators) needs."""
        names = ("model", "by", "target_ms", "source_ms", "difference_ms", "percent", "exact", "evaluated")
        return {name: getattr(self, name) for name in names} | {
            "target": self.target.to_dict(), "source": None if self.source is None else self.source.to_dict(),
            "groups": [each.to_dict() for each in self.groups],
            "operators": [each.to_dict() for each in self.operators],
            "parts": {side: dict(parts) for side, parts in self.parts.items()}, "notes": list(self.notes),
        }  # fmt: skip


def _lines(found: Attribution) -> list[str]:
    where, sampled = found.target.chip, "" if found.exact else f", sampled over {found.evaluated:,} coalitions"
    if found.source is None:
        head = f"{found.model}: {digits(found.target_ms)} ms on {where}, by {found.by}{sampled}"
    else:
        head = (f"{found.model}: {digits(found.source_ms)} ms on {found.source.chip} -> {digits(found.target_ms)} ms "
                f"on {where}, {found.percent:+.1f} %, by {found.by}{sampled}")  # fmt: skip
    width = max(len(each.name) for each in found.groups)
    lines = [head]
    for each in found.groups:
        error = "" if each.error_ms is None else f" ± {digits(abs(each.error_ms))}"
        times = digits(each.target_ms) if each.source_ms is None else (
            f"{digits(each.source_ms)} -> {digits(each.target_ms)}")  # fmt: skip
        bound = f"{each.target.bound}-bound, {digits(each.target.roofs)} x its roof"
        if each.source is not None:
            bound += f" (source: {each.source.bound}-bound, {digits(each.source.roofs)} x)"
            bound += f"; alone {each.first_ms:+.3g} ms, last {each.last_ms:+.3g} ms"
        lines.append(f"  {each.name:<{width}} {each.points:+6.1f} points ({each.value_ms:+.3g}{error} ms)  "
                     f"{times} ms, {bound}")  # fmt: skip
    return lines + [f"  note: {note}" for note in found.notes]
