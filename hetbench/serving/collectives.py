"""Collectives between the chips of a node: AllReduce, AllGather, ReduceScatter, AllToAll over the link of a chip.

    microseconds = latency + spread x sqrt(x) + slope x x,  x = bytes on the wire of one chip / rate of its link

`bytes` is the whole tensor of one chip (of AllGather what it holds afterwards). A ring sends 2 (n - 1) / n of an
AllReduce over every link, and (n - 1) / n of the others. The three factors are fitted on measured rows by collective,
number of chips and kernel: that of a collective library (NCCL, oneCCL), or the one-shot kernels that serving engines
replay in a device graph. A chip without rows takes the median of chips with the same kind of link.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import files
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hetbench.answers import Answer
from hetbench.catalog.chips import Chip
from hetbench.errors import ArtifactError, InvalidInputError, RefusedError, UnknownNameError
from hetbench.operators import OperatorType
from hetbench.serving.links import link_of

__all__ = ["COLLECTIVES", "FORMAT", "KERNELS", "Law", "collective", "law_of", "link_kind", "wire"]

FORMAT = 1
Floats = NDArray[np.float64]
KERNELS = ("library", "engine")
"""Of a collective library; of a serving engine, within a device graph."""


def _unbuilt(*_: Any) -> Any:
    raise RefusedError("a collective is timed by several processes on several chips; this profiler runs one.")


def _kind(name: str) -> OperatorType:
    """`flops` and `elements` of what one chip holds; the class has no surrogate of its own."""
    return OperatorType(name, "collective", ("bytes", "chips"), lambda d: 0, lambda d: d["bytes"], _unbuilt)


COLLECTIVES: Mapping[str, OperatorType] = MappingProxyType(
    {name: _kind(name) for name in ("AllGather", "AllReduce", "AllToAll", "ReduceScatter")}
)


@dataclass(frozen=True, slots=True)
class Law:
    """Time of one collective on a number of chips."""

    latency: float
    """us."""
    spread: float
    """us ** 0.5."""
    slope: float
    """1 at the datasheet's rate of the link."""
    rows: int
    """Measured rows of this chip behind the factors; 0 where they are the median of others."""
    chips: int
    """Number of chips that the factors are of: the nearest measured."""

    def microseconds(self, x: Floats) -> Floats:
        """Time [n] for `x` us [n] on the wire at the datasheet's rate."""
        return np.asarray(self.latency + self.spread * np.sqrt(x) + self.slope * x)


def wire(op: str, chips: Floats | float) -> Floats:
    """Times that the bytes of a tensor cross the link of one chip.

    >>> float(wire("AllReduce", 8)), float(wire("AllGather", 8))
    (1.75, 0.875)
    """
    return np.asarray((2.0 if op == "AllReduce" else 1.0) * (np.asarray(chips, float) - 1) / np.asarray(chips, float))


def link_kind(chip: Chip) -> str:
    """`bus` for chips that meet over PCIe, `direct` for those with links of their own."""
    return "bus" if (chip.interconnect_type or "PCIe").startswith("PCIe") else "direct"


def law_of(op: str, chip: Chip, chips: int, kernel: str = "library") -> Law:
    """The law of a collective on `chips` chips."""
    table = _table()
    kernel = kernel if kernel in table["kernels"].get(op, ()) else "library"
    for owner in (chip.name, chip.die, link_kind(chip)):
        known = table["laws"].get(f"{op} | {kernel} | {owner}")
        if known:
            nearest = min(known, key=lambda n: (abs(np.log2(int(n) / chips)), -int(n)))
            latency, spread, slope, rows = known[nearest]
            return Law(latency, spread, slope, rows if owner == chip.name else 0, int(nearest))
    raise RefusedError(f"no rows of {op} over links like that of {chip.name} were measured.")


def collective(
    op: str, dims: Mapping[str, Any], chip: Chip, kernel: str | None = None, confidence: float = 0.9
) -> Answer:
    """The latency of one collective, in ms.

    Args:
        op: one of `COLLECTIVES`.
        dims: `bytes` of the tensor of one chip, and `chips`.
        chip: every one of the chips.
        kernel: one of `KERNELS`; left out, `library`.
        confidence: share of the true values that the interval should hold.

    Raises:
        InvalidInputError: one chip, or a size that is none; UnknownNameError: another kernel; RefusedError: the
            datasheet states no link, or the chips are more than a node holds.

    >>> from hetbench.catalog.chips import chip
    >>> found = collective("AllReduce", {"bytes": 2**24, "chips": 8}, chip("nvidia-h100-sxm5-80gb"))
    >>> found.unit, found.level, bool(found.lower < found.value < found.upper)
    ('ms', 'B', True)
    """
    sizes = COLLECTIVES[op].check(dims)
    if sizes["chips"] < 2:
        raise InvalidInputError(f"{op} joins at least 2 chips; given: chips={sizes['chips']}.")
    if kernel is not None and kernel not in KERNELS:
        raise UnknownNameError("kernel of collectives", kernel, KERNELS)
    link = link_of(chip, sizes["chips"])
    law = law_of(op, chip, sizes["chips"], kernel or "library")
    x = 1e6 * sizes["bytes"] * wire(op, sizes["chips"]) / link.rate
    value = float(law.microseconds(x)) / 1e3
    measured = law.rows > 0 and law.chips == sizes["chips"]
    table = _table()
    quantiles = table["bands"]["measured" if measured else link_kind(chip)]
    at = (1 - confidence) / 2
    low, high = np.exp(np.interp([at, 1 - at], table["quantiles"], quantiles))
    said = f"{law.rows} rows of {op} on {law.chips} x {chip.name}" if law.rows else (
        f"no rows of {op} on {chip.name}: the median of chips with a {link_kind(chip)} link")  # fmt: skip
    notes: tuple[str, ...] = (f"over {link.kind}, {link.rate / 1e9:g} GB/s in each direction of one chip", said)
    if law.chips != sizes["chips"]:
        notes += (f"the factors are those of {law.chips} chips",)
    return Answer(
        value, "ms", value * min(low, 1.0), value * max(high, 1.0), confidence, level="B" if measured else "D",
        support=law.rows, surrogate="collectives", operator=op, chip=chip.name, family=chip.family, notes=notes,
        refs=tuple(table["refs"]) if measured else (),
    )  # fmt: skip


@lru_cache(maxsize=1)
def _table() -> Mapping[str, Any]:
    path = files("hetbench") / "catalog" / "surrogates" / "collectives.json"
    try:
        table = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ArtifactError(f"collectives.json cannot be read: {error}. Reinstall hetbench.") from None
    if table.get("format") != FORMAT:
        raise ArtifactError(f"collectives.json has format {table.get('format')!r}; this hetbench reads {FORMAT}.")
    return dict(table)
