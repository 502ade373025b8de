"""Image sizes that a compact network was not traced at, derived from one that it was."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest

from hetbench.errors import RefusedError
from hetbench.graphs import networks
from hetbench.graphs.resized import ResizableGraph
from hetbench.operators import operator_type

DERIVED = ("resnet152", "resnet18", "resnet34", "convnext_tiny", "convnext_nano")
NOT_ALWAYS = ("efficientnet_b1", "regnety_160", "tv-mobilenet_v2-0.5", "ecaresnet50t", "seresnet50", "tresnet_l")
"""Of these some sizes are refused, since vectors of channels look like small maps."""


def _rows(table: Any) -> Counter[Any]:
    """Operators that run something."""
    return Counter({
        (row["op"], row["dtype"], tuple(sorted(row["dims"].items()))): row["count"] for row in table.rows()
        if operator_type(row["op"]).cost_class != "free"
    })  # fmt: skip


@pytest.mark.parametrize("name", [*DERIVED, *NOT_ALWAYS])
def test_a_size_derived_from_another_is_what_was_traced_or_is_refused(name: str):
    full = networks.load(name)
    compared = 0
    for known in full.traced:
        for other in set(full.traced) - {known}:
            alone = ResizableGraph({**full._table, "limits": {**full._table["limits"], "image_sizes": [known]}})
            try:
                derived = alone.operators(2, image_size=other)
            except RefusedError:
                continue
            assert _rows(derived) == _rows(full.operators(2, image_size=other))
            compared += 1
    assert compared or name in NOT_ALWAYS


def test_work_grows_with_the_square_of_the_image():
    graph = networks.load("resnet152")
    small, large = (graph.operators(1, image_size=size).flops for size in (256, 512))
    assert large / small == pytest.approx(4, rel=0.002)  # all but the classifier, which sees one vector


def test_a_size_that_breaks_a_map_is_refused_with_the_nearest_that_does_not():
    with pytest.raises(RefusedError, match=r"multiples of 32 such as 256, not at 250"):
        networks.load("resnet152").operators(1, image_size=250)


def test_a_network_that_attends_is_refused_with_the_way_out():
    with pytest.raises(RefusedError, match=r"attends over tokens.*api\.trace"):
        networks.load("timm-swin_base_patch4_window7_224").operators(1, image_size=256)
