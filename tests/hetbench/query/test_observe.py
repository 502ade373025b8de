"""Observed operators sharpen what is said of their chip, and of no other; a figure of the source counts as data say."""

from __future__ import annotations

import numpy as np
import pytest

from hetbench import HetBench
from hetbench.catalog.chips import chip
from hetbench.errors import InvalidInputError
from hetbench.predict.transfer import transfer_between
from hetbench.query.observe import MOST_ROWS

SHAPE = {"m": 512, "n": 1024, "k": 1024}
NEAR, OTHER = {"m": 768, "n": 1024, "k": 1024}, {"rows": 4096, "cols": 1024}
UNSEEN = {"name": "my-npu", "family": "cann", "fp16_tflops": 100, "mem_bw_gbs": 800}


def linear(api: HetBench, dims: dict, device: str = "my-npu"):
    return api.query_operator("Linear", dims, device=device, precision="fp16")


@pytest.fixture
def api() -> HetBench:
    made = HetBench()
    made.add_chip(UNSEEN)
    return made


def observe(api: HetBench, factor: float, shapes: list[dict], device: str = "my-npu") -> None:
    """Observe that operators take `factor` times what is predicted."""
    values = [factor * linear(api, dims, device).value for dims in shapes]
    rows = len(shapes)
    api.observe({"op": ["Linear"] * rows, "dims": shapes, "dtype": ["fp16"] * rows, "chip": [device] * rows,
                 "latency_ms": values})  # fmt: skip


def test_an_observed_operator_is_answered_near_what_was_observed(api):
    before = linear(api, SHAPE)
    observe(api, 2.0, [SHAPE])
    after = linear(api, SHAPE)
    assert 1.3 * before.value < after.value < 2.0 * before.value
    assert after.upper / after.lower < before.upper / before.lower


def test_a_chip_with_observed_operators_is_level_c_and_says_so(api):
    assert linear(api, SHAPE).level == "D"
    observe(api, 1.5, [SHAPE])
    found = linear(api, NEAR)
    assert found.level == "C"
    assert any("conditioned on 1 observed operators" in note for note in found.notes)
    assert api.query_operator("Softmax", OTHER, device="my-npu", precision="fp16").level == "D"


def test_more_observed_operators_narrow_the_interval(api):
    shapes = [{"m": 64 * i, "n": 1024, "k": 512} for i in range(1, 21)]
    observe(api, 1.5, shapes[:2])
    few = linear(api, NEAR)
    observe(api, 1.0, shapes[2:])
    many = linear(api, NEAR)
    assert many.upper / many.lower < few.upper / few.lower


def test_other_chips_and_other_apis_know_nothing_of_it(api):
    before = linear(api, SHAPE, "cuda").value, linear(HetBench(), SHAPE, "cuda").value
    observe(api, 2.0, [SHAPE])
    assert (linear(api, SHAPE, "cuda").value, linear(HetBench(), SHAPE, "cuda").value) == before


def test_the_sum_over_a_model_follows_its_observed_operators(api):
    before = api.query("bert-base", target="my-npu", metric="latency", stack="eager")
    shapes = [{"m": 128, "n": n, "k": k} for n, k in ((768, 768), (3072, 768), (768, 3072))]
    observe(api, 3.0, shapes)
    after = api.query("bert-base", target="my-npu", metric="latency", stack="eager")
    assert 1.5 * before.value < after.value < 3.5 * before.value


def test_a_table_of_operators_is_conditioned_like_single_ones(api):
    observe(api, 2.0, [SHAPE])
    table = {"op": ["Linear"], "dims": [NEAR], "dtype": ["fp16"], "phase": ["fwd"], "chip": ["my-npu"]}
    assert api.query_operators(table)["value"][0] == pytest.approx(linear(api, NEAR).value, rel=1e-9)


