"""Traces against what torch itself says: fresh traces at unseen settings, its flop counter, and torch.export."""

from __future__ import annotations

import warnings
from collections import Counter
from math import prod

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")

from torch import nn  # noqa: E402

from data_collection.extract.__main__ import main  # noqa: E402
from data_collection.extract.assemble import extract, fit_points, write  # noqa: E402
from data_collection.extract.build import Point, build, has_cache, phases, trace_point  # noqa: E402
from data_collection.extract.check import check, compare, unseen_points  # noqa: E402
from data_collection.extract.fit import Basis, FitError  # noqa: E402
from hetbench.catalog.models import models  # noqa: E402
from hetbench.errors import InvalidInputError  # noqa: E402
from hetbench.graphs import OperatorTable, load  # noqa: E402
from hetbench.operators import operator_types  # noqa: E402
from hetbench.tracing import trace  # noqa: E402

SMALL = ["bert-tiny", "distilbert-base", "mobilenet-v2", "gpt2"]


# ---- fresh traces ----------------------------------------------------------------------------------------------------


GENERATING = [record.name for record in models().values() if has_cache(record)]


@pytest.mark.parametrize("name", models())
def test_every_graph_equals_fresh_traces_at_settings_never_used_for_fitting(name: str):
    record = models()[name]
    odd = None if record.image_size is None else 7 * 224 if name == "swin-base" else 333
    few = Point(6, 31 if record.seq_len else None, record.image_size)
    one = Point(1, 70 if record.seq_len else None, odd)
    assert not {few, one} & set(fit_points(record))
    assert check(record, [few], ["fp16"], ["inference"]) == []
    assert check(record, [one], ["fp32"], ["inference"]) == []


@pytest.mark.parametrize("name", SMALL)
def test_small_models_equal_fresh_traces_in_every_phase_and_precision(name: str):
    record = models()[name]
    assert not set(unseen_points(record)) & set(fit_points(record))
    assert check(record) == []


@pytest.mark.parametrize("name", GENERATING)
@pytest.mark.parametrize("phase", ["prefill", "decode"])
def test_generating_models_equal_fresh_traces_with_a_cache(name: str, phase: str):
    assert check(models()[name], [Point(4, 83)], ["fp16"], [phase]) == []


def test_one_token_and_one_more_patch_change_structures_as_they_should():
    assert check(models()["t5-base"], [Point(9, 1)], ["fp32"], ["inference"]) == []
    assert check(models()["vit-base"], [Point(4, None, size) for size in (237, 241)], ["fp32"]) == []


def test_a_wrong_graph_is_noticed():
    record = models()["bert-tiny"]
    seen = trace_point(record, build(record), Point(2, 9), "fp32", "inference")
    assert compare(load("bert-tiny"), seen, Point(2, 9), "fp32", "inference") == ""
    seen.nodes[5].dims["m"] = 17
    assert "operator 5 is" in compare(load("bert-tiny"), seen, Point(2, 9), "fp32", "inference")


def test_a_wrong_size_of_a_buffer_is_noticed():
    record = models()["bert-tiny"]
    seen = trace_point(record, build(record), Point(2, 9), "fp32", "inference")
    elements, dtype, last = seen.nodes[9].allocates[0]
    seen.nodes[9].allocates = ((elements * 1000, dtype, last),)
    assert "memory: " in compare(load("bert-tiny"), seen, Point(2, 9), "fp32", "inference")


def test_extraction_reproduces_the_committed_bytes(tmp_path):
    from importlib.resources import files

    path = write(extract(models()["bert-tiny"]), tmp_path)
    committed = files("hetbench") / "catalog" / "graphs" / "bert-tiny.json.gz"
    assert path.read_bytes() == committed.read_bytes()


def test_the_command_says_what_it_did_and_what_it_needs(tmp_path, capsys):
    assert main(["google/bert_uncased_L-2_H-128_A-2", "--out", str(tmp_path)]) == 0
    assert "[1/1] bert-tiny: 1 structures" in capsys.readouterr().out
    assert main([]) == 2
    assert "name at least one model" in capsys.readouterr().err
    assert main(["bert-tinny"]) == 2
    assert "bert-tiny" in capsys.readouterr().err


# ---- torch's own counts ----------------------------------------------------------------------------------------------


def products(table: OperatorTable) -> int:
    """Flops as torch counts them: products only, no biases, a causal mask saves nothing."""
    total = 0
    for group in table.groups:
        dims, kind = dict(group.dims), operator_types()[group.op]
        if kind.cost_class in ("gemm", "conv", "attention"):
            dims.update({name: 0 * group.count for name in ("bias", "causal", "window") if name in dims})
            total += int((kind.flops(dims) * group.count).sum())
    return total


