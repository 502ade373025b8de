"""Timing protocols: the launch floor under each, and conversion of latencies from one protocol to another.

A launch floor is the latency of the smallest operators of a class on a chip: what a launch costs when the work is next
to nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hetbench.catalog.chips import Chip
from hetbench.catalog.estimates import clock_mhz
from hetbench.errors import ArtifactError
from hetbench.schema import PROTOCOLS

__all__ = [
    "DEVICE_PROTOCOLS", "FLOOR_QUANTILE", "convert_protocol", "launch_floor", "measured_protocol",
]  # fmt: skip

FLOOR_QUANTILE = 0.02
"""Quantile of the latencies of small operators that is taken for the launch floor."""
DEVICE_PROTOCOLS = ("kernel", "graph")
"""Protocols whose floor is time on the device, so that it scales with the clock."""


def launch_floor(table: Mapping[str, Mapping[str, float]], chip: Chip, cls: str, protocol: str) -> float:
    """Launch floor in ms of a class of operators: the chip's own, else its family's, else that of all chips.

    On the device a kernel's start-up is a number of cycles, so those of other chips are scaled to this chip's clock.
    A protocol includes all that the one before it includes, in the order kernel, graph, event, wall: the floor is never
    below the chip's own floor under a narrower protocol, nor, where the chip has none, above one under a wider.

    `table` maps a chip to "class/protocol" -> ms, and "family:NAME" or "any" likewise to ms at 1 GHz.
    """
    if protocol not in PROTOCOLS:
        raise ArtifactError(f"no launch floor under {protocol!r}; known protocols: {', '.join(PROTOCOLS)}")
    at, own = PROTOCOLS.index(protocol), table.get(chip.name, {})
    narrower = [own[f"{cls}/{name}"] for name in PROTOCOLS[: at + 1] if f"{cls}/{name}" in own]
    if f"{cls}/{protocol}" in own:
        return max(narrower)
    wider = [own[f"{cls}/{name}"] for name in PROTOCOLS[at:] if f"{cls}/{name}" in own]
    pooled = _pooled_floor(table, chip, cls, protocol)
    return max([min([pooled, *wider]), *narrower])


def _pooled_floor(table: Mapping[str, Mapping[str, float]], chip: Chip, cls: str, protocol: str) -> float:
    """The floor of the family, else of all chips."""
    for group in (f"family:{chip.family}", "any"):
        found = table.get(group, {}).get(f"{cls}/{protocol}")
        if found is not None:
            return found * 1e3 / clock_mhz(chip) if protocol in DEVICE_PROTOCOLS else found
    raise ArtifactError(f"no launch floor for {cls!r} under {protocol!r}")


def convert_protocol(native: NDArray[Any], floor: Any, target: Any) -> NDArray[Any]:
    """From a protocol with one launch floor to another's: an eager launch hides behind a longer kernel; all in ms."""
    out: NDArray[Any] = np.where(
        target > floor, np.maximum(native, target), np.maximum(native - floor, 0) + np.minimum(target, floor)
    )
    return out


def measured_protocol(measured: Mapping[str, Sequence[str]], dtype: str, asked: str) -> str:
    """The protocol asked for where the dtype has rows under it, else the one that most of its rows have.

    >>> measured_protocol({"bf16": ["graph", "kernel"]}, "bf16", "event")
    'graph'
    """
    found = measured.get(dtype, ())
    return asked if asked in found or not found else found[0]
