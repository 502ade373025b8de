"""Public objects pickle, copy and compare, cannot be changed through what they share, and survive a process pool."""

from __future__ import annotations

import copy
import multiprocessing
import pickle
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest

import hetbench
from hetbench import (
    Answers,
    ArtifactError,
    HetBench,
    HetBenchError,
    InvalidInputError,
    RefusedError,
    UnknownNameError,
    chips,
    metrics,
    models,
    operator_types,
)
from hetbench.catalog import evidence
from hetbench.catalog.sources import sources
from hetbench.catalog.support import support
from hetbench.errors import UnknownOptionError
from hetbench.graphs import load, operator_coverage
from hetbench.knowledge import knowledge_graph
from hetbench.mappings import ReadOnly
from hetbench.spaces import space

NPU = {"name": "my-npu", "family": "cann", "fp16_tflops": 100, "fp32_tflops": 25, "mem_bw_gbs": 800, "mem_gb": 16}
ROWS = {"op": ["Linear"] * 2, "dims": [{"m": 512, "n": 512, "k": size} for size in (512, 1024)],
        "dtype": ["fp16"] * 2, "chip": ["mlu"] * 2, "latency_ms": [0.05, 0.07]}  # fmt: skip


def _asked(api: HetBench) -> Any:
    return api.query("bert-tiny", source="cuda", target="cann", metric="latency", precision="fp16")


MADE: dict[str, Callable[[], Any]] = {
    "HetBench": HetBench, "Answer": lambda: _asked(HetBench()),
    "Answers": lambda: HetBench().query("gpt2", target="mlu"),
    "Chip": lambda: chips()["nvidia-l4"], "Model": lambda: models()["gpt2"], "Metric": lambda: metrics()["latency"],
    "OperatorType": lambda: operator_types()["Linear"], "chips": chips, "models": models, "metrics": metrics,
    "operator_types": operator_types, "ModelGraph": lambda: load("bert-tiny"),
    "MemoryBreakdown": lambda: load("bert-tiny").memory(), "Setting": lambda: load("bert-tiny").setting(),
    "Coverage": lambda: operator_coverage(load("bert-tiny"), chips()["nvidia-l4"]),
    "CoverageReport": lambda: HetBench().coverage("bert-tiny", "cann"),
    "Attribution": lambda: HetBench().explain("bert-tiny", target="cann"),
    "Plan": lambda: HetBench().advise("bert-tiny", "cuda", method="greedy"),
    "Migration": lambda: HetBench().migrate("bert-tiny", targets="mlu"),
    "Fleet": lambda: HetBench().migrate(["bert-tiny", "gpt2"], targets="mlu"),
    "KnowledgeGraph": knowledge_graph, "Node": lambda: knowledge_graph().node("chip:nvidia-l4"),
    "Why": lambda: knowledge_graph().why("gpt2", "cann", limit=1), "Space": lambda: space("vit"),
    "ComposedGraph": lambda: _architecture(), "Row": lambda: evidence.rows(model="gpt2")[0],
    "Source": lambda: sources()["timm"], "Support": lambda: support("cann", "add"),
}  # fmt: skip


def _architecture() -> Any:
    api = HetBench(search_space="vit")
    api.set_arch(api.sample_arch(seed=0))
    return api._session.model


@pytest.mark.parametrize("name", MADE)
@pytest.mark.parametrize(
    "copied", [lambda each: pickle.loads(pickle.dumps(each)), copy.copy, copy.deepcopy], ids=["pickle", "copy", "deep"]
)
def test_a_public_object_equals_its_copies(name: str, copied: Callable[[Any], Any]):
    made = MADE[name]()
    assert copied(made) == made
    assert made != "another thing"


@pytest.mark.parametrize("error", [
    HetBenchError("a"), InvalidInputError("a"), RefusedError("a"), ArtifactError("a"),
    UnknownNameError("chip", "h10", ["h100", "h200"], "Then this."), UnknownOptionError("option", "bacth", ["batch"]),
], ids=lambda error: type(error).__name__)  # fmt: skip
def test_an_error_pickles_with_its_message(error: HetBenchError):
    again = pickle.loads(pickle.dumps(error))
    assert (type(again), str(again), vars(again)) == (type(error), str(error), vars(error))


def test_every_error_of_the_package_is_tried():
    tried = {HetBenchError, InvalidInputError, RefusedError, ArtifactError, UnknownNameError}
    public = {getattr(hetbench, name) for name in hetbench.__all__}
    assert {each for each in public if isinstance(each, type) and issubclass(each, Exception)} == tried


