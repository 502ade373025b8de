"""Cells of tables as published results write them."""

from __future__ import annotations

import pytest

from hetbench import HetBench
from hetbench.errors import InvalidInputError
from hetbench.query.wording import plain_cells, side_of, stack_of


@pytest.mark.parametrize(
    ("software", "stack"),
    [
        ("vLLM 0.9.2", "vllm"), ("ACL/OM offline", "acl"), ("TensorRT-LLM 0.12", "tensorrt-llm"),
        ("pytorch 2.4.0 cuda 12.4 timm", "eager"), ("pytorch 2.4.0 cpu torch.compile timm", "compiled"),
        ("OpenVINO 2024.1", "openvino"), ("an in-house runtime", None),
    ],
)  # fmt: skip
def test_software_with_its_version_names_a_stack(software: str, stack: str | None):
    assert stack_of(software) == stack


def test_mixed_precision_is_half_precision_under_a_stack_of_its_own():
    cells, stack = plain_cells({"precision": "amp_fp16", "software": "pytorch 2.4.0 cuda 12.4 timm"})
    assert (cells["precision"], stack) == ("fp16", "eager-amp")


def test_an_image_size_is_one_side_of_a_square():
    assert [side_of(size) for size in ("224x224", "3x224x224", "224", 224)] == [224] * 4
    with pytest.raises(InvalidInputError, match="the square with as many pixels has side 57"):
        side_of("32x100")


def test_a_table_as_published_is_answered_as_the_query_that_it_means():
    api = HetBench()
    table = {"model": ["ResNet50", "resnet-50"], "chip": ["cuda"] * 2, "precision": ["amp_fp16", "fp16"],
             "image_size": ["224x224", 224], "software": ["pytorch 2.4.0 cuda 12.4 timm", None],
             "stack": [None, "eager-amp"]}  # fmt: skip
    found = api.query_models(table)
    assert found["value"][0] == found["value"][1] > 0
    assert list(found["reason"]) == list(found["note"]) == ["", ""]


def test_software_that_no_row_supports_is_answered_for_the_usual_stack_with_a_note():
    table = {"model": ["resnet-50"] * 2, "chip": ["amd-mi300x"] * 2, "software": ["OpenVINO 2024.1", None],
             "stack": [None, "openvino"]}  # fmt: skip
    found = HetBench().query_models(table)
    assert found["value"][0] > 0
    assert "no measured row supports openvino there" in found["note"][0]
    assert found["value"][1] != found["value"][1]  # a stack that is demanded is refused
