"""Composed graphs of full size against the auxiliary graphs that were traced from the same networks."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest

from hetbench.graphs import names, networks
from hetbench.graphs.huggingface import ConfigGraph
from hetbench.operators import operator_type

TWINS = [name for name in networks.names() if isinstance(names._network(name), ConfigGraph)]


def _rows(table: Any) -> Counter[Any]:
    return Counter({
        (row["op"], row["dtype"], tuple(sorted(row["dims"].items()))): row["count"] for row in table.rows()
        if operator_type(row["op"]).cost_class != "free" and row["op"] != "RoPE"
    })  # fmt: skip


@pytest.mark.parametrize("name", TWINS)
@pytest.mark.parametrize("phase", ["inference", "prefill", "decode"])
def test_a_network_is_composed_of_the_operators_that_were_traced(name: str, phase: str):
    composed, traced = names._network(name), networks.load(name)
    assert composed.params == traced.params
    assert _rows(composed.operators(2, 64, None, "fp16", phase)) == _rows(traced.operators(2, 64, None, "fp16", phase))


def test_most_language_models_among_the_networks_are_composed_and_so_know_their_memory():
    assert len(TWINS) >= 35
    assert names.find("llama-2-7b").memory(1, 512, precision="fp16").weights_bytes == 2 * 6_738_415_616
