"""The environment of KG-A2O: Gymnasium's own checker, masks, rewards that are the surrogate's."""

from __future__ import annotations

import warnings

import numpy as np
import pytest

pytest.importorskip("gymnasium")

from baselines.migration_env import GROUPS, KINDS, OBSERVATION, MigrationEnv, scene
from hetbench.errors import InvalidInputError
from hetbench.plans.actions import ACTIONS, MODEL, Option

TASKS = [("bert-tiny", "cann"), ("resnet-50", "rocm"), ("gpt2", "cuda")]


def _number(task: tuple[str, str], option: Option) -> int:
    return next(number for number, each in scene(*task).option.items() if each == option)


def test_gymnasium_accepts_it():
    from gymnasium.utils.env_checker import check_env

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        check_env(MigrationEnv(TASKS), skip_render_check=True)


def test_all_twelve_actions_have_a_number_and_those_without_evidence_are_masked():
    env = MigrationEnv(TASKS)
    env.reset(seed=0, options={"task": 0})
    masks = env.action_masks()
    assert {name for name, _ in KINDS} == set(ACTIONS)
    assert masks.shape == ((GROUPS + 1) * len(KINDS) + 1,)
    never = [at for at, (name, _) in enumerate(KINDS) if ACTIONS[name].rule is None]
    assert not masks[:-1].reshape(GROUPS + 1, len(KINDS))[:, never].any()
    assert masks[env.STOP]


def test_the_rewards_sum_to_the_relative_gain_of_the_plan():
    env, task = MigrationEnv(TASKS), TASKS[2]
    _, info = env.reset(seed=0, options={"task": 2})
    total = 0.0
    for option in (Option("precision", MODEL, "fp16"), Option("operator-fusion", "GELU")):
        _, reward, done, _, _ = env.step(_number(task, option))
        total += reward
    assert not done
    plans = scene(*task).plans
    assert total == pytest.approx(1 - plans(env.plan) / info["start_ms"])
    assert env.step(env.STOP)[2]


def test_an_action_that_is_not_open_changes_nothing():
    env = MigrationEnv(TASKS)
    env.reset(seed=0, options={"task": 1})
    closed = int(np.flatnonzero(~env.action_masks())[0])
    _, reward, _, _, info = env.step(closed)
    assert (reward, info["legal"], env.plan) == (0.0, False, frozenset())


def test_the_same_seed_draws_the_same_task():
    seen = [MigrationEnv(TASKS).reset(seed=7) for _ in range(2)]
    assert seen[0][1] == seen[1][1]
    assert np.array_equal(seen[0][0], seen[1][0])
    assert seen[0][0].shape == (OBSERVATION,)


def test_accuracy_safe_opens_nothing_that_changes_results():
    env = MigrationEnv(TASKS, accuracy_safe=True)
    env.reset(seed=0, options={"task": 2})
    opened = [env.scene.option[int(each)] for each in np.flatnonzero(env.action_masks()[: env.STOP])]
    assert opened
    assert not any(ACTIONS[each.action].changes_results for each in opened)


def test_the_budget_ends_the_episode():
    env = MigrationEnv(TASKS, budget=1)
    env.reset(seed=0, options={"task": 0})
    assert env.step(int(np.flatnonzero(env.action_masks())[0]))[2]


def test_no_task_is_refused():
    with pytest.raises(InvalidInputError, match="0 tasks"):
        MigrationEnv([])


def test_the_policy_is_judged_on_models_that_it_never_saw():
    from baselines.a2o import HELD_OUT, tasks

    trained, held_out = tasks(held_out=False), tasks(held_out=True)
    assert {name for name, _ in held_out} == set(HELD_OUT)
    assert not {name for name, _ in trained} & set(HELD_OUT)
    assert len(trained) + len(held_out) == 34 * 5


def test_the_comparison_is_written_by_method():
    from baselines.a2o import report

    row = {"model": "gpt2", "family": "cann", "evaluations": 1, "share": 0.5, "method": "MaskablePPO, one shot"}
    rows = [row, {**row, "family": "mlu", "share": 1.0}, {**row, "family": "rocm", "share": None},
            {**row, "method": "greedy", "evaluations": 40, "share": 1.0}]  # fmt: skip
    training = {"held_out": ["gpt2"], "steps": 1000, "seconds": 9.0, "tasks": 3}
    text = report(rows, training)
    assert "2 tasks with a possible gain" in text
    assert "| MaskablePPO, one shot | 2 | 1 | 75.0% | 50.0% | 50% |" in text
    assert "| greedy | 1 | 40 | 100.0% | 100.0% | 100% |" in text
