"""Products of experts: composed graphs against traces of the modules that transformers builds.

A trace holds each product of a mixture as one `GroupedMatMul` over all experts. A composed graph holds it as `BMM` over
the experts that are expected to have work: together they are the same rows, and the bytes of a grouped product over
those experts.
"""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest

from hetbench.graphs.huggingface import compose
from hetbench.graphs.huggingface.feedforward import expected_experts
from hetbench.operators import operator_type
from hetbench.tracing import trace

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")

BASE = {"vocab_size": 99, "hidden_size": 64, "intermediate_size": 160, "num_hidden_layers": 2, "num_attention_heads": 4,
        "num_key_value_heads": 2}  # fmt: skip
TWO = {**BASE, "num_experts_per_tok": 2}
LATENT = {"kv_lora_rank": 16, "q_lora_rank": 24, "qk_nope_head_dim": 16, "qk_rope_head_dim": 8, "v_head_dim": 16,
          "num_key_value_heads": 4, "n_group": 2, "topk_group": 1}  # fmt: skip
INNER = {"moe_intermediate_size": 48}
CASES = {
    "mixtral": ("Mixtral", {**TWO, "num_local_experts": 8}),
    "qwen2_moe": ("Qwen2Moe", {**TWO, **INNER, "num_experts": 8, "shared_expert_intermediate_size": 48}),
    "qwen3_moe": ("Qwen3Moe", {**TWO, **INNER, "num_experts": 8, "head_dim": 16}),
    "olmoe": ("Olmoe", {**TWO, "num_experts": 8}),
    "granitemoe": ("GraniteMoe", {**TWO, "num_local_experts": 8}),
    "glm4_moe": ("Glm4Moe", {**TWO, **INNER, "n_routed_experts": 8, "head_dim": 16, "first_k_dense_replace": 1}),
    "dots1": ("Dots1", {**TWO, **INNER, "n_routed_experts": 8, "first_k_dense_replace": 1, "n_shared_experts": 1}),
    "minimax_m2": ("MiniMaxM2", {**TWO, "num_local_experts": 8, "head_dim": 16}),
    "hunyuan_v1_moe": ("HunYuanMoEV1", {**BASE, "num_experts": 8, "moe_topk": 2, "head_dim": 16}),
    "ernie4_5_moe": ("Ernie4_5_Moe", {**BASE, **INNER, "moe_num_experts": 8, "moe_k": 2}),
    "deepseek_v3": ("DeepseekV3", {**TWO, **LATENT, **INNER, "n_routed_experts": 8, "first_k_dense_replace": 1}),
    "gpt_oss": ("GptOss", {**TWO, "num_local_experts": 8, "head_dim": 16}),
}
TOKENS = 3


def _traced(stem: str, values: dict[str, Any]) -> Counter[Any]:
    """Grouped products of one pass over `TOKENS` tokens."""
    with torch.device("meta"):
        network = getattr(transformers, f"{stem}ForCausalLM")(getattr(transformers, f"{stem}Config")(**values)).eval()
    graph = trace(network, torch.zeros(1, TOKENS, dtype=torch.long))
    nodes = graph.nodes(1, None, None, "bf16", "inference")
    return Counter(tuple(sorted(node.dims.items())) for node in nodes if node.op == "GroupedMatMul")


def _composed(kind: str, values: dict[str, Any]) -> list[tuple[int, list[dict[str, int]]]]:
    """(times, the batched products that are one product of all experts), for each width of each block."""
    graph = compose({**values, "model_type": kind})
    found: list[tuple[int, list[dict[str, int]]]] = []
    for piece in graph.pieces(graph.setting(1, TOKENS, None, "bf16", "inference")):
        products = [dict(step.dims) for step in piece.block.steps if step.op == "BMM"]
        for width in dict.fromkeys((d["n"], d["k"]) for d in products):
            found.append((piece.times, [d for d in products if (d["n"], d["k"]) == width]))
    return found


@pytest.mark.parametrize("kind", CASES)
def test_products_of_experts_are_the_traced_ones_over_the_experts_that_have_work(kind: str):
    busy, batched, grouped = expected_experts(8, 2, TOKENS), operator_type("BMM"), operator_type("GroupedMatMul")
    assert busy == 5  # 8 (1 - (6/8)^3) = 4.6
    as_grouped: Counter[Any] = Counter()
    for times, parts in _composed(kind, CASES[kind][1]):
        rows = sum(d["b"] * d["m"] for d in parts)
        dims = {"groups": busy, "m": rows, "n": parts[0]["n"], "k": parts[0]["k"]}
        assert sum(d["b"] for d in parts) == busy
        assert sum(batched.flops(d) for d in parts) == grouped.flops(dims)
        assert sum(batched.bytes_moved(d, 2) for d in parts) == grouped.bytes_moved(dims, 2)
        as_grouped[tuple(sorted({**dims, "groups": 8}.items()))] += times
    assert as_grouped
    assert as_grouped == _traced(*CASES[kind])