@pytest.mark.parametrize(
    ("name", "sizes"),
    [
        ("bert-tiny", {"batch": 3, "seq_len": 41}), ("gpt2", {"batch": 2, "seq_len": 33}),
        ("resnet-50", {"batch": 2, "image_size": 192}), ("mobilenet-v2", {"batch": 1, "image_size": 224}),
        ("efficientnet-b0", {"batch": 2, "image_size": 224}), ("swin-base", {"batch": 1, "image_size": 224}),
        ("wav2vec2-base", {"batch": 2, "seq_len": 49}), ("bloom-560m", {"batch": 2, "seq_len": 17}),
        ("tinyllama-1.1b", {"batch": 2, "seq_len": 19}), ("clip-vit-l-14", {"batch": 2, "seq_len": 7}),
    ],
)  # fmt: skip
def test_flops_of_products_equal_torchs_flop_counter(name: str, sizes: dict):
    from torch._subclasses.fake_tensor import FakeTensorMode
    from torch.utils.flop_counter import FlopCounterMode

    from data_collection.extract.build import inputs

    record, setting = models()[name], load(name).setting(**sizes)
    network, point = build(record), Point(setting.batch, setting.seq_len, setting.image_size)
    with FakeTensorMode(allow_non_fake_inputs=True), torch.device("meta"), torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        kwargs = inputs(record, point, torch.float32)
        with FlopCounterMode(display=False) as counter:
            network(**kwargs)
    assert products(load(name).operators(**sizes)) == counter.get_total_flops()


@pytest.mark.parametrize("name", ["bert-tiny", "resnet-50"])
def test_torch_export_sees_the_same_operators(name: str):
    record = models()[name]
    network = build(record)
    text = {"input_ids": torch.zeros(2, 16, dtype=torch.long, device="meta")}
    image = {"pixel_values": torch.zeros(2, 3, 224, 224, device="meta")}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        program = torch.export.export(network, (), text if record.inputs == "text" else image, strict=False)
    calls = [node for node in program.graph.nodes if node.op == "call_function"]
    values = {node: node.meta["val"] for node in calls if isinstance(node.meta.get("val"), torch.Tensor)}
    seen = Counter(str(node.target).split(".")[1] for node, value in values.items() if value.is_floating_point())
    ours = Counter({row["op"]: 0 for row in load(name).operators().rows()})
    for row in load(name).operators(**({"seq_len": 16} if record.inputs == "text" else {})).rows():
        ours[row["op"]] += row["count"]
    same = {
        "Linear": "linear", "LayerNorm": "layer_norm", "Attention": "scaled_dot_product_attention", "GELU": "gelu",
        "Embedding": "embedding", "Tanh": "tanh", "Conv2d": "conv2d", "BatchNorm2d": "batch_norm", "ReLU": "relu",
        "MaxPool2d": "max_pool2d", "AdaptiveAvgPool2d": "adaptive_avg_pool2d", "Dropout": "dropout",
    }  # fmt: skip
    for op, target in same.items():
        assert ours[op] == seen[target] + seen[f"{target}_"], op
    assert ours["Add"] == seen["add"] + seen["add_"]


# ---- polynomials -----------------------------------------------------------------------------------------------------

POINTS = [
    Point(2, 37, 224),
    Point(1, 29, 225),
    Point(3, 53, 255),
    Point(5, 64, 256),
    Point(1, 41, 193),
    Point(2, 17, 239),
]


