"""The 34 graphs against what is published of the networks: multiply-adds, operators a layer, shapes worked by hand."""

from __future__ import annotations

from collections import Counter

import pytest

from hetbench.catalog.models import models
from hetbench.graphs import OperatorTable, load
from hetbench.operators import operator_types

GENERATING = [name for name in models() if "decode" in load(name).phases]


def rows(name: str, op: str, **asked) -> list[dict]:
    return [row for row in load(name).operators(**asked).rows() if row["op"] == op]


def counts(table: OperatorTable) -> Counter[str]:
    found: Counter[str] = Counter()
    for group in table.groups:
        found[group.op] += int(group.count.sum())
    return found


def multiply_adds(table: OperatorTable) -> int:
    """Of products and convolutions, as the field counts them: no biases, a causal mask saves nothing."""
    total = 0
    for group in table.groups:
        kind, dims = operator_types()[group.op], dict(group.dims)
        if kind.cost_class in ("gemm", "conv", "attention"):
            dims.update({name: 0 * group.count for name in ("bias", "causal", "window") if name in dims})
            total += int((kind.flops(dims) * group.count).sum())
    return total // 2


# ---- published and hand-made totals ----------------------------------------------------------------------------------

# "_ops" of the weights in pytorch/vision: torchvision/models/*.py, 224 pixels; DeiT and BEiT are ViT's products
GMACS = {
    "resnet-50": 4.089, "vit-base": 17.564, "deit-base": 17.564, "beit-base": 17.564, "swin-base": 15.431,
    "mobilenet-v2": 0.301, "efficientnet-b0": 0.386, "convnext-base": 15.355,
}  # fmt: skip


@pytest.mark.parametrize(("name", "published"), GMACS.items())
def test_multiply_adds_of_vision_models_are_the_published_ones(name: str, published: float):
    assert round(multiply_adds(load(name).operators(image_size=224)) / 1e9, 3) == published


def test_multiply_adds_of_regnet_and_clip_are_the_published_ones():
    assert multiply_adds(load("regnet-y-4gf").operators()) / 1e9 == pytest.approx(4.0, rel=0.01)  # its name
    assert round(2 * multiply_adds(load("clip-vit-l-14").operators()) / 1e9, 2) == 175.33  # open_clip's profile


@pytest.mark.parametrize(("name", "layers", "width", "inner"), [
    ("bert-base", 12, 768, 3072), ("roberta-base", 12, 768, 3072), ("bert-tiny", 2, 128, 512),
    ("bert-mini", 4, 256, 1024), ("distilbert-base", 6, 768, 3072),
])  # fmt: skip
def test_multiply_adds_of_encoders_by_hand(name: str, layers: int, width: int, inner: int):
    tokens = 100
    layer = tokens * (4 * width * width + 2 * width * inner) + 2 * tokens * tokens * width
    pooler = 0 if name == "distilbert-base" else width * width
    assert multiply_adds(load(name).operators(seq_len=tokens)) == layers * layer + pooler


def test_multiply_adds_of_albert_repeat_its_one_layer():
    layer = 100 * (4 * 768 * 768 + 2 * 768 * 3072) + 2 * 100 * 100 * 768
    assert multiply_adds(load("albert-base").operators(seq_len=100)) == 12 * layer + 100 * 128 * 768 + 768 * 768


def test_multiply_adds_of_whisper_by_hand():
    width, mel, tokens, frames = 1280, 128, 20, 1500
    stem = 3 * width * (3000 * mel + frames * width)
    encoder = frames * 12 * width**2 + 2 * frames**2 * width
    decoder = tokens * 14 * width**2 + 2 * frames * width**2 + 2 * tokens * (tokens + frames) * width
    expected = stem + 32 * (encoder + decoder) + tokens * width * 51866
    assert multiply_adds(load("whisper-large-v3").operators(seq_len=tokens)) == expected


@pytest.mark.parametrize("name", ["yi-6b", "mistral-7b", "qwen2.5-7b", "tinyllama-1.1b", "internlm-7b", "phi-3-mini"])
def test_a_decoded_token_meets_every_weight_but_the_embedding_once(name: str):
    config = models()[name].config
    width, layers = config["hidden_size"], config["num_hidden_layers"]
    products = rows(name, "Linear", batch=1, seq_len=9, phase="decode")
    weights = sum(row["count"] * row["dims"]["k"] * row["dims"]["n"] for row in products)
    biases = sum(row["count"] * row["dims"]["bias"] * row["dims"]["n"] for row in products)
    assert weights + biases + config["vocab_size"] * width + (2 * layers + 1) * width == load(name).params


# ---- operators a layer -----------------------------------------------------------------------------------------------

