"""Train the KG-A2O policy on the model catalogue and compare its plans with those of searches.

    pip install --editable '.[rl]'
    python -m baselines.a2o train --out runs/a2o          # some minutes on one core
    python -m baselines.a2o evaluate --out runs/a2o       # writes runs/a2o/report.md

`HELD_OUT` models are in no episode of the training. MaskablePPO (sb3-contrib) proposes a plan in one pass, without an
evaluation; the searches ask the surrogate for the latency of every plan they look at. A plan's quality is its gain over
the best gain that any method found for the task. Random draws have seeds; no figure of the report is one draw alone.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from baselines.migration_env import MigrationEnv, scene
from hetbench.artifacts import write_whole
from hetbench.catalog.models import models
from hetbench.errors import RefusedError, exit_code
from hetbench.plans.plan_space import OptionSet, PlanSpace
from hetbench.plans.search import (
    CountedPlans,
    SearchResult,
    beam,
    count_combinations,
    exhaustive,
    greedy,
    random_search,
)
from hetbench.schema import FAMILIES

__all__ = ["HELD_OUT", "compare", "main", "propose", "report", "tasks", "train"]

HELD_OUT = ("bert-base", "gpt2", "resnet-50", "vit-base", "mobilenet-v2", "tinyllama-1.1b", "whisper-large-v3")
BUDGETS = (10, 50, 200)
SEEDS = 5
Task = tuple[str, str]


def tasks(held_out: bool) -> list[Task]:
    """(model, family) pairs: the held-out ones or those of the training."""
    return [(name, family) for name in models() if (name in HELD_OUT) == held_out for family in FAMILIES]


def train(out: Path, steps: int, seed: int = 0) -> None:
    """Fit the policy and write policy.zip and training.json to `out`."""
    import torch
    from sb3_contrib import MaskablePPO

    torch.set_num_threads(1)
    env, start = MigrationEnv(tasks(held_out=False)), time.monotonic()
    model = MaskablePPO(
        "MlpPolicy", env, n_steps=1024, batch_size=256, gamma=1.0, gae_lambda=0.95, ent_coef=0.01, learning_rate=3e-4,
        policy_kwargs={"net_arch": [256, 256]}, seed=seed, device="cpu",
    )  # fmt: skip
    model.learn(steps)
    out.mkdir(parents=True, exist_ok=True)
    model.save(out / "policy.zip")
    packages = ("stable-baselines3", "sb3-contrib", "gymnasium", "torch")
    known = {"steps": steps, "seed": seed, "seconds": round(time.monotonic() - start, 1), "held_out": HELD_OUT,
             "tasks": len(env.tasks), "versions": {name: version(name) for name in packages}}  # fmt: skip
    (out / "training.json").write_text(json.dumps(known, indent=2))


def propose(policy: Any, task: Task) -> tuple[float, int]:
    """ms of the plan that the policy proposes, and its number of evaluations, 1."""
    env = MigrationEnv([task])
    seen, _ = env.reset(seed=0)
    done, ms = False, scene(*task).plans(frozenset())
    while not done:
        action, _ = policy.predict(seen, action_masks=env.action_masks(), deterministic=True)
        seen, _, done, _, info = env.step(int(action))
        ms = info["ms"]
    return ms, 1


def _tpe(plans: PlanSpace, evaluations: int, seed: int) -> tuple[float, int]:
    """Syne Tune's tree-structured Parzen estimator over one choice for each set of exclusive options.

    Options that conflict with earlier ones are dropped; repeated plans cost no evaluation."""
    from syne_tune.config_space import randint
    from syne_tune.optimizer import baselines
    from syne_tune.optimizer.schedulers.ask_tell_scheduler import AskTellScheduler

    slots, counted = plans.exclusive_options(), CountedPlans(plans)
    space = {f"slot{at}": randint(0, len(slot)) for at, slot in enumerate(slots)}
    np.random.seed(seed)
    made = baselines.TPE(space, metric="ms", random_seed=seed, num_min_data_points=len(space) + 1)
    scheduler = AskTellScheduler(made)
    asked = 0
    while len(counted.trace) < evaluations and asked < 3 * evaluations:
        asked += 1
        trial = scheduler.ask()
        picked = [(slot, int(trial.config[f"slot{at}"])) for at, slot in enumerate(slots)]
        plan: OptionSet = frozenset()
        for each in (slot[number - 1] for slot, number in picked if number):
            plan |= {each} if plans.conflict(plan | {each}) is None else set()
        scheduler.tell(trial, {"ms": counted(plan)})
    return counted.known[counted.best], len(counted.trace)


def _last(found: SearchResult) -> tuple[float, int]:
    """ms of the best evaluated plan before pruning (which evaluates more plans), and the number of evaluations."""
    return (found.trace[-1] if found.trace else found.ms), found.evaluations


def _searches() -> Mapping[str, Callable[[PlanSpace], list[tuple[float, int]]]]:
    """Name -> search that returns one result for each seed."""
    def once(method: Callable[..., Any], **how: Any) -> Callable[[PlanSpace], list[tuple[float, int]]]:
        def run(plans: PlanSpace) -> list[tuple[float, int]]:
            found = method(plans, **how)
            return [_last(found)]
        return run

    def drawn(count: int) -> Callable[[PlanSpace], list[tuple[float, int]]]:
        return lambda plans: [_last(random_search(plans, count, seed)) for seed in range(SEEDS)]

    def estimated(count: int) -> Callable[[PlanSpace], list[tuple[float, int]]]:
        return lambda plans: [_tpe(plans, count, seed) for seed in range(2)]

    found = {"greedy": once(greedy), "beam, 8 wide": once(beam), "exhaustive": once(exhaustive)}
    found |= {f"random, {count}": drawn(count) for count in BUDGETS}
    if find_spec("syne_tune"):
        found |= {f"Syne Tune TPE, {count}": estimated(count) for count in BUDGETS[:2]}
    return found


def compare(policy: Any, held_out: Sequence[Task]) -> list[dict[str, Any]]:
    """One row for each task, method and seed: ms, evaluations, and the share of the best gain."""
    rows = []
    for task in held_out:
        plans = scene(*task).plans
        start, results = plans(frozenset()), {"MaskablePPO, one shot": [propose(policy, task)]}
        for name, search in _searches().items():
            try:
                results[name] = search(plans)
            except RefusedError:  # too many plans to try each
                continue
        best = min(ms for each in results.values() for ms, _ in each)
        for name, each in results.items():
            for ms, evaluations in each:
                share = (start - ms) / (start - best) if start - best > 1e-3 * start else None
                rows.append({"model": task[0], "family": task[1], "method": name, "ms": ms, "start_ms": start,
                             "best_ms": best, "evaluations": evaluations, "share": share,
                             "plans": count_combinations(plans)})  # fmt: skip
    return rows


def report(rows: Sequence[Mapping[str, Any]], training: Mapping[str, Any]) -> str:
    """The comparison as Markdown."""
    counted = [row for row in rows if row["share"] is not None]
    number = len({(row["model"], row["family"]) for row in counted})
    lines = [
        "# Plans for held-out models", "",
        f"{number} tasks with a possible gain: {', '.join(training['held_out'])} on the default chips of "
        f"{', '.join(FAMILIES)}. MaskablePPO was trained for {training['steps']:,} steps in {training['seconds']:g} s "
        f"on {training['tasks']} other tasks. Quality is the share of the best gain that any method found.", "",
        "| method | tasks | evaluations, median | quality, mean | quality, worst | best plan found |",
        "|---|---|---|---|---|---|",
    ]  # fmt: skip
    for name in dict.fromkeys(row["method"] for row in counted):
        mine = [row for row in counted if row["method"] == name]
        shares = np.array([row["share"] for row in mine])
        done = len({(row["model"], row["family"]) for row in mine})
        lines.append(
            f"| {name} | {done} | {np.median([row['evaluations'] for row in mine]):,.0f} | {shares.mean():.1%} | "
            f"{shares.min():.1%} | {(shares > 0.999).mean():.0%} |"
        )
    return "\n".join([*lines, ""])


def main(argv: Sequence[str] | None = None) -> int:
    """Train the policy, or evaluate the trained policy."""
    raw = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(prog="python -m baselines.a2o", description=__doc__, formatter_class=raw)
    parser.add_argument("command", choices=("train", "evaluate"))
    parser.add_argument("--out", type=Path, default=Path("runs/a2o"), help="folder; default: %(default)s")
    parser.add_argument("--steps", type=int, default=60_000, help="environment steps; default: %(default)s")
    parser.add_argument("--seed", type=int, default=0, help="seed of the training; default: %(default)s")
    chosen = parser.parse_args(argv)
    return exit_code(partial(_run, chosen), "stopped")


def _run(chosen: argparse.Namespace) -> int:
    if chosen.command == "train":
        train(chosen.out, chosen.steps, chosen.seed)
        return 0
    from sb3_contrib import MaskablePPO

    policy = MaskablePPO.load(chosen.out / "policy.zip", device="cpu")
    rows = compare(policy, tasks(held_out=True))
    training = json.loads((chosen.out / "training.json").read_text())
    text = report(rows, training)
    write_whole(chosen.out / "rows.json", json.dumps(rows, indent=1), "--out DIR")
    write_whole(chosen.out / "report.md", text, "--out DIR")
    sys.stdout.write(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
