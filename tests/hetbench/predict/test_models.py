"""Whole models under a stack: what the surrogate sees, how it answers, and when it does not."""

from __future__ import annotations

import math

import numpy as np
import pytest

from hetbench import HetBench
from hetbench.catalog.chips import chip
from hetbench.errors import InvalidInputError, RefusedError
from hetbench.graphs.model_graph import load
from hetbench.predict import models
from hetbench.predict.model_features import COLUMNS, SUMMARY, composition
from hetbench.predict.pooling import Pooled

RTX = {"target": "nvidia-rtx-4090", "metric": "latency", "precision": "fp16"}


@pytest.fixture(scope="module")
def api() -> HetBench:
    return HetBench()


def test_a_composition_counts_every_operator_that_runs():
    table = load("resnet-50").operators(4, precision="fp16")
    made = composition([(1.0, table)], chip("cuda"))
    assert made.matrix.shape == (len(made.operators), len(COLUMNS))
    assert made.count.sum() == table.launches
    assert np.isfinite(made.matrix).all()
    assert made.compute_ms >= 1e3 * table.flops / 312e12  # the chip's fp16 peak


def test_a_generation_counts_each_call_as_often_as_it_runs():
    graph = load("gpt2")
    step = graph.operators(1, 64, precision="fp16", phase="decode")
    once, often = (composition([(times, step)], chip("cuda")) for times in (1.0, 31.5))
    assert often.count.sum() == pytest.approx(31.5 * once.count.sum())
    assert often.compute_ms == pytest.approx(31.5 * once.compute_ms)


def test_the_summary_has_its_columns_and_shares_that_sum_to_one():
    row = composition([(1.0, load("efficientnet-b0").operators(1))], chip("cuda")).summary()
    assert len(row) == len(SUMMARY)
    shares = [value for name, value in zip(SUMMARY, row, strict=True) if name.startswith("share of")]
    assert sum(shares) == pytest.approx(1, abs=1e-5)


def test_a_measured_cell_answers_at_level_c_with_the_rows_behind_it(api: HetBench):
    answer = api.query("convnext_tiny", batch=256, stack="eager-amp", **RTX)
    assert (answer.level, answer.stack, answer.kind) == ("C", "eager-amp", "predicted")
    assert answer.support > 1000
    assert answer.lower < answer.value < answer.upper
    assert sum(answer.shares.values()) == pytest.approx(answer.value, rel=1e-6)


def test_a_compiled_model_is_faster_than_an_eager_one(api: HetBench):
    eager, compiled = (
        api.query("resnet-50", batch=256, stack=stack, **RTX).value for stack in ("eager-amp", "compiled-amp")
    )
    assert compiled < eager


def test_a_higher_confidence_gives_a_wider_interval(api: HetBench):
    narrow, usual, wide = (
        api.query("resnet-50", batch=256, stack="eager-amp", confidence=c, **RTX) for c in (0.5, 0.9, 0.95)
    )
    assert narrow.value == usual.value == wide.value
    assert wide.lower <= usual.lower < narrow.lower < narrow.upper < usual.upper <= wide.upper
    summed = [api.query("gpt2", device="rocm", metric="latency", confidence=c) for c in (0.5, 0.9)]
    assert summed[1].lower < summed[0].lower < summed[0].upper < summed[1].upper
    with pytest.raises(InvalidInputError, match=r"0\.5 to 0\.98"):
        api.query("gpt2", device="rocm", metric="latency", confidence=2)


def test_ascend_and_cambricon_answer_under_their_usual_stack(api: HetBench):
    assert api.query("resnet-50", target="huawei-ascend-310p", metric="latency", batch=4).stack == "acl"
    assert api.query("resnet-50", target="mlu", metric="latency", batch=4).stack == "magicmind"
    generating = api.query("gpt2", target="mlu", metric="latency", phase="decode", batch=4)
    assert generating.stack == "eager"