LLAMA = {"Linear": 7, "RMSNorm": 2, "Attention": 1, "RoPE": 1, "SiLU": 1, "Add": 2}
GPT = {"Linear": 4, "LayerNorm": 2, "Attention": 1, "GELU": 1, "Add": 2}
VIT = {"Linear": 6, "LayerNorm": 2, "Attention": 1, "GELU": 1, "Add": 2}
LAYERS = [  # name, layers, operators of one, operators before and after them
    ("qwen2.5-7b", 28, LLAMA, {"Linear": 1, "RMSNorm": 1, "Embedding": 1}),
    ("mistral-7b", 32, LLAMA, {"Linear": 1, "RMSNorm": 1, "Embedding": 1}),
    ("tinyllama-1.1b", 22, LLAMA, {"Linear": 1, "RMSNorm": 1, "Embedding": 1}),
    ("yi-6b", 32, LLAMA, {"Linear": 1, "RMSNorm": 1, "Embedding": 1}),
    ("internlm-7b", 32, LLAMA, {"Linear": 1, "RMSNorm": 1, "Embedding": 1}),
    ("phi-3-mini", 32, {**LLAMA, "Linear": 4}, {"Linear": 1, "RMSNorm": 1}),
    ("stablelm-3b", 32, {"Linear": 7, "LayerNorm": 2, "Attention": 1, "RoPE": 1, "SiLU": 1, "Add": 2},
     {"Linear": 1, "LayerNorm": 1}),
    ("pythia-1.4b", 24, {**GPT, "RoPE": 1}, {"Linear": 1, "LayerNorm": 1}),
    ("redpajama-3b", 32, {**GPT, "RoPE": 1}, {"Linear": 1, "LayerNorm": 1}),
    ("falcon-7b", 32, {**GPT, "LayerNorm": 1, "RoPE": 1}, {"Linear": 1, "LayerNorm": 1}),
    ("gpt2", 12, GPT, {"Linear": 1, "LayerNorm": 1, "Embedding": 2, "Add": 1}),
    ("bloom-560m", 24, GPT, {"Linear": 1, "LayerNorm": 2, "Embedding": 1}),
    ("gpt-neo-1.3b", 24, {**GPT, "Linear": 6}, {"Linear": 1, "LayerNorm": 1, "Embedding": 2, "Add": 1}),
    ("opt-1.3b", 24, {"Linear": 6, "LayerNorm": 2, "Attention": 1, "ReLU": 1}, {"Linear": 1, "LayerNorm": 1}),
    ("vit-base", 12, VIT, {"Linear": 1, "LayerNorm": 1, "Conv2d": 1, "Concat": 1, "Add": 1}),
    ("deit-base", 12, VIT, {"Linear": 1, "LayerNorm": 1, "Conv2d": 1, "Concat": 1, "Add": 1}),
    ("dinov2-base", 12, {**VIT, "Mul": 2}, {"LayerNorm": 1, "Conv2d": 1, "Interpolate": 1, "Add": 1}),
    ("beit-base", 12, {**VIT, "Mul": 2}, {"Linear": 1, "LayerNorm": 1, "Conv2d": 1, "Mean": 1}),
    ("swin-base", 24, {**VIT}, {"Linear": 4, "LayerNorm": 5, "Conv2d": 1, "Add": 11, "Concat": 3}),
    ("convnext-base", 36, {"Conv2d": 1, "LayerNorm": 1, "Linear": 2, "GELU": 1, "Mul": 1, "Add": 1},
     {"Conv2d": 4, "LayerNorm": 5, "Linear": 1, "Mean": 1}),
    ("bert-base", 12, VIT, {"Linear": 1, "LayerNorm": 1, "Embedding": 3, "Add": 2, "Tanh": 1}),
    ("albert-base", 12, VIT, {"Linear": 2, "LayerNorm": 1, "Embedding": 3, "Add": 2, "Tanh": 1}),
    ("distilbert-base", 6, VIT, {"LayerNorm": 1, "Embedding": 2, "Add": 1}),
    ("t5-base", 12, {"Linear": 16, "RMSNorm": 5, "Attention": 3, "ReLU": 2, "Add": 5},
     {"Linear": 1, "RMSNorm": 2, "Embedding": 4}),
    ("whisper-large-v3", 32, {"Linear": 16, "LayerNorm": 5, "Attention": 3, "GELU": 2, "Add": 5},
     {"Linear": 1, "LayerNorm": 2, "Conv1d": 2, "GELU": 2, "Embedding": 2, "Add": 2}),
    ("wav2vec2-base", 12, VIT, {"Linear": 2, "LayerNorm": 2, "Conv1d": 8, "GroupNorm": 1, "GELU": 8, "Add": 1}),
    ("clip-vit-l-14", 36, VIT, {"Linear": 2, "LayerNorm": 3, "Conv2d": 1, "Embedding": 3, "MatMul": 1, "Add": 2}),
]  # fmt: skip


