"""Figures draw from result files alone, and what they show is what one gets by hand."""

from __future__ import annotations

import doctest
import json
import subprocess
import sys
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pd = pytest.importorskip("pandas")
pytest.importorskip("matplotlib")
pa = pytest.importorskip("pyarrow")

import pyarrow.parquet as pq  # noqa: E402

from hetbench.catalog.chips import default_chip  # noqa: E402
from hetbench.errors import InvalidInputError, RefusedError  # noqa: E402
from hetbench.schema import FAMILIES  # noqa: E402
from plotting import all as every  # noqa: E402
from plotting import (  # noqa: E402
    attainment,
    batch_scaling,
    calibration,
    correlation,
    coverage,
    error_by_chip,
    fronts,
    holdouts,
    hypervolume,
    intervals,
    measured_vs_predicted,
    migration_matrix,
    pareto_2d,
    pareto_3d,
    regret,
    searches,
    style,
)

FIGURES = every.figures()
TWO = [("latency@cann", "ms", "lower"), ("capacity_proxy", "1", "higher")]
RUNS = {("random", 0): [(1, 3), (2, 2), (9, 9)], ("random", 1): [(2, 1), (9, 9), (9, 9)],
        ("nsga2", 0): [(1, 2), (3, 1), (0.5, 3.5)], ("nsga2", 1): [(1, 2), (1, 1), (9, 9)]}  # fmt: skip
# Minimised points of objectives of which the second is negated; the reference point is (4, 4).


def _write(folder: Path, space: str, objectives: list[Any], runs: dict[Any, Any], reference: list[float]) -> None:
    slug = "+".join(name for name, _, _ in objectives)
    stated = [dict(zip(("name", "unit", "better"), each, strict=True)) for each in objectives]
    meta = {"space": space, "objectives": stated, "reference_point": reference, "ideal": [0] * len(reference)}
    for (method, seed), points in runs.items():
        columns: dict[str, Any] = {"space": space, "method": method, "seed": seed, "index": range(len(points)),
                                   "config": "x", "feasible": [max(point) < 9 for point in points]}  # fmt: skip
        for at, (name, _, better) in enumerate(objectives):
            columns[name] = [float(point[at] if better == "lower" else -point[at]) for point in points]
        columns |= {"elapsed_s": [10.0 * (seed + 1) * (i + 1) for i in range(len(points))], "wall_s": 0.1}
        table = pa.table(pd.DataFrame(columns)).replace_schema_metadata({"hetbench": json.dumps(meta)})
        path = folder / space / slug / method / f"seed{seed}.parquet"
        path.parent.mkdir(parents=True, exist_ok=True)
        pq.write_table(table, path)


@pytest.fixture(autouse=True)
def _closed() -> Any:
    """Close what a test drew."""
    yield
    import matplotlib.pyplot as plt

    plt.close("all")


@pytest.fixture
def search(tmp_path: Path) -> searches.Search:
    """Two methods of two seeds on two objectives."""
    _write(tmp_path, "gpt-s", TWO, RUNS, [4, 4])
    return searches.read(tmp_path)["gpt-s-latency@cann+capacity_proxy"]


@pytest.fixture
def models() -> Any:
    """Held-out predictions of every family: half of the models 10 % too high, half as measured."""
    rows = [(family, f"chip-{family}", f"m{i}", 1.0 + i, (1.0 + i) * (1.1 if i % 2 else 1.0))
            for family in FAMILIES for i in range(80)]  # fmt: skip
    frame = pd.DataFrame(rows, columns=["family", "chip", "unit", "measured", "predicted"])
    return frame.assign(group="g", cell="eager")


# fronts ------------------------------------------------------------------------------------------------------------


def test_three_points_in_the_plane_dominate_the_area_counted_by_hand():
    points = np.array([[1.0, 3.0], [2.0, 2.0], [3.0, 1.0], [3.0, 3.0]])
    assert fronts.hypervolume(points, np.array([4.0, 4.0])) == 3 + 2 + 1


