"""DeBERTa's first version, whose module no trace can follow: it slices its table by the value of a tensor."""

from __future__ import annotations

import pytest

from hetbench.graphs.huggingface import compose
from hetbench.operators import operator_type

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")

SMALL = {"vocab_size": 99, "hidden_size": 64, "intermediate_size": 160, "num_hidden_layers": 2,
         "num_attention_heads": 4, "relative_attention": True, "position_biased_input": False, "type_vocab_size": 0,
         "max_position_embeddings": 16}  # fmt: skip


@pytest.mark.parametrize(("kinds", "length"), [("c2p|p2c", 7), ("c2p|p2c", 16), ("c2p", 9), ("p2c", 9)])
def test_parameters_and_products_are_those_of_the_module(kinds: str, length: int):
    from torch.utils.flop_counter import FlopCounterMode

    values = {**SMALL, "pos_att_type": kinds}
    module = transformers.DebertaModel(transformers.DebertaConfig(**values)).eval().requires_grad_(False)
    graph = compose({**values, "model_type": "deberta"})
    assert graph.params == sum(each.numel() for each in module.parameters())
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        module(torch.zeros(2, length, dtype=torch.long))
    products = 0
    for group in graph.operators(2, length).groups:
        kind = operator_type(group.op)
        if kind.cost_class in ("gemm", "attention"):
            dims = {**group.dims, **({"bias": 0 * group.count} if "bias" in group.dims else {})}
            products += int((kind.flops(dims) * group.count).sum())
    assert products == counter.get_total_flops()
