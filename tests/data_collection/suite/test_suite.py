"""Suites: what a file means, what is measured and what is skipped, the Ray engine, and what a comparison says."""

from __future__ import annotations

import random
import threading
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("psutil")
pytest.importorskip("duckdb")
pytest.importorskip("torch")
pytest.importorskip("transformers")

from data_collection.backends import Backend
from data_collection.profile.environment import ROOT, describe
from data_collection.profile.measure import Outcome
from data_collection.profile.session import key_of, row_of
from data_collection.profile.tasks import Task
from data_collection.profile.timing import Timing
from data_collection.store import connect, open_run, read
from data_collection.suite.__main__ import main
from data_collection.suite.compare import adjusted, compare, mann_whitney
from data_collection.suite.engine import Measured, Order, alone, carry_out
from data_collection.suite.plan import Device, load
from hetbench.errors import HetBenchError, InvalidInputError, RefusedError, UnknownNameError

CHIP = "amd-epyc-zen4-2vcpu-kvm"
QUICK = """
[budget]
seconds = 0.05
min_seconds = 0.0
patience = 0
retries = 0

[[operators]]
models = ["bert-tiny"]
types = ["Linear", "Add", "GELU"]
batch = [1, 2, 4]
limit = {limit}
threads = [1]
"""


@pytest.fixture
def suite(tmp_path: Path) -> Path:
    path = tmp_path / "suite.toml"
    path.write_text(QUICK.format(limit=3))
    return path


@pytest.fixture(scope="module")
def device(cpu: Backend) -> Device:
    return Device.of(cpu, describe(cpu, CHIP))


def rows(store: Path, columns: str = "name, dims, status, run") -> list[tuple[Any, ...]]:
    return connect(read(store)).execute(f"SELECT {columns} FROM rows").fetchall()


# what a file means


@pytest.mark.parametrize("name", ["default", "small-models"])
def test_the_suites_that_come_along_are_sound(name: str, device: Device):
    tasks, left_out = load(ROOT / "configs" / "suites" / f"{name}.toml").tasks(device)
    assert len(tasks) == len(set(tasks)) >= 10
    assert not left_out


def test_blocks_expand_in_the_files_order_and_a_task_that_two_name_is_there_once(tmp_path: Path, device: Device):
    path = tmp_path / "s.toml"
    path.write_text('[[operators]]\nmodels=["bert-tiny"]\nlimit=2\n[[models]]\nmodels=["gpt2"]\nbatch=[1, 2]\n'
                    '[[models]]\nmodels=["gpt2"]\nbatch=[2, 4]\n')  # fmt: skip
    tasks, _ = load(path).tasks(device)
    assert [task.kind for task in tasks[:2]] == ["operator"] * 2
    assert [task.batch for task in tasks[2:]] == [1, 2, 4]


def test_a_block_for_other_chips_is_left_out_and_said(tmp_path: Path, device: Device):
    path = tmp_path / "s.toml"
    path.write_text('chips=["cuda"]\n[[models]]\nmodels=["gpt2"]\n[[models]]\nmodels=["gpt2"]\nchips=["oneapi"]\n')
    tasks, left_out = load(path).tasks(device)
    assert len(tasks) == 1
    assert left_out == [f"block 1 is for cuda, not for {CHIP}"]


