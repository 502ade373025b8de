"""Every operator of a model on one chip by itself: measured or predicted time, and where it stands under the roof.

The time is that of one eager launch by device events. A row of the knowledge graph answers where exactly this
operator was measured on exactly this chip, converted from its protocol by the launch floors; else the surrogate does.
An operator is launch-bound where the launch floor exceeds the roof, max(flops / peak, bytes / bandwidth); else it is
bound by the larger of the two.
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
from hetbench.predict.features import canonical_dims, chip_facts
from hetbench.predict.protocols import convert_protocol, launch_floor
from hetbench.query.breakdown import Signature, signature
from hetbench.query.latency import PROTOCOL
from hetbench.schema import STORAGE_BYTES

__all__ = ["BOUNDS", "Bench", "benches", "together"]

BOUNDS = ("compute", "memory", "launch")


@dataclass(frozen=True, slots=True)
class Bench:
    """One operator, or several together, each run by itself; times in ms."""

    ms: float
    compute_ms: float
    """Arithmetic at the chip's peak; 0 where the peak is not stated."""
    memory_ms: float
    """Bytes at its bandwidth."""
    launch_ms: float
    """Launch floors."""
    roof_ms: float
    """The larger of compute and memory, operator by operator."""
    bound_ms: Mapping[str, float]
    """Part of `ms` of the operators that are compute-, memory- and launch-bound."""
    measured_ms: float
    """Part of `ms` that was measured; the rest is predicted."""
    refs: tuple[str, ...] = ()
    """Of the measured part."""

    @property
    def bound(self) -> str:
        """What most of the time is bound by."""
        return max(BOUNDS, key=lambda name: self.bound_ms.get(name, 0.0))

    @property
    def roofs(self) -> float:
        """How many times its roof it takes: the distance to the roof."""
        return self.ms / self.roof_ms if self.roof_ms else float("inf")

    def times(self, count: float) -> Bench:
        """The same run `count` times.

        >>> Bench(2.0, 1.0, 0.5, 0.1, 1.0, {"compute": 2.0}, 0.0).times(3).ms
        6.0
        """
        bound = {name: ms * count for name, ms in self.bound_ms.items()}
        return Bench(
            self.ms * count, self.compute_ms * count, self.memory_ms * count, self.launch_ms * count,
            self.roof_ms * count, bound, self.measured_ms * count, self.refs,
        )  # fmt: skip

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON; the distance to a roof of nothing is None."""
        names = ("ms", "compute_ms", "memory_ms", "launch_ms", "roof_ms", "measured_ms", "bound")
        found: dict[str, Any] = {name: getattr(self, name) for name in names}
        roofs = self.roofs if self.roof_ms else None
        return found | {"bound_ms": dict(self.bound_ms), "roofs": roofs, "refs": list(self.refs)}


def together(parts: Iterable[Bench]) -> Bench:
    """Several as one.

    >>> one = Bench(2.0, 1.0, 0.5, 0.1, 1.0, {"compute": 2.0}, 0.0)
    >>> both = together([one, Bench(1.0, 0.0, 0.1, 0.9, 0.1, {"launch": 1.0}, 1.0, ("o/r@c:p",))])
    >>> both.ms, both.bound, both.refs
    (3.0, 'compute', ('o/r@c:p',))
    """
    each = list(parts)
    bound = {name: sum(part.bound_ms.get(name, 0.0) for part in each) for name in BOUNDS}
    return Bench(
        sum(part.ms for part in each), sum(part.compute_ms for part in each), sum(part.memory_ms for part in each),
        sum(part.launch_ms for part in each), sum(part.roof_ms for part in each), bound,
        sum(part.measured_ms for part in each), tuple(dict.fromkeys(ref for part in each for ref in part.refs)),
    )  # fmt: skip


def benches(
    table: OperatorTable, chip: Chip, surrogate: operators.OperatorSurrogate | None = None, predictor: str = "auto"
) -> dict[Signature, Bench]:
    """Every distinct operator that runs something, one run of each.

    Raises `RefusedError` for a chip without a stated bandwidth.

    >>> from hetbench.catalog.chips import chip
    >>> from hetbench.graphs.model_graph import load
    >>> found = benches(load("gpt2").operators(1, 512, precision="fp32"), chip("nvidia-t4"))
    >>> sorted({each.bound for each in found.values()})
    ['compute', 'launch', 'memory']
    """
    surrogate = surrogate or operators.load()
    measured_here = f"chip:{chip.name}" in knowledge_graph().store.names
    found: dict[Signature, Bench] = {}
    for cls, groups, _, which, bounds in surrogate.predict_by_class(table, chip, PROTOCOL, predictor):
        floor = launch_floor(surrogate.floors, chip, cls, PROTOCOL)
        for index, group in enumerate(groups):
            compute, memory = _roof(cls, group, chip)
            rows = bounds[0][which == index] / group.count
            for row, predicted in enumerate(rows.tolist()):
                dims = {name: int(sizes[row]) for name, sizes in group.dims.items()}
                known = _measured(surrogate, cls, group, dims, chip) if measured_here else None
                found[signature(group.op, group.dtype, dims)] = _bench(
                    predicted, float(compute[row]), float(memory[row]), floor, known
                )  # fmt: skip
    return found


def _bench(predicted: float, compute: float, memory: float, floor: float, known: tuple[float, Any] | None) -> Bench:
    roof = max(compute, memory)
    bound = "launch" if floor > roof else "compute" if compute >= memory else "memory"
    ms, refs = (predicted, ()) if known is None else known
    return Bench(ms, compute, memory, floor, roof, {bound: ms}, 0.0 if known is None else ms, refs)


def _roof(cls: str, group: Any, chip: Chip) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """ms at the peak and at the bandwidth, [rows] each."""
    shared, facts = canonical_dims(group.op, group.dims, STORAGE_BYTES[group.dtype]), chip_facts(chip, group.dtype, 0.0)
    peak = facts.vector_peak if cls == "vector" else facts.peak
    return np.nan_to_num(1e3 * shared["flops"] / peak), 1e3 * shared["bytes"] / facts.bandwidth


def _measured(
    surrogate: operators.OperatorSurrogate, cls: str, group: Any, dims: Mapping[str, int], chip: Chip
) -> tuple[float, tuple[str, ...]] | None:
    """ms and references of the rows of exactly this operator here: those by events first, then the most rows."""
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
