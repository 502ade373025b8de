"""Questions to the API with one or more bad arguments: answered with figures that can be, or refused in words."""

from __future__ import annotations

import copy
import math
import pickle
import random
import warnings
from typing import Any

import numpy as np

from hetbench import Answer, Answers, HetBench, HetBenchError, chips, metrics, models, operator_types
from hetbench.schema import FAMILIES, PHASES, PRECISIONS, PROTOCOLS
from tests.fuzz.values import hostile, number, slip, text

__all__ = ["REFUSED", "check_answer", "operator_question", "other_method", "question", "serving_question"]

ANSWERED, REFUSED = "answered", "refused"
_LONGEST = 4000
NPU = {"name": "my-npu", "family": "cann", "fp16_tflops": 100, "fp32_tflops": 25, "mem_bw_gbs": 800, "mem_gb": 16}
_LANGUAGE = ("meta-llama/Llama-3.1-8B-Instruct", "Qwen/Qwen3-32B", "mistralai/Mixtral-8x7B-Instruct-v0.1")


def service() -> HetBench:
    """An object with a chip of its own."""
    api = HetBench(search_space="vit")
    api.add_chip(NPU)
    return api


def refusal(why: HetBenchError) -> str:
    """`refused`, where the message is one that somebody can read and pass on."""
    said = str(why)
    assert 10 < len(said) < _LONGEST, f"a message of {len(said)} characters"
    assert str(pickle.loads(pickle.dumps(why))) == said
    return REFUSED


def check_answer(answer: Any) -> None:
    """An answer is finite and inside its interval, says what it is, and is the same after pickling."""
    if isinstance(answer, dict | Answers):
        for each in answer.values():
            check_answer(each)
        return
    assert isinstance(answer, Answer), type(answer)
    assert math.isfinite(answer.value), answer
    assert answer.value >= 0, answer
    if answer.lower is not None:
        assert 0 <= answer.lower <= answer.value * (1 + 1e-9), answer
        assert answer.value <= answer.upper * (1 + 1e-9), answer
        assert math.isfinite(answer.upper), answer
    assert answer.kind in ("measured", "predicted", "derived")
    assert pickle.loads(pickle.dumps(answer)) == answer
    assert repr(answer).isprintable() or "\n" in repr(answer), "control characters in an answer"


_NAMES = [*models(), "resnet101", "llama-2-7b", "Qwen/Qwen3-8B", "convnext_tiny"]
_PLACES = [*FAMILIES, *list(chips())[::7], "my-npu", "nvidia-h200-sxm-141gb", "MI300X", "A100"]
_GOOD: dict[str, Any] = {
    "target": lambda d: d.choice(_PLACES),
    "source": lambda d: d.choice((None, None, *_PLACES)),
    "metric": lambda d: d.choice((None, *metrics(), ("latency", "energy"))),
    "batch": lambda d: d.choice((None, 1, 3, 8, 64)),
    "seq_len": lambda d: d.choice((None, 1, 16, 128, 1000)),
    "image_size": lambda d: d.choice((None, 64, 224, 230)),
    "precision": lambda d: d.choice((None, *PRECISIONS)),
    "phase": lambda d: d.choice((None, *PHASES)),
    "stack": lambda d: d.choice((None, "eager", "compiled", "tensorrt", "vllm", "acl", "magicmind", "eager-amp")),
    "predictor": lambda d: d.choice((None, "auto", "roofline", "rgat", "autogluon")),
    "confidence": lambda d: d.choice((None, 0.5, 0.8, 0.9, 0.98)),
    "source_value": lambda d: d.choice((None, None, 1.9)),
}
_SIZES = ("batch", "seq_len", "image_size", "input_len", "output_len", "concurrency", "chips")


def _spoil(draw: random.Random, asked: dict[str, Any], names: tuple[str, ...], *, open_ended: bool = True) -> None:
    """Put a bad value, a slip or, where a method takes any option, an unknown option into the arguments."""
    name = draw.choice(names)
    roll = draw.random()
    if isinstance(asked.get(name), str) and roll < 0.4:
        asked[name] = slip(draw, asked[name])
    elif roll < 0.5 and open_ended:
        asked[draw.choice((slip(draw, name), text(draw)))] = number(draw)
    else:
        asked[name] = (number if name in _SIZES and roll < 0.8 else hostile)(draw)


def _is_size(value: Any) -> bool:
    """Whether a value can be meant as a size by its type and its range."""
    if value is None or isinstance(value, bool | np.bool_):
        return value is None
    try:
        return bool(int(value.__index__()) >= 1)
    except Exception:  # noqa: BLE001 - hostile values raise anything
        return False


def _check_sizes(asked: dict[str, Any], known: set[str]) -> None:
    """What was answered named nothing unknown, and its sizes are sizes."""
    assert set(asked) <= known, f"answered with an unknown option: {set(asked) - known}"
    for name in _SIZES:
        assert _is_size(asked.get(name)), f"answered with {name}={asked.get(name)!r:.60}"


