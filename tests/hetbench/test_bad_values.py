"""Every public callable with every value of a list in every argument answers, or raises a taught `HetBenchError`."""

from __future__ import annotations

import datetime
import decimal
import fractions
import inspect
import math
import sys
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import hetbench
from hetbench import HetBench, HetBenchError, RefusedError
from hetbench.catalog import evidence
from hetbench.catalog.chips import Chip, chip, default_chip
from hetbench.catalog.datasheets import load_chip
from hetbench.catalog.models import model
from hetbench.catalog.support import support
from hetbench.graphs import load
from hetbench.knowledge import knowledge_graph
from hetbench.query import Options
from hetbench.spaces import space

SHAPE = {"m": 8, "n": 8, "k": 8}
SHEET = {"name": "x", "family": "cuda", "fp16_tflops": 312, "mem_bw_gbs": 2000, "mem_gb": 80, "kind": "gpu"}
OPERATORS = {"op": ["Linear"], "dims": [SHAPE], "dtype": ["fp16"], "phase": ["fwd"], "chip": ["cuda"],
             "protocol": ["event"], "library": [None], "layout": [None]}  # fmt: skip
MODELS = {"model": ["bert-tiny"], "chip": ["cuda"], "precision": ["fp16"], "batch": [1], "seq_len": [8],
          "image_size": [None], "phase": [None], "stack": [None], "metric": ["latency"]}  # fmt: skip
ROWS = {"op": ["Linear"], "dims": [SHAPE], "dtype": ["fp16"], "chip": ["mlu"], "latency_ms": [0.05], "phase": ["fwd"],
        "protocol": ["event"]}  # fmt: skip
LONGEST = 4000  # characters of a message


class Unfriendly:
    """An object that can be neither shown, compared nor hashed."""

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        raise ValueError("it has no text")

    def __eq__(self, other: object) -> bool:
        raise ValueError("it compares with nothing")

    def __index__(self) -> int:
        raise OverflowError("it is no number")


def _deep() -> list[Any]:
    made: list[Any] = []
    for _ in range(5000):
        made = [made]
    return made


def _bad() -> list[Any]:
    values: list[Any] = [
        None, True, 0, -1, 3, 2**63, 10**400, 10**5000, 0.0, -0.5, 1.5, math.nan, math.inf, -math.inf, "", " ", "x",
        "latncy", "CUDA", "\x1b[31m", "\0", "a" * 100_000, "\udcff", "../../etc/passwd", "nan", b"x", [], [None], [[]],
        [1, 2], (), ("a",), {}, {"a": 1}, {1: 2}, set(), {1}, frozenset({"x"}), np.array([]), np.array([1, 2]),
        np.array("x"), np.float32(1.5), np.int64(-3), np.bool_(True), np.datetime64("NaT"), decimal.Decimal("NaN"),
        fractions.Fraction(1, 3), 1j, object(), Unfriendly(), print, Ellipsis, range(3), iter([1]),
        datetime.datetime(2020, 1, 1), Path("x"), _deep(), sys, Exception("x"), slice(1), bytearray(b"x"),
    ]  # fmt: skip
    try:
        import pandas as pd
        import pyarrow as pa
    except ImportError:
        return values
    return [*values, pd.NA, pd.NaT, pa.scalar(3), pa.scalar("x"), pa.scalar(None), pa.array([1, None])]


BAD = _bad()
OPTIONS = Options.__optional_keys__
"""Options of every question: those in `GOOD` are tried with each method."""
METHODS = {
    name: method for name, method in inspect.getmembers(HetBench, inspect.isfunction) if not name.startswith("_")
}  # fmt: skip
QUESTION = {"model": "bert-tiny", "source": "cuda", "target": "cann", "batch": 1, "seq_len": 8, "precision": "fp16",
            "phase": "inference", "stack": "eager", "predictor": "auto", "confidence": 0.9}  # fmt: skip