def test_the_order_of_observed_operators_does_not_matter(api):
    shapes = [SHAPE, NEAR]
    other = HetBench()
    other.add_chip(UNSEEN)
    for each, order in ((api, shapes), (other, shapes[::-1])):
        values = [2.0 * linear(HetBench(), dims, "cuda").value for dims in order]
        each.observe({"op": ["Linear"] * 2, "dims": order, "dtype": ["fp16"] * 2, "chip": ["my-npu"] * 2,
                      "latency_ms": values})  # fmt: skip
    assert linear(api, SHAPE).value == pytest.approx(linear(other, SHAPE).value, rel=1e-9)


def test_a_row_that_cannot_be_gets_a_reason_and_the_others_count(api):
    found = api.observe({
        "op": ["Linear", "Linear", "Linear", "Dropout"], "dims": [SHAPE, SHAPE, {"m": 0, "n": 1, "k": 1}, {"numel": 8}],
        "dtype": ["fp16"] * 4, "chip": ["my-npu"] * 4, "latency_ms": [0.5, -1.0, 0.5, 0.5],
    })  # fmt: skip
    assert found["reason"][0] == ""
    assert np.isfinite(found["value"][0])
    assert "positive number" in found["reason"][1]
    assert "dim m" in found["reason"][2]
    assert "nothing to observe" in found["reason"][3]


def test_too_many_rows_are_refused_and_nothing_is_taken(api):
    rows, before = MOST_ROWS + 1, linear(api, SHAPE).value
    table = {"op": ["Linear"] * rows, "dims": [SHAPE] * rows, "dtype": ["fp16"] * rows, "chip": ["my-npu"] * rows,
             "latency_ms": [1.0 + row / rows for row in range(rows)]}  # fmt: skip
    with pytest.raises(InvalidInputError, match="at most"):
        api.observe(table)
    assert linear(api, SHAPE).value == before


def test_a_figure_of_the_same_chip_counts_in_full_and_of_another_by_its_exponent():
    api = HetBench()
    options = {"metric": "latency", "precision": "fp16"}
    for target in ("cuda", "nvidia-h100-sxm5-80gb", "cann"):
        plain = api.query("resnet-50", target=target, **options, predictor="autogluon")
        source = api.query("resnet-50", target="cuda", **options, predictor="autogluon")
        scaled = api.query(
            "resnet-50", source="cuda", source_value=2 * source.value, target=target, **options, predictor="autogluon"
        )
        expected = 2 ** transfer_between(chip("cuda"), chip(target)).exponent
        assert scaled.value / plain.value == pytest.approx(expected, rel=1e-6)


def test_rows_that_are_all_bad_are_named_and_change_nothing():
    api = HetBench()
    row = {"op": ["Linear"], "dims": [{"m": 8, "n": 8, "k": 8}], "dtype": ["fp16"], "chip": ["mlu"]}
    found = api.observe({**row, "latency_ms": [float("nan")]})
    assert "latency_ms must be a positive number" in found["reason"][0]
    assert api == HetBench()


def test_a_few_fp32_rows_move_other_dtypes_no_further_than_themselves():
    api, device = HetBench(), "nvidia-a100-sxm4-80gb"
    shapes = [{"m": m, "n": 1024, "k": 1024} for m in (256, 512, 768, 1024, 2048)]

    def told(precision: str, dims: dict):
        return api.query_operator("Linear", dims, device=device, precision=precision)

    before = {precision: told(precision, NEAR) for precision in ("fp32", "bf16")}
    values = [1.3 * told("fp32", dims).value for dims in shapes]
    api.observe({"op": ["Linear"] * 5, "dims": shapes, "dtype": ["fp32"] * 5, "chip": [device] * 5,
                 "latency_ms": values})  # fmt: skip
    moved = {precision: told(precision, NEAR).value / before[precision].value for precision in before}
    assert 1.0 <= moved["bf16"] <= moved["fp32"] * 1.001 <= 1.31
    after = told("bf16", NEAR)
    assert after.upper / after.lower < 2 * before["bf16"].upper / before["bf16"].lower


