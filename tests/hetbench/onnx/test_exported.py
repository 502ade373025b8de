"""Networks exported by both of PyTorch's exporters have the operators that a trace of the same module has."""

from __future__ import annotations

from collections import Counter

import pytest

pytest.importorskip("onnx")
torch = pytest.importorskip("torch")

from hetbench.onnx import read  # noqa: E402
from hetbench.operators import operator_type  # noqa: E402
from hetbench.tracing import trace  # noqa: E402
from tests.hetbench.onnx.exported import FOLDER, NETWORKS  # noqa: E402

PRODUCTS = ("gemm", "conv", "attention")


def _counts(graph, **sizes):
    """Runs of each product by type and dims, and of every other type that costs time by type alone."""
    products, others = Counter(), Counter()
    for row in graph.operators(**sizes).rows():
        kind = operator_type(row["op"]).cost_class
        if kind in PRODUCTS:
            products[row["op"], tuple(sorted(row["dims"].items()))] += row["count"]
        elif kind != "free":
            others[row["op"]] += row["count"]
    return products, others


@pytest.mark.parametrize("name", NETWORKS)
def test_an_exported_network_has_the_products_parameters_and_memory_of_its_trace(name: str):
    own = NETWORKS[name]
    traced = trace(own.module(), own.inputs())
    first = next(iter(own.shapes.values()))
    free = {"seq_len": first[1]} if "seq" in own.free.get("input_ids", {}).values() else {}
    graph = read(FOLDER / f"{name}.onnx", batch=first[0], **free)
    (products, others), (expected, near) = _counts(graph), _counts(traced)
    assert products == expected
    differs = (others - near) + (near - others)
    assert differs.total() <= 0.25 * near.total(), (others - near, near - others)
    assert graph.params == pytest.approx(traced.params + own.twice, rel=5e-3)
    assert graph.memory().activations_peak_bytes == pytest.approx(traced.memory().activations_peak_bytes, rel=0.25)
