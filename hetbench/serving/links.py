"""The link between the chips of one node: rate in one direction, and how many chips it joins.

Rates are the catalogue's `interconnect_gbs`, which datasheets state as the sum of both directions. Chips of one node
are joined all to all (NVLink switch, Infinity Fabric mesh, HCCS) or over PCIe; links between nodes are not modelled,
and only copies that exchange nothing may be on several.
"""

from __future__ import annotations

from dataclasses import dataclass

from hetbench.catalog.chips import Chip
from hetbench.errors import RefusedError

__all__ = ["Link", "link_of"]

_NODES = {"nvidia-gb200": 72, "nvidia-gb300": 72, "huawei-ascend-910c-die": 16}
"""Chips that one link domain joins where it is not eight: NVL72 (NVIDIA GB200 NVL72 datasheet), 16 dies of an Atlas
800 A3 (vllm-project/vllm-ascend documentation)."""
_USUAL_NODE = 8


@dataclass(frozen=True, slots=True)
class Link:
    """The link of a chip to the others of its node."""

    rate: float
    """Bytes per second that a chip can send while it receives as many."""
    chips: int
    """Chips that the link joins."""
    kind: str


def link_of(chip: Chip, chips: int) -> Link:
    """The link for a deployment on `chips` chips; for one chip none is needed and its rate is without meaning.

    Raises `RefusedError` where the catalogue states no link, or the deployment is larger than a node.

    >>> from hetbench.catalog.chips import chip
    >>> link_of(chip("nvidia-h100-sxm5-80gb"), 8)
    Link(rate=450000000000.0, chips=8, kind='NVLink 4')
    """
    node = _NODES.get(chip.name, _USUAL_NODE)
    if chips > node:
        raise RefusedError(
            f"{chips} x {chip.name} that work on one request span nodes of {node}, and no rows teach the links between "
            f"nodes. Keep each copy on at most {node} chips; copies of their own may be on several nodes "
            f"(parallel='tp{node}dp{-(-chips // node)}')."
        )
    if chips > 1 and not chip.interconnect_gbs:
        raise RefusedError(f"the catalogue states no link between chips of {chip.name}: only chips=1 can be answered.")
    rate = (chip.interconnect_gbs or 0.0) * 1e9 / 2
    return Link(rate, node, chip.interconnect_type or "unknown")