@pytest.mark.parametrize(("name", "layers", "one", "around"), LAYERS, ids=[each[0] for each in LAYERS])
def test_layers_have_the_operators_of_their_architecture(name: str, layers: int, one: dict, around: dict):
    found = counts(load(name).operators(batch=2, phase="inference"))
    expected = Counter({op: layers * times for op, times in one.items()}) + Counter(around)
    assert {op: found[op] for op in expected} == dict(expected)


@pytest.mark.parametrize(("name", "convolutions", "depthwise"), [
    ("mobilenet-v2", 52, 17), ("efficientnet-b0", 81, 16), ("convnext-base", 40, 36), ("resnet-50", 53, 0),
])  # fmt: skip
def test_depthwise_convolutions_have_a_group_for_each_channel(name: str, convolutions: int, depthwise: int):
    found = rows(name, "Conv2d")
    assert sum(row["count"] for row in found) == convolutions
    assert sum(row["count"] for row in found if row["dims"]["groups"] == row["dims"]["c"] > 1) == depthwise


def test_regnet_convolves_in_groups_of_64_channels():
    grouped = [row for row in rows("regnet-y-4gf", "Conv2d") if row["dims"]["kh"] == 3 and row["dims"]["c"] > 3]
    assert {row["dims"]["c"] // row["dims"]["groups"] for row in grouped} == {64}
    assert sum(row["count"] for row in grouped) == 2 + 6 + 12 + 2


def test_a_pool_larger_than_the_image_covers_it():
    (pool,) = rows("efficientnet-b0", "AvgPool2d", image_size=224)
    assert pool["dims"] == {"n": 1, "c": 1280, "h": 7, "w": 7, "kh": 7, "kw": 7, "stride": 7, "pad": 0}


# ---- structures that a setting chooses -------------------------------------------------------------------------------


@pytest.mark.parametrize(("name", "same", "other"), [
    ("vit-base", (224, 225, 239), (223, 240)), ("clip-vit-l-14", (224, 237), (223, 238)),
    ("dinov2-base", (518, 531), (224, 517, 532)),
])  # fmt: skip
def test_position_tables_are_interpolated_when_the_number_of_patches_changes(name: str, same: tuple, other: tuple):
    assert not any(rows(name, "Interpolate", image_size=size) for size in same)
    assert all(len(rows(name, "Interpolate", image_size=size)) == 1 for size in other)


def test_swin_shifts_no_window_where_one_covers_the_image():
    blocks = {size: sum(row["count"] for row in rows("swin-base", "Add", image_size=size)) for size in (224, 448)}
    assert blocks[448] - blocks[224] == 1  # the second block of the last stage has a mask to add


def test_clip_compares_every_text_with_every_image():
    (row,) = rows("clip-vit-l-14", "MatMul", batch=5)
    assert row["dims"] == {"m": 5, "n": 5, "k": 768}
    masks = {row["dims"]["q_len"]: row["dims"]["causal"] for row in rows("clip-vit-l-14", "Attention", seq_len=40)}
    assert masks == {257: 0, 40: 1}


# ---- caches ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", GENERATING)
def test_caches_hold_keys_and_values_of_every_layer(name: str):
    config, (batch, length, width) = models()[name].config, (3, 40, 2)
    cached = load(name).memory(batch=batch, seq_len=length, precision="bf16", phase="decode").kv_cache_bytes
    if name in ("t5-base", "whisper-large-v3"):  # and the encoder's for the attention across
        layers, inner = (12, 768) if name == "t5-base" else (32, 1280)
        tokens = length + 1 + (length if name == "t5-base" else 1500)
    else:
        layers = next(config[key] for key in ("num_hidden_layers", "n_layer", "num_layers") if key in config)
        heads = next(config[key] for key in ("num_attention_heads", "n_head", "num_heads") if key in config)
        hidden = next(config[key] for key in ("hidden_size", "n_embd") if key in config)
        kept = 1 if config.get("multi_query") else config.get("num_key_value_heads", heads)
        tokens, inner = length + 1, kept * hidden // heads
    assert cached == 2 * layers * batch * tokens * inner * width


@pytest.mark.parametrize("name", GENERATING)
def test_decoding_does_the_work_of_one_token(name: str):
    prefill, decode = (load(name).operators(seq_len=64, phase=phase) for phase in ("prefill", "decode"))
    assert decode.flops < prefill.flops / 8
    assert {row["dims"]["q_len"] for row in decode.rows() if row["op"] == "Attention"} == {1}