GOOD: dict[str, dict[str, Any]] = {
    "query": {**QUESTION, "metric": "latency", "image_size": None, "device": None, "source_value": None},
    "explain": {"model": "bert-tiny", "target": "cann", "by": "type", "depth": 2, "link_gbs": 10.0, "stack": "eager",
                "source": "cuda", "source_value": 1.0, "precision": "fp16"},
    "coverage": {"model": "bert-tiny", "target": "cann", "precision": "fp16", "phase": None, "batch": 1},
    "advise": {"model": "bert-tiny", "target": "cuda", "accuracy_safe": True, "method": "greedy", "precision": "fp16"},
    "migrate": {"model": "bert-tiny", "source": None, "targets": "mlu", "source_value": None, "slo_ms": 5.0,
                "objective": "latency", "batch": 1},
    "query_operator": {"op": "Linear", "dims": SHAPE, "device": "cuda", "precision": "fp16", "protocol": "event",
                       "library": None, "layout": None, "predictor": "auto"},
    "query_operators": {"table": OPERATORS, "predictor": None}, "query_models": {"table": MODELS},
    "observe": {"table": ROWS}, "add_chip": {"datasheet": SHEET}, "chip": {"name": "cuda"},
    "set_model": {"model": "gpt2"}, "sample_arch": {"seed": 0}, "set_arch": {"arch": None},
    "query_batch": {"archs": [], "device": "cuda", "metric": "latency", "search_space": None, "intervals": False,
                    "sample": None, "seed": 0, "batch": 1},
    "trace": {"module": None, "example_inputs": None}, "connect": {"address": "http://127.0.0.1:1", "timeout_s": 0.1},
    "serve_plan": {"model": "Qwen/Qwen3-8B", "target": "amd-mi300x", "slo": "ttft=5ms", "input_len": 64,
                   "output_len": 64, "chips": 2, "precision": None, "kv": None, "stack": None},
}  # fmt: skip
"""Arguments with which a method answers; one that is not here is tried with bad values alone."""
SERVING = {"model": "Qwen/Qwen3-8B", "target": "amd-mi300x", "phase": "serving", "metric": "tpot", "input_len": 64,
           "output_len": 64, "concurrency": 2, "chips": 2, "parallel": "tp2", "kv": "bf16", "precision": "bf16",
           "stack": "vllm", "confidence": 0.9}  # fmt: skip
CONFIGURATION = {"model_type": "qwen2_moe", "hidden_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4,
                 "num_key_value_heads": 2, "num_experts": 4, "vocab_size": 100}  # fmt: skip
GRAPH, KNOWN = load("bert-tiny"), knowledge_graph()
FUNCTIONS: dict[str, tuple[Callable[..., Any], dict[str, Any]]] = {
    "HetBench": (HetBench, {"search_space": "vit", "artifacts": "embedded"}),
    "evidence.rows": (evidence.rows, {"model": "gpt2", "device": None, "metric": None, "stack": None, "use": None}),
    "evidence.find": (evidence.find, {"setting": (), "stack": "eager", "metric": "latency"}),
    "support": (support, {"where": "cann", "operator": "add"}), "chip": (chip, {"name": "cuda"}),
    "default_chip": (default_chip, {"family": "cuda"}), "load_chip": (load_chip, {"path": "x"}),
    "model": (model, {"name": "gpt2"}), "load": (load, {"name": "gpt2"}), "space": (space, {"name": "vit"}),
    "node": (KNOWN.node, {"id": "chip:nvidia-l4"}),
    "neighbours": (KNOWN.neighbours, {"node": "model:gpt2", "relation": "runs"}),
    "measured_on": (KNOWN.measured_on, {"op": "Linear", "dims": SHAPE, "dtype": "fp16"}),
    "nearest": (KNOWN.nearest, {"op": "Linear", "dims": SHAPE, "dtype": "fp16", "chip": None, "k": 1}),
    "why": (KNOWN.why, {"model": "gpt2", "chip": "cann", "source": None, "operators": None, "shares": None,
                        "limit": 1}),
    **{f"graph.{name}": (getattr(GRAPH, name), {"batch": 1, "seq_len": 8, "precision": "fp16", "phase": "inference"})
       for name in ("operators", "nodes", "memory", "node_bytes", "aten_ops", "setting")},
}  # fmt: skip


def _failures(call: Callable[..., Any], good: Mapping[str, Any], argument: str, step: int = 1) -> list[str]:
    """What went wrong: an error that is none of ours, or a message that nobody can read; of every `step`-th value."""
    wrong = []
    for at, bad in enumerate(BAD[::step]):
        what = f"{argument} = value {at}, a {type(bad).__name__}"
        try:
            call(**{**good, argument: bad})
        except HetBenchError as why:
            if not 10 < len(str(why)) < LONGEST:
                wrong.append(f"{what}: a message of {len(str(why))} characters")
        except Exception as why:  # noqa: BLE001 - what must not happen
            wrong.append(f"{what}: {type(why).__name__}: {str(why)[:80]}")
    return wrong


def _method_cases() -> list[tuple[str, str]]:
    cases = []
    for name, method in METHODS.items():
        named = [each.name for each in inspect.signature(method).parameters.values()
                 if each.name not in ("self", *OPTIONS) and each.kind is not inspect.Parameter.VAR_KEYWORD]  # fmt: skip
        cases += [(name, argument) for argument in dict.fromkeys((*named, *GOOD.get(name, {})))]
    return cases


@pytest.fixture(scope="module")
def api() -> HetBench:
    return HetBench(search_space="vit")


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)  # where nothing is overwritten


