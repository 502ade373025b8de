"""Contribution-based operator performance attribution (COPA): which groups of operators make a latency, or its change
from one chip to another, by Shapley values, and where each operator stands under the roofline of a chip.

`copa` attributes, over the game that `placement` describes and the values that `shapley` computes; `rooflines` times
every operator by itself; `results` holds the records that are returned.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from hetbench.plugins import lazy_exports

if TYPE_CHECKING:
    from hetbench.attribution.copa import DEPTH, GROUPINGS, attribute, fuses, link_rate
    from hetbench.attribution.placement import Flow, flow
    from hetbench.attribution.results import Attribution, GroupShare, OperatorShare
    from hetbench.attribution.rooflines import BOUNDS, RooflinePoint, combined, roofline_points

__all__ = ["BOUNDS", "DEPTH", "GROUPINGS", "Attribution", "Flow", "GroupShare", "OperatorShare", "RooflinePoint",
           "attribute", "combined", "flow", "fuses", "link_rate", "roofline_points"]

__getattr__ = lazy_exports(
    __name__,
    {
        "copa": "DEPTH GROUPINGS attribute fuses link_rate",
        "placement": "Flow flow",
        "results": "Attribution GroupShare OperatorShare",
        "rooflines": "BOUNDS RooflinePoint combined roofline_points",
    },
)
