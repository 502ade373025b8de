"""The kernel against numpy, over mixed models, chips, settings and predictors."""

import random
from collections.abc import Iterator
from copy import copy
from typing import Any

import numpy as np
import pytest

from hetbench import HetBenchError, chips, models
from hetbench.catalog.chips import Chip
from hetbench.graphs.model_graph import load as graph_of
from hetbench.graphs.operator_table import OperatorTable, SizedTable
from hetbench.kernel import library
from hetbench.predict import compiled, operators
from hetbench.predict.model_features import composition
from hetbench.predict.models import group_of
from hetbench.predict.models import load as whole_models
from hetbench.predict.pooling import label_of
from hetbench.schema import FAMILIES, PROTOCOLS

TOLERANCE = 2e-6
"""Latencies are exponentials of what single-precision networks say, which differs by a unit in the last place."""

needs_kernel = pytest.mark.skipif(library() is None, reason="no kernel for this platform")


class Absent:
    """Stands where a surrogate's kernel does, and answers nothing."""

    def evaluate(self, *_: Any) -> None:
        return None


def by_numpy() -> operators.OperatorSurrogate:
    made = copy(operators.load())
    vars(made)["kernel"] = Absent()
    return made


def passes(count: int, seed: int) -> Iterator[tuple[SizedTable, Chip, str, str]]:
    """Tables of mixed models and settings, each with a chip, a precision and a phase."""
    draw, every = random.Random(seed), list(chips().values())
    for _ in range(count):
        graph = graph_of(draw.choice(list(models())))
        phase, precision = draw.choice(graph.phases), draw.choice(("fp32", "fp16", "bf16", "int8"))
        table = graph.operators(batch=draw.choice((1, 3, 8, 64)), precision=precision, phase=phase)
        assert isinstance(table, SizedTable)
        yield table, draw.choice(every), precision, phase


@needs_kernel
def test_sums_are_those_of_numpy_and_refusals_too():
    ours, theirs, draw, compared = operators.load(), by_numpy(), random.Random(1), 0
    for table, chip, *_ in passes(25, seed=2):
        asked = {"protocol": draw.choice(PROTOCOLS), "predictor": draw.choice(("auto", "auto", "rgat", "roofline"))}
        try:
            expected = theirs.predict_model(OperatorTable(table.groups), chip, **asked)
        except HetBenchError as why:
            with pytest.raises(type(why)):
                ours.predict_model(table, chip, **asked)
            continue
        found = ours.predict_model(table, chip, **asked)
        assert (found.level, found.support) == (expected.level, expected.support)
        for name in ("value", "lower", "upper", "launch_ms"):
            assert getattr(found, name) == pytest.approx(getattr(expected, name), rel=TOLERANCE)
        assert list(found.by_operator) == list(expected.by_operator)
        assert found.by_operator == pytest.approx(expected.by_operator, rel=TOLERANCE)
        assert found.by_level == pytest.approx(expected.by_level, rel=TOLERANCE)
        compared += 1
    assert compared > 12


@needs_kernel
def test_tables_of_one_operator_are_those_of_numpy():
    ours, theirs, draw = operators.load(), by_numpy(), np.random.default_rng(0)
    dims = {"m": draw.integers(1, 5000, 60), "n": draw.integers(1, 5000, 60), "k": draw.integers(1, 5000, 60)}
    for chip in ("nvidia-a100-sxm4-80gb", "amd-mi210", "cambricon-mlu370-x4", "amd-epyc-zen4-2vcpu-kvm"):
        found, expected = (each.predict("Linear", "fp32", dims, chips()[chip]) for each in (ours, theirs))
        np.testing.assert_allclose(found.value, expected.value, rtol=TOLERANCE)
        np.testing.assert_allclose(found.upper, expected.upper, rtol=TOLERANCE)


@needs_kernel
def test_whole_models_are_those_of_numpy():
    sums, whole, draw = operators.load().sums, whole_models(), random.Random(3)
    stacks = ("eager", "eager-amp", "compiled", "vllm", "acl")
    for table, chip, precision, phase in passes(25, seed=4):
        if chip.family not in FAMILIES or not chip.bandwidth:
            continue
        group = whole.group(group_of(chip.family, phase))
        labels = label_of(chip.name, chip.die, draw.choice(stacks), precision)
        found = group.whole_kernel.pieces(group, table, sums, (chip, chip), 8, labels)
        assert found is not None
        made = composition([(1.0, table)], chip)
        values, shares = group.pieces(made, 8, labels)
        np.testing.assert_allclose(found[0], values, rtol=TOLERANCE, atol=1e-9)
        assert sum(found[2]) == pytest.approx(sum(shares))


@needs_kernel
@pytest.mark.parametrize(("name", "stack", "precision"), [
    ("nvidia-h200-sxm-141gb", "eager-amp", "fp16"), ("nvidia-v100-sxm2-32gb", "eager", "fp32"),
])  # fmt: skip
def test_a_chip_that_another_of_its_die_speaks_for_keeps_its_own_roofline(name: str, stack: str, precision: str):
    whole, chip = whole_models(), chips()[name]
    place = chip, "inference", stack, precision
    on, labels, group = whole.speaker(*place), whole.labels(*place), whole.group("pass-gpu")
    table = graph_of("resnet-50").operators(3, precision=precision)
    assert isinstance(table, SizedTable)
    assert on is not chip
    found = group.whole_kernel.pieces(group, table, operators.load().sums, (chip, on), 3, labels)
    expected, _ = group.pieces(composition([(1.0, table)], chip, on), 3, labels)
    assert found is not None
    np.testing.assert_allclose(found[0], expected, rtol=TOLERANCE)


@needs_kernel
def test_attention_of_one_query_moves_to_the_class_of_decoding():
    surrogate, chip = operators.load(), chips()["nvidia-a100-sxm4-80gb"]
    graph = graph_of("gpt2")
    for length in (128, 1, 64, 1):
        table = graph.operators(1, length, precision="fp16")
        expected = by_numpy().predict_model(OperatorTable(table.groups), chip)
        assert surrogate.predict_model(table, chip).value == pytest.approx(expected.value, rel=TOLERANCE)


def test_a_surrogate_that_says_more_than_the_kernel_knows_is_left_to_numpy(monkeypatch: pytest.MonkeyPatch):
    surrogate, chip = copy(operators.load()), chips()["nvidia-a100-sxm4-80gb"]
    for name in ("kernel", "sums"):
        vars(surrogate).pop(name, None)
    monkeypatch.setattr(compiled, "_KNOWN_SPEC", {"cells"})
    choice = surrogate.choose("gemm", "Linear", "fp16", chip, "event", None, None)
    assert surrogate.kernel.block("gemm", chip, chip, "event", [choice]) is None
    assert surrogate.predict("Linear", "fp16", {"m": 64, "n": 64, "k": 64}, chip).value > 0