def question(draw: random.Random, api: HetBench) -> str:
    """`query` about a model."""
    asked = {name: make(draw) for name, make in _GOOD.items() if draw.random() < 0.25 or name == "target"}
    asked["model"] = draw.choice(_NAMES)
    for _ in range(draw.choice((0, 1, 1, 1, 2, 3))):
        _spoil(draw, asked, (*_GOOD, "model", "device"))
    try:
        found = api.query(**asked)
    except HetBenchError as why:
        return refusal(why)
    check_answer(found)
    _check_sizes(asked, {*_GOOD, "model", "device", "chip"})
    if draw.random() < 0.1:
        assert copy.deepcopy(api).query(**asked) == found, "a copy answers otherwise"
    return ANSWERED


_LOAD: dict[str, Any] = {
    "input_len": lambda d: d.choice((1, 128, 1024)),
    "output_len": lambda d: d.choice((1, 64, 1024)),
    "concurrency": lambda d: d.choice((1, 8, 64)),
    "chips": lambda d: d.choice((1, 2, 8)),
    "parallel": lambda d: d.choice((None, "tp1", "tp2", "tp4dp2", "pp2", "ep8")),
    "kv": lambda d: d.choice((None, "fp8", "bf16")),
    "precision": lambda d: d.choice((None, "fp8", "bf16", "w4a16", "mxfp4")),
    "request_rate": lambda d: d.choice((None, 1.5)),
    "stack": lambda d: d.choice((None, "vllm", "sglang", "tensorrt-llm")),
    "metric": lambda d: d.choice((None, "ttft", "tpot", "latency", "throughput", "memory", "power", "energy")),
}


def serving_question(draw: random.Random, api: HetBench) -> str:
    """`query` about a deployment."""
    asked = {name: make(draw) for name, make in _LOAD.items() if draw.random() < 0.6}
    asked |= {"model": draw.choice(_LANGUAGE), "target": draw.choice(_PLACES), "phase": "serving"}
    for _ in range(draw.choice((0, 1, 1, 2))):
        _spoil(draw, asked, (*_LOAD, "model", "target"))
    try:
        found = api.query(**asked)
    except HetBenchError as why:
        return refusal(why)
    check_answer(found)
    _check_sizes(asked, {*_LOAD, *_GOOD, "model", "target", "phase"})
    return ANSWERED


def operator_question(draw: random.Random, api: HetBench) -> str:
    """`query_operator`, alone and in a table: both say the same."""
    kind = draw.choice(list(operator_types().values()))
    dims: Any = {name: draw.choice((1, 2, 8, 64, 1000)) for name in kind.dims}
    asked: dict[str, Any] = {
        "op": kind.name,
        "dims": dims,
        "device": draw.choice(_PLACES),
        "precision": draw.choice(PRECISIONS),
        "protocol": draw.choice(PROTOCOLS),
    }
    spoilt = draw.choice(
        ("dims", "dims", "op", "device", "precision", "protocol", "predictor", "library", "layout", "")
    )
    if spoilt == "dims" and draw.random() < 0.8:
        dims[draw.choice((*dims, *kind.optional, text(draw)))] = (number if draw.random() < 0.7 else hostile)(draw)
    elif spoilt:
        known = isinstance(asked.get(spoilt), str) and draw.random() < 0.4
        asked[spoilt] = slip(draw, asked[spoilt]) if known else hostile(draw)
    try:
        found = api.query_operator(**asked)
    except HetBenchError as why:
        return refusal(why)
    check_answer(found)
    for name, value in dict(asked["dims"]).items():
        assert not isinstance(value, bool | np.bool_), f"answered with {name}={value!r}"
    return ANSWERED


_METHODS = {
    "explain": ("model", "source", "target", "by", "depth", "link_gbs", "source_value", "precision", "batch"),
    "coverage": ("model", "target", "precision", "phase", "batch"),
    "advise": ("model", "target", "accuracy_safe", "method", "precision", "batch"),
    "migrate": ("model", "source", "targets", "source_value", "slo_ms", "objective", "batch", "stack"),
    "sample_arch": ("seed",),
    "set_arch": ("arch",),
    "query_batch": ("archs", "device", "metric", "sample", "seed", "intervals"),
    "chip": ("name",),
    "add_chip": ("datasheet",),
    "set_model": ("model",),
    "forget": ("chip",),
}
_OPEN = ("explain", "coverage", "advise", "migrate", "query_batch")
"""Methods that take any option of `query`."""
_START: dict[str, Any] = {
    "model": "bert-tiny",
    "target": "cuda",
    "targets": "mlu,cann",
    "by": "type",
    "method": "greedy",
    "seed": 1,
    "name": "cuda",
    "objective": "latency",
    "device": "cann",
    "metric": "latency",
    "sample": 3,
    "archs": None,
    "datasheet": NPU,
}


def other_method(draw: random.Random, api: HetBench) -> str:
    """Any other method of the API, with one or two bad arguments, on an object of its own."""
    method = draw.choice(list(_METHODS))
    own = copy.deepcopy(api)
    asked = {name: _START[name] for name in _METHODS[method] if name in _START}
    for _ in range(draw.choice((1, 1, 2))):
        _spoil(draw, asked, _METHODS[method], open_ended=method in _OPEN)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            found = getattr(own, method)(**asked)
    except HetBenchError as why:
        return refusal(why)
    assert not set(asked) - {*_METHODS[method], *_GOOD}, f"answered with an unknown option: {asked.keys()}"
    if isinstance(found, np.ndarray):
        assert np.isfinite(found).all()
    repr(found)
    return ANSWERED