def test_a_stack_measured_in_another_precision_is_scaled_by_the_operators_and_says_so(api: HetBench):
    half, full = (
        api.query("resnet-50", target="huawei-ascend-310p", metric="latency", batch=4, precision=precision)
        for precision in ("fp16", "fp32")
    )
    assert (half.stack, half.level) == ("acl", "C")
    assert (full.stack, full.level) == ("acl", "D")
    assert full.value >= half.value
    assert any("scaled from fp16 to fp32" in note for note in full.notes)


def test_a_named_stack_that_nobody_measured_is_refused(api: HetBench):
    with pytest.raises(RefusedError, match="stack 'tensorrt' in fp16"):
        api.query("resnet-50", target="cann", metric="latency", stack="tensorrt")


def test_a_chip_never_measured_is_answered_from_the_stack_at_level_d(api: HetBench):
    answer = api.query("resnet-50", target="huawei-ascend-910b3", metric="latency", stack="acl", batch=4)
    seen = api.query("resnet-50", target="huawei-ascend-310p", metric="latency", stack="acl", batch=4)
    assert (answer.level, seen.level) == ("D", "C")
    assert math.log(answer.upper / answer.lower) > math.log(seen.upper / seen.lower)


def test_nothing_is_faster_than_the_peak(api: HetBench):
    for batch in (1, 64, 4096):
        answer = api.query("resnet-50", batch=batch, stack="compiled-amp", **RTX)
        flops = api.query("resnet-50", metric="flops", batch=batch).value
        assert answer.value >= 1e3 * 0.9 * flops / chip("nvidia-rtx-4090").peak_flops("fp16")


def test_upstream_names_resolve_and_near_ones_do_not(api: HetBench):
    tagged, plain = (api.query(name, metric="params") for name in ("resnet101.a1_in1k", "resnet101"))
    assert tagged.value == plain.value
    table = {"model": ["resnet101.a1_in1k", "no-such-net"], "chip": ["nvidia-rtx-4090"] * 2, "precision": ["fp16"] * 2,
             "batch": [256, 1], "stack": ["eager-amp"] * 2}  # fmt: skip
    found = api.query_models(table)
    assert found["level"].tolist() == ["C", ""]
    assert found["reason"][1]


def test_the_exported_network_answers_as_torch_does():
    torch = pytest.importorskip("torch")
    pytest.importorskip("autogluon.tabular")
    from surrogates.whole.network import _exported, _network

    torch.manual_seed(0)
    net = _network(len(COLUMNS) + 1, 9, np.array([3, 4, 5]), 16)
    for parameter in net.parameters():
        torch.nn.init.normal_(parameter, 0, 0.2)
    made = composition([(1.0, load("resnet-50").operators(8, precision="fp16"))], chip("cuda"))
    matrix = np.concatenate((made.matrix, np.full((len(made.count), 1), 3.0, np.float32)), axis=1)
    mean, scale, n = matrix.mean(axis=0), matrix.std(axis=0) + 1, len(made.count)
    weights = np.linspace(0, 1, 3 * n).reshape(3, n)
    pooled, believed = Pooled.of(np.arange(n) % 9, np.arange(n) % 4, weights), (0.9, 0.5, 0.2)
    columns = [(matrix - mean) / scale, pooled.known, weights.T, made.base_ms, made.count, np.array([believed])]
    x, known, weight, base, count, whole = (torch.tensor(each, dtype=torch.float32) for each in columns)
    of, labels = torch.zeros(n, dtype=torch.long), torch.tensor([[2, 3, 1]])
    with torch.no_grad():
        expected, _ = net(x, torch.tensor(pooled.operators), known, weight, base, count, of, labels, whole)
    exported = _exported(net, mean, scale)
    each = exported.operator_ms(made, 8, pooled, (2, 3, 1))
    assert exported.log_ms(each.sum(), (2, 3, 1), believed) == pytest.approx(float(expected[0]), abs=1e-4)


def test_the_artefact_names_its_groups_and_every_cell_its_rows():
    for name, spec in models.load().groups.items():
        assert spec["residuals"], name
        assert all(rows > 0 for _, rows in spec["cells"].values())
        assert {cell.split("|", 1)[1] for cell in spec["cells"]} <= set(spec["stacks"])
