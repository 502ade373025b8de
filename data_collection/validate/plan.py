"""python -m data_collection.validate.plan [MODEL ...] [--out DIR]

Applies the plans of `hetbench advise` on this CPU and writes the measured speed-up beside the predicted one: bf16
weights and autocast, torch.compile, channels last, one fused attention operator against three, one thread against all,
int8 weights of Linear. Every variant is measured in alternation with the baseline (fp32, eager, all threads); only
undisturbed rounds count. Writes plan.json and plan.md. Actions that hetbench cannot predict have no predicted speed-up.

    python -m data_collection.validate.plan bert-tiny --rounds 2
"""

from __future__ import annotations

import argparse
import json
import math
import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from data_collection.arguments import count, number
from data_collection.backends import Backend, picked
from data_collection.profile.environment import describe
from data_collection.profile.session import Policy, Session
from data_collection.profile.stacks import missing
from data_collection.profile.tasks import Grid, Task, model_tasks
from data_collection.profile.timing import Budget
from data_collection.tune.trials import Figure, figure
from data_collection.validate.changes import ChangedWorker
from hetbench.artifacts import write_whole
from hetbench.catalog.chips import Chip
from hetbench.catalog.models import model
from hetbench.errors import RefusedError, exit_code
from hetbench.graphs.model_graph import load
from hetbench.plans.action_effects import build_plan_space
from hetbench.plans.actions import MODEL, Option
from hetbench.plans.plan_space import OptionSet, PlanSpace
from hetbench.plans.search import beam
from hetbench.query import Question, answer_metric

__all__ = ["MODELS", "Checked", "Variant", "main", "report", "variants"]

MODELS = ("bert-tiny", "distilbert-base", "gpt2", "mobilenet-v2", "resnet-50")


@dataclass(frozen=True, slots=True)
class Variant:
    """One change of how a model runs, compared with the baseline."""

    name: str
    setting: Mapping[str, Any]
    """Fields of the task that differ."""
    change: str | None = None
    """A name of `data_collection.validate.changes.CHANGES`."""
    options: tuple[Option, ...] = ()
    """Action of a plan that it corresponds to; empty if hetbench does not predict it."""
    inverse: bool = False
    """Whether it removes the action, which the baseline already has."""


@dataclass(frozen=True, slots=True)
class Checked:
    """Predicted and measured speed-up of a variant."""

    model: str
    variant: str
    predicted: float | None
    """Speed-up over the baseline; None if the action is masked."""
    why: str
    """The reason if it is masked."""
    status: str
    measured: float | None = None
    lower: float | None = None
    upper: float | None = None
    """Bounds of the speed-up from the 95 % intervals of the two medians."""
    plain_ms: float | None = None
    predicted_ms: float | None = None
    """Milliseconds of the baseline."""


_SINGLE = (
    Variant("bf16 weights", {"precision": "bf16"}, None, (Option("precision", MODEL, "bf16"),)),
    Variant("bf16 autocast", {}, "autocast", (Option("precision", MODEL, "bf16"),)),
    Variant("torch.compile", {"stack": "compiled"}, None, (Option("graph-optimisation", MODEL),)),
    Variant("channels last", {"layout": "channels_last"}, None, (Option("layout", "Conv2d"),)),
    Variant("three attention operators", {}, "eager-attention", (Option("flash-attention", MODEL),), True),
    Variant("one thread", {"threads": 1}),
    Variant("int8 weights of Linear", {}, "int8", (Option("precision", "Linear", "int8"),)),
)


def variants(name: str, plans: PlanSpace) -> list[Variant]:
    """The single variants that the model supports, and the best plan as far as it can be applied here."""
    groups, image = plans.groups, model(name).image_size is not None
    found = [
        each for each in _SINGLE
        if (image or "layout" not in each.setting) and ("Attention" in groups or each.change != "eager-attention")
        and ("Linear" in groups or each.change != "int8")
    ]  # fmt: skip
    plan = _applicable(beam(plans.without(lambda each: _setting(each) is not None, "cannot be applied here")).plan)
    setting = {key: value for each in plan for key, value in (_setting(each) or {}).items()}
    return [*found, Variant("the plan", setting, None, tuple(sorted(plan)))] if plan else found