def test_two_boxes_in_space_dominate_their_volumes_less_what_they_share():
    points, reference = np.array([[0.0, 2.0, 1.0], [2.0, 0.0, 2.0]]), np.array([3.0, 3.0, 3.0])
    assert fronts.hypervolume(points, reference) == 3 * 1 * 2 + 1 * 3 * 1 - 1 * 1 * 1
    assert fronts.hypervolume(points[:, :1], reference[:1]) == 3


def test_points_at_or_beyond_the_reference_point_or_unknown_dominate_nothing():
    points = np.array([[4.0, 0.0], [5.0, 5.0], [np.nan, 1.0]])
    assert fronts.hypervolume(points, np.array([4.0, 4.0])) == 0
    assert fronts.growth(points, np.array([4.0, 4.0])).tolist() == [0, 0, 0]


@pytest.mark.parametrize("dims", [1, 2, 3, 4])
def test_the_hypervolume_grows_to_that_of_all_points_whatever_their_order(dims: int):
    rng = np.random.default_rng(dims)
    points, reference = rng.random((60, dims)), np.full(dims, 0.9)
    grown = fronts.growth(points, reference)
    assert (np.diff(grown) >= 0).all()
    assert grown[-1] == pytest.approx(fronts.hypervolume(points, reference))
    assert fronts.growth(points[::-1], reference)[-1] == pytest.approx(grown[-1])
    assert grown[30] == pytest.approx(fronts.hypervolume(points[:31], reference))


def test_the_hypervolume_is_the_share_of_random_points_that_are_dominated():
    points = np.random.default_rng(0).random((8, 3))
    drawn = np.random.default_rng(1).random((100_000, 3))
    share = np.any([(point <= drawn).all(axis=1) for point in points], axis=0).mean()
    assert fronts.hypervolume(points, np.ones(3)) == pytest.approx(share, abs=0.01)


def test_pymoo_finds_the_same_hypervolume():
    indicators = pytest.importorskip("pymoo.indicators.hv")
    points = np.random.default_rng(0).random((30, 3))
    assert fronts.hypervolume(points, np.ones(3)) == pytest.approx(indicators.HV(ref_point=np.ones(3))(points))


def test_attainment_of_two_seeds_is_what_one_and_what_both_reached():
    runs = [np.array([[1.0, 3.0], [2.0, 2.0]]), np.array([[1.5, 2.5], [3.0, 1.0]])]
    assert fronts.attainment(runs, 1).tolist() == [[1, 3], [1.5, 2.5], [2, 2], [3, 1]]
    assert fronts.attainment(runs, 2).tolist() == [[1.5, 3], [2, 2.5], [3, 2]]


def test_a_seed_without_a_feasible_point_leaves_the_worst_surface_empty():
    runs = [np.array([[1.0, 3.0]]), np.array([[np.nan, np.nan]])]
    assert fronts.attainment(runs, 2).shape == (0, 2)
    assert fronts.attainment(runs, 1).tolist() == [[1, 3]]


# searches ----------------------------------------------------------------------------------------------------------


def test_results_come_back_minimised_and_infeasible_rows_count_for_nothing(search: searches.Search):
    assert [run.seed for run in search.methods["nsga2"]] == [0, 1]
    assert search.methods["random"][0].points[:2].tolist() == [[1, 3], [2, 2]]
    assert np.isnan(search.methods["random"][0].points[2]).all()
    assert search.front.tolist() == [[0.5, 3.5], [1, 1]]


def test_the_volume_is_a_share_of_the_box_from_ideal_to_reference(search: searches.Search):
    assert (16 * search.volumes["random", 0]).tolist() == [3, 5, 5]
    assert (16 * search.volumes["nsga2", 0]).tolist() == [6, 7, 7.25]


