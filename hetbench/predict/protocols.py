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
from hetbench.errors import ArtifactError
from hetbench.schema import PROTOCOLS

__all__ = [
    "DEFAULT_MHZ", "DEVICE_PROTOCOLS", "FLOOR_QUANTILE", "convert_protocol", "launch_floor", "measured_protocol",
]  # fmt: skip

FLOOR_QUANTILE = 0.02
"""Quantile of the latencies of small operators that is taken for the launch floor."""
DEVICE_PROTOCOLS = ("kernel", "graph")
"""Protocols whose floor is time on the device, so that it scales with the clock."""
DEFAULT_MHZ = 1500.0
"""Clock assumed for chips that state none."""


def launch_floor(table: Mapping[str, Mapping[str, float]], chip: Chip, cls: str, protocol: str) -> float:
    """Launch floor in ms of an operator class: that of the chip, else of its family, else of all chips.

    `table` maps a chip name to "class/protocol" -> ms, and "family:NAME" and "any" to values that for device protocols
    hold at 1 GHz: the start-up of a kernel is a number of cycles, so it is scaled to the clock of the chip. Raises
    `ArtifactError` for a protocol without a floor.
    """
    key = f"{cls}/{protocol}"
    own = table.get(chip.name, {})
    if key in own:
        return own[key]
    for group in (f"family:{chip.family}", "any"):
        found = table.get(group, {}).get(key)
        if found is not None:
            return found * 1e3 / (chip.boost_mhz or DEFAULT_MHZ) if protocol in DEVICE_PROTOCOLS else found
    raise ArtifactError(f"no launch floor for {key!r}; known protocols: {', '.join(PROTOCOLS)}")


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