def _setting(option: Option) -> dict[str, Any] | None:
    """The task fields that an action sets; None for an action that cannot be applied in PyTorch."""
    match option:
        case Option("precision", "model", "bf16" | "fp16"):
            return {"precision": option.choice}
        case Option("graph-optimisation"):
            return {} if missing("compiled") else {"stack": "compiled"}
        case Option("layout"):
            return {"layout": "channels_last"}
    return None


def _applicable(plan: OptionSet) -> OptionSet:
    return frozenset(each for each in plan if _setting(each))


def predicted(plans: PlanSpace, variant: Variant) -> tuple[float | None, str]:
    """Predicted speed-up of a variant, or the reason why there is none."""
    start, chosen = plans(frozenset()), frozenset(variant.options)
    if not chosen:
        return None, "not an action of a plan"
    for each in chosen - set(plans.options):
        same = [mask for mask in plans.masked if mask.option.action == each.action
                and mask.option.choice in ("", each.choice) and mask.option.group in (MODEL, each.group)]  # fmt: skip
        return None, same[0].reason if same else f"{each} is not an option here"
    problem = plans.conflict(chosen)
    if problem:
        return None, problem
    ratio = start / plans(chosen)
    return (1 / ratio if variant.inverse else ratio), ""


class Checker:
    """Measures the variants of models on this machine in alternation with the baseline."""

    def __init__(self, session: Session, worker: ChangedWorker, protocol: str, rounds: int) -> None:
        self.session, self.worker, self.protocol, self.rounds = session, worker, protocol, rounds

    def check(self, name: str, plans: PlanSpace) -> list[Checked]:
        """One row for each variant."""
        return [self._one(name, plans, each) for each in variants(name, plans)]

    def _one(self, name: str, plans: PlanSpace, variant: Variant) -> Checked:
        ratio, why = predicted(plans, variant)
        made = Checked(name, variant.name, ratio, why, "ok", predicted_ms=plans(frozenset()))
        task = plain(name, self.protocol)
        repeats: tuple[list[float], list[float]] = ([], [])
        for _ in range(self.rounds):
            runs = ((task, None), (replace(task, **variant.setting), variant.change))
            for kept, (each, change) in zip(repeats, runs, strict=True):
                self.worker.change = change
                row = self.session.measure(each, "validate-plan")
                if row.status != "ok":
                    made = replace(made, status=f"{row.status}: {row.reason}")
                    continue
                kept += row.raw_ms or ()
        before, after = (figure(kept) if kept else None for kept in repeats)
        if before is None or after is None:
            return made
        return replace(made, **_speedup(before, after))


def cpu(what: str) -> Backend:
    """The CPU of this machine; raises that `what` needs one if it has none."""
    device = picked("oneapi")
    if device.device != "cpu":
        raise RefusedError(f"{what} validated on a CPU only; the oneapi device of this machine is an accelerator.")
    return device


def plain(name: str, protocol: str) -> Task:
    """The baseline task of a model: fp32, eager, all threads."""
    tasks, refused = model_tasks([name], Grid(threads=[os.cpu_count()], protocol=protocol))
    if refused:
        raise RefusedError(refused[0])
    return tasks[0]


def _speedup(before: Figure, after: Figure) -> dict[str, float]:
    return {"measured": before.median / after.median, "lower": before.lower / after.upper,
            "upper": before.upper / after.lower, "plain_ms": before.median}  # fmt: skip


def _plans(name: str, chip: Chip) -> PlanSpace:
    graph = load(name)
    question = Question.build(graph, chip, {"precision": "fp32", "stack": "eager"})
    return build_plan_space(graph, question, answer_metric(question, graph, "latency"))