def test_regret_is_what_is_missing_to_the_best_known_front(search: searches.Search):
    run = search.methods["random"][1]
    assert (16 * regret.hypervolume_regret(search, run)).tolist() == [9.25 - 6] * 3
    assert regret.simple_regret(search, run, 0).tolist() == [1.5] * 3
    assert regret.simple_regret(search, search.methods["nsga2"][1], 1).tolist() == [1, 0, 0]


def test_the_mean_over_time_is_taken_while_all_seeds_run(search: searches.Search):
    lines = [(run.elapsed_s, search.volumes["random", run.seed]) for run in search.methods["random"]]
    at, mean, error = searches.average(lines)
    assert at.tolist() == [20, 30]  # seed 0 from 10 to 30 s, seed 1 from 20 to 60 s
    assert (16 * mean).tolist() == [(5 + 6) / 2] * 2
    assert (16 * error) == pytest.approx(np.std([5, 6], ddof=1) / np.sqrt(2))


def test_the_stated_reference_point_is_used_and_runs_must_agree_on_it(tmp_path: Path):
    _write(tmp_path, "vit", TWO, {("a", 0): [(1, 1)]}, [2, 3])
    assert searches.read(tmp_path)["vit-latency@cann+capacity_proxy"].reference.tolist() == [2, 3]
    _write(tmp_path, "vit", TWO, {("b", 0): [(1, 1)]}, [2, 4])
    with pytest.raises(InvalidInputError, match="one reference point"):
        searches.read(tmp_path)


def test_two_objectives_have_no_figure_in_space(tmp_path: Path):
    _write(tmp_path, "gpt-s", TWO, RUNS, [4, 4])
    with pytest.raises(RefusedError, match="no search of 3 objectives"):
        pareto_3d.read(tmp_path)


def test_runs_and_problems_without_a_feasible_row_are_drawn_as_nothing(tmp_path: Path):
    _write(tmp_path, "vit", TWO, {("a", 0): [(9, 9)]}, [4, 4])
    with pytest.raises(RefusedError, match="no feasible row"):
        searches.read(tmp_path)
    _write(tmp_path, "vit", TWO, {("a", 0): [(9, 9)], ("b", 0): [(1, 1), (2, 2)]}, [4, 4])
    found = searches.read(tmp_path)["vit-latency@cann+capacity_proxy"]
    for figure in (pareto_2d, attainment, hypervolume, regret):
        style.save(figure.draw(found), tmp_path, figure.__name__)


def test_fronts_are_drawn_in_own_units(search: searches.Search):
    axis = pareto_2d.draw(search).axes[0]
    assert axis.get_ylabel() == "capacity_proxy (higher is better)"
    line = next(each for each in axis.lines if each.get_label() == "nsga2")
    corners = {tuple(point) for point in line.get_xydata().tolist()}
    assert {(0.5, -3.5), (1.0, -1.0)} <= corners


def test_each_method_has_an_attainment_panel_with_its_seeds(search: searches.Search):
    shown = [axis for axis in attainment.draw(search).axes if axis.get_visible()]
    assert [axis.get_title() for axis in shown] == ["nsga2, 2 seeds", "random, 2 seeds"]
    assert [line.get_label() for line in shown[0].lines] == ["best", "median", "worst"]


def test_hypervolume_is_drawn_over_evaluations_and_over_time(search: searches.Search):
    counted, timed = hypervolume.draw(search).axes
    assert counted.lines[0].get_xydata().tolist() == [[1, 6 / 16], [2, 8 / 16], [3, 8.125 / 16]]
    assert timed.get_xlabel() == "simulated time, s"


def test_regret_has_a_panel_for_the_volume_and_each_objective(search: searches.Search):
    titles = [axis.get_title() for axis in regret.draw(search).axes]
    assert titles == ["hypervolume regret, share of the box", "latency@cann above the best known, ms",
                      "capacity_proxy below the best known"]  # fmt: skip


# held-out predictions ----------------------------------------------------------------------------------------------


