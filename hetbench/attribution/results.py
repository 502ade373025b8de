"""Records of an attribution: groups with their Shapley values, and every operator by itself on each chip.

`hetbench.attribution.copa` computes them; `lines()` gives text, `to_dict()` plain values for JSON.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from hetbench.answers import Answer, digits
from hetbench.attribution.rooflines import RooflinePoint
from hetbench.display import Range, Tabular, View

__all__ = ["Attribution", "GroupShare", "OperatorShare"]


@dataclass(frozen=True, slots=True)
class OperatorShare:
    """Stage I of one distinct operator of a group: the sum over all its runs."""

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
    """The contribution of a group of operators."""

    name: str
    count: int
    """Number of operator runs."""
    value_ms: float
    """Shapley value: part of the latency change from source to target, or without a source of the latency."""
    error_ms: float | None
    """Standard error of `value_ms` where sampled; None where exact."""
    points: float
    """`value_ms` in percent of the source's latency (without a source: of the target's)."""
    first_ms: float
    """Change of latency when only this group moves, transfers and split fusions included."""
    last_ms: float
    """Change of latency when it moves after all other groups."""
    target_ms: float
    """Time of its operators within the model on the target; additive, without overhead."""
    source_ms: float | None
    target: RooflinePoint
    """Stage I: the sum of its operators, each timed by itself."""
    source: RooflinePoint | None

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        names = ("name", "count", "value_ms", "error_ms", "points", "first_ms", "last_ms", "target_ms", "source_ms")
        source = None if self.source is None else self.source.to_dict()
        return {name: getattr(self, name) for name in names} | {"target": self.target.to_dict(), "source": source}


@dataclass(frozen=True, slots=True)
class Attribution(Tabular):
    """Contributions to the latency of a model, or to its change from source to target; largest first."""

    model: str
    by: str
    target: Answer
    source: Answer | None
    target_ms: float
    """v(all): the target's latency, plus the streaming of what does not fit its memory."""
    source_ms: float
    """v(none): the same for the source; 0 without one."""
    groups: tuple[GroupShare, ...]
    operators: tuple[OperatorShare, ...]
    exact: bool
    """True where every coalition was evaluated; else the values are sampled, see `error_ms`."""
    evaluated: int
    """Number of coalitions evaluated."""
    parts: Mapping[str, Mapping[str, float]]
    """`source` and `target` -> parts of the time in ms, by the names of `hetbench.attribution.placement.PARTS`."""
    notes: tuple[str, ...]

    @property
    def difference_ms(self) -> float:
        """target_ms - source_ms: the sum of the values of the groups."""
        return self.target_ms - self.source_ms

    @property
    def percent(self) -> float:
        """The difference in percent of the source's latency; 100 without a source."""
        return 100.0 * self.difference_ms / (self.source_ms if self.source is not None else self.target_ms)

    def __str__(self) -> str:
        return "\n".join(self.lines())

    def lines(self) -> list[str]:
        """The attribution as text, one line a group."""
        return _lines(self)

    def records(self) -> list[dict[str, Any]]:
        """One row a group, largest contribution first; its roofline position as `target_bound` and `source_bound`."""
        return [
            {name: value for name, value in each.to_dict().items() if name not in ("target", "source")}
            | {"target_bound": each.target.bound, "source_bound": each.source and each.source.bound}
            for each in self.groups
        ]

    def view(self) -> View:
        """One row a group with its contribution in ms, with the standard error where it is sampled."""
        rows = tuple(
            (
                each.name, _contribution(each), f"{each.points:+.1f}", f"{each.count:,}",
                f"{each.target.bound}-bound, {digits(each.target.roofs)} x its roofline",
            )
            for each in self.groups
        )  # fmt: skip
        return View(_lines(self)[0], ("group", "contribution", "points", "runs", "on the target"), rows, self.notes)

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON; enough for a waterfall (source, values, target) or a treemap (operators)."""
        names = ("model", "by", "target_ms", "source_ms", "difference_ms", "percent", "exact", "evaluated")
        return {name: getattr(self, name) for name in names} | {
            "target": self.target.to_dict(), "source": None if self.source is None else self.source.to_dict(),
            "groups": [each.to_dict() for each in self.groups],
            "operators": [each.to_dict() for each in self.operators],
            "parts": {side: dict(parts) for side, parts in self.parts.items()}, "notes": list(self.notes),
        }  # fmt: skip


def _contribution(each: GroupShare) -> Range:
    if each.error_ms is None:
        return Range(each.value_ms, "ms")
    return Range(each.value_ms, "ms", each.value_ms - each.error_ms, each.value_ms + each.error_ms)


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
        bound = f"{each.target.bound}-bound, {digits(each.target.roofs)} x its roofline"
        if each.source is not None:
            bound += f" (source: {each.source.bound}-bound, {digits(each.source.roofs)} x)"
            bound += f"; alone {each.first_ms:+.3g} ms, last {each.last_ms:+.3g} ms"
        lines.append(f"  {each.name:<{width}} {each.points:+6.1f} points ({each.value_ms:+.3g}{error} ms)  "
                     f"{times} ms, {bound}")  # fmt: skip
    return lines + [f"  note: {note}" for note in found.notes]