def test_one_row_against_many_counts_for_little(api):
    shapes = [{"m": 64 * i, "n": 1024, "k": 512} for i in range(1, 21)]
    observe(api, 1.5, shapes)
    agreed = linear(api, NEAR).value
    observe(api, 8.0, [{"m": 700, "n": 1024, "k": 1024}])
    assert linear(api, NEAR).value == pytest.approx(agreed, rel=0.25)


def test_an_operator_fifteen_times_as_slow_is_answered_so_and_moves_its_neighbours_little(api):
    before, beside = linear(api, SHAPE), linear(api, NEAR)
    observe(api, 15.0, [SHAPE])
    own, near = linear(api, SHAPE), linear(api, NEAR)
    assert own.value == pytest.approx(15 * before.value, rel=0.15)
    assert own.lower < 15 * before.value < own.upper
    assert own.upper / own.lower > 0.99 * before.upper / before.lower
    assert near.value < 3 * beside.value


def test_many_operators_fifteen_times_as_slow_say_it_of_the_others(api):
    beside = linear(api, NEAR).value
    observe(api, 15.0, [{"m": 64 * i, "n": 1024, "k": 512} for i in range(1, 11)])
    after = linear(api, NEAR)
    assert 10 * beside < after.value < 16 * beside
    assert after.lower < 15 * beside < after.upper


def test_the_same_rows_again_count_once(api):
    observe(api, 2.0, [SHAPE, NEAR])
    kept, once = api.observed_rows(), linear(api, SHAPE)
    found = api.observe(kept)
    assert all("observed before" in reason for reason in found["reason"])
    assert linear(api, SHAPE) == once
    assert api.observed_rows() == kept
    api.forget("my-npu")
    assert set(api.observe(kept)["reason"]) == {""}


def test_a_latency_below_the_peaks_of_the_chip_is_not_used_and_none_is_answered():
    api, dims = HetBench(), {"m": 8192, "n": 8192, "k": 8192}
    least = 2 * 8192**3 / 312e12 * 1e3  # at the 312 TFLOPS of an A100
    row = {"op": ["Linear"], "dims": [dims], "dtype": ["fp16"], "chip": ["nvidia-a100-sxm4-80gb"]}
    assert "chip's peaks allow no less than 3.524" in api.observe({**row, "latency_ms": [0.4 * least]})["reason"][0]
    assert api.observe({**row, "latency_ms": [0.6 * least]})["reason"][0] == ""
    for m in (4096, 8192, 8200):
        found = linear(api, {**dims, "m": m}, "nvidia-a100-sxm4-80gb")
        assert found.lower >= 2 * m * 8192**2 / 312e12 * 1e3 * 0.999


def test_a_latency_in_another_unit_is_not_used_and_a_doubtful_one_is_flagged(api):
    fair = linear(api, SHAPE).value
    found = api.observe({
        "op": ["Linear"] * 3, "dims": [SHAPE, NEAR, SHAPE], "dtype": ["fp16"] * 3, "chip": ["my-npu"] * 3,
        "latency_ms": [1000 * fair, 9 * linear(api, NEAR).value, fair],
    })  # fmt: skip
    assert "milliseconds" in found["reason"][0]
    assert found["reason"][1] == ""
    assert "times the prediction" in found["flag"][1]
    assert found["flag"][2] == ""


def test_forgetting_a_chip_restores_its_answers(api):
    before = linear(api, SHAPE).value
    observe(api, 2.0, [SHAPE, NEAR])
    assert api.forget("my-npu") == 2
    assert linear(api, SHAPE).value == before
    assert api.forget() == 0


def test_saved_observations_say_the_same_when_loaded(api, tmp_path):
    observe(api, 2.0, [SHAPE])
    api.save_observations(tmp_path / "rows.json")
    other = HetBench()
    other.add_chip(UNSEEN)
    other.load_observations(tmp_path / "rows.json")
    assert linear(other, NEAR).value == linear(api, NEAR).value


def test_a_file_without_observations_is_refused(api, tmp_path):
    (tmp_path / "none.json").write_text("[]")
    with pytest.raises(InvalidInputError, match="save_observations"):
        api.load_observations(tmp_path / "none.json")