def test_every_family_has_a_panel_that_states_its_rows_and_error(models: Any):
    titles = [axis.get_title() for axis in measured_vs_predicted.draw(models[models.unit != "m0"]).axes]
    assert titles[0] == "cuda: 79 rows, median error 10.0%"
    assert len(titles) == 5


def test_a_band_holds_the_residuals_between_its_quantiles_and_the_prediction():
    measured = np.exp(np.linspace(0.1, 1.0, 100))
    frame = pd.DataFrame({"measured": measured, "predicted": 1.0, "family": "cuda", "group": "g", "cell": "eager",
                          "unit": range(100)})  # fmt: skip
    everything = np.ones(100, dtype=bool)
    low, high = holdouts.band(frame, everything, everything, [0.8])
    assert (low == 0).all()
    assert high[0, 0] == pytest.approx(0.91, abs=0.01)


def test_intervals_are_set_by_other_units_than_those_they_are_checked_on(models: Any):
    for sets, checked in holdouts.others(models):
        assert not set(models.unit[sets]) & set(models.unit[checked])
    assert len(holdouts.others(models.assign(unit=models.chip), each=True)) == 5


def test_residuals_that_are_all_alike_are_held_fully(models: Any):
    found = holdouts.held(models.assign(predicted=models.measured * 1.1), [0.5, 0.9])
    assert (found[0.5] == 1).all()
    assert (found.n == 80).all()


def test_an_interval_sides_with_the_wider_table(models: Any):
    narrow, wide = models.assign(predicted=models.measured), models.assign(predicted=models.measured * 2)
    chips = models.assign(unit=models.chip + models.index.astype(str).str[-1], predicted=models.measured * 1.5)
    assert holdouts.held(chips, [0.9], each=True, wider=narrow).loc["cuda", 0.9] == 1
    assert holdouts.held(chips, [0.9], each=True, wider=wide).loc["cuda", 0.9] == 1


def test_held_out_files_become_one_table(tmp_path: Path):
    row = {"family": "mlu", "chip": "c", "graph": "g", "architecture": "a", "file": "f", "stack": "eager",
           "precision": "fp16", "batch": 1.0, "phase": "inference", "ms": 2.0, "network": 4.0,
           "trees": 1.0}  # fmt: skip
    pd.DataFrame([row]).to_parquet(tmp_path / "mine.models.parquet")
    pd.DataFrame().to_parquet(tmp_path / "none.models.parquet")
    found = holdouts.model_rows(tmp_path, "models")
    assert found.predicted.tolist() == pytest.approx([2.0])
    assert found[["unit", "cell"]].iloc[0].tolist() == ["g", "eager"]


def test_figures_of_held_out_predictions_draw(models: Any):
    table = holdouts.held(models, calibration.LEVELS)
    panels = calibration.draw({"C: whole models never seen": table}).axes
    assert len(panels[0].lines) == 1 + 5
    titles = [axis.get_title(loc="left") for axis in intervals.draw(holdouts.with_intervals(models, 0.9)).axes]
    assert titles[0].startswith("cuda, ")
    errors = models.assign(ape=5.0)
    labels = error_by_chip.draw({"models never seen": errors}).axes[0].get_yticklabels()
    assert [label.get_text() for label in labels][::-1] == [f"chip-{family}" for family in FAMILIES]


# answers kept as tables --------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def answers() -> Any:
    """The module that asks HetBench."""
    pytest.importorskip("hetbench.spaces")
    from plotting import tables

    return tables


def test_coverage_names_every_model_and_family_and_its_parts_add_up(answers: Any):
    from hetbench import HetBench

    found = answers.coverage(HetBench())
    assert len(found) == 34 * 5
    assert (found.native + found.composite).to_numpy() == pytest.approx(found.value.to_numpy())
    left = coverage.draw(found).axes[0]
    assert len(left.texts) == 34 * 5


