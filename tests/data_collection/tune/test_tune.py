"""Tuning: the settings, the order in which each method tries them, what is confirmed, where throughput saturates."""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("psutil")
pytest.importorskip("duckdb")
pytest.importorskip("torch")
pytest.importorskip("transformers")

from data_collection.backends import Backend
from data_collection.profile.tasks import Task
from data_collection.store import Row
from data_collection.tune.__main__ import main
from data_collection.tune.report import Report
from data_collection.tune.search import METHODS, bayesian, genetic, grid, shuffled
from data_collection.tune.space import Space, Subject, space_for
from data_collection.tune.trials import Tuner, best_of
from hetbench.catalog.chips import chip
from hetbench.errors import RefusedError

CHIP = "amd-epyc-zen4-2vcpu-kvm"
SYNE_TUNE = importlib.util.find_spec("syne_tune") is not None
SPACE = Space({"threads": [2, 1], "layout": ["contiguous"], "precision": ["fp32", "bf16"],
               "stack": ["eager", "compiled"], "batch": [1, 2, 4, 8]})  # fmt: skip
BERT = Subject(kind="model", name="bert-tiny")
LINEAR = Subject(kind="operator", name="Linear", dims={"m": 4, "n": 64, "k": 64}, batch_dim="m")


def row(task: Task, latency_ms: float | None, status: str = "ok") -> Row:
    values = {name: getattr(task, name) for name in Task.__dataclass_fields__}
    return Row(**values, family="oneapi", chip=CHIP, software="torch", status=status, latency_ms=latency_ms,
               raw_ms=(latency_ms,) * 10 if latency_ms else None, environment="e", run="r", started="now")


def law(task: Task) -> Row:
    """bf16 takes 0.6 of the time, two threads 0.7, compiled fails, and a batch takes its square root."""
    if task.stack == "compiled":
        return row(task, None, "error")
    factor = (0.6 if task.precision == "bf16" else 1.0) * (0.7 if task.threads == 2 else 1.0)
    return row(task, factor * (task.batch or 1) ** 0.5)


def tuner(measure: Callable[[Task], Row] = law, subject: Subject = BERT) -> Tuner:
    return Tuner(subject, SPACE, "wall", measure, lambda _: None)


def proposals(method: Any, seed: int, value: Callable[[Mapping[str, Any]], float | None]) -> list[tuple[Any, ...]]:
    asked, found = method(SPACE, seed), []
    setting = next(asked)
    for _ in range(20):
        found.append(tuple(setting.values()))
        setting = asked.send(value(setting))
    return found


# what is tried


@pytest.mark.parametrize("name", METHODS)
def test_the_same_seed_gives_the_same_trials_and_each_method_finds_the_best_in_the_end(name: str):
    if name == "bayesian" and not SYNE_TUNE:
        pytest.skip("syne-tune is not installed")
    first, second = (list(tuner().search(METHODS[name], 32, 7)) for _ in range(2))
    assert first == second
    best = best_of(first)
    assert best is not None
    assert best.setting == {"threads": 2, "layout": "contiguous", "precision": "bf16", "stack": "eager", "batch": 8}


@pytest.mark.parametrize("method", [shuffled, genetic])
def test_another_seed_gives_other_trials(method: Any):
    assert proposals(method, 1, lambda s: 1.0 / s["batch"]) != proposals(method, 2, lambda s: 1.0 / s["batch"])


def test_the_genetic_search_never_proposes_a_setting_twice_and_ends_with_the_space():
    asked, seen = genetic(SPACE, 0), []
    setting = next(asked)
    with suppress(StopIteration):
        while True:
            seen.append(tuple(setting.values()))
            setting = asked.send(None if setting["stack"] == "compiled" else float(setting["batch"]))
    assert len(seen) == len(set(seen)) == SPACE.size


def test_the_genetic_search_finds_the_best_of_a_large_space_in_a_tenth_of_it():
    large = Space({"threads": list(range(8)), "precision": list(range(8)), "stack": list(range(8)), "batch": [1]})
    asked, found = genetic(large, 0), []
    setting = next(asked)
    for _ in range(51):
        found.append(sum(setting.values()))
        setting = asked.send(float(found[-1]))
    assert min(found) <= 3  # of 1 .. 22; one setting in 128 is as good


def test_the_default_is_tried_first_and_a_space_is_tried_once():
    trials = list(tuner().search(shuffled, 1000, 3))
    assert trials[0].setting == SPACE.default
    assert len(trials) == SPACE.size


def test_a_single_setting_is_one_trial():
    one = Space({name: values[:1] for name, values in SPACE.axes.items()})
    for method in (grid, shuffled, genetic):
        assert len(list(Tuner(BERT, one, "wall", law, lambda _: None).search(method, 5, 0))) == 1


@pytest.mark.skipif(SYNE_TUNE, reason="syne-tune is installed")
def test_without_syne_tune_the_bayesian_search_says_what_to_install():
    with pytest.raises(RefusedError, match=r"pip install --editable '\.\[collect,search\]'"):
        next(bayesian(SPACE, 0))


# settings and tasks


def test_the_space_is_what_the_machine_and_the_subject_take(cpu: Backend):
    space = space_for(BERT, cpu, chip(CHIP), {})
    assert space.axes["layout"] == ("contiguous",)
    assert space.axes["precision"] == ["fp32", "bf16"]
    assert (space.default["stack"], space.default["batch"]) == ("eager", 1)
    assert len(space_for(Subject(kind="model", name="resnet-50"), cpu, chip(CHIP), {}).axes["layout"]) == 2
    assert space_for(BERT, cpu, chip(CHIP), {"batch": [16, 2, 16]}).axes["batch"] == [16, 2]