def test_a_copy_keeps_chips_and_observations_and_shares_neither():
    api = HetBench()
    api.add_chip(NPU)
    api.observe(ROWS)
    for other in (copy.copy(api), copy.deepcopy(api), pickle.loads(pickle.dumps(api))):
        assert other == api
        ask = partial(HetBench.query_operator, op="Linear", dims=ROWS["dims"][0], device="mlu", precision="fp16")
        assert ask(other).value == ask(api).value != ask(HetBench()).value
        other.add_chip({**NPU, "name": "another"})
        assert other != api
        with pytest.raises(UnknownNameError):
            api.chip("another")


def test_a_copied_or_pickled_graph_is_asked_as_the_model_itself():
    api, graph = HetBench(), load("resnet-50")
    plain = api.query("resnet-50", target="cann", metric="latency", batch=8)
    for other in (copy.deepcopy(graph), pickle.loads(pickle.dumps(graph))):
        assert api.query(other, target="cann", metric="latency", batch=8) == plain


def test_writing_into_an_answer_is_refused_and_changes_nobody_elses():
    api = HetBench()
    answer = api.query("gpt2", target="cuda", metric="latency", batch=3)
    with pytest.raises(TypeError, match="read-only"):
        answer.shares["Linear"] = 0.0
    both = api.query("gpt2", target="cuda", metric=("latency", "energy"), batch=3)
    with pytest.raises(TypeError, match="item assignment"):
        both["latency"] = answer
    each = api.query("gpt2", device=("cuda", "mlu"), metric=("latency", "params"), batch=3)
    with pytest.raises(TypeError, match="read-only"):
        each.clear()
    assert api.query("gpt2", device=("cuda", "mlu"), metric="latency", batch=3)["cuda"] == answer


def test_two_objects_never_share_a_chip_of_one_name():
    sheets = [{**NPU, "family": "cuda"}, {**NPU, "family": "mlu", "mem_bw_gbs": 100}]
    together = [HetBench() for _ in sheets]
    for api, sheet in zip(together, sheets, strict=True):
        api.add_chip(sheet)
    for api, sheet in zip(together, sheets, strict=True):
        alone = HetBench()
        alone.add_chip({**sheet, "name": "fresh-name"})
        asked = api.query_operator("Linear", {"m": 512, "n": 512, "k": 512}, device="my-npu")
        fresh = alone.query_operator("Linear", {"m": 512, "n": 512, "k": 512}, device="fresh-name")
        assert (asked.value, asked.upper, asked.level) == (fresh.value, fresh.upper, fresh.level)


def test_a_chip_that_replaces_another_is_not_bent_by_its_observations():
    api = HetBench()
    api.add_chip(NPU)
    api.observe({**ROWS, "chip": ["my-npu"] * 2, "latency_ms": [5.0, 7.0]})
    other = {**NPU, "mem_bw_gbs": 900}
    api.add_chip(other)
    fresh = HetBench()
    fresh.add_chip(other)
    ask = partial(HetBench.query_operator, op="Linear", dims=ROWS["dims"][0], device="my-npu")
    assert ask(api) == ask(fresh)


def _query(api: HetBench, target: str) -> Any:
    return api.query("bert-tiny", target=target, metric="latency", batch=2)


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_a_pool_of_processes_passes_refusals_on_and_does_not_hang(method: str):
    if method not in multiprocessing.get_all_start_methods():
        pytest.skip(f"no {method} here")
    api = HetBench()
    api.add_chip(NPU)
    with multiprocessing.get_context(method).Pool(2) as pool:
        good = [pool.apply_async(_query, (api, name)) for name in ("cuda", "my-npu")]
        bad = [pool.apply_async(_query, (api, name)) for name in ("nope", "intel-core-ultra-7-165h-npu-x", "")]
        assert [each.get(timeout=100) for each in good] == [_query(api, name) for name in ("cuda", "my-npu")]
        for each in bad:
            with pytest.raises(UnknownNameError):
                each.get(timeout=100)


def test_a_read_only_mapping_has_no_way_to_be_changed():
    made = ReadOnly({"a": 1})
    changes: list[Callable[[], Any]] = [
        lambda: made.update(b=2), lambda: made.pop("a"), lambda: made.popitem(), lambda: made.setdefault("b", 2),
        lambda: made.__delitem__("a"), lambda: made.__ior__({"b": 2}), made.clear,
    ]  # fmt: skip
    for change in changes:
        with pytest.raises(TypeError, match="read-only"):
            change()
    assert made == {"a": 1}
    assert made.copy() | {"b": 2} == {"a": 1, "b": 2}


def test_answers_with_other_refusals_differ():
    assert Answers({}, {"energy": "no"}) != Answers({}, {"energy": "nobody"})
    assert hash(Answers({}, {"energy": "no"})) == hash(Answers({}, {"energy": "no"}))