def test_a_row_of_batch_sizes_is_what_the_question_answers(answers: Any):
    from hetbench import HetBench

    api = HetBench()
    found = answers.batch_scaling(api, ["resnet-50"], [1, 8])
    row = found[(found.family == "mlu") & (found.batch == 8) & (found.metric == "latency")].iloc[0]
    answer = api.query("resnet-50", target="mlu", metric="latency", batch=8)
    assert (row.value, row.lower, row.level) == (answer.value, answer.lower, answer.level)
    titles = [axis.get_title() for axis in batch_scaling.draw(found).axes[:5]]
    assert titles[4].startswith("cambricon-mlu370-x4")


def test_the_front_of_deployments_rises_and_every_panel_names_its_chip():
    from plotting import serving_pareto, serving_tables

    found = serving_tables.deployments("meta-llama/Llama-3.1-8B", {"amd-mi300x": "fp8", "nvidia-l40s": "fp8"})
    for _, part in found[found.front].sort_values("tpot_ms").groupby("chip"):
        assert part.rate.is_monotonic_increasing
        assert len(part) > 3
    titles = [axis.get_title().split("\n")[0] for axis in serving_pareto.draw(found).axes]
    assert titles == ["amd-mi300x", "nvidia-l40s"]


def test_migration_there_and_back_is_one(answers: Any):
    from hetbench import HetBench

    found = answers.migration(HetBench(), ["resnet-50"])
    ratio = found.pivot(index="source", columns="target", values="ratio")
    assert (ratio.to_numpy() * ratio.to_numpy().T) == pytest.approx(np.ones((5, 5)))
    cells = [text.get_text() for text in migration_matrix.draw(found).axes[0].texts]
    assert len(cells) == 25
    assert cells[0] == f"x 1\n{HetBench().query('resnet-50', target='cuda', metric='latency').level}"


def test_a_waterfall_goes_from_the_sources_latency_to_the_targets(answers: Any):
    from hetbench import HetBench
    from plotting import waterfall

    found = answers.attribution(HetBench(), ["resnet-50"])
    assert set(found.target) == {default_chip(family)[0].name for family in style.FAMILY if family != "cuda"}
    for _, part in found.groupby("target"):
        bars = waterfall.steps(part)
        assert (bars[0][1], bars[-1][1]) == (0.0, 0.0)
        assert [start for _, start, _ in bars[2:-1]] == [end for *_, end in bars[1:-2]]
        assert bars[-2][2] == pytest.approx(bars[-1][2])
    assert len(waterfall.draw(found).axes) == 4


def test_the_areas_of_a_treemap_are_the_shares_and_do_not_overlap(answers: Any):
    from hetbench import HetBench
    from plotting import treemap

    sizes = [6.0, 6.0, 4.0, 3.0, 2.0, 2.0, 1.0]
    boxes = treemap.squares(sizes, (0.0, 0.0, 6.0, 4.0))
    assert [width * height for *_, width, height in boxes] == pytest.approx(sizes)
    for place, (left, bottom, width, height) in enumerate(boxes):
        assert 0 <= left <= left + width <= 6 + 1e-9
        assert 0 <= bottom <= bottom + height <= 4 + 1e-9
        for a, b, w, h in boxes[:place]:
            across = min(left + width, a + w) - max(left, a)
            along = min(bottom + height, b + h) - max(bottom, b)
            assert min(across, along) < 1e-9
    found = answers.shares(HetBench(), ["resnet-50"])
    assert len(treemap.draw(found).axes) == 5


def test_architectures_of_a_space_have_every_metric_that_is_answered(answers: Any):
    found = answers.architectures("gpt-s", count=20)
    assert {f"latency@{family}" for family in FAMILIES} | {"params", "loss_proxy"} <= set(found)
    assert len(found) == 20
    assert not found.isna().any(axis=None)
    assert "energy@cann" not in found  # its default chip states no TDP


