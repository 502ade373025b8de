"""Calibration measures what is worth most, keeps it, and compares on what it never taught."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("psutil")

from data_collection.calibrate.choice import order, prior
from data_collection.calibrate.measure import Timed, read_timed
from data_collection.calibrate.portfolio import candidates, is_held_out, passes
from data_collection.calibrate.score import operator_table, score
from data_collection.profile.tasks import Task
from hetbench import HetBench
from hetbench.catalog.chips import chip
from hetbench.predict import operators

LINEAR = Task(
    kind="operator", name="Linear", dims='{"bias": 1, "k": 256, "m": 128, "n": 256}', precision="fp32", phase="fwd",
    stack="eager", layout="contiguous", cache="hot", protocol="wall", threads=None,
)  # fmt: skip


@pytest.fixture(scope="module")
def api() -> HetBench:
    return HetBench()


def test_a_measurement_that_explains_the_others_comes_first_and_makes_them_worth_less():
    """One operator of ten like it, and one alone of a third of the variance: a twin, then the lone one."""
    shared = np.full((3, 3), 0.95) + 0.05 * np.eye(3)
    shared[2, :2] = shared[:2, 2] = 0.0
    shared[2, 2] = 0.3
    first, second, third = order(shared, np.full(3, 0.01), np.ones(3), np.ones(3), np.ones(3, dtype=bool))
    assert (first, second, third) == (0, 2, 1)


def test_weight_cost_and_what_is_held_out_decide():
    free, alike = np.ones(2, dtype=bool), np.eye(2)
    assert order(alike, np.zeros(2) + 0.01, np.array([1.0, 2.0]), np.ones(2), free) == [1, 0]
    assert order(alike, np.zeros(2) + 0.01, np.ones(2), np.array([1.0, 0.5]), free) == [1, 0]
    assert order(alike, np.zeros(2) + 0.01, np.ones(2), np.ones(2), np.array([False, True])) == [1]


def test_candidates_carry_the_share_of_the_predicted_time(api: HetBench):
    found = candidates(api, "amd-epyc-zen4-2vcpu-kvm", ["bert-tiny"], "fp32", "wall")
    assert sum(each.weight for each in found) == pytest.approx(1.0)
    assert [each.weight for each in found] == sorted((each.weight for each in found), reverse=True)
    shared, noise = prior(operators.load(None), chip("amd-epyc-zen4-2vcpu-kvm"), found)
    assert shared.shape == (len(found), len(found))
    assert np.allclose(shared, shared.T)
    assert (noise > 0).all()


def test_taught_and_held_out_passes_share_no_model():
    taught, held = passes(["bert-tiny", "bert-mini", "gpt2"], "fp32", "wall")
    assert ([each.name for each in taught], [each.name for each in held]) == (["bert-tiny", "gpt2"], ["bert-mini"])


def test_a_fifth_of_the_operators_is_held_out_and_always_the_same():
    tasks = [replace(LINEAR, dims=json.dumps({"m": size})) for size in range(1000)]
    held = [is_held_out(task) for task in tasks]
    assert 150 < sum(held) < 250
    assert held == [is_held_out(task) for task in tasks]


def test_a_journal_is_read_back_without_a_line_that_was_cut_off(tmp_path: Path):
    from data_collection.calibrate.measure import _append

    journal = tmp_path / "x" / "journal.jsonl"
    rows = [Timed(LINEAR, 0.5, False), Timed(replace(LINEAR, precision="bf16"), 0.7, True)]
    for row in rows:
        _append(journal, row)
    with journal.open("a") as file:
        file.write('{"latency_ms": 1.0, "noi')
    assert read_timed(journal) == rows
    _append(journal, rows[0])  # after the kill: the next row starts a line
    assert read_timed(journal) == [*rows, rows[0]]


def test_a_line_that_is_no_measurement_is_kept_aside_and_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    from data_collection.calibrate.measure import _append

    journal = tmp_path / "x.journal.jsonl"
    journal.write_bytes(b"[]\n\xff\n")
    _append(journal, Timed(LINEAR, 0.5, False))
    assert read_timed(journal) == [Timed(LINEAR, 0.5, False)]
    assert "2 lines are no measurements" in capsys.readouterr().err
    assert (tmp_path / "x.journal.quarantine.jsonl").read_bytes() == b"[]\n\xff\n"
    assert read_timed(journal) == [Timed(LINEAR, 0.5, False)]


def test_observed_operators_bring_the_score_of_the_held_out_down(api: HetBench):
    """On a chip whose every operator takes 1.6 times the prediction, those taught correct those held out."""
    name = "intel-xeon-8380"
    found = candidates(api, name, ["bert-tiny"], "fp32", "wall")
    table = operator_table([Timed(each.task, 1.0, False) for each in found], name)
    truth = 1.6 * api.query_operators(table)["value"]
    timed = [Timed(each.task, float(ms), False) for each, ms in zip(found, truth, strict=True)]
    own = HetBench()
    before = score(own, timed[1::2], name)
    own.observe(operator_table(timed[::2], name))
    after = score(own, timed[1::2], name)
    assert before is not None
    assert after is not None
    assert before.error == pytest.approx(0.375)
    assert after.error < 0.5 * before.error
    assert after.width <= before.width
