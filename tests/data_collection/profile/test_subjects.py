"""What is made ready and what really ran it: libraries, layouts, caches, memory, other runtimes."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from typing import Any

import pytest

pytest.importorskip("psutil")
pytest.importorskip("duckdb")
pytest.importorskip("torch")
pytest.importorskip("transformers")

import torch

from data_collection.backends import Backend
from data_collection.profile.libraries import ran_by
from data_collection.profile.runtimes import executed
from data_collection.profile.stacks import missing
from data_collection.profile.subjects import ready
from data_collection.profile.tasks import Task
from data_collection.profile.timing import Budget
from data_collection.profile.worker import Worker
from hetbench.errors import RefusedError
from hetbench.graphs.model_graph import load
from hetbench.operators import operator_type

QUICK = Budget(min_repeats=6, min_seconds=0.0, max_seconds=0.05)


@pytest.fixture
def bert(linear: Task) -> Task:
    return replace(linear, kind="model", name="bert-tiny", dims=None, batch=2, seq_len=8, phase="inference")


@pytest.mark.skipif(not torch.backends.mkl.is_available() or not torch.backends.mkldnn.is_available(),
                    reason="this PyTorch has no MKL or no oneDNN")  # fmt: skip
@pytest.mark.parametrize(("name", "dims", "dtype", "library"), [
    ("Linear", {"m": 64, "n": 64, "k": 64}, torch.float32, "MKL"),
    ("Conv2d", {"n": 1, "c": 64, "h": 28, "w": 28, "oc": 64, "kh": 3, "kw": 3}, torch.float32, "oneDNN"),
    ("Softmax", {"rows": 512, "cols": 512}, torch.float32, "ATen"),
    ("Tanh", {"numel": 100_000}, torch.float32, "unknown"),  # MKL's vector mathematics or ATen's own: nothing tells
])  # fmt: skip
def test_the_library_is_the_one_that_reports_the_work(name: str, dims: dict[str, int], dtype: Any, library: str):
    call = operator_type(name).build(dims, dtype)
    call()
    assert library in ran_by(call).split(" + ")  # on a busy machine ATen's own part of a convolution counts too


def test_channels_last_is_the_layout_of_every_image_tensor(cpu: Backend, linear: Task):
    dims = json.dumps({"n": 1, "c": 8, "h": 9, "w": 9, "oc": 8, "kh": 3, "kw": 3})
    with ready(cpu, replace(linear, name="Conv2d", dims=dims, layout="channels_last")) as subject:
        assert subject.call().is_contiguous(memory_format=torch.channels_last)


@pytest.mark.filterwarnings("ignore::FutureWarning")
@pytest.mark.parametrize("phase", ["inference", "prefill", "decode"])
def test_every_call_of_a_generating_model_sees_the_same_cache(cpu: Backend, bert: Task, phase: str):
    task = replace(bert, name="gpt2", batch=1, seq_len=5, phase=phase)
    with ready(cpu, task) as subject:
        lengths, scores = [], []
        for _ in range(2):
            if subject.reset:
                subject.reset()
            answer = subject.call()
            scores.append(answer.logits)
            lengths.append(answer.past_key_values.get_seq_length() if subject.reset else 0)
    assert lengths == [{"inference": 0, "prefill": 5, "decode": 6}[phase]] * 2
    assert torch.equal(*scores)
    assert torch.isfinite(scores[0]).all()
    assert scores[0].shape[1] == (5 if phase == "inference" else 1)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("stack", ["onnxruntime", "openvino"])
def test_a_whole_model_runs_in_other_runtimes_where_they_are_installed(cpu: Backend, bert: Task, stack: str):
    if missing(stack):
        pytest.skip(missing(stack))
    with ready(cpu, bert) as eager, ready(cpu, replace(bert, stack=stack)) as subject:
        expected, found = eager.call()[0].numpy(), subject.call()
        first = next(iter(found.values())) if hasattr(found, "values") else found[0]
        assert abs(first - expected).max() < 1e-3 * abs(expected).max()
        assert "".join((subject.library or "").lower().split()).startswith(stack)
        assert "17 of 17 products in fp32" in (subject.library or "")
    with ready(cpu, replace(bert, stack=stack, precision="int8")) as subject:
        quantised = subject.call()
        first = next(iter(quantised.values())) if hasattr(quantised, "values") else quantised[0]
        assert 0 < abs(first - expected).max() < 0.2 * abs(expected).max()
        assert re.search(r"1[0-7] of 17 products in int8", subject.library or "")
    other = replace(bert, stack=stack, precision="fp64")
    with pytest.raises(RefusedError, match=f"{stack} computes in fp32"), ready(cpu, other):
        pass


def test_a_row_is_filed_under_the_precision_that_most_products_ran_in():
    assert executed({"fp32": 17}, "fp32", "OpenVINO 2026.4.1") == "OpenVINO 2026.4.1, 17 of 17 products in fp32"
    assert executed({"fp32": 4, "int8": 13}, "int8", "X").endswith(", 13 of 17 products in int8, 4 in fp32")
    for ran in ({"bf16": 17}, {"int8": 8, "fp32": 9}, {"int8": 8, "fp32": 8}, {}):
        with pytest.raises(RefusedError, match="a row of int8 must have most of its products in it"):
            executed(ran, "int8", "X")


def test_the_peak_memory_of_a_model_holds_its_weights(child: Worker, bert: Task):
    weights = load("bert-tiny").memory(batch=2, seq_len=8).weights_bytes
    found = child.measure(bert, QUICK, 60.0, fresh=True)
    assert weights < found.figures["peak_memory_bytes"] < 3 * weights


def test_a_network_is_not_measured_in_whole_numbers(cpu: Backend, bert: Task):
    whole = replace(bert, precision="int8")
    with pytest.raises(RefusedError, match="a stack that has a quantiser, onnxruntime or openvino"), ready(cpu, whole):
        pass
