"""Formats of stored weights: their bits, the words for them, what a chip multiplies them in, what they leave plain."""

from __future__ import annotations

import pytest

from hetbench import HetBench
from hetbench.catalog.chips import chip
from hetbench.errors import RefusedError, UnknownNameError
from hetbench.formats import FORMATS, STORED, named_format
from hetbench.graphs import load
from hetbench.graphs.huggingface import checkpoints, compose
from hetbench.schema import PRECISIONS, element, itemsize, precision, weight_bytes
from hetbench.serving.formats import weight_format

LLAMA, OSS = "meta-llama/Meta-Llama-3.1-8B", "openai/gpt-oss-20b"


def test_bits_of_a_weight_count_its_scales():
    assert 8 * FORMATS["mxfp4"].weight_bytes == 4 + 8 / 32
    assert 8 * FORMATS["nvfp4"].weight_bytes == 4 + 8 / 16
    assert 8 * FORMATS["nf4"].weight_bytes == 4 + 32 / 64
    assert 8 * FORMATS["w4a16"].weight_bytes == pytest.approx(4 + (16 + 4) / 128, abs=0.005)


@pytest.mark.parametrize(
    ("word", "meant"),
    [("AWQ", "w4a16"), ("int4", "w4a16"), ("gptq+fp16", "w4a16"), ("int8-weight", "w8a16"), ("w:q4_k_m", "q4_k_m"),
     ("Q4_K_M", "q4_k_m"), ("UD-Q4_K_XL", "q4_k_m"), ("MXFP4", "mxfp4"), ("fp16", None), ("int8", None),
     ("q9_9", None)],
)  # fmt: skip
def test_a_format_is_known_by_every_word_for_it(word: str, meant: str | None):
    assert named_format(word) == meant


def test_serving_and_queries_mean_the_same_format_by_the_same_word():
    for word in ("awq", "int4", "mxfp4", "nvfp4", "Q4_K_M", "w8a16"):
        assert weight_format(word).name == precision(word)


def test_a_stored_format_has_activations_of_a_precision_of_elements():
    for name in STORED:
        assert element(name) in PRECISIONS
        assert itemsize(name) == itemsize(element(name)) == 2
        assert weight_bytes(name) < itemsize(name)


def test_an_unknown_precision_is_refused_with_the_nearest_of_both_kinds():
    with pytest.raises(UnknownNameError, match="Did you mean 'nvfp4'"):
        precision("nvfp5")


def test_a_chip_multiplies_in_the_narrowest_units_that_its_datasheet_states():
    assert chip("nvidia-b200-sxm-180gb").peak_flops("nvfp4") == 9000e12
    assert chip("nvidia-h100-sxm5-80gb").peak_flops("nvfp4") == chip("nvidia-h100-sxm5-80gb").peak_flops("bf16")
    assert chip("nvidia-v100-sxm2-16gb").computed_in("w4a16") == "fp16"


def test_the_memory_of_gpt_oss_is_the_size_of_its_published_files():
    graph = compose(checkpoints()[OSS].config, OSS)
    assert graph.weights_bytes("mxfp4") / 2**30 == pytest.approx(12.8, abs=0.05)  # model card: 12.8 GiB
    assert graph.weights_bytes("bf16") == 2 * graph.params


def test_a_gguf_file_has_the_published_size_and_stores_the_embedding_too():
    graph = compose(checkpoints()[LLAMA].config, LLAMA)
    for name, gibibytes in (("q4_k_m", 4.58), ("q8_0", 7.95), ("q2_k", 2.95)):  # tools/quantize/README.md
        assert graph.weights_bytes(name) / 2**30 == pytest.approx(gibibytes, abs=0.01)


def test_weights_only_formats_leave_embedding_norms_and_output_layer_plain():
    graph = compose(checkpoints()[LLAMA].config, LLAMA)
    head = 128_256 * 4096
    layers = graph.params - 2 * head - 65 * 4096
    assert graph.weights_bytes("w4a16") == round(layers * 0.52) + 2 * (2 * head + 65 * 4096)
    table = graph.operators(1, 128, precision="w4a16", phase="decode")
    (plain,) = [group for group in table.groups if group.op == "Linear" and group.dtype == "bf16"]
    assert plain.dims["n"].tolist() == [128_256]


def test_a_mixture_stores_its_experts_only():
    table = compose(checkpoints()[OSS].config, OSS).operators(1, 128, precision="mxfp4", phase="decode")
    stored = {group.op for group in table.groups if group.dtype == "mxfp4"}
    assert stored == {"BMM"}
    dense = load("gpt2").operators(1, 8, precision="mxfp4")
    assert {group.op for group in dense.groups if group.dtype == "mxfp4"} == {"Linear"}


def test_bytes_moved_are_less_by_what_the_format_spares():
    graph = load("gpt2")
    plain, stored = (graph.operators(1, 8, precision=name) for name in ("bf16", "w8a16"))
    weights = 12 * 12 * 768**2  # q, k, v, output, and both of the MLP in each layer
    assert plain.bytes - stored.bytes == weights
    assert plain.flops == stored.flops


def test_nodes_and_table_agree_on_what_is_stored():
    graph = load("gpt2")
    nodes = sum(node.dtype == "w4a16" for node in graph.nodes(1, 8, precision="w4a16"))
    table = sum(int(g.count.sum()) for g in graph.operators(1, 8, precision="w4a16").groups if g.dtype == "w4a16")
    assert nodes == table == 48


@pytest.mark.parametrize("phase", ["prefill", "decode"])
def test_narrower_weights_are_never_slower_and_gain_most_in_decode(phase: str):
    api = HetBench()
    wide, stored = (
        api.query(LLAMA, target="nvidia-a100-sxm4-80gb", metric="latency", phase=phase, precision=name, seq_len=512)
        for name in ("bf16", "w4a16")
    )
    gain = wide.value / stored.value
    assert 1 <= gain < 4.16
    assert (gain > 1.2) == (phase == "decode")
    assert (stored.upper or 0) / stored.value > (wide.upper or 0) / wide.value
    assert stored.precision == "w4a16"
    assert any("4.16 bits, scales included; products in bf16" in note for note in stored.notes)


def test_fp4_units_make_large_products_faster_where_a_chip_has_them():
    api, shape = HetBench(), {"m": 8192, "n": 8192, "k": 8192}
    for name, faster in (("nvidia-b200-sxm-180gb", True), ("nvidia-h100-sxm5-80gb", False)):
        narrow, half = (
            api.query_operator("Linear", shape, device=name, precision=each).value for each in ("nvfp4", "bf16")
        )
        assert (narrow < 0.7 * half) == faster


def test_what_starts_from_elements_refuses_stored_weights_in_words():
    api = HetBench(search_space="gpt-s")
    with pytest.raises(RefusedError, match="answered in a precision of elements"):
        api.query_batch([api.sample_arch(0)], device="cuda", precision="w4a16")
    with pytest.raises(RefusedError, match=r"plans start from a precision of elements.*'bf16'"):
        api.advise("bert-tiny", target="cuda", precision="w4a16")
    with pytest.raises(RefusedError, match="states no peak in int8"):
        api.query("gpt2", target="nvidia-v100-sxm2-16gb", metric="latency", precision="w4a8")
    row = {"op": ["Linear"], "dims": [{"m": 8, "n": 8, "k": 8}], "dtype": ["w4a16"], "chip": ["cuda"]}
    assert "not in w4a16" in str(api.observe({**row, "latency_ms": [0.1]})["reason"][0])