@pytest.mark.parametrize(("name", "argument"), _method_cases())
def test_a_method_answers_or_teaches_whatever_it_is_given(api: HetBench, name: str, argument: str):
    good = GOOD.get(name, {})
    if name == "query_batch":
        good = {**good, "archs": [api.sample_arch(seed=0)]}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of columns that are not read
        assert _failures(getattr(api, name), good, argument) == []


@pytest.mark.parametrize("argument", [*SERVING, "source", "source_value", "predictor", "device", "request_rate",
                                      "speculative", "image_size", "batch"])  # fmt: skip
def test_a_deployment_is_answered_or_refused_in_words(api: HetBench, argument: str):
    assert _failures(api.query, SERVING, argument) == []


@pytest.mark.parametrize("given", [
    {"source_value": 5.0, "source": "cuda"}, {"predictor": "roofline"}, {"image_size": 224}, {"batch": 2},
    {"parallel": 0}, {"kv": 0}, {"parallel": "tp" + "1" * 5000}, {"concurrency": True}, {"chips": 0},
])  # fmt: skip
def test_an_option_that_a_deployment_does_not_take_is_not_ignored(api: HetBench, given: dict[str, Any]):
    with pytest.raises(HetBenchError):
        api.query(**{**SERVING, "chips": None, "parallel": None, **given})


@pytest.mark.parametrize("slo", ["ttft=1.2.3", "ttft=", "ttft=5ms,ttft=6", "ttft=0", {"ttft": math.nan}, {"x": 1}, 0])
def test_an_objective_is_a_time_above_0_given_once(api: HetBench, slo: Any):
    with pytest.raises(HetBenchError, match=r"objective|twice"):
        api.serve_plan(**{**GOOD["serve_plan"], "slo": slo})


@pytest.mark.parametrize("fact", [*CONFIGURATION, "head_dim", "rope_scaling", "tie_word_embeddings", "hidden_act",
                                  "quantization_config", "moe_intermediate_size"])  # fmt: skip
def test_a_fact_of_a_configuration_is_read_or_named(api: HetBench, fact: str):
    def asked(**values: Any) -> Any:
        return api.query(values, target="cuda", metric="flops")

    assert _failures(asked, CONFIGURATION, fact) == []


@pytest.mark.parametrize(("name", "argument"), [(name, each) for name, (_, good) in FUNCTIONS.items() for each in good])
def test_a_function_answers_or_teaches_whatever_it_is_given(name: str, argument: str):
    call, good = FUNCTIONS[name]
    assert _failures(call, good, argument) == []


@pytest.mark.parametrize(("method", "table", "column"), [
    (method, table, column) for method, table in (
        ("query_operators", OPERATORS), ("query_models", MODELS), ("observe", ROWS)
    ) for column in table
])  # fmt: skip
def test_one_bad_cell_of_a_table_leaves_the_row_beside_it_answered(method: str, table: dict[str, Any], column: str):
    for bad in BAD:
        asked = {name: [*cells, *cells] for name, cells in table.items()}
        asked[column] = [table[column][0], bad]
        found = getattr(HetBench(), method)(asked)  # an observed row counts once
        assert np.isfinite(found["value"][0]), type(bad)
        assert found["reason"][0] == "", type(bad)
        assert np.isfinite(found["value"][1]) != (len(found["reason"][1]) > 10), type(bad)
        assert len(found["reason"][1]) < LONGEST


@pytest.mark.parametrize("fact", [*SHEET, "aliases", "notes", "compute_units", "boost_mhz", "tdp_w", "confidence"])
def test_a_fact_of_a_datasheet_is_taken_or_named(fact: str):
    assert _failures(lambda **given: Chip.from_mapping({**SHEET, **given}), {}, fact) == []


@pytest.mark.parametrize("option", ["bacth", "seqlen", "precison", "x"])
@pytest.mark.parametrize("name", ["query", "explain", "coverage", "advise", "migrate", "query_batch"])
def test_a_misspelt_option_is_named_by_every_method(api: HetBench, name: str, option: str):
    good = {**GOOD[name], **({"archs": [api.sample_arch(seed=0)]} if name == "query_batch" else {})}
    with pytest.raises(HetBenchError, match=f"unknown option '{option}'"):
        getattr(api, name)(**{**good, option: 8})


def test_the_list_of_good_arguments_answers(api: HetBench):
    for name in ("query", "coverage", "advise", "migrate", "query_operator", "query_operators", "query_models"):
        assert getattr(api, name)(**GOOD[name]) is not None
    with pytest.raises(RefusedError):
        api.query("gpt2", target="nvidia-v100-sxm2-16gb", metric="latency", precision="bf16")


def test_what_is_public_is_tried():
    functions = {name for name in hetbench.__all__
                 if not isinstance(getattr(hetbench, name), type | str)}  # fmt: skip
    assert functions == {"chips", "metrics", "models", "operator_types"}  # they take no argument
    assert set(GOOD) <= set(METHODS)
