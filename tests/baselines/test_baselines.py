"""Searches: problems read from words, methods that repeat themselves, files that are whole, Syne Tune as a host."""

from __future__ import annotations

import json
import pickle
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from baselines import search
from baselines.bench import Bench, non_dominated
from baselines.jobs import Job, pending, run_all
from baselines.methods import METHODS, check, run
from baselines.problems import Problem, problem, scale_of
from baselines.quantities import constraint
from baselines.results import compare, finished, hypervolume, path_of, read, read_all, write
from hetbench.errors import HetBenchError, InvalidInputError, RefusedError, UnknownNameError
from hetbench.spaces import space

pytestmark = pytest.mark.filterwarnings("ignore")  # Syne Tune and what it calls warn on every import

TWO = ("loss_proxy", "latency@cann")
LIMIT = "latency@mlu<8ms"


@pytest.fixture(scope="module")
def limited() -> Problem:
    return problem("gpt-s", TWO, [LIMIT])


def searched(asked: Problem, method: str, seed: int, budget: int = 50) -> Bench:
    for name in METHODS[method].needs:
        pytest.importorskip(name.replace("-", "_"))
    bench = Bench(asked, asked.scale, budget, seed)
    run(method, bench)
    return bench


def rows(bench: Bench) -> dict[str, list[Any]]:
    """Columns of a run but the wall time, which no seed sets."""
    return {name: list(values) for name, values in bench.columns().items() if name != "wall_s"}


@pytest.mark.parametrize("method", METHODS)
def test_every_method_evaluates_its_budget_and_does_the_same_again_for_a_seed(method: str, limited: Problem):
    first, again = (rows(searched(limited, method, seed=3)) for _ in range(2))
    assert first["index"] == list(range(50))
    assert first == again


@pytest.mark.parametrize("method", ["ehvi", "tpe"])
def test_methods_with_models_use_them_and_keep_to_their_seed(method: str, limited: Problem):
    start = 2 * 28 if method == "tpe" else 20
    first, again, other = (rows(searched(limited, method, seed, start + 20)) for seed in (0, 0, 1))
    assert first == again
    assert first["config"] != other["config"]


def test_a_search_leaves_the_global_random_state_as_it_was(limited: Problem):
    before = np.random.get_state()[1].tolist()  # type: ignore[union-attr]
    searched(limited, "random", seed=0, budget=5)
    assert np.random.get_state()[1].tolist() == before  # type: ignore[union-attr]


def test_nsga2_comes_further_than_random_search_where_there_is_time():
    asked = problem("resnet", ["capacity_proxy", "latency@cuda"])
    volumes = [hypervolume(searched(asked, name, 0, 400).scores, [1, 1]) for name in ("nsga2", "random")]
    assert volumes[0] > volumes[1]


def test_constraints_are_recorded_and_what_breaks_them_is_worse_than_the_reference_point(limited: Problem):
    bench = searched(limited, "random", seed=0)
    columns = bench.columns()
    assert (columns["feasible"] == (columns["latency@mlu"] < 8)).all()
    assert 0 < columns["feasible"].sum() < 50
    assert (bench.scores[~columns["feasible"]] > 1).all()


def test_limits_take_units():
    s = space("gpt-s")
    assert constraint("latency@mlu<0.02s", s).limit == pytest.approx(20)
    assert constraint("memory@cuda <= 16GiB", s).limit == pytest.approx(16 * 1024**3 / 1e6)
    assert constraint("params>30M", s).limit == 3e7
    assert constraint("energy@cuda<1Wh", s).excess(np.array([3600.0, 7200.0, np.nan])).tolist() == [0.0, 1.0, 1.0]


