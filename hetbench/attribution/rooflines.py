"""Every operator of a model on one chip by itself: measured or predicted time, and its distance to the roofline.

The time is that of one eager launch by device events. It comes from a row of the knowledge graph where exactly this
operator was measured on exactly this chip (converted from its protocol by the launch floors), else from the surrogate.
The roofline time is max(FLOPs / peak, bytes / bandwidth). An operator is launch-bound where the launch floor exceeds
it, else bound by the larger of the two.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hetbench.catalog.chips import Chip
from hetbench.graphs import OperatorTable
from hetbench.knowledge.graph import knowledge_graph
from hetbench.predict import operators
from hetbench.predict.canonical import canonical_dims
from hetbench.predict.features import chip_facts
from hetbench.predict.protocols import convert_protocol, launch_floor
from hetbench.query.breakdown import Signature, signature
from hetbench.query.latency import PROTOCOL
from hetbench.schema import itemsize

__all__ = ["BOUNDS", "RooflinePoint", "combined", "roofline_points"]

BOUNDS = ("compute", "memory", "launch")


@dataclass(frozen=True, slots=True)
class RooflinePoint:
    """Time and roofline of one operator, or sums over several, each run by itself; in ms."""

    ms: float
    compute_ms: float
    """FLOPs at the chip's peak; 0 where the peak is not stated."""
    memory_ms: float
    """Bytes at its memory bandwidth."""
    launch_ms: float
    """Sum of the launch floors."""
    roof_ms: float
    """Roofline time: the larger of compute and memory, operator by operator."""
    bound_ms: Mapping[str, float]
    """`ms` of the compute-, memory- and launch-bound operators."""
    measured_ms: float
    """Measured part of `ms`; the rest is predicted."""
    refs: tuple[str, ...] = ()
    """References of the measured part."""

    @property
    def bound(self) -> str:
        """The bound (one of `BOUNDS`) with most of the time."""
        return max(BOUNDS, key=lambda name: self.bound_ms.get(name, 0.0))

    @property
    def roofs(self) -> float:
        """Distance to the roofline: time / roofline time."""
        return self.ms / self.roof_ms if self.roof_ms else float("inf")

    def times(self, count: float) -> RooflinePoint:
        """The sum of `count` runs.

        >>> RooflinePoint(2.0, 1.0, 0.5, 0.1, 1.0, {"compute": 2.0}, 0.0).times(3).ms
        6.0
        """
        bound = {name: ms * count for name, ms in self.bound_ms.items()}
        return RooflinePoint(
            self.ms * count, self.compute_ms * count, self.memory_ms * count, self.launch_ms * count,
            self.roof_ms * count, bound, self.measured_ms * count, self.refs,
        )  # fmt: skip

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON; `roofs` is None where the roofline time is 0."""
        names = ("ms", "compute_ms", "memory_ms", "launch_ms", "roof_ms", "measured_ms", "bound")
        found: dict[str, Any] = {name: getattr(self, name) for name in names}
        roofs = self.roofs if self.roof_ms else None
        return found | {"bound_ms": dict(self.bound_ms), "roofs": roofs, "refs": list(self.refs)}


def combined(parts: Iterable[RooflinePoint]) -> RooflinePoint:
    """The sum of several points.

    >>> one = RooflinePoint(2.0, 1.0, 0.5, 0.1, 1.0, {"compute": 2.0}, 0.0)
    >>> both = combined([one, RooflinePoint(1.0, 0.0, 0.1, 0.9, 0.1, {"launch": 1.0}, 1.0, ("o/r@c:p",))])
    >>> both.ms, both.bound, both.refs
    (3.0, 'compute', ('o/r@c:p',))
    """
    each = list(parts)
    bound = {name: sum(part.bound_ms.get(name, 0.0) for part in each) for name in BOUNDS}
    return RooflinePoint(
        sum(part.ms for part in each), sum(part.compute_ms for part in each), sum(part.memory_ms for part in each),
        sum(part.launch_ms for part in each), sum(part.roof_ms for part in each), bound,
        sum(part.measured_ms for part in each), tuple(dict.fromkeys(ref for part in each for ref in part.refs)),
    )  # fmt: skip


def roofline_points(
    table: OperatorTable, chip: Chip, surrogate: operators.OperatorSurrogate | None = None, predictor: str = "auto"
) -> dict[Signature, RooflinePoint]:
    """Time and roofline of one run of each distinct operator that does work at inference.

    Args:
        table: operators of a model at one setting.
        chip: to run on.
        surrogate: predicts what was not measured; left out, that of the package.
        predictor: auto, autogluon, rgat or roofline.

    Raises:
        RefusedError: the chip has no stated memory bandwidth.

    >>> from hetbench.catalog.chips import chip
    >>> from hetbench.graphs.model_graph import load
    >>> found = roofline_points(load("gpt2").operators(1, 512, precision="fp32"), chip("nvidia-t4"))
    >>> sorted({each.bound for each in found.values()})
    ['compute', 'launch', 'memory']
    """
    surrogate = surrogate or operators.load()
    measured_here = f"chip:{chip.name}" in knowledge_graph().store.names
    found: dict[Signature, RooflinePoint] = {}
    for cls, groups, _, which, bounds in surrogate.predict_by_class(table, chip, PROTOCOL, predictor):
        floor = launch_floor(surrogate.floors, chip, cls, PROTOCOL)
        for index, group in enumerate(groups):
            compute, memory = _roof(cls, group, chip)
            rows = bounds[0][which == index] / group.count
            for row, predicted in enumerate(rows.tolist()):
                dims = {name: int(sizes[row]) for name, sizes in group.dims.items()}
                known = _measured(surrogate, cls, group, dims, chip) if measured_here else None
                found[signature(group.op, group.dtype, dims)] = _point(
                    predicted, float(compute[row]), float(memory[row]), floor, known
                )  # fmt: skip
    return found


def _point(
    predicted: float, compute: float, memory: float, floor: float, known: tuple[float, Any] | None
) -> RooflinePoint:
    roof = max(compute, memory)
    bound = "launch" if floor > roof else "compute" if compute >= memory else "memory"
    ms, refs = (predicted, ()) if known is None else known
    return RooflinePoint(ms, compute, memory, floor, roof, {bound: ms}, 0.0 if known is None else ms, refs)


def _roof(cls: str, group: Any, chip: Chip) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Time of the FLOPs at the peak and of the bytes at the bandwidth, ms [rows] each."""
    shared, facts = canonical_dims(group.op, group.dims, itemsize(group.dtype)), chip_facts(chip, group.dtype, 0.0)
    peak = facts.vector_peak if cls == "vector" else facts.peak
    return np.nan_to_num(1e3 * shared["flops"] / peak), 1e3 * shared["bytes"] / facts.bandwidth


def _measured(
    surrogate: operators.OperatorSurrogate, cls: str, group: Any, dims: Mapping[str, int], chip: Chip
) -> tuple[float, tuple[str, ...]] | None:
    """Measured ms and references of exactly this operator on this chip; event timings first, then most rows."""
    rows = [each for each in knowledge_graph().measured_on(group.op, dims, group.dtype)
            if each.chip == chip.name and each.value is not None and each.protocol is not None]  # fmt: skip
    if not rows:
        return None
    best = min(rows, key=lambda each: (each.protocol != PROTOCOL, -(each.rows or 0)))
    native = np.array([best.value], dtype=np.float64)
    if best.protocol != PROTOCOL:
        floors = (launch_floor(surrogate.floors, chip, cls, str(name)) for name in (best.protocol, PROTOCOL))
        native = convert_protocol(native, *floors)
    return float(native[0]), best.refs
