"""Refusals list what is answered instead, and never what they refuse."""

from __future__ import annotations

import re

import pytest

from hetbench import HetBench
from hetbench.errors import RefusedError

ASKED = (
    ("bert-base", "nvidia-a100-sxm4-80gb", "fp16", "pplnn-amp"), ("resnet-50", "nvidia-l40s", "int8", "magicmind"),
    ("gpt2", "cann", "fp16", "tensorrt"), ("bert-base", "mlu", "fp16", "compiled"),
    ("resnet-50", "amd-mi300x", "fp16", "tensorrt"),
)  # fmt: skip


@pytest.mark.parametrize(("model", "chip", "precision", "stack"), ASKED)
def test_every_stack_that_a_refusal_lists_is_answered_in_that_precision(
    model: str, chip: str, precision: str, stack: str
):
    api, where = HetBench(), {"target": chip, "metric": "latency", "precision": precision}
    with pytest.raises(RefusedError) as refused:
        api.query(model, **where, stack=stack)
    listed = re.search(r"can be predicted there: (.*?)\.(?: Measured|$)", str(refused.value))
    assert listed is not None
    names = listed[1].split(", ")
    assert stack not in names
    assert len(names) == len(set(names))
    for name in names:
        assert api.query(model, **where, stack=name).value > 0


def test_the_roofline_lists_eager_launches_only():
    with pytest.raises(RefusedError, match="can be predicted there: eager"):
        HetBench().query("gpt2", target="cuda", metric="latency", stack="compiled", predictor="roofline")


@pytest.mark.parametrize(("stack", "chip", "family"), [
    ("triton-tensorrt", "amd-mi300x", "cuda"), ("acl", "nvidia-a100-sxm4-80gb", "cann"), ("magicmind", "cann", "mlu"),
])  # fmt: skip
def test_a_vendors_stack_runs_on_its_own_chips_alone(stack: str, chip: str, family: str):
    with pytest.raises(RefusedError, match=f"it runs on {family} alone"):
        HetBench().query("resnet-50", target=chip, metric="latency", precision="fp16", stack=stack)