@pytest.mark.parametrize(("given", "kind", "words"), [
    ({"space_name": "gpt"}, UnknownNameError, "unknown space 'gpt'. Did you mean 'gpt-"),
    ({"objectives": ["latncy@cann"]}, UnknownNameError, "unknown objective of gpt-s 'latncy'. Did you mean 'latency'"),
    ({"objectives": ["capacity_proxy"]}, UnknownNameError, "unknown objective of gpt-s 'capacity_proxy'"),
    ({"objectives": ["latency@can"]}, UnknownNameError, "unknown chip 'can'. Did you mean 'cann'"),
    ({"objectives": ["latency"]}, InvalidInputError, "write latency@cann"),
    ({"objectives": ["loss_proxy@cann"]}, InvalidInputError, "write 'loss_proxy'"),
    ({"objectives": []}, InvalidInputError, "one or more distinct quantities"),
    ({"objectives": ["params", "params"]}, InvalidInputError, "one or more distinct quantities"),
    ({"objectives": ["quality"]}, InvalidInputError, "module:function"),
    ({"quality": "json:no_such", "objectives": ["quality"]}, InvalidInputError, "no attribute 'no_such'"),
    ({"constraints": ["latency@mlu"]}, InvalidInputError, "such as latency@mlu<20ms"),
    ({"constraints": ["latency@mlu<20"]}, InvalidInputError, "limited in ns, us, ms, s; given: no unit"),
    ({"constraints": ["memory<3ms"]}, InvalidInputError, "limited in KB, MB, GB"),
    ({"space_name": "deploy", "objectives": ["latency@cann"]}, InvalidInputError, "names its own chip"),
])  # fmt: skip
def test_words_that_cannot_be_meant_are_explained(given: dict[str, Any], kind: type[HetBenchError], words: str):
    with pytest.raises(kind, match="^.*" + words.replace("(", r"\(")):
        problem(**{"space_name": "gpt-s", "objectives": ["loss_proxy"], **given})


def test_an_unknown_method_names_the_nearest_and_a_missing_library_what_to_install(monkeypatch: pytest.MonkeyPatch):
    with pytest.raises(UnknownNameError, match="Did you mean 'nsga2'"):
        check("nsga", objectives=2)
    lacking = replace(METHODS["random"], needs=("no-such-package",))
    monkeypatch.setattr("baselines.methods.METHODS", {"random": lacking})
    with pytest.raises(RefusedError, match=r"needs no-such-package\. Run: pip install"):
        check("random", objectives=2)


def test_expected_hypervolume_wants_two_objectives():
    for name in METHODS["ehvi"].needs:
        pytest.importorskip(name)
    with pytest.raises(InvalidInputError, match="needs 2 objectives or more; given: 1"):
        check("ehvi", objectives=1)


def test_what_is_better_when_higher_is_turned_round():
    asked = problem("vit", ["capacity_proxy", "throughput@cuda"])
    found = asked.evaluate(asked.space.sample_codes(3, seed=0))
    assert (found.minimised == -np.stack(list(found.values.values()), axis=1)).all()


