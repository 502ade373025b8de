"""KG-A2O: plans by hand, masks with reasons, ends that are queries, and the same plan for the same question."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from typer.testing import CliRunner

from hetbench import HetBench, RefusedError, UnknownNameError, models
from hetbench.catalog.chips import chip
from hetbench.cli.app import app
from hetbench.graphs.model_graph import ModelGraph, load
from hetbench.plans.action_effects import build_plan_space
from hetbench.plans.actions import ACTIONS, MODEL, Option
from hetbench.plans.operator_evidence import measured_operators, measured_operators_in
from hetbench.plans.plan_space import CastGroup, PlanSpace
from hetbench.plans.precisions import baseline, times_in
from hetbench.plans.search import beam, build_order, exhaustive, greedy, random_search
from hetbench.predict.intervals import pass_factor
from hetbench.predict.operators import load as surrogate
from hetbench.predict.protocols import launch_floor
from hetbench.query import PROTOCOL, Question
from hetbench.query.metric_answers import answer_metric
from hetbench.schema import FAMILIES

HALF, FUSED = Option("precision", "Linear", "fp16"), Option("operator-fusion", "GELU")
ALL, COMPILED = Option("precision", MODEL, "fp16"), Option("graph-optimisation", MODEL)
BY_HAND = PlanSpace(
    ("Linear", "GELU"), ("fp32", "fp16"),
    [[(4.0, 3.0, 5.0), (2.0, 1.0, 3.0)], [(1.0, 0.5, 2.0), (1.5, 1.0, 2.0)]],
    (ALL, HALF, FUSED, COMPILED), (), {1: [(0.5, 0.5, 0.5), (0.25, 0.25, 0.25)]},
    model_factors={"graph-optimisation": {0: (0.5, 0.4, 0.75)}},
    levels={HALF: "B", ALL: "B", FUSED: "C", COMPILED: "D"}, level="B",
    casts=(CastGroup(0, (), (1,), 2, 1000),), cast_ms=0.1, cast_ms_per_byte=1e-4,
)  # fmt: skip


@pytest.fixture(scope="module")
def api() -> HetBench:
    return HetBench()


def _plans(name: str, target: str, **options: object) -> PlanSpace:
    graph = load(name)
    question = Question.build(graph, chip(target), {"precision": "fp32", **options})
    return build_plan_space(graph, question, answer_metric(question, graph, "latency"))


@pytest.mark.parametrize(("plan", "ends"), [
    ((), (6.0, 4.0, 8.0)),
    ((HALF,), (1 + 2 + 0.2 + 0.6, 0.5 + 1 + 0.8, 2 + 3 + 0.8)),  # two casts of 1000 elements, 4 + 2 bytes each
    ((FUSED,), (5.5, 3.5, 7.5)),
    ((HALF, FUSED), (2.5, 1.0, 4.5)),  # the fused reader needs no cast
    ((ALL,), (2.5, 1.5, 4.0)), ((ALL, FUSED), (2.25, 1.25, 3.75)),
    ((COMPILED,), (3.0, 2.4, 4.5)),
])  # fmt: skip
def test_a_plan_takes_what_it_takes_by_hand(plan: tuple[Option, ...], ends: tuple[float, float, float]):
    assert BY_HAND.estimate(frozenset(plan)) == pytest.approx(ends)
    assert BY_HAND(frozenset(plan)) == pytest.approx(ends[0])


@pytest.mark.parametrize(("plan", "problem"), [
    ((COMPILED, FUSED), "fuses"), ((ALL, COMPILED), "no measurement in fp16"), ((HALF, FUSED), None),
    ((HALF, Option("precision", "Linear", "int8")), "set the same property"),
])  # fmt: skip
def test_what_does_not_go_together_is_said(plan: tuple[Option, ...], problem: str | None):
    found = replace(BY_HAND, precisions=("fp32", "fp16", "int8"))
    said = found.conflict(frozenset(plan))
    assert said is None if problem is None else problem in str(said)


def test_the_two_half_precisions_are_not_mixed():
    plans = _plans("bert-tiny", "cuda")
    both = frozenset({Option("precision", "Linear", "bf16"), Option("precision", "GELU", "fp16")})
    assert plans.conflict(both) == "fp16 and bf16 cannot be mixed"


def test_the_level_of_a_plan_is_that_of_its_weakest_part():
    assert [BY_HAND.level_of(frozenset(each)) for each in ((), (HALF,), (HALF, FUSED), (COMPILED,))] == list("BBCD")


def test_searches_find_the_plan_that_exhaustion_finds():
    best = exhaustive(BY_HAND)
    assert (best.plan, best.ms) == (frozenset({ALL, FUSED}), pytest.approx(2.25))
    assert beam(BY_HAND).plan == greedy(BY_HAND).plan == best.plan
    assert random_search(BY_HAND, 50, seed=0).ms == pytest.approx(2.25)
    assert random_search(BY_HAND, 50, seed=1) == random_search(BY_HAND, 50, seed=1)
    assert list(best.trace) == sorted(best.trace, reverse=True)


def test_steps_come_in_the_order_of_their_gains():
    built = build_order(BY_HAND, frozenset({ALL, FUSED}))
    assert built == [frozenset(), frozenset({ALL}), frozenset({ALL, FUSED})]


def test_too_many_plans_are_not_tried_one_by_one():
    with pytest.raises(RefusedError, match="use method 'beam'"):
        exhaustive(BY_HAND, limit=3)


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("name", ["bert-base", "resnet-50", "gpt2", "swin-base"])
def test_the_empty_plan_is_the_query(api: HetBench, name: str, family: str):
    answer = api.query(name, target=family, metric="latency", precision="fp32")
    plan = api.advise(name, family)
    plans = _plans(name, family)
    assert plans.estimate(frozenset()) == pytest.approx((answer.value, answer.lower, answer.upper))
    assert plan.start == answer
    assert sum(each.gain_ms for each in plan.steps) == pytest.approx(answer.value - plan.ms)
    assert plan.lower_ms <= plan.ms <= plan.upper_ms
    assert plan.ms <= answer.value


@pytest.mark.parametrize(("name", "family"), [("bert-base", "mlu"), ("gpt2", "cann"), ("vit-base", "cuda")])
def test_the_whole_model_in_another_precision_is_the_query_there(api: HetBench, name: str, family: str):
    plans, option = _plans(name, family), Option("precision", MODEL, "fp16")
    there = api.query(name, target=family, metric="latency", precision="fp16")
    ends = plans.estimate(frozenset({option}))
    assert ends[0] == pytest.approx(there.value)
    assert ends == pytest.approx((there.value, there.lower, there.upper))
    each = frozenset(Option("precision", group, "fp16") for group in plans.groups)
    if each <= set(plans.options):
        assert plans(each) == pytest.approx(there.value)


def test_measured_rows_on_both_sides_are_the_effect(api: HetBench):
    own = "amd-epyc-zen4-2vcpu-kvm"
    rows = {name: api.query("bert-base", target=own, metric="latency", precision=name, stack="eager")
            for name in ("fp32", "bf16")}  # fmt: skip
    assert {each.kind for each in rows.values()} == {"measured"}
    plans, option = _plans("bert-base", own, stack="eager"), Option("precision", MODEL, "bf16")
    assert plans.estimate(frozenset()) == pytest.approx((rows["fp32"].value,) * 3)
    assert plans.estimate(frozenset({option})) == pytest.approx((rows["bf16"].value,) * 3)
    assert (plans.level, plans.levels[option]) == ("A", "A")
    assert plans.level_of(frozenset({Option("operator-fusion", "GELU")})) == "B"  # how a row is shared out is predicted
    assert plans.measured["GELU"] > measured_operators("GELU", "oneapi")  # rows of the chip's own head


def test_fusion_saves_bytes_and_launches_by_hand():
    graph, where = load("bert-tiny"), chip("amd-mi210")
    question = Question.build(graph, where, {"precision": "fp32", "batch": 4, "seq_len": 128})
    base = baseline(graph, question, answer_metric(question, graph, "latency"))
    plans = _plans("bert-tiny", "amd-mi210", batch=4, seq_len=128)
    at = plans.groups.index("GELU")
    floor = launch_floor(surrogate().floors, where, "vector", PROTOCOL)
    most = 1e3 * 2 * (4 * 128 * 512) * 4 / (where.bandwidth or 0) + floor  # write and read of [4, 128, 512] in fp32
    each = base.ms[base.group == at]
    assert plans.fusion_ms[at][0][0] == pytest.approx(sum(min(most, ms) for ms in each))


def test_a_row_of_another_precision_follows_the_operator_surrogate():
    graph, where = load("gpt2"), chip("cann")
    question = Question.build(graph, where, {"precision": "fp32"})
    base = baseline(graph, question, answer_metric(question, graph, "latency"))
    half = surrogate().predict_model(graph.operators(precision="fp16"), where, protocol=PROTOCOL)
    made = times_in(base, "fp16").ms
    assert dict(zip(base.groups, made[0], strict=True)) == pytest.approx(
        {op: ms * pass_factor(surrogate(), where) for op, ms in half.by_operator.items()}
    )
    assert (made[1] <= made[0]).all()
    assert (made[0] <= made[2]).all()


def test_every_action_is_in_the_plan_or_masked_with_a_reason(api: HetBench):
    for family in FAMILIES:
        plans = _plans("resnet-50", family)
        named = {each.action for each in plans.options} | {each.option.action for each in plans.masked}
        assert named == set(ACTIONS)
        assert all(each.reason for each in plans.masked)
    plan = api.advise("bert-base", "oneapi")
    said = {each.action: each.reason for each in plan.masked}
    assert said["memory-pooling"].startswith("no published measurement")
    assert "already in place" in said["flash-attention"]
    assert "no model was measured on oneapi" in said["graph-optimisation"]


def test_a_chip_without_the_units_masks_the_precision():
    reasons = {each.option: each.reason for each in _plans("bert-tiny", "nvidia-v100-sxm2-16gb").masked}
    assert reasons[Option("precision", MODEL, "bf16")] == "nvidia-v100-sxm2-16gb has no bf16 units"


def test_a_precision_that_no_row_supports_is_masked():
    assert (measured_operators_in("Linear", "int8", "cann"), measured_operators("Linear", "cann") > 0) == (0, True)
    reasons = {each.option: each.reason for each in _plans("bert-tiny", "cann").masked}
    assert "no measurement of Linear in int8" in reasons[Option("precision", "Linear", "int8")]


def test_both_layouts_of_miopen_are_compared_on_the_chip():
    plans = _plans("resnet-50", "rocm")
    assert plans.levels[Option("layout", "Conv2d")] == "B"
    (factor,) = {plans.factors["layout", plans.groups.index("Conv2d")][0]}
    table = load("resnet-50").operators(precision="fp32")
    (group,) = (each for each in table.groups if each.op == "Conv2d")
    ways = [surrogate().predict("Conv2d", "fp32", group.dims, chip("rocm"), layout=each, library="HIP").value
            @ group.count for each in ("NCHW", "NHWC")]  # fmt: skip
    assert factor == pytest.approx(ways[1] / ways[0])


def test_compiling_is_predicted_only_where_both_stacks_were_measured():
    compiling = Option("graph-optimisation", MODEL)
    assert compiling in _plans("resnet-50", "cuda").options
    assert compiling in _plans("resnet-50", "nvidia-rtx-4090").options
    for family in ("rocm", "oneapi", "cann"):
        assert compiling not in _plans("resnet-50", family).options


def test_a_compiling_stack_leaves_nothing_to_fuse():
    reasons = {each.option: each.reason for each in _plans("bert-base", "mlu").masked}
    assert reasons[Option("operator-fusion", MODEL)] == "the stack magicmind already fuses operators"


@pytest.fixture(scope="module")
def eager_attention() -> ModelGraph:
    """Two heads of attention with a function of the scores that tracing does not know."""
    torch = pytest.importorskip("torch")

    class Attention(torch.nn.Module):
        def forward(self, query, key, value):
            return torch.bmm(torch.softmax(torch.relu(torch.bmm(query, key.transpose(1, 2))), -1), value)

    return HetBench().trace(Attention(), tuple(torch.zeros(2, 512, 64) for _ in range(3)))


def test_eager_attention_gains_by_one_operator_what_the_surrogate_says(eager_attention: ModelGraph):
    question = Question.build(eager_attention, chip("cuda"), {"precision": "fp32"})
    answer = answer_metric(question, eager_attention, "latency")
    plans = build_plan_space(eager_attention, question, answer)
    option = Option("flash-attention", "BMM")
    assert option in plans.options
    shapes = {"Attention": {"batch": 1, "q_len": 512, "kv_len": 512, "heads": 2, "kv_heads": 2, "head_dim": 64},
              "BMM": {"b": 2, "m": 512, "n": 512, "k": 64}, "Softmax": {"rows": 1024, "cols": 512}}  # fmt: skip
    ms = {op: float(surrogate().predict(op, "fp32", dims, chip("cuda")).value[0]) for op, dims in shapes.items()}
    last = {"b": 2, "m": 512, "n": 64, "k": 512}
    composed = ms["BMM"] + ms["Softmax"] + float(surrogate().predict("BMM", "fp32", last, chip("cuda")).value[0])
    gain, parts = plans(frozenset()) - plans(frozenset({option})), plans.group_ms(frozenset())
    told = (parts["BMM"] + parts["Softmax"]) * (1 - ms["Attention"] / composed)
    assert gain == pytest.approx(told, rel=0.02)  # the geometric mean of two estimates, each of which gains this share


def test_accuracy_safe_leaves_precision_alone(api: HetBench):
    for name, family in (("bert-base", "cuda"), ("resnet-50", "rocm")):
        plan = api.advise(name, family, accuracy_safe=True)
        assert plan.steps
        assert not any(each.changes_results for each in plan.steps)
        assert {each.action for each in plan.steps} & {"precision", "matrix-unit"} == set()
        assert any("--accuracy-safe" in each.reason for each in plan.masked)


def test_the_same_question_has_the_same_plan():
    plans = [HetBench().advise("vit-base", "cann").to_dict() for _ in range(2)]
    assert plans[0] == plans[1]
    assert json.loads(json.dumps(plans[0], allow_nan=False)) == plans[0]


@pytest.mark.parametrize("name", list(models())[::6])
@pytest.mark.parametrize("family", FAMILIES)
def test_every_kind_of_model_has_a_plan_on_every_family(api: HetBench, name: str, family: str):
    plan = api.advise(name, family)
    assert 0 < plan.ms <= plan.start.value * (1 + 1e-12)
    assert all(each.level in "ABCD" and each.reason for each in plan.steps)
    assert all(each.lower_ms <= each.gain_ms <= each.upper_ms for each in plan.steps)


def test_options_with_more_measured_rows_come_first():
    plans = _plans("gpt2", "cann")
    single = [each for each in plans.options if each.group != MODEL]
    rows = [measured_operators(each.group, "cann") for each in single]
    assert rows == sorted(rows, reverse=True)


def test_a_plan_can_start_from_half_precision(api: HetBench):
    plan = api.advise("bert-base", "cuda", precision="fp16")
    assert plan.start == api.query("bert-base", target="cuda", metric="latency", precision="fp16")
    assert not {each.choice for each in plan.steps} & {"fp16", "bf16", "tf32"}


def test_another_method_is_refused(api: HetBench):
    with pytest.raises(UnknownNameError, match="beam"):
        api.advise("gpt2", "cann", method="genetic")


def test_the_shell_prints_the_plan_and_json():
    told = CliRunner().invoke(app, ["advise", "gpt2", "--target", "cann", "--accuracy-safe"])
    assert told.exit_code == 0, told.output
    assert "operator-fusion Add" in told.output
    assert "excluded: sparsity: no published measurement" in told.output
    found = json.loads(CliRunner().invoke(app, ["advise", "gpt2", "--target", "cann", "--json"]).output)
    assert found["ms"] < found["start"]["value"]
    assert found["steps"][0]["gain_ms"] > 0
