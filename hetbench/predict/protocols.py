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
    "DEVICE_PROTOCOLS", "FLOOR_QUANTILE", "asked_floor", "convert_protocol", "launch_floor", "measured_protocol",
]  # fmt: skip

FLOOR_QUANTILE = 0.02
"""Quantile of the latencies of small operators that is taken for the launch floor."""
DEVICE_PROTOCOLS = ("kernel", "graph")
"""Protocols whose floor is time on the device, so that it scales with the clock."""


def launch_floor(table: Mapping[str, Mapping[str, float]], chip: Chip, cls: str, protocol: str) -> float:
    """Launch floor in ms of an operator class: that of the chip, else of its family, else of all chips.

    `table` maps a chip name to "class/protocol" -> ms, and "family:NAME" and "any" to values that for device protocols
    hold at 1 GHz: the start-up of a kernel is a number of cycles, so it is scaled to the clock of the chip. A protocol
    includes all that the one before it includes, in the order kernel, graph, event, wall: a floor is never below the
    chip's own under a narrower protocol, nor, where the chip has none, above its own under a wider one. Raises
    `ArtifactError` for a protocol without a floor.
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


def asked_floor(
    table: Mapping[str, Mapping[str, float]], die: Sequence[Chip], chip: Chip, cls: str, protocol: str
) -> float:
    """Launch floor in ms that an answer under a protocol has: one for all chips of a die where the host launches.

    What a launch costs the host is of host and framework, not of the chip. It is the least that was measured on the
    die, else the most that `launch_floor` gives a chip of it, and never less than a kernel was found to take there.
    """
    if protocol in DEVICE_PROTOCOLS:
        return launch_floor(table, chip, cls, protocol)
    own = [table[each.name] for each in die if each.name in table]
    measured = [floors[f"{cls}/{protocol}"] for floors in own if f"{cls}/{protocol}" in floors]
    if not measured:
        return max(launch_floor(table, each, cls, protocol) for each in die)
    names = [f"{cls}/{name}" for name in PROTOCOLS[: PROTOCOLS.index(protocol)]]
    return max(min(measured), *(floors[name] for floors in own for name in names if name in floors), 0.0)


def _pooled_floor(table: Mapping[str, Mapping[str, float]], chip: Chip, cls: str, protocol: str) -> float:
    """The floor of the family, else of all chips."""
    for group in (f"family:{chip.family}", "any"):
        found = table.get(group, {}).get(f"{cls}/{protocol}")
        if found is not None:
            return found * 1e3 / clock_mhz(chip) if protocol in DEVICE_PROTOCOLS else found
    raise ArtifactError(f"no launch floor for {cls!r} under {protocol!r}")


def convert_protocol(native: NDArray[Any], floor: Any, target: Any) -> NDArray[Any]:
    """Latency in ms under a protocol with launch floor `target`, given that under one with launch floor `floor`.

    Towards a larger floor the result is max(native, target), since an eager launch overlaps with a longer kernel;
    towards a smaller one the difference of the floors is subtracted.
    """
    out: NDArray[Any] = np.where(
        target > floor, np.maximum(native, target), np.maximum(native - floor, 0) + np.minimum(target, floor)
    )
    return out


def measured_protocol(measured: Mapping[str, Sequence[str]], dtype: str, asked: str) -> str:
    """The protocol asked for where the dtype has rows under it, else the most frequent one of its rows.

    `measured` maps a dtype to its protocols, most frequent first.

    >>> measured_protocol({"bf16": ["graph", "kernel"]}, "bf16", "event")
    'graph'
    """
    found = measured.get(dtype, ())
    return asked if asked in found or not found else found[0]