def test_a_quality_function_of_the_callers_own_is_an_objective(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (tmp_path / "my_quality.py").write_text("def depth(archs):\n    return [-a['layers'] for a in archs]\n")
    monkeypatch.syspath_prepend(tmp_path)
    asked = problem("gpt-s", ["quality", "latency@cuda"], quality="my_quality:depth")
    assert asked.scale.ideal[0] == -12
    assert set(asked.evaluate(asked.space.sample_codes(9, seed=0)).values["quality"]) <= {-10.0, -11.0, -12.0}


def test_refused_entries_of_the_deployment_space_are_recorded_as_infeasible():
    asked = problem("deploy", ["latency", "memory"])
    codes = asked.space.codes([asked.space.sample(seed) for seed in range(40)])
    found = asked.evaluate(codes)
    assert (found.feasible == ~np.isnan(found.values["latency"])).all()
    assert 0 < found.feasible.sum() < 40


def test_simulated_time_is_warm_up_and_repeats_on_each_chip_in_turn():
    asked = problem("gpt-s", ["latency@cuda", "energy@mlu"])
    columns = searched(asked, "random", seed=0, budget=1).columns()
    mlu = asked.query(asked.space.codes([columns["config"][0]]), problem("gpt-s", ["latency@mlu"]).objectives[0])
    assert columns["elapsed_s"][0] == pytest.approx(15 * (columns["latency@cuda"][0] + mlu[0]) / 1e3)


def test_mo_asha_stops_bad_architectures_early():
    asked = problem("gpt-s", TWO)
    times = [searched(asked, name, seed=0).columns()["elapsed_s"][-1] for name in ("mo_asha", "random")]
    assert times[0] < 0.9 * times[1]


def test_the_hypervolume_of_three_points_is_the_area_of_their_steps():
    pytest.importorskip("pymoo")
    assert hypervolume([[1, 3], [2, 2], [3, 1]], [4, 4]) == pytest.approx(3 + 2 + 1)
    assert hypervolume([[1, 3], [2, 2], [3, 1], [3, 3], [9, 0]], [4, 4]) == pytest.approx(6)
    assert hypervolume([[0, 0, 0]], [2, 3, 4]) == pytest.approx(24)
    assert hypervolume(np.empty((0, 2)), [4, 4]) == 0


def test_non_dominated_rows_are_those_that_nothing_beats():
    points = np.random.default_rng(0).integers(6, size=(60, 3)).astype(float)
    beaten = [any((q <= p).all() and (q < p).any() for q in points) for p in points]
    kept = non_dominated(points)
    assert {tuple(p) for p in points[kept]} == {tuple(p) for p, b in zip(points, beaten, strict=True) if not b}


def test_a_run_is_read_back_as_it_was_written(limited: Problem, tmp_path: Path):
    pytest.importorskip("pyarrow")
    bench = searched(limited, "random", seed=4)
    path = path_of(tmp_path, limited, "random", 4)
    write(path, bench, "random")
    found = read(path)
    assert list(found.columns) == ["space", "method", "seed", "index", "config", "feasible", *TWO, "latency@mlu",
                                   "elapsed_s", "wall_s"]  # fmt: skip
    assert found.columns["loss_proxy"].tolist() == bench.columns()["loss_proxy"].tolist()
    assert (found.method, found.seed, found.scale) == ("random", 4, limited.scale)
    assert limited.space.codes(found.columns["config"].tolist()).tolist() == bench.codes.tolist()
    assert [each.name for each in path.parent.iterdir()] == ["seed4.parquet"]


def test_a_file_of_another_budget_is_not_taken_for_finished(limited: Problem, tmp_path: Path):
    pytest.importorskip("pyarrow")
    path = path_of(tmp_path, limited, "random", 0)
    assert not finished(path, limited, limited.scale, 50)
    write(path, searched(limited, "random", seed=0), "random")
    assert finished(path, limited, limited.scale, 50)
    with pytest.raises(InvalidInputError, match="budget is 50 there and 60 here"):
        finished(path, limited, limited.scale, 60)


def test_running_again_leaves_finished_seeds_untouched_and_adds_the_others(limited: Problem, tmp_path: Path):
    pytest.importorskip("pyarrow")
    jobs = [Job(limited, "random", seed, 20, tmp_path) for seed in (0, 1)]
    list(run_all(jobs[:1], workers=1))
    before = jobs[0].path.stat().st_mtime_ns
    assert pending(jobs) == jobs[1:]
    list(run_all(pending(jobs), workers=1))
    assert jobs[0].path.stat().st_mtime_ns == before
    assert pending(jobs) == []


def test_seeds_in_processes_of_their_own_give_the_same_rows(limited: Problem, tmp_path: Path):
    pytest.importorskip("pyarrow")
    for workers in (1, 2):
        list(run_all([Job(limited, "local_search", seed, 40, tmp_path / str(workers)) for seed in (0, 1)], workers))
    one, two = (read_all(tmp_path / str(workers)) for workers in (1, 2))
    assert [run.columns["config"].tolist() for run in one] == [run.columns["config"].tolist() for run in two]


def test_all_methods_of_a_problem_share_one_stated_reference_point(limited: Problem, tmp_path: Path):
    scale = scale_of(limited, tmp_path)
    stated = json.loads((tmp_path / "reference" / "gpt-s" / f"{limited.slug}.json").read_text())
    assert stated["reference_point"] == list(scale.reference)
    assert [each["name"] for each in stated["objectives"]] == list(TWO)
    assert scale_of(limited, tmp_path) == scale


def test_methods_are_compared_by_their_share_of_the_best_known_front(tmp_path: Path):
    pytest.importorskip("pymoo")
    pytest.importorskip("pyarrow")
    asked = [problem("gpt-s", ["loss_proxy", f"latency@{chip}"]) for chip in ("cuda", "rocm", "mlu")]
    jobs = [Job(p, name, 0, 30, tmp_path) for p in asked for name in ("random", "grid", "local_search")]
    list(run_all(jobs, workers=1))
    made = compare([read(job.path) for job in jobs])
    assert made.share.shape == (3, 3)
    assert ((made.share > 0.5) & (made.share <= 1)).all()
    assert made.ranks.sum(axis=1).tolist() == [6, 6, 6]
    assert made.critical_difference() == pytest.approx(2.343 * (3 * 4 / (6 * 3)) ** 0.5, abs=2e-3)
    assert 0 <= made.friedman() <= 1
    assert len(made.against_best()) == 2


@pytest.mark.parametrize(("words", "code", "said"), [
    (["--method", "nsga"], 2, "unknown search method 'nsga'"),
    (["--seeds", "0"], 2, "--seeds must be a whole number from 1"),
    (["--set", "batch"], 2, "must be NAME=VALUE"),
    (["--objectives", "loss_proxy,energy@huawei-ascend-unspecified", "--method", "random"], 3, "error: "),
])  # fmt: skip
def test_the_driver_ends_with_the_code_of_the_error(
    words: list[str], code: int, said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    assert search.main([*words, "--output", str(tmp_path)]) == code
    assert said in capsys.readouterr().err


def test_the_driver_searches_and_sums_up(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    pytest.importorskip("pymoo")
    pytest.importorskip("pyarrow")
    words = ["--method", "random,grid", "--seeds", "2", "--budget", "30", "--workers", "1", "--output", str(tmp_path)]
    assert search.main([*words, "--constraints", LIMIT, "--set", "batch=2"]) == 0
    assert len(read_all(tmp_path)) == 4
    assert "hypervolume" in capsys.readouterr().out
    assert search.main(["--list-methods"]) == 0
    assert "ehvi" in capsys.readouterr().out


@pytest.mark.skipif(not (find_spec("syne_tune") and find_spec("huggingface_hub")), reason="no Syne Tune here")
class TestBlackbox:
    def test_it_pickles_and_answers_the_same(self):
        from baselines.blackbox import HetBenchBlackbox

        made = HetBenchBlackbox("gpt-s", TWO, [LIMIT])
        np.random.seed(0)
        asked = {name: domain.sample() for name, domain in made.configuration_space.items()}
        table = made.objective_function(asked)
        assert made.objectives_names == [*TWO, "elapsed"]
        assert table.shape == (10, 3)
        assert pickle.loads(pickle.dumps(made)).objective_function(asked).tolist() == table.tolist()
        assert made.objective_function(asked, fidelity=3) == dict(zip(made.objectives_names, table[2], strict=True))

    @pytest.mark.parametrize("repeats", [0, -1, 11, 2.5, "many", None, True])
    def test_a_fidelity_outside_its_range_is_refused_with_the_range(self, repeats: object):
        from baselines.blackbox import HetBenchBlackbox

        made = HetBenchBlackbox("vit", ["capacity_proxy"])
        asked = {name: domain.categories[0] for name, domain in made.configuration_space.items()}
        with pytest.raises(InvalidInputError, match=r"repeats must be a whole number from 1 to 10; given"):
            made.objective_function(asked, fidelity={"repeats": repeats})
        with pytest.raises(InvalidInputError, match="epochs"):
            made.objective_function(asked, fidelity={"epochs": 1})
        with pytest.raises(InvalidInputError, match="layers=99 is not a choice of vit"):
            made.objective_function({**asked, "layers": 99})
        with pytest.raises(InvalidInputError, match="repeats must be a whole number from 1"):
            HetBenchBlackbox("vit", ["capacity_proxy"], repeats=0)

    def test_repeats_show_the_same_value_unless_noise_is_asked_for(self):
        from baselines.blackbox import HetBenchBlackbox

        made, noisy = (HetBenchBlackbox("vit", ["capacity_proxy", "latency@cuda"], noise_seed=s) for s in (None, 1))
        assert made.objectives_names[0] == "-capacity_proxy"
        np.random.seed(0)
        asked = {name: domain.sample() for name, domain in made.configuration_space.items()}
        assert len(set(made(asked)[:, 1])) == 1
        assert len(set(noisy(asked)[:, 1])) == 10
        assert len(set(noisy(asked)[:, 0])) == 1
        assert noisy(asked).tolist() == noisy(asked).tolist()

    def test_its_simulated_times_are_the_milliseconds_of_warm_up_and_repeats(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ):
        from baselines.blackbox import HetBenchBlackbox

        monkeypatch.setenv("SYNETUNE_FOLDER", str(tmp_path))
        found = simulated(HetBenchBlackbox("gpt-s", TWO), trials=12)
        assert found.trial_id.nunique() >= 12
        calls = found["latency@cann"].to_numpy()
        assert found.elapsed.to_numpy() == pytest.approx((5 + found.repeats.to_numpy()) * calls, abs=1e-6)
        for _, trial in found.groupby("trial_id"):
            steps = np.diff(trial.st_tuner_time)
            assert steps == pytest.approx(trial["latency@cann"].to_numpy()[1:] * np.diff(trial.repeats), abs=0.01)
        starts = (found.st_tuner_time - found.elapsed).groupby(found.trial_id).min()
        ends = sorted(found.st_tuner_time.groupby(found.trial_id).max())
        assert starts[:4].max() < 0.5  # one poll and two delays of 0.05; with the usual sleep it would be 5
        assert (starts.sort_values().to_numpy()[4:] - np.array(ends[: len(starts) - 4]) < 1.0).all()

    def test_the_global_seed_sets_what_a_simulated_search_draws(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
        from baselines.blackbox import HetBenchBlackbox

        monkeypatch.setenv("SYNETUNE_FOLDER", str(tmp_path))
        made = HetBenchBlackbox("gpt-s", TWO)
        first, again = (simulated(made, trials=4).groupby("trial_id")["loss_proxy"].first() for _ in range(2))
        assert first[:4].tolist() == again[:4].tolist()


def simulated(blackbox: Any, trials: int) -> Any:
    """The rows of MO-ASHA on a blackbox in Syne Tune's simulator, as the README runs it."""
    from syne_tune import StoppingCriterion, Tuner
    from syne_tune.backend.simulator_backend.simulator_callback import SimulatorCallback
    from syne_tune.blackbox_repository.simulated_tabular_backend import UserBlackboxBackend
    from syne_tune.experiments import load_experiment
    from syne_tune.optimizer.schedulers.multiobjective.moasha import MOASHA

    from baselines.blackbox import TUNER_SLEEP_TIME
    from baselines.priority import Ranks

    state: Any = np.random.get_state()
    np.random.seed(0)
    scheduler = MOASHA(blackbox.configuration_space, list(TWO), time_attr="repeats", max_t=10, random_seed=0,
                       multiobjective_priority=Ranks())  # fmt: skip
    backend = UserBlackboxBackend(blackbox, elapsed_time_attr="elapsed", tuner_sleep_time=TUNER_SLEEP_TIME)
    tuner = Tuner(
        backend, scheduler, n_workers=4, sleep_time=0, callbacks=[SimulatorCallback()],
        stop_criterion=StoppingCriterion(max_num_trials_finished=trials),
    )  # fmt: skip
    tuner.run()
    np.random.set_state(state)
    return load_experiment(tuner.name).results