@pytest.mark.parametrize(
    "size",
    [
        lambda p: 768, lambda p: 768 * p.batch * p.seq_len, lambda p: p.seq_len + 1,
        lambda p: p.batch * (64 * p.seq_len + 15), lambda p: p.batch * p.batch,
        lambda p: 64 * p.batch * ((p.image_size + 31) // 32) ** 2, lambda p: p.batch * ((p.image_size // 14) ** 2 + 1),
        lambda p: 12 * ((p.image_size // 16) ** 2 + 1) ** 2, lambda p: 2 * ((p.image_size + 1) // 2) + 1,
    ],
)  # fmt: skip
def test_sizes_are_recovered_as_polynomials(size):
    basis = Basis(POINTS)
    terms = basis.express(tuple(size(point) for point in POINTS))
    unseen = Point(7, 111, 311)
    symbols = {"b": unseen.batch, "s": unseen.seq_len}
    values = [prod(symbols[f] if isinstance(f, str) else (311 + f[0]) // f[1] for f in m) for m in basis.monomials]
    assert sum(factor * values[place] for place, factor in terms) == size(unseen)


def test_what_is_no_polynomial_is_an_error():
    with pytest.raises(FitError, match="no polynomial"):
        Basis(POINTS).express(tuple(2**point.batch for point in POINTS))


def test_no_size_is_a_sum_of_nothing():
    assert Basis(POINTS).express((0,) * len(POINTS)) == ()


# ---- a module of the caller's own ------------------------------------------------------------------------------------


class Block(nn.Module):
    """Normalise, two products, a residual and eager attention with two heads."""

    def __init__(self) -> None:
        super().__init__()
        self.norm, self.up, self.down = nn.LayerNorm(8), nn.Linear(8, 32), nn.Linear(32, 8, bias=False)
        self.num_heads = 2

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = x + self.down(torch.relu(self.up(self.norm(x))))
        heads = x.view(*x.shape[:2], 2, 4).transpose(1, 2)
        weights = (heads @ heads.transpose(-1, -2) * 0.5).softmax(-1)
        return (weights @ heads).transpose(1, 2).reshape(x.shape)


def test_a_module_of_ones_own_becomes_a_graph():
    module = Block().train()
    before = {name: tensor.clone() for name, tensor in module.state_dict().items()}
    graph = trace(module, torch.zeros(3, 5, 8))
    ops = {row["op"]: row["dims"] for row in graph.operators(precision="fp32").rows() if row["op"] != "Linear"}
    assert ops == {
        "Add": {"numel": 120}, "LayerNorm": {"rows": 15, "cols": 8}, "ReLU": {"numel": 480},
        "Attention": {"batch": 3, "q_len": 5, "kv_len": 5, "heads": 2, "kv_heads": 2, "head_dim": 4, "causal": 0,
                      "window": 0},
    }  # fmt: skip
    assert graph.params == 16 + 8 * 32 + 32 + 32 * 8
    assert module.training
    assert all(torch.equal(before[name], tensor) for name, tensor in module.state_dict().items())


def test_heads_repeated_by_hand_are_counted_once():
    class Grouped(nn.Module):
        def forward(self, q: torch.Tensor, kv: torch.Tensor) -> torch.Tensor:
            kv = kv.repeat_interleave(4, dim=1)
            return nn.functional.scaled_dot_product_attention(q, kv, kv, is_causal=True)

    (row,) = trace(Grouped(), (torch.zeros(2, 8, 5, 16), torch.zeros(2, 2, 5, 16))).operators().rows()
    assert row["dims"] == {"batch": 2, "q_len": 5, "kv_len": 5, "heads": 8, "kv_heads": 2, "head_dim": 16, "causal": 1,
                           "window": 0}  # fmt: skip


def test_what_a_module_remembers_of_a_call_is_forgotten():
    class Counting(nn.Module):
        calls = 0

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            self.calls += 1
            return x if self.calls > 1 else x + x

    module = Counting()
    assert [row["op"] for _ in range(2) for row in trace(module, torch.zeros(3)).operators().rows()] == ["Add", "Add"]
    assert module.calls == 0


def test_liveness_by_hand():
    module = nn.Sequential(nn.Linear(4, 100), nn.ReLU(), nn.Linear(100, 2))
    memory = trace(module, torch.zeros(1, 4)).memory(precision="fp32")
    assert memory.activations_peak_bytes == 4 * (4 + 100 + 100)  # input, hidden before and after ReLU
    inplace = nn.Sequential(nn.Linear(4, 100), nn.ReLU(inplace=True), nn.Linear(100, 2))
    assert trace(inplace, torch.zeros(1, 4)).memory(precision="fp32").activations_peak_bytes == 4 * (4 + 100 + 2)


def test_functions_without_a_type_are_seen_through_to_their_parts():
    class Cosine(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            unit = nn.functional.normalize(x, dim=-1)
            return torch.einsum("bid,bjd->bij", unit, unit)

    counts = Counter(row["op"] for row in trace(Cosine(), torch.zeros(2, 5, 8)).operators().rows())
    assert counts == {"VectorNorm": 1, "Clamp": 1, "Div": 1, "BMM": 1}


def test_torchs_own_transformer_layer_has_its_attention():
    layer = nn.TransformerEncoderLayer(16, 4, 32, batch_first=True)
    ops = {row["op"] for row in trace(layer, torch.zeros(2, 6, 16)).operators().rows()}
    assert {"Attention", "Linear", "LayerNorm", "ReLU", "Add"} <= ops


def test_a_traced_graph_answers_for_other_batches_but_has_no_other_sizes():
    graph = trace(nn.Linear(4, 2), {"input": torch.zeros(3, 4)}, name="mine")
    assert graph.name == "mine"
    assert graph.operators(precision="bf16").rows()[0]["dtype"] == "bf16"
    assert [graph.operators(batch=batch).rows()[0]["dims"]["m"] for batch in (None, 7, 3)] == [3, 7, 3]
    with pytest.raises(InvalidInputError, match="takes no seq_len"):
        graph.operators(seq_len=4)


def test_what_cannot_be_traced_says_why():
    class Branch(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x * 2 if x.sum() > 0 else x

    with pytest.raises(InvalidInputError, match="depends on the value of a tensor"):
        trace(Branch(), torch.zeros(3))
    with pytest.raises(InvalidInputError, match=r"needs a torch\.nn\.Module"):
        trace(torch.relu, torch.zeros(3))  # type: ignore[arg-type]


@pytest.mark.parametrize("name", ["t5-base", "whisper-large-v3"])
def test_encoder_decoders_generate_too(name: str):
    assert phases(models()[name]) == load(name).phases == ("inference", "prefill", "decode")