@pytest.mark.parametrize(("text", "message"), [
    ("[[models]\n", "not TOML"),
    ("", r"no \[\[models\]\] and no \[\[operators\]\]"),
    ('[[model]]\nmodels=["gpt2"]', "unknown key of a suite 'model'. Did you mean 'models'"),
    ('[[models]]\nmodels=["gpt-2x"]', r"\[\[models\]\] number 1: unknown model 'gpt-2x'. Did you mean 'gpt2'"),
    ('[[models]]\nmodels=["gpt2"]\nbach=[1]', "Did you mean 'batch'"),
    ('[[models]]\nmodels=["gpt2"]\nbatch=[0]', "whole numbers from 1"),
    ('[[models]]\nmodels=["gpt2"]\nbatch=8', r"batch = 8 must be a list: \[1, 8\]"),
    ('[[models]]\nmodels=["gpt2"]\nprecision=["fp33"]', "unknown precision 'fp33'"),
    ('[[models]]\nmodels=["gpt2"]\nstack=["egaer"]', "Did you mean 'eager'"),
    ('[[models]]\nmodels=["gpt2"]\nchips=["cudaa"]', "unknown chip 'cudaa'. Did you mean 'cuda'"),
    ('[[models]]\nbatch=[1]', "names no models"),
    ('[[operators]]\nmodels=["gpt2"]\ntypes=["Linaer"]', "Did you mean 'Linear'"),
    ('[budget]\nsecond=1\n[[models]]\nmodels=["gpt2"]', "Did you mean 'seconds'"),
    ('[budget]\nseconds="1"\n[[models]]\nmodels=["gpt2"]', "must be a number from 0"),
])  # fmt: skip
def test_a_faulty_suite_says_where_and_what(tmp_path: Path, text: str, message: str):
    path = tmp_path / "s.toml"
    path.write_text(text)
    with pytest.raises(InvalidInputError, match=message):
        load(path)


# what is measured


def test_a_suite_is_measured_once_and_again_only_where_asked(cpu: Backend, suite: Path, tmp_path: Path, capsys: Any):
    words = ["run", str(suite), "--chip", CHIP, "--store", str(tmp_path / "store")]
    assert main([*words, "--check"]) == 0
    assert "3 of 3 to measure" in capsys.readouterr().out
    assert not (tmp_path / "store").exists()
    assert main(words) in (0, 1)  # 1 where this machine was busy
    assert "to go]" in capsys.readouterr().out
    assert len(rows(tmp_path / "store")) == 3
    disturbed = sum(status == "disturbed" for _, _, status, _ in rows(tmp_path / "store"))
    main([*words, "--check"])
    assert f"{disturbed} of 3 to measure" in capsys.readouterr().out
    main([*words, "--check", "--again"])
    assert "3 of 3 to measure" in capsys.readouterr().out


def measured(device: Device, tasks: Sequence[Task], outcome: Outcome, started: datetime) -> Iterator[Measured]:
    for task in tasks:
        row = row_of(device.environment, task, outcome, "", started.isoformat(timespec="seconds"))
        yield Measured(task, row, device.environment, 0)


def ok(*milliseconds: float) -> Outcome:
    return Outcome("ok", None, Timing(tuple(each / 1e3 for each in milliseconds), calls=1).figures())


def test_rows_older_than_asked_are_due_again(device: Device, suite: Path, tmp_path: Path):
    plan, now, said = load(suite), datetime.now(UTC), []
    tasks, _ = plan.tasks(device)
    for task, age in zip(tasks, (1, 40, 50), strict=True):
        carry_out(measured(device, [task], ok(1.0), now - timedelta(days=age)), tmp_path, [], said.append)
    order = Order(plan=plan, store=tmp_path, since=now - timedelta(days=30), say=said.append)
    assert order.due(device) == tasks[1:]
    assert Order(plan=plan, store=tmp_path, say=said.append).due(device) == []


def test_failures_are_rows_and_the_suite_goes_on_and_a_second_row_of_a_key_is_dropped(
    device: Device, suite: Path, tmp_path: Path
):
    tasks, _ = load(suite).tasks(device)
    stream = measured(device, [*tasks, tasks[0]], Outcome("oom", "no room"), datetime.now(UTC))
    assert carry_out(stream, tmp_path, [], lambda _: None) == {"oom": 3}


def test_conditions_choose_tasks_and_an_unknown_field_names_the_nearest(device: Device, suite: Path, tmp_path: Path):
    def due(*only: str) -> set[str]:
        return {task.name for task in Order(plan=load(suite), store=tmp_path, only=only, say=str).due(device)}

    assert due("name=Lin*", "precision=fp32") == {"Linear"}
    assert due("name=Lin*", "name=Add") == {"Linear", "Add"}
    assert due("name=Conv2d") == set()
    with pytest.raises(UnknownNameError, match="Did you mean 'batch'"):
        due("bach=1")


