"""Composed graphs against traces of the modules that transformers builds from the same configuration.

A tiny network of each model type is traced on the meta device, without weights, and compared operator by operator.
Where both write a thing in another way, `LOOSE` says what and why; all other operators must agree there too. Modules
of experts are stood in for, since a trace holds grouped products over all experts and a composed graph those over the
experts that have work: `test_experts` compares them.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import pytest

from hetbench.graphs import GraphNode
from hetbench.graphs.huggingface import compose
from hetbench.operators import operator_type

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")

from data_collection.extract import build  # noqa: E402 - it needs torch

TEXT = {"vocab_size": 99, "hidden_size": 64, "intermediate_size": 160, "num_hidden_layers": 2,
        "num_attention_heads": 4}  # fmt: skip
GROUPED = {**TEXT, "num_key_value_heads": 2}
NO_PAD = {**GROUPED, "pad_token_id": 0}
ROUTED = {**GROUPED, "num_experts_per_tok": 2}
LATENT = {"kv_lora_rank": 16, "q_lora_rank": 24, "qk_nope_head_dim": 16, "qk_rope_head_dim": 8, "v_head_dim": 16,
          "num_key_value_heads": 4}  # fmt: skip
PAIR = {"vocab_size": 99, "d_model": 64, "encoder_layers": 2, "decoder_layers": 2, "encoder_attention_heads": 4,
        "decoder_attention_heads": 4, "encoder_ffn_dim": 160, "decoder_ffn_dim": 160, "pad_token_id": 0}  # fmt: skip
T5 = {"vocab_size": 99, "d_model": 64, "d_kv": 16, "d_ff": 160, "num_layers": 2, "num_heads": 4}
IMAGE = {"hidden_size": 64, "intermediate_size": 160, "num_hidden_layers": 2, "num_attention_heads": 4,
         "image_size": 64, "patch_size": 16}  # fmt: skip
SOUND = {"hidden_size": 64, "intermediate_size": 160, "num_hidden_layers": 2, "num_attention_heads": 4,
         "conv_dim": (32,) * 7, "num_conv_pos_embedding_groups": 4}  # fmt: skip


@dataclass(frozen=True)
class Case:
    """One configuration of a model type and the class that is traced."""

    kind: str
    architecture: str
    values: dict[str, Any] = field(hash=False)
    config: str = ""
    inputs: str = "text"
    precisions: tuple[str, ...] = ("fp16", "bf16")

    @property
    def name(self) -> str:
        return f"{self.kind}-{'-'.join(f'{k}={v}' for k, v in self.values.items() if k in _TELLING)}".rstrip("-")

    @property
    def generates(self) -> bool:
        """Traced with a cache too; that of GLM-5's indexer is of a kind of its own."""
        ends = ("CausalLM", "LMHeadModel", "ConditionalGeneration", "MTModel")
        return self.architecture.endswith(ends) and self.kind != "glm_moe_dsa"


_TELLING = ("new_decoder_architecture", "alibi", "feat_extract_norm", "qk_layernorm", "do_layer_norm_before",
            "norm_topk_prob", "multi_query")  # fmt: skip


def _llm(kind: str, stem: str, values: dict[str, Any] = GROUPED, **more: Any) -> Case:
    config = more.pop("config", f"{stem}Config")
    return Case(kind, f"{stem}ForCausalLM", {**values, **more}, config)