def report(rows: Sequence[Checked], chip: str, software: str) -> str:
    """The comparison as Markdown."""
    both = [row for row in rows if row.predicted is not None and row.measured is not None]
    lines = [f"# Plans applied on {chip}", "", f"{software}; speed-ups over fp32, eager, all threads.", "",
             "| model | variant | predicted | measured | 95 % | plain ms, predicted / measured | note |",
             "|---|---|---|---|---|---|---|"]  # fmt: skip
    for row in rows:
        known = "–" if row.predicted is None else f"{row.predicted:.2f}"
        seen = "–" if row.measured is None else f"{row.measured:.2f}"
        within = "–" if row.lower is None else f"{row.lower:.2f} .. {row.upper:.2f}"
        plain = "–" if row.plain_ms is None else f"{row.predicted_ms:.3g} / {row.plain_ms:.3g}"
        note = row.why if row.status == "ok" else row.status
        lines.append(f"| {row.model} | {row.variant} | {known} | {seen} | {within} | {plain} | {note} |")
    if both:
        errors = sorted(abs(math.log(row.predicted / row.measured)) for row in both)  # type: ignore[operator]
        same = sum((row.predicted > 1) == (row.measured > 1) for row in both)  # type: ignore[operator]
        lines += ["", f"{len(both)} predicted and measured: {same} agree on faster or slower; median error of the "
                      f"speed-up {math.exp(errors[len(errors) // 2]) - 1:.0%}."]  # fmt: skip
    return "\n".join([*lines, ""])


def run(chosen: argparse.Namespace) -> int:
    """Measure, write and print; exit code 1 if a variant could not be measured."""
    device = cpu("plans are")
    environment = describe(device, chosen.chip)
    budget = Budget(min_seconds=min(0.05, chosen.seconds), max_seconds=chosen.seconds)
    policy = Policy(budget=budget, timeout_s=chosen.timeout, patience_s=chosen.patience)
    worker = ChangedWorker.on(device, environment.chip)
    say = partial(print, flush=True)
    session = Session(environment, worker, store=None, policy=policy, say=say)
    checker, rows = Checker(session, worker, device.protocols[0], chosen.rounds), list[Checked]()
    try:
        for name in chosen.models:
            for row in checker.check(model(name).name, _plans(name, environment.chip)):
                say(f"{row.model}, {row.variant}: predicted {row.predicted}, measured {row.measured} ({row.status})")
                rows.append(row)
    finally:
        worker.close()
    write_whole(chosen.out / "plan.json", json.dumps([asdict(row) for row in rows], indent=1), "--out DIR")
    text = report(rows, environment.chip.name, environment.base_software)
    write_whole(chosen.out / "plan.md", text, "--out DIR")
    print(text)
    return int(any(row.measured is None for row in rows))


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line."""
    raw = argparse.RawDescriptionHelpFormatter
    made = argparse.ArgumentParser(prog="python -m data_collection.validate.plan", description=__doc__,
                                   formatter_class=raw)  # fmt: skip
    add = made.add_argument
    add("models", nargs="*", default=list(MODELS), metavar="MODEL", help=f"default: {', '.join(MODELS)}")
    add("--out", type=Path, default=Path("runs/validate-plan"))
    add("--chip", help="catalogue name of the chip, if the CPU is not recognised")
    add("--rounds", type=count(), default=3)
    add("--seconds", type=number(above=True), default=1.0, help="most seconds to repeat one run")
    add("--timeout", type=number(above=True), default=300.0, help="time limit of one run in seconds")
    add("--patience", type=number(), default=60.0, help="most seconds to wait for a quiet machine")
    chosen = made.parse_args(argv)
    return exit_code(partial(run, chosen), "stopped; nothing was written.")


if __name__ == "__main__":
    sys.exit(main())
