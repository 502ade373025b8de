"""The profiler: what is drawn, when repeating ends, what makes a row disturbed, and what wrong usage says."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("psutil")
pytest.importorskip("duckdb")
pytest.importorskip("torch")
pytest.importorskip("transformers")

from data_collection.backends import Backend, backends
from data_collection.profile.__main__ import main
from data_collection.profile.environment import describe
from data_collection.profile.measure import Outcome
from data_collection.profile.noise import Robust, Window, robust
from data_collection.profile.quiet import Sight, disturbance
from data_collection.profile.session import Policy, Session
from data_collection.profile.stacks import missing
from data_collection.profile.tasks import Grid, Task, model_tasks, operator_tasks
from data_collection.profile.timing import Budget, Timing, repeat, spread_of_median
from data_collection.store import connect, open_run, read

CHIP = "amd-epyc-zen4-2vcpu-kvm"
LINEAR = Task(
    kind="operator", name="Linear", dims='{"bias": 0, "k": 64, "m": 8, "n": 64}', precision="fp32", phase="fwd",
    stack="eager", layout="contiguous", cache="hot", protocol="wall", threads=1,
)  # fmt: skip


# what is drawn


def test_the_same_operators_are_drawn_whatever_the_order_of_the_models():
    grid = Grid(precision=("fp32", "bf16"), batch=(1, 8))
    first, _ = operator_tasks(["resnet-50", "bert-tiny"], grid, limit=40)
    second, _ = operator_tasks(["bert-tiny", "resnet-50"], grid, limit=40)
    assert first == second
    assert len(set(first)) == 40


def test_a_limit_takes_of_every_type_before_it_takes_twice():
    tasks, _ = operator_tasks(["resnet-50", "bert-tiny"], Grid(), limit=11)
    assert len({task.name for task in tasks}) == 11


def test_operators_that_cost_nothing_are_not_measured():
    tasks, _ = operator_tasks(["bert-tiny"], Grid())
    assert "Dropout" not in {task.name for task in tasks}


def test_types_can_be_named():
    tasks, _ = operator_tasks(["bert-tiny"], Grid(), types=["Softmax", "Linear"])
    assert {task.name for task in tasks} <= {"Softmax", "Linear"}


def test_every_way_of_running_is_combined():
    grid = Grid(cache=("hot", "cold"), threads=(1, 2), layout=("contiguous", "channels_last"))
    tasks, _ = operator_tasks(["resnet-50"], grid, types=["Conv2d"], limit=3)
    assert len(tasks) == 3 * 8


def test_a_size_that_a_model_does_not_take_is_left_out_and_one_that_it_refuses_is_said():
    tasks, refused = model_tasks(["resnet-50", "gpt2"], Grid(seq_len=(32, 4096), image_size=(224,)))
    assert [(task.name, task.seq_len, task.image_size) for task in tasks] == [
        ("resnet-50", None, 224), ("gpt2", 32, None)
    ]  # fmt: skip
    (reason,) = refused
    assert "gpt2" in reason
    assert "4096" in reason


# when repeating ends


class Scripted(Backend):
    """A clock that is given."""

    family, device = "oneapi", "cpu"

    def __init__(self, seconds: Iterator[float]) -> None:
        self.script = seconds

    def seconds(self, call: Any, calls: int, protocol: str) -> float:
        return next(self.script) * calls


def steady(low: float, high: float) -> Iterator[float]:
    while True:
        yield low
        yield high


def test_repeating_ends_when_the_median_is_known_closely_enough():
    timing = repeat(Scripted(steady(1e-3, 1.001e-3)), None, "wall", Budget(min_seconds=0), shortest=1e-3)
    assert len(timing.seconds) == 100
    assert timing.figures()["spread"] < 0.001


def test_repeating_goes_on_while_the_median_is_uncertain_and_ends_at_the_budget():
    timing = repeat(Scripted(steady(1e-3, 2e-3)), None, "wall", Budget(min_seconds=0, max_repeats=300), shortest=1e-3)
    assert len(timing.seconds) == 300


def test_a_slow_call_is_repeated_six_times_at_least():
    timing = repeat(Scripted(steady(9.0, 9.1)), None, "wall", Budget(max_seconds=0.0), shortest=9.0)
    assert len(timing.seconds) == 6


def test_only_repeats_between_two_quiet_looks_count():
    looks = iter([True, True, False, True] * 100)
    script = Scripted(iter([1.0, 5.0, 5.0, 1.0] * 100))  # one call fills a window; the disturbed ones are slow
    timing = repeat(script, None, "wall", Budget(min_repeats=8, max_repeats=8), shortest=1.0, quiet=looks.__next__)
    assert timing.seconds == (1.0,) * 8
    assert timing.quiet


def test_where_too_few_repeats_were_quiet_all_are_kept_and_the_timing_says_so():
    script = Scripted(steady(1.0, 2.0))
    timing = repeat(script, None, "wall", Budget(max_seconds=0.0), shortest=1.0, quiet=lambda: False)
    assert len(timing.seconds) == 6
    assert not timing.quiet


def test_a_short_call_is_repeated_within_the_clock_and_one_with_a_reset_is_not():
    script = Scripted(steady(1e-6, 1e-6))
    assert repeat(script, None, "wall", Budget(min_seconds=0), shortest=1e-5).calls == 5
    resets: list[int] = []
    timing = repeat(script, None, "wall", Budget(min_seconds=0), shortest=1e-6, reset=lambda: resets.append(1))
    assert timing.calls == 1
    assert len(resets) == len(timing.seconds)


def test_figures_are_those_of_the_repeats_and_a_tail_that_few_repeats_show_is_unknown():
    figures = Timing((3e-3, 1e-3, 2e-3, 5e-3, 4e-3, 6e-3), calls=1).figures()
    assert figures["latency_ms"] == pytest.approx(3.5)
    assert figures["min_ms"] == pytest.approx(1.0)
    assert figures["iqr_ms"] == pytest.approx(2.5)
    assert figures["raw_ms"] == pytest.approx((3, 1, 2, 5, 4, 6))
    assert (figures["p90_ms"], figures["p99_ms"]) == (None, None)
    assert Timing(tuple(range(1, 101)), calls=1).figures()["p99_ms"] == pytest.approx(99_010)


def test_the_interval_of_the_median_is_that_of_the_order_statistics():
    # of 100 values the 95 % interval reaches from the 41st to the 60th
    assert spread_of_median(list(range(1, 101))) == pytest.approx((60 - 41) / 2 / 50.5)


# what makes a row disturbed


def test_a_slow_canary_or_busy_others_disturb_and_neither_does_not():
    assert disturbance(Sight(0.43, 0.0), 0.4) is None
    assert disturbance(Sight(0.45, 0.0), 0.4) == "the canary took 0.4500 ms, 12 % above its best of 0.4000 ms"
    assert disturbance(Sight(0.4, 0.9), 0.4) == "other processes took 0.90 CPU cores meanwhile"


class Child:
    """Stands for the measuring process: gives outcomes as they are listed, and counts how often it is asked to look."""

    def __init__(self, *outcomes: Outcome, quiet: bool = True) -> None:
        self.outcomes, self.quiet, self.looks, self.fresh = list(outcomes), quiet, 0, []

    def measure(self, task: Task, budget: Budget, timeout: float, *, fresh: bool = False) -> Outcome:
        self.fresh.append(fresh)
        return self.outcomes.pop(0)

    def look(self, threads: int | None, seconds: float = 0.5) -> Sight:
        self.looks += 1
        return Sight(0.4, 0.0 if self.quiet or self.looks == 1 else 1.5)

    def close(self) -> None:
        pass


def outcome(canary_ms: float = 0.4, others: float = 0.0) -> Outcome:
    figures = Timing((1e-3,) * 10, calls=1).figures() | {"library": "MKL"}
    return Outcome("ok", None, figures, Sight(canary_ms, others))


def session(store: Path, child: Child, **policy: Any) -> list[dict[str, Any]]:
    """Rows of one task that the child measures."""
    environment = describe(backends()["oneapi"], CHIP)
    with open_run(store, environment.manifest()) as run:
        made = Session(environment, child, store=store, policy=Policy(**policy), say=lambda _: None)
        made.run([LINEAR], run)
    return rows(store)


def rows(store: Path) -> list[dict[str, Any]]:
    result = connect(read(store)).execute("SELECT * FROM rows")
    return [dict(zip([c[0] for c in result.description], values, strict=True)) for values in result.fetchall()]


def test_a_quiet_measurement_becomes_a_row_with_its_evidence(tmp_path: Path):
    (row,) = session(tmp_path, Child(outcome()))
    assert (row["status"], row["latency_ms"], row["library"], row["chip"]) == ("ok", 1.0, "MKL", CHIP)
    assert (row["canary_ms"], row["canary_reference_ms"], row["others_cores"]) == (0.4, 0.4, 0.0)
    assert len(row["raw_ms"]) == row["repeats"] == 10


def test_a_disturbed_measurement_is_made_again_when_the_machine_is_quiet(tmp_path: Path):
    child = Child(outcome(canary_ms=0.9), outcome())
    (row,) = session(tmp_path, child)
    assert row["status"] == "ok"
    assert child.looks == 2  # once for the reference, once to see that it is quiet again


def test_a_machine_that_stays_disturbed_marks_the_row_and_publishes_no_figure(tmp_path: Path):
    (row,) = session(tmp_path, Child(outcome(others=1.3), quiet=False), patience_s=0.0)
    assert row["status"] == "disturbed"
    assert "other processes took 1.30 CPU cores" in row["reason"]
    assert [row[name] for name in ("latency_ms", "min_ms", "p90_ms", "iqr_ms")] == [None] * 4
    assert len(row["raw_ms"]) == 10
    assert connect(read(tmp_path)).execute("SELECT count(*) FROM operators").fetchall() == [(0,)]


def test_a_machine_that_stays_disturbed_gives_a_noisy_row_where_it_is_asked_for(tmp_path: Path):
    loaded = [replace(outcome(others=1.3), robust=Robust(ms, 0.1)) for ms in (0.9, 0.8, 1.0)]
    child = Child(*loaded, quiet=False)
    child.look = lambda threads, seconds=0.5: Sight(0.4, 0.0)  # quiet whenever it is looked at
    (row,) = session(tmp_path, child, retries=2, keep_noisy=True)
    assert (row["status"], row["latency_ms"], row["min_ms"]) == ("noisy", 0.8, None)
    assert row["spread"] == pytest.approx(0.9 / 0.8 - 1)  # the median of the attempts over the least
    assert "other processes took 1.30 CPU cores" in row["reason"]
    environment = describe(backends()["oneapi"], CHIP)
    due = {keep: Session(environment, child, store=tmp_path, policy=Policy(keep_noisy=keep)).new([LINEAR])
           for keep in (True, False)}  # fmt: skip
    assert due == {True: [], False: [LINEAR]}


def test_load_that_takes_the_processor_leaves_the_estimate_and_slower_caches_are_corrected_by_the_canary():
    quiet = [Window(2e-3, 2.1e-3)] * 10
    for loaded in (quiet, [Window(9e-3, 2e-3)] * 10, [Window(8e-3, 8e-3)] * 8 + quiet[:2]):
        assert robust(loaded, [0.4] * 11, 0.4).ms == pytest.approx(2.0)
    shared = robust([Window(2.4e-3, 2.4e-3)] * 10, [0.48] * 11, 0.4)
    assert (shared.ms, shared.spread) == (pytest.approx(2.0), pytest.approx(0.2))
    assert robust([Window(2.4e-3, None)], [40.0, 40.0], 0.4).ms == pytest.approx(1.6)  # corrected by half at most
    assert robust([], [0.4], 0.4) is None


def test_the_canarys_best_of_an_earlier_run_judges_the_next_one(tmp_path: Path):
    session(tmp_path, Child(outcome(canary_ms=0.3)))
    both = session(tmp_path, Child(outcome(canary_ms=0.4), quiet=False), patience_s=0.0)
    (row,) = [row for row in both if row["status"] == "disturbed"]
    assert "33 % above its best of 0.3000 ms" in row["reason"]


def test_what_failed_is_not_tried_again_and_says_why(tmp_path: Path):
    (row,) = session(tmp_path, Child(Outcome("oom", "RuntimeError: can't allocate memory")))
    assert (row["status"], row["latency_ms"], row["canary_ms"]) == ("oom", None, None)
    assert row["reason"] == "RuntimeError: can't allocate memory"


def test_settled_rows_are_skipped_and_disturbed_ones_are_not(tmp_path: Path):
    other = replace(LINEAR, cache="cold")
    environment = describe(backends()["oneapi"], CHIP)
    child = Child(outcome(), outcome(others=2.0), quiet=False)
    with open_run(tmp_path, environment.manifest()) as run:
        made = Session(environment, child, store=tmp_path, policy=Policy(patience_s=0.0, retries=0), say=lambda _: None)
        made.run([LINEAR, other], run)
    assert made.new([LINEAR, other]) == [other]
    assert made.new([replace(LINEAR, threads=2)]) == [replace(LINEAR, threads=2)]


def test_models_and_heavy_operators_are_measured_in_a_process_of_their_own(tmp_path: Path):
    heavy = replace(LINEAR, dims='{"bias": 0, "k": 16384, "m": 8, "n": 16384}')
    environment, child = describe(backends()["oneapi"], CHIP), Child(outcome(), outcome())
    with open_run(tmp_path, environment.manifest()) as run:
        Session(environment, child, store=tmp_path, policy=Policy(), say=lambda _: None).run([LINEAR, heavy], run)
    assert child.fresh == [False, True]


# from the shell


@pytest.mark.parametrize(("words", "code", "message"), [
    (("models", "gpt3"), 2, "unknown model 'gpt3'"),
    (("operators", "--types", "Linaer"), 2, "Did you mean 'Linear'"),
    (("operators", "--precision", "fp33"), 2, "unknown precision 'fp33'"),
    (("operators", "--backend", "cudaa"), 2, "unknown backend 'cudaa'"),
    (("operators", "--chip", "amd-mi210"), 3, "amd-mi210 belongs to rocm, this device to oneapi"),
    (("models", "bert-tiny", "--seq-len", "100000"), 2, "nothing to measure"),
    (("operators", "--protocol", "event"), 2, "unknown protocol 'event'. Known: wall"),
    (("models", "bert-tiny", "--store", "/dev/null/store"), 2, "Name a writable directory"),
])  # fmt: skip
def test_wrong_usage_is_explained(cpu: Backend, capsys: Any, words: tuple[str, ...], code: int, message: str):
    assert main([*words, *(() if "--chip" in words else ("--chip", CHIP))]) == code
    assert message in capsys.readouterr().err


def test_a_stack_that_is_not_here_says_what_to_install(monkeypatch: Any, tmp_path: Path):
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("CXX", raising=False)
    assert "install g++ or set CXX" in (missing("compiled") or "")
    for stack in ("onnxruntime", "openvino"):
        assert "pip install" in (missing(stack) or "pip install")
