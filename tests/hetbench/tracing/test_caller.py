"""A trace leaves the caller's module and the process as they were, and knows modules in every wrapping."""

from __future__ import annotations

import functools
import random
import threading
from typing import Any

import pytest

torch = pytest.importorskip("torch")

from torch import nn  # noqa: E402

from hetbench import HetBench  # noqa: E402
from hetbench.errors import HetBenchError, InvalidInputError  # noqa: E402
from hetbench.tracing import trace  # noqa: E402


class Function(nn.Module):
    """A function as a module."""

    def __init__(self, function: Any) -> None:
        super().__init__()
        self.function = function

    def forward(self, *given: Any) -> Any:
        return self.function(*given)


class Siamese(nn.Module):
    """Two names of one encoder."""

    def __init__(self) -> None:
        super().__init__()
        self.left = self.right = nn.Linear(8, 8)

    def forward(self, a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
        return self.left(a) - self.right(b)


def is_untouched(module: nn.Module) -> bool:
    return all(type(p.data) is torch.Tensor and p.dtype == torch.float32 for p in module.parameters())


def ops(graph: Any, precision: str = "fp32") -> list[str]:
    return [row["op"] for row in graph.operators(precision=precision).rows() for _ in range(row["count"])]


# ---- nothing of the caller's changes ---------------------------------------------------------------------------------


def test_shared_submodules_keep_their_weights_and_stay_shared():
    module = Siamese()
    graph = trace(module, (torch.zeros(1, 8), torch.zeros(1, 8)))
    assert is_untouched(module)
    assert module.left is module.right
    assert graph.params == 72


def test_a_failing_forward_leaves_the_module_as_it_was_and_says_what_failed():
    module = Siamese()
    with pytest.raises(InvalidInputError, match=r"forward of Siamese stopped .* missing 1 required positional"):
        trace(module, torch.zeros(1, 8))
    assert is_untouched(module)


def test_what_a_forward_writes_stays_in_the_copy():
    class Writing(nn.Module):
        kept: dict[int, Any] = {}  # noqa: RUF012

        def __init__(self) -> None:
            super().__init__()
            self.linear, self.tables, self.seen = nn.Linear(8, 8), {}, []

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            self.seen.append(x)
            Writing.kept[len(self.seen)] = x
            self.tables[x.shape[1]] = torch.arange(x.shape[1], dtype=torch.float32)[:, None].expand(-1, 8)
            self.register_buffer("made", torch.ones(8))
            self.linear.weight.data.mul_(2)
            return self.linear(x + self.tables[x.shape[1]].to(x.dtype)) + self.made

    module = Writing()
    before = module.linear.weight.clone()
    trace(module, torch.zeros(1, 6, 8)).operators(precision="fp16")
    assert (module.tables, module.seen, Writing.kept, hasattr(module, "made")) == ({}, [], {}, False)
    assert torch.equal(module.linear.weight, before)
    assert type(module(torch.zeros(1, 6, 8))) is torch.Tensor


@functools.lru_cache
def position_table(length: int) -> torch.Tensor:
    return torch.arange(length, dtype=torch.float32)[:, None]


def test_tables_in_caches_and_closures_hold_no_fake_tensors_afterwards():
    kept: dict[str, torch.Tensor] = {}

    def forward(x: torch.Tensor) -> torch.Tensor:
        kept.setdefault("ones", torch.ones(3))
        return x + position_table(x.shape[1])

    module = Function(forward)
    trace(module, torch.zeros(1, 6, 8))
    assert kept == {}
    assert type(module(torch.zeros(1, 6, 8))) is torch.Tensor


def test_hooks_on_the_module_are_called_on_the_copy_and_not_added_to():
    module, called = nn.Linear(8, 8), []
    module.register_forward_hook(lambda *_: called.append(1))
    trace(module, torch.zeros(1, 8))
    assert len(module._forward_hooks) == 1
    assert called == []


def test_random_generators_and_the_training_mode_are_as_before():
    def forward(x: torch.Tensor) -> torch.Tensor:
        torch.manual_seed(1)
        random.seed(1)
        return x + torch.rand(3)

    module = Function(forward).train()
    before = torch.get_rng_state(), random.getstate()
    trace(module, torch.zeros(3))
    assert torch.equal(torch.get_rng_state(), before[0])
    assert random.getstate() == before[1]
    assert module.training


def test_traces_in_three_threads_all_succeed():
    failed: list[Exception] = []

    def run() -> None:
        try:
            trace(nn.TransformerEncoderLayer(64, 4, 128, batch_first=True), torch.zeros(2, 16, 64))
        except Exception as error:  # noqa: BLE001
            failed.append(error)

    threads = [threading.Thread(target=run) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failed == []


# ---- precisions and batches on demand --------------------------------------------------------------------------------


def test_a_precision_that_cannot_be_traced_is_refused_alone():
    def forward(x: torch.Tensor) -> torch.Tensor:
        y = x @ torch.zeros(8, 8, dtype=x.dtype)
        return y.clamp(-6e4, 6e4) if y.dtype == torch.float16 and not torch.isfinite(y).all() else y

    graph = trace(Function(forward), torch.zeros(2, 8))
    assert graph.operators(precision="fp32").flops == graph.operators(precision="bf16").flops == 2 * 2 * 8 * 8
    with pytest.raises(InvalidInputError, match="depends on the value of a tensor"):
        graph.operators(precision="fp16")


def test_only_the_passes_that_are_asked_for_are_made():
    graph = trace(nn.ReLU(), torch.zeros(3))
    assert [precision for precision, _ in graph._kept] == ["fp32"]
    graph.operators(precision="bf16")
    graph.operators(precision="bf16")
    assert [(precision, sizes.batch) for precision, sizes in graph._kept] == [("fp32", 3), ("bf16", 3)]


def test_inputs_can_be_given_by_shape_and_another_batch_asked_for():
    graph = trace(nn.Conv2d(3, 8, 3), shapes={"input": (2, 3, 8, 8)})
    assert graph.batch == 2
    assert graph.operators(batch=32).flops == 16 * graph.operators().flops
    assert graph.at(32).operators().flops == graph.operators(batch=32).flops
    with pytest.raises(InvalidInputError, match=r"query its `at\(batch=8\)"):
        HetBench().query(graph, target="cuda", metric="latency", batch=8)
    with pytest.raises(InvalidInputError, match="must be a tuple of whole numbers"):
        trace(nn.Conv2d(3, 8, 3), shapes={"input": (2, -3, 8, 8)})


def test_a_trace_is_made_again_at_another_image_size_or_sequence_length():
    image = trace(nn.Conv2d(3, 8, 3), torch.zeros(2, 3, 8, 8)).at(image_size=16)
    assert image.operators().rows()[0]["dims"] == {
        "n": 2, "c": 3, "h": 16, "w": 16, "oc": 8, "kh": 3, "kw": 3, "stride": 1, "pad": 0, "groups": 1,
    }  # fmt: skip

    class Text(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.words, self.places = nn.Embedding(50, 6), nn.Embedding(20, 6)

        def forward(self, ids: torch.Tensor, places: torch.Tensor) -> torch.Tensor:
            return self.words(ids) + self.places(places)

    ids = torch.ones(2, 5, dtype=torch.long)
    text = trace(Text(), (ids, torch.arange(5).expand(2, 5))).at(4, seq_len=12)
    assert {row["dims"]["tokens"] for row in text.operators().rows() if row["op"] == "Embedding"} == {48}
    with pytest.raises(InvalidInputError, match="do not tell its image_size"):
        text.at(image_size=32)
    with pytest.raises(InvalidInputError, match=r"query its `at\(seq_len=7\)"):
        HetBench().query(text, target="cuda", metric="latency", seq_len=7)
    with pytest.raises(InvalidInputError, match="as wide as it is long"):
        trace(nn.Linear(4, 4), torch.zeros(1, 4, 4)).at(seq_len=8)


def test_a_trace_is_answered_by_the_whole_model_surrogate_as_the_network_is_by_its_name():
    from transformers import BertConfig, BertModel, ResNetConfig, ResNetForImageClassification

    ids = torch.ones(4, 128, dtype=torch.long)
    with torch.device("meta"):
        networks = BertModel(BertConfig()), ResNetForImageClassification(ResNetConfig())
    traced = {
        "bert-base": trace(networks[0].eval(), {"input_ids": ids, "attention_mask": ids}),
        "resnet-50": trace(networks[1].eval(), shapes={"pixel_values": (4, 3, 224, 224)}),
    }
    api = HetBench()
    for name, graph in traced.items():
        for chip in ("nvidia-rtx-4090", "amd-mi210"):
            setting = {"target": chip, "metric": "latency", "precision": "fp16", "stack": "eager"}
            whole, own = api.query(name, batch=4, **setting), api.query(graph, **setting)
            assert own.batch == 4
            assert any("whole models under" in note for note in own.notes)
            assert max(whole.lower, own.lower) < min(whole.upper, own.upper)
            assert own.value == pytest.approx(whole.value, rel=0.15)


def test_an_empty_batch_is_refused():
    with pytest.raises(InvalidInputError, match=r"shape \(0, 8\) holds nothing"):
        trace(nn.Linear(8, 8), torch.zeros(0, 8))


# ---- wrappings -------------------------------------------------------------------------------------------------------


@pytest.mark.filterwarnings("ignore")
def test_compiled_modules_are_traced_as_they_were_written():
    plain = nn.Sequential(nn.Linear(8, 4), nn.ReLU())
    in_place = nn.Sequential(nn.Linear(8, 4), nn.ReLU())
    in_place.compile()
    for module in (torch.compile(plain), in_place, nn.Sequential(torch.compile(nn.Linear(8, 4)), nn.ReLU())):
        assert ops(trace(module, torch.zeros(2, 8))) == ["Linear", "ReLU"]


@pytest.mark.filterwarnings("ignore")
def test_exported_programs_and_graph_modules_are_traced():
    module = nn.Sequential(nn.Linear(8, 4), nn.ReLU(), nn.LayerNorm(4))
    program = torch.export.export(module, (torch.zeros(2, 8),))
    wanted = ["LayerNorm", "Linear", "ReLU"]
    for each in (program, program.run_decompositions(), torch.fx.symbolic_trace(module)):
        assert ops(trace(each, torch.zeros(2, 8))) == wanted


@pytest.mark.filterwarnings("ignore")
def test_script_modules_are_refused_in_a_sentence_and_scripted_functions_are_seen_through():
    for scripted in (torch.jit.script(nn.Linear(8, 4)), nn.Sequential(torch.jit.script(nn.Linear(8, 4)))):
        with pytest.raises(InvalidInputError, match="is TorchScript"):
            trace(scripted, torch.zeros(2, 8))
    twice = torch.jit.script(_twice)
    for _ in range(2):
        assert ops(trace(Function(lambda x: twice(x)), torch.zeros(2, 8))) == ["MulScalar", "ReLU"]


def _twice(x: torch.Tensor) -> torch.Tensor:
    return torch.relu(x) * 2


def test_a_complex_product_is_a_real_one_twice_as_wide():
    module = nn.Linear(8, 4, bias=False, dtype=torch.complex64)
    (row,) = trace(module, torch.zeros(2, 8, dtype=torch.complex64)).operators().rows()
    assert row == {"op": "Linear", "dims": {"m": 2, "n": 8, "k": 16, "bias": 0}, "dtype": "fp32", "count": 1}


def test_modules_without_shapes_or_with_quantised_weights_are_refused():
    with pytest.raises(InvalidInputError, match="parameters without a shape"):
        trace(nn.LazyLinear(4), torch.zeros(2, 8))


def test_a_module_that_runs_nothing_is_refused():
    for module in (nn.Identity(), nn.Flatten(), nn.Dropout()):
        with pytest.raises(HetBenchError, match="runs no operator that takes time"):
            trace(module, torch.zeros(1, 3))