def test_two_suites_on_one_store_are_refused_and_the_first_is_named(tmp_path: Path):
    with alone(tmp_path), pytest.raises(InvalidInputError, match=r"another suite measures into .* \(process \d+\)"):
        alone(tmp_path).__enter__()
    with alone(tmp_path):
        pass


@pytest.mark.parametrize(("words", "code", "message"), [
    (("run", "no-such.toml"), 2, "--create-config no-such.toml"),
    (("run", "--older-than", "30"), 2, "12h, 30d, 4w"),
    (("run", "--address", "a:1"), 2, "add --engine ray"),
    (("run", "--store", "/dev/null/store"), 2, "Name a writable directory"),
    (("run", "--create-config", "/dev/null/s.toml"), 2, "cannot write"),
    (("run", "--backend", "cudaa"), 2, "unknown backend 'cudaa'"),
])  # fmt: skip
def test_wrong_usage_is_explained(cpu: Backend, capsys: Any, words: tuple[str, ...], code: int, message: str):
    assert main([*words, "--chip", CHIP]) == code
    assert message in capsys.readouterr().err


def test_a_created_suite_is_sound_and_is_not_overwritten(tmp_path: Path, capsys: Any):
    path = tmp_path / "mine.toml"
    assert main(["run", "--create-config", str(path)]) == 0
    assert load(path).blocks
    assert main(["run", "--create-config", str(path)]) == 2
    assert "not there yet" in capsys.readouterr().err


# what a comparison says


def two_runs(store: Path, device: Device, tasks: Sequence[Task], pairs: Sequence[tuple[Outcome, Outcome]]) -> list[str]:
    """Names of two runs with an outcome a task each."""
    names = []
    for side in (0, 1):
        with open_run(store, device.environment.manifest()) as run:
            for task, pair in zip(tasks, pairs, strict=True):
                run.append(row_of(device.environment, task, pair[side], run.name, "2026-01-01T00:00:00+00:00"))
        names.append(run.name)
    return names


def around(middle: float, seed: int) -> Outcome:
    draw = random.Random(seed)
    return ok(*(draw.gauss(middle, 0.01 * middle) for _ in range(30)))


def test_what_became_slower_or_broke_is_found_and_the_exit_code_tells(
    device: Device, tmp_path: Path, capsys: Any
):
    path = tmp_path / "s.toml"
    path.write_text(QUICK.format(limit=6))
    tasks, _ = load(path).tasks(device)
    assert len(tasks) == 6
    disturbed, oom = Outcome("disturbed", "busy"), Outcome("oom", "no room")
    pairs = [(around(1, 1), around(1.2, 2)), (around(1, 3), around(1.02, 4)), (around(1, 5), around(0.7, 6)),
             (around(1, 7), oom), (oom, around(1, 8)), (around(1, 9), disturbed)]  # fmt: skip
    store = tmp_path / "store"
    first, second = two_runs(store, device, tasks, pairs)
    verdicts = [change.verdict for change in compare(store, first, second)]
    assert sorted(verdicts) == sorted(["slower", "same", "faster", "broken", "mended", "unknown"])
    assert main(["compare", first, second, "--store", str(store)]) == 1
    assert main(["compare", second, first, "--store", str(store), "--threshold", "1.5"]) == 1  # mended turns broken
    assert "1 slower" in capsys.readouterr().out
    with pytest.raises(UnknownNameError, match="unknown run 'nope'"):
        compare(store, first, "nope")
    with pytest.raises(InvalidInputError, match="with itself"):
        compare(store, first, first)


def test_a_difference_that_chance_explains_is_the_same(device: Device, suite: Path, tmp_path: Path):
    tasks, _ = load(suite).tasks(device)
    wide = [(ok(1, 2, 3, 4, 5, 9), ok(1, 2.5, 4, 5, 6, 10))] * 3
    first, second = two_runs(tmp_path / "store", device, tasks, wide)
    assert {change.verdict for change in compare(tmp_path / "store", first, second)} == {"same"}