def test_a_batch_multiplies_the_named_dim_of_an_operator():
    task = LINEAR.task({**SPACE.default, "batch": 8}, "wall")
    assert json.loads(task.dims or "") == {"bias": 0, "k": 64, "m": 32, "n": 64}


def test_a_setting_that_the_model_refuses_is_an_unsupported_trial():
    trial, measured = tuner(subject=Subject(kind="model", name="bert-tiny", seq_len=100_000)).try_one(SPACE.default)
    assert (trial.status, measured) == ("unsupported", None)


# what is found


def test_the_report_rests_on_rows_measured_after_the_search(tmp_path: Path):
    made = tuner()
    trials = list(made.search(grid, 100, 0))
    best = best_of(trials)
    assert best is not None
    before, after = made.confirm(best.setting, rounds=2)
    report = Report(subject=BERT, chip=CHIP, software="torch", method="grid", seed=0, space=SPACE, trials=trials,
                    before=before, after=after, saturation=made.saturate(best.setting, 16), run="r")
    report.write(tmp_path)
    found = json.loads((tmp_path / "report.json").read_text())
    assert found["before"]["repeats"] == 20
    assert found["speedup"]["ratio"] == pytest.approx(8**0.5 / 0.6)
    text = (tmp_path / "report.md").read_text()
    assert "4.71 times as fast [4.71, 4.71]. It computes in bf16: check" in text
    assert "throughput still rises" in text
    assert json.loads((tmp_path / "space.json").read_text()) == SPACE.axes


def test_without_a_quiet_trial_there_is_no_best_and_the_report_says_so():
    trials = list(tuner(lambda task: row(task, None, "disturbed")).search(grid, 3, 0))
    report = Report(subject=BERT, chip=CHIP, software="torch", method="grid", seed=0, space=SPACE, trials=trials,
                    before=None, after=None, saturation=None, run="r")
    assert (report.best, report.speedup) == (None, None)
    assert "No trial gave a figure." in report.markdown()


def test_throughput_saturates_where_doubling_the_batch_gains_less_than_five_percent():
    # 1 ms for up to 8 samples, then in proportion
    found = tuner(lambda task: row(task, max(1.0, (task.batch or 1) / 8))).saturate(SPACE.default, 256)
    assert (found.batch, found.reason) == (8, "throughput changes by +0.0% from batch 8 to 16")
    assert [step.setting["batch"] for step in found.steps] == [1, 2, 4, 8, 16]


def test_memory_that_runs_out_ends_the_doubling_at_the_last_batch_that_ran():
    made = tuner(lambda task: row(task, None, "oom") if task.batch == 8 else row(task, 1.0))
    found = made.saturate(SPACE.default, 64)
    assert found.batch == 4
    assert found.reason.startswith("oom at batch 8")


# from the shell


@pytest.mark.parametrize(("words", "code", "message"), [
    (("--model", "bert-tinny"), 2, "Did you mean 'bert-tiny'"),
    (("--model", "bert-tiny", "--method", "bayes"), 2, "unknown method 'bayes'"),
    (("--model", "bert-tiny", "--precision", "fp33"), 2, "unknown precision 'fp33'"),
    (("--model", "bert-tiny", "--layout", "nhwc"), 2, "unknown layout 'nhwc'"),
    (("--model", "bert-tiny", "--seq-len", "100000"), 3, "100000"),
    (("--operator", "Linaer", "m=4"), 2, "Did you mean 'Linear'"),
    (("--operator", "Linear", "m4"), 2, "'m4' must be DIM=SIZE"),
    (("--operator", "Linear", "m=4", "n=4", "k=4", "--batch", "2"), 2, "needs --batch-dim, one of m, n, k"),
    (("--operator", "Linear", "m=4", "n=4", "k=4", "--saturate"), 2, "needs --batch-dim"),
    (("--operator", "Linear", "m=4", "n=4", "k=4", "--batch-dim", "b"), 2, "unknown dim of Linear 'b'"),
    (("--model", "bert-tiny", "--store", "/dev/null/store"), 2, "Name a writable directory"),
])  # fmt: skip
def test_wrong_usage_is_explained(cpu: Backend, capsys: Any, tmp_path: Path, words: tuple[str, ...], code: int,
                                  message: str):
    store = () if "--store" in words else ("--store", str(tmp_path))
    assert main([*words, "--chip", CHIP, *store]) == code
    assert message in capsys.readouterr().err


def test_an_operator_is_tuned_on_this_machine(cpu: Backend, tmp_path: Path):
    words = "--operator Linear m=4 n=32 k=32 --batch-dim m --threads 1 --stack eager --batch 1 2 --precision fp32 " \
            "--method grid --rounds 1 --seconds 0.05 --patience 0"  # fmt: skip
    code = main([*words.split(), "--chip", CHIP, "--store", str(tmp_path / "s"), "--out", str(tmp_path / "o")])
    found = json.loads((tmp_path / "o" / "report.json").read_text())
    assert len(found["trials"]) == 2
    assert {trial["status"] for trial in found["trials"]} <= {"ok", "disturbed"}  # this machine may be busy
    assert code == (0 if found["before"] and found["after"] else 1)