def test_rank_correlation_is_one_for_ranks_alike_and_minus_one_for_ranks_reversed():
    frame = pd.DataFrame({"latency@cuda": [1.0, 2.0, 4.0], "energy@cuda": [1.0, 4.0, 9.0], "loss": [3.0, 2.0, 0.0]})
    assert correlation.matrix(frame).loc["latency@cuda"].tolist() == pytest.approx([1, 1, -1])
    frame.attrs["space"] = "mine"
    assert correlation.draw(frame).axes[0].texts[2].get_text() == "-1.00"


# all figures -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("module", [fronts, attainment, style], ids=lambda module: module.__name__)
def test_the_examples_in_docstrings_are_true(module: Any):
    found = doctest.testmod(module)
    assert found.attempted
    assert not found.failed


@pytest.mark.parametrize("name", FIGURES)
def test_every_figure_reads_draws_and_has_a_command_of_its_own(name: str, tmp_path: Path):
    figure = FIGURES[name]
    assert callable(figure.read)
    assert callable(figure.draw)
    assert f"python -m plotting.{name} " in figure.__doc__
    with pytest.raises(RefusedError, match=r"Run: python -m (baselines|surrogates|plotting)\."):
        figure.read(tmp_path / figure.RESULTS)


def test_there_are_eighteen_figures():
    assert set(FIGURES) == {
        "pareto_2d", "pareto_3d", "attainment", "hypervolume", "regret", "correlation", "measured_vs_predicted",
        "calibration", "intervals", "error_by_chip", "coverage", "batch_scaling", "migration_matrix",
        "waterfall", "treemap", "serving_pareto", "efficiency", "memory_scaling",
    }  # fmt: skip


def test_all_draws_what_has_results_and_says_why_it_skips_the_rest(tmp_path: Path):
    _write(tmp_path / "search", "gpt-s", [("latency@cann", "ms", "lower")], {("a", 0): [(1,), (2,)]}, [4])
    command = [sys.executable, "-m", "plotting.all", "--results", str(tmp_path), "--out", str(tmp_path / "out")]
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=Path(__file__).parents[2])
    written = {path.name for path in (tmp_path / "out").iterdir()}
    assert written == {f"{name}-gpt-s-latency@cann.{kind}" for name in ("hypervolume", "regret")
                       for kind in ("png", "pdf")}  # fmt: skip
    assert "skipped coverage: no coverage.parquet in" in done.stdout
    assert done.stdout.count("skipped") == len(FIGURES) - 2


def test_a_figure_without_results_exits_with_three(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any):
    monkeypatch.setattr(sys, "argv", ["pareto_2d", "--results", str(tmp_path)])
    with pytest.raises(SystemExit) as stopped:
        pareto_2d.main()
    assert stopped.value.code == 3
    assert "python -m baselines.search" in capsys.readouterr().err


# style -------------------------------------------------------------------------------------------------------------


def test_families_are_told_apart_in_grey_and_by_marker_and_line():
    looks = list(style.FAMILY.values())
    assert len({look.marker for look in looks}) == len({look.line for look in looks}) == len(FAMILIES)
    for one, other in combinations(looks, 2):
        assert abs(style.grey(one.colour) - style.grey(other.colour)) >= style.GREY_STEP


def test_methods_are_told_apart_by_line_or_grey_and_always_by_marker():
    looks = list(style.methods(style.METHODS).values())
    assert len({look.marker for look in looks}) == len(style.METHODS)
    for one, other in combinations(looks, 2):
        assert one.line != other.line or abs(style.grey(one.colour) - style.grey(other.colour)) >= style.GREY_STEP


def test_a_method_looks_alike_in_every_figure_and_unknown_ones_take_what_is_left():
    assert style.methods(["nsga2"])["nsga2"] == style.methods(style.METHODS)["nsga2"]
    found = style.methods(["nsga2", "mine", "yours"])
    assert len({look.marker for look in found.values()}) == 3
    assert len(style.methods([f"m{i}" for i in range(20)])) == 20


def test_the_text_of_a_cell_is_read_on_its_shade():
    assert (style.text_on((0, 0, 0.3)), style.text_on((1, 0.9, 0.2))) == ("white", "black")