def test_latencies_without_repeats_are_neither_the_same_nor_another(device: Device, suite: Path, tmp_path: Path):
    tasks, _ = load(suite).tasks(device)
    alone = [(Outcome("ok", None, {"latency_ms": 1.0}), around(9, at)) for at in range(3)]
    first, second = two_runs(tmp_path / "store", device, tasks, alone)
    found = compare(tmp_path / "store", first, second)
    assert {(change.verdict, change.ratio) for change in found} == {("unknown", None)}
    assert all("no repeats were kept" in change.said for change in found)


def test_p_values_are_those_of_scipy():
    stats = pytest.importorskip("scipy.stats")
    draw = random.Random(0)
    for n, m, digits in ((6, 9, 9), (20, 20, 9), (30, 50, 9), (40, 40, 1)):  # one digit: full of ties
        a, b = ([round(draw.gauss(shift, 1), digits) for _ in range(count)] for shift, count in ((0, n), (0.4, m)))
        method = "exact" if max(n, m) <= 20 else "asymptotic"
        assert mann_whitney(a, b) == pytest.approx(stats.mannwhitneyu(a, b, method=method).pvalue, rel=1e-9)
    values = [draw.random() ** 2 for _ in range(20)]
    assert adjusted(values) == pytest.approx(stats.false_discovery_control(values))


def test_repeats_that_are_all_alike_show_no_difference():
    assert mann_whitney([1.0] * 10, [1.0] * 10) == 1.0
    assert adjusted([]) == []


# the Ray engine


def test_without_ray_or_its_cluster_the_error_says_what_to_run(suite: Path, tmp_path: Path):
    from data_collection.suite.cluster import started

    with pytest.raises(HetBenchError, match=r"pip install|no Ray cluster at 127\.0\.0\.1:1"):
        started("127.0.0.1:1", None)


@pytest.mark.slow
def test_a_node_lost_in_the_middle_loses_no_row_and_doubles_none(tmp_path: Path, device: Device):
    ray = pytest.importorskip("ray", reason="Ray is not installed: pip install '.[cluster]'")
    cluster_utils = pytest.importorskip("ray.cluster_utils")
    from data_collection.suite.cluster import measured, started

    path = tmp_path / "s.toml"
    path.write_text(QUICK.format(limit=12))
    plan = load(path)
    small = {"num_cpus": 0, "resources": {CHIP: 1}, "object_store_memory": 80 * 2**20}
    cluster = cluster_utils.Cluster(initialize_head=True, head_node_args={**small, "include_dashboard": False})
    doomed = cluster.add_node(**small)
    said: list[str] = []
    try:
        joined = started(cluster.address, None)
        order = Order(plan=plan, store=tmp_path / "store", say=said.append)

        def until_lost() -> Iterator[Measured]:
            for place, each in enumerate(measured(order, joined)):
                yield each
                if place == 1:  # both nodes hold a task now
                    threading.Thread(target=cluster.remove_node, args=(doomed,)).start()

        counts = carry_out(until_lost(), order.store, [], said.append)
    finally:
        ray.shutdown()
        cluster.shutdown()
    tasks, _ = plan.tasks(device)
    assert any(line.startswith("lost the worker") for line in said)
    assert sum(counts.values()) == len(rows(order.store)) == len(tasks)
    assert len({(name, dims) for name, dims, _, _ in rows(order.store)}) == len(tasks)


def test_a_cluster_without_chips_says_how_to_offer_one(suite: Path, tmp_path: Path):
    from data_collection.suite.cluster import measured

    class Empty:
        @staticmethod
        def nodes() -> list[dict[str, Any]]:
            return [{"Alive": True, "Resources": {"CPU": 8.0}, "NodeID": "n"}]

    with pytest.raises(RefusedError, match="ray start --address"):
        next(measured(Order(plan=load(suite), store=tmp_path), Empty()))


def test_keys_tell_environments_apart_by_software_only(device: Device, suite: Path):
    from dataclasses import replace

    (first, *_), _ = load(suite).tasks(device)
    other = replace(device.environment, facts={**device.environment.facts, "kernel": "another"})
    newer = replace(device.environment, base_software="torch 99")
    assert key_of(other, first) == key_of(device.environment, first) != key_of(newer, first)