NEO = {"vocab_size": 99, "hidden_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4}
GPT = {"vocab_size": 99, "n_embd": 64, "n_layer": 2, "n_head": 4}
DENSE = [
    _llm("llama", "Llama", attention_bias=True, mlp_bias=True), _llm("mistral", "Mistral", sliding_window=5),
    _llm("qwen2", "Qwen2"), _llm("qwen3", "Qwen3", head_dim=16), _llm("gemma", "Gemma", head_dim=32),
    _llm("gemma2", "Gemma2", head_dim=32, sliding_window=5),
    _llm("gemma3_text", "Gemma3", head_dim=32, sliding_window=5, num_hidden_layers=7, config="Gemma3TextConfig"),
    _llm("phi", "Phi", num_key_value_heads=4), _llm("phi3", "Phi3", NO_PAD), _llm("olmo", "Olmo", NO_PAD),
    _llm("olmo2", "Olmo2", NO_PAD), _llm("olmo3", "Olmo3", NO_PAD, sliding_window=5, num_hidden_layers=4),
    _llm("glm", "Glm", NO_PAD, head_dim=16), _llm("glm4", "Glm4", NO_PAD, head_dim=16),
    _llm("stablelm", "StableLm", num_key_value_heads=4), _llm("starcoder2", "Starcoder2"),
    _llm("cohere", "Cohere"), _llm("cohere2", "Cohere2", sliding_window=5, num_hidden_layers=4),
    _llm("granite", "Granite"), _llm("smollm3", "SmolLM3", NO_PAD, num_hidden_layers=4),
    _llm("exaone4", "Exaone4", sliding_window=5, num_hidden_layers=4), _llm("nemotron", "Nemotron"),
    _llm("ernie4_5", "Ernie4_5"), _llm("seed_oss", "SeedOss", head_dim=16), _llm("arcee", "Arcee"),
    _llm("helium", "Helium", head_dim=16), _llm("hunyuan_v1_dense", "HunYuanDenseV1", head_dim=16),
    _llm("gpt_neox", "GPTNeoX", TEXT), _llm("bloom", "Bloom", {**NEO, "n_layer": 2, "n_head": 4}),
    _llm("gptj", "GPTJ", {**GPT, "rotary_dim": 8}), _llm("codegen", "CodeGen", {**GPT, "rotary_dim": 8}),
    _llm("gpt_bigcode", "GPTBigCode", GPT), Case("gpt2", "GPT2LMHeadModel", GPT, "GPT2Config"),
    _llm("gpt_neo", "GPTNeo", {"vocab_size": 99, "hidden_size": 64, "num_layers": 2, "num_heads": 4, "window_size": 5,
                               "attention_types": [[["global", "local"], 1]]}),
    _llm("opt", "OPT", {**NEO, "ffn_dim": 160, "word_embed_proj_dim": 64}),
    _llm("opt", "OPT", {**NEO, "ffn_dim": 160, "word_embed_proj_dim": 32, "do_layer_norm_before": False}),
    _llm("falcon", "Falcon", NEO, multi_query=True),
    _llm("falcon", "Falcon", NEO, new_decoder_architecture=True, num_kv_heads=2),
    _llm("falcon", "Falcon", NEO, alibi=True, multi_query=False, bias=True, parallel_attn=False),
]  # fmt: skip
EXPERTS = [
    _llm("mixtral", "Mixtral", ROUTED, num_local_experts=4),
    _llm("qwen2_moe", "Qwen2Moe", ROUTED, num_experts=4, moe_intermediate_size=32, shared_expert_intermediate_size=48),
    _llm("qwen3_moe", "Qwen3Moe", ROUTED, num_experts=4, moe_intermediate_size=32, head_dim=16),
    _llm("qwen3_moe", "Qwen3Moe", ROUTED, num_experts=4, moe_intermediate_size=32, head_dim=16, norm_topk_prob=True),
    _llm("olmoe", "Olmoe", ROUTED, num_experts=4), _llm("granitemoe", "GraniteMoe", ROUTED, num_local_experts=4),
    _llm("glm4_moe", "Glm4Moe", ROUTED, n_routed_experts=4, moe_intermediate_size=32, head_dim=16,
         first_k_dense_replace=1),
    _llm("dots1", "Dots1", ROUTED, n_routed_experts=4, moe_intermediate_size=32, first_k_dense_replace=1,
         n_shared_experts=1),
    _llm("minimax_m2", "MiniMaxM2", ROUTED, num_local_experts=4, head_dim=16),
    _llm("hunyuan_v1_moe", "HunYuanMoEV1", GROUPED, num_experts=4, moe_topk=2, head_dim=16),
    _llm("ernie4_5_moe", "Ernie4_5_Moe", GROUPED, moe_num_experts=4, moe_k=2, moe_intermediate_size=32),
    _llm("deepseek_v3", "DeepseekV3", {**ROUTED, **LATENT}, n_routed_experts=4, moe_intermediate_size=32,
         first_k_dense_replace=1, n_group=2, topk_group=1),
    _llm("glm_moe_dsa", "GlmMoeDsa", {**ROUTED, **LATENT}, n_routed_experts=4, moe_intermediate_size=32, n_group=1,
         topk_group=1, index_n_heads=2, index_head_dim=16, index_topk=4, num_hidden_layers=4),
    _llm("gpt_oss", "GptOss", ROUTED, num_local_experts=4, head_dim=16, sliding_window=5),
]  # fmt: skip
ENCODERS = [
    Case("bert", "BertModel", TEXT, "BertConfig"), Case("roberta", "RobertaModel", TEXT, "RobertaConfig"),
    Case("xlm-roberta", "XLMRobertaModel", TEXT, "XLMRobertaConfig"),
    Case("camembert", "CamembertModel", TEXT, "CamembertConfig"),
    Case("electra", "ElectraModel", {**TEXT, "embedding_size": 32}, "ElectraConfig"),
    Case("albert", "AlbertModel", {**TEXT, "embedding_size": 32}, "AlbertConfig"),
    Case("distilbert", "DistilBertModel", {"vocab_size": 99, "dim": 64, "hidden_dim": 160, "n_layers": 2,
                                           "n_heads": 4}, "DistilBertConfig"),
    Case("mpnet", "MPNetModel", TEXT, "MPNetConfig"),
    Case("deberta-v2", "DebertaV2Model", {
        **TEXT, "relative_attention": True, "pos_att_type": ["p2c", "c2p"], "position_biased_input": False,
        "type_vocab_size": 0, "position_buckets": 8, "norm_rel_ebd": "layer_norm", "share_att_key": True,
    }, "DebertaV2Config"),
    Case("modernbert", "ModernBertModel", {**TEXT, "pad_token_id": 0, "local_attention": 4, "num_hidden_layers": 4},
         "ModernBertConfig"),
    Case("clip_text_model", "CLIPTextModel", TEXT, "CLIPTextConfig"),
]  # fmt: skip
PAIRS = [  # fp16 adds guards against overflow, one elementwise operator after another
    *(Case(kind, f"{stem}ForConditionalGeneration", values, f"{stem}Config", "text+text", ("bf16", "fp32"))
      for kind, stem, values in (
          ("t5", "T5", T5), ("mt5", "MT5", {**T5, "feed_forward_proj": "gated-gelu"}), ("umt5", "UMT5", T5),
          ("bart", "Bart", PAIR), ("mbart", "MBart", PAIR), ("pegasus", "Pegasus", PAIR))),
    Case("marian", "MarianMTModel", PAIR, "MarianConfig", "text+text", ("bf16", "fp32")),
    Case("whisper", "WhisperForConditionalGeneration", {**PAIR, "num_mel_bins": 16}, "WhisperConfig", "audio-mel",
         ("bf16",)),
]  # fmt: skip
IMAGES = [
    Case("vit", "ViTForImageClassification", {**IMAGE, "num_labels": 10}, "ViTConfig", "image"),
    Case("deit", "DeiTForImageClassificationWithTeacher", {**IMAGE, "num_labels": 10}, "DeiTConfig", "image"),
    Case("beit", "BeitForImageClassification", {
        **IMAGE, "num_labels": 10, "use_relative_position_bias": True, "use_absolute_position_embeddings": False,
    }, "BeitConfig", "image"),
    Case("dinov2", "Dinov2Model", IMAGE, "Dinov2Config", "image"),
    Case("dinov2_with_registers", "Dinov2WithRegistersModel", IMAGE, "Dinov2WithRegistersConfig", "image"),
    Case("swin", "SwinForImageClassification", {
        "image_size": 64, "patch_size": 4, "embed_dim": 16, "depths": [2, 2], "num_heads": [2, 4], "window_size": 4,
        "num_labels": 10}, "SwinConfig", "image"),
    Case("clip_vision_model", "CLIPVisionModel", IMAGE, "CLIPVisionConfig", "image"),
    Case("siglip_vision_model", "SiglipVisionModel", IMAGE, "SiglipVisionConfig", "image"),
]  # fmt: skip
SOUNDS = [
    Case("wav2vec2", "Wav2Vec2Model", SOUND, "Wav2Vec2Config", "audio-wave"),
    Case("wav2vec2", "Wav2Vec2Model", {**SOUND, "feat_extract_norm": "layer", "do_stable_layer_norm": True,
                                       "conv_bias": True}, "Wav2Vec2Config", "audio-wave"),
    Case("hubert", "HubertModel", SOUND, "HubertConfig", "audio-wave"),
]  # fmt: skip
CASES = [*DENSE, *EXPERTS, *ENCODERS, *PAIRS, *IMAGES, *SOUNDS]

LOOSE = {
    "deepseek_v3": "pairs are rotated by products and sums; composed as one RoPE",
    "glm_moe_dsa": "the same, and the indexer's mask",
    "gpt_oss": "pairs are rotated by products and sums; the sinks keep the attention in pieces",
    "gptj": "a rotation of one token is traced over another axis", "codegen": "the same",
    "mpnet": "the bias by distance keeps the attention in pieces",
    "siglip_vision_model": "torch's own multi-head attention keeps the last attention in pieces",
    "exaone4": "a trace takes the window for that of all layers",
    "modernbert": "a trace does not see the window of a mask that looks both ways",
}  # fmt: skip
"""Model types whose vector operators are near only, and why."""


class _Passing(torch.nn.Module):
    """Stands in for experts: hands its input on, and keeps their parameters."""

    def __init__(self, experts: Any) -> None:
        super().__init__()
        self.experts = experts

    def forward(self, hidden: Any, *_: Any, **__: Any) -> Any:
        return hidden.view(-1, hidden.shape[-1])


def _network(case: Case) -> Any:
    config = getattr(transformers, case.config)(**case.values)
    with torch.device("meta"):
        network = getattr(transformers, case.architecture)(config).eval()
    for module in list(network.modules()):
        for name, child in list(module.named_children()):
            if type(child).__name__.endswith("Experts"):
                setattr(module, name, _Passing(child))
    return network


def _traced(case: Case, network: Any, point: build.Point, precision: str, phase: str) -> Counter[Any]:
    phases = ("inference", "prefill", "decode") if case.generates else ("inference",)
    record = SimpleNamespace(
        name=case.kind, inputs=case.inputs, config=case.values, phases=phases, config_class=case.config
    )
    trace = build.trace_point(record, network, point, precision, phase)
    return Counter(_key(node) for node in trace.nodes if node.op != "Dropout")


def _key(node: Any) -> Any:
    """One query of grouped heads is as well a query for each head that shares the keys."""
    dims = dict(node.dims)
    if node.op == "Attention" and dims["window"]:
        dims["queries"] = dims.pop("q_len") * dims.pop("heads")
    return node.op, node.dtype, tuple(sorted(dims.items()))


def _composed(case: Case, graph: Any, sizes: tuple[Any, ...], precision: str, phase: str) -> Counter[Any]:
    """The operators but those of experts, which start at the copy that sorts the rows."""
    found: Counter[Any] = Counter()
    for node in graph.nodes(*sizes, precision, phase):
        if not (node.op == "Cast" and node.dtype == "fp32" and precision == "fp32"):
            found[_key(node)] += 1
    for piece in graph.pieces(graph.setting(*sizes, precision, phase)):
        for step in _expert_steps(case, piece.block.steps):
            dtype = precision if step.dtype == "data" else step.dtype
            found[_key(GraphNode(step.op, step.dims, dtype, "", ()))] -= piece.times
    return +found


def _expert_steps(case: Case, steps: Any) -> list[Any]:
    """From the copy before the first grouped product to the sum over the chosen experts."""
    products = [at for at, step in enumerate(steps) if step.op == "BMM" and case.kind in {c.kind for c in EXPERTS}
                and step.dtype == "data"]  # fmt: skip
    if not products:
        return []
    end = next(at for at in range(products[-1], len(steps)) if steps[at].op == "Sum")
    return list(steps[products[0] - 1 : end + 1])


def _loose(counts: Counter[Any]) -> Counter[Any]:
    """Products, convolutions and learned norms, without what stands for attention or rotation."""
    return Counter({
        key: count for key, count in counts.items()
        if (operator_type(key[0]).cost_class in ("gemm", "conv") and key[0] != "BMM")
        or key[0] in ("LayerNorm", "Embedding")
    })  # fmt: skip


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_a_composed_graph_is_the_traced_module_operator_by_operator(case: Case):
    network = _network(case)
    graph = compose({**case.values, "model_type": case.kind})
    assert graph.params == sum(each.numel() for each in network.parameters())
    image, text = case.inputs == "image", case.inputs != "image"
    settings = [("inference", 2, 7), *((("prefill", 3, 6), ("decode", 2, 9)) if case.generates else ())]
    for index, (phase, batch, length) in enumerate(settings):
        precision = case.precisions[index % len(case.precisions)]
        point = build.Point(batch, length if text else None, 64 if image else None)
        traced = _traced(case, network, point, precision, phase)
        composed = _composed(case, graph, (batch, point.seq_len, point.image_size), precision, phase)
        if case.kind in LOOSE:
            traced, composed = _loose(traced), _loose(composed)
        assert composed == traced, f"{phase}: composed {composed - traced}, traced {traced - composed}"


def test_full_precision_runs_no_casts():
    case = DENSE[0]
    network, graph = _network(case), compose({**case.values, "model_type": case.kind})
    point = build.Point(1, 11)
    composed = _composed(case, graph, (1, 11, None), "fp32", "inference")
    assert composed == _traced(case, network, point, "fp32", "inference")


def test_at_least_sixty_model_types_are_compared():
    assert len({case.kind for case in CASES}) >= 60
