"""Evaluate a task on one device: results of each part, and the reason if a part did not run."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from data_collection.backends import Backend
from data_collection.profile.environment import Environment, describe
from data_collection.profile.measure import Outcome, status_of
from data_collection.profile.quiet import disturbance
from data_collection.profile.session import Session
from data_collection.profile.stacks import missing
from data_collection.profile.subjects import ready
from data_collection.profile.tasks import Grid, Task, model_tasks
from data_collection.profile.worker import Worker
from data_collection.store import connect, open_run, read
from data_collection.tasks import accuracy, numeric, perf
from data_collection.tasks.workload import Workload
from hetbench.catalog.models import model
from hetbench.errors import HetBenchError, InvalidInputError, RefusedError
from hetbench.graphs import load, operator_coverage

__all__ = ["Files", "Stage", "evaluate", "failed", "prepare", "set_up"]


@dataclass(frozen=True, slots=True)
class Files:
    """Files that the accuracy part needs from the user."""

    weights: Path | None = None
    data: Path | None = None


@dataclass(frozen=True, slots=True)
class Stage:
    """The device, its child process, and the session that writes rows to the store."""

    device: Backend
    environment: Environment
    worker: Worker
    session: Session
    command: tuple[str, ...] = ()


def prepare(workload: Workload, device: Backend, files: Files) -> list[Task]:
    """The profiler's task for each batch size; raises errors that can be found before anything runs."""
    reason = missing(workload.framework)
    if reason:
        raise RefusedError(f"{workload.framework}: {reason}")
    if workload.precision == "tf32" and device.family != "cuda":
        raise RefusedError("tf32 is a mode of NVIDIA's matrix units; evaluate fp32 on other chips.")
    if (files.weights is None) != (files.data is None):
        raise InvalidInputError("accuracy needs both --weights FILE.safetensors and --data FILE.npz, or neither.")
    if files.weights and files.data and workload.test_accuracy:
        accuracy.check_files(model(workload.model), files.weights, files.data)
    threads = os.cpu_count() if device.device == "cpu" else None
    grid = Grid(precision=[workload.precision], batch=workload.batch_sizes, stack=[workload.framework],
                protocol=device.protocols[0], threads=[threads])  # fmt: skip
    tasks, refused = model_tasks([workload.model], grid)
    if refused:
        raise InvalidInputError(" ".join(refused))
    return tasks


def evaluate(workload: Workload, tasks: list[Task], stage: Stage, files: Files) -> dict[str, Any]:
    """The report of a task as plain values for JSON; unknown values are None."""
    report: dict[str, Any] = {
        "task": workload.name, "workload": {**asdict(workload), "thresholds": dict(workload.thresholds)},
        "environment": stage.environment.manifest(), "software": stage.environment.software(tasks[0]),
        "operators": _operators(tasks[0], stage.environment),
    }  # fmt: skip
    try:
        if workload.compile_only:
            compiled = [{"batch": task.batch, **_asked(stage, _compiled, task)} for task in tasks]
            return report | {"compile": compiled}
        if workload.test_numeric:
            report["numeric"] = _numeric(workload, tasks[0], stage)
        if workload.test_accuracy:
            report["accuracy"] = _accuracy(workload, tasks[-1], stage, files)
        if workload.test_perf:
            report |= _perf(workload, tasks, stage)
    finally:
        stage.worker.close()
    return report


def failed(report: Mapping[str, Any]) -> bool:
    """Whether any part failed or was disturbed; a skipped part has not failed, an unsupported one has."""
    parts = [*report.get("compile", ()), *report.get("perf", ()), *report.get("clients", ())]
    parts += [report[name] for name in ("numeric", "accuracy") if name in report]
    return any(part["status"] not in ("ok", "noisy", "passed", "skipped") for part in parts)


def _operators(task: Task, environment: Environment) -> dict[str, Any]:
    """Share of operator calls that the device's back end registers or composes, from the registration lists."""
    try:
        found = operator_coverage(load(task.name), environment.chip, precision=task.precision, batch=task.batch)
    except HetBenchError as error:
        return {"covered_percent": None, "reason": str(error), "not_covered": []}
    lacking = [each.operator for each in found.operators if not each.covered]
    return {"covered_percent": found.share, "reason": None, "not_covered": lacking}


def _numeric(workload: Workload, task: Task, stage: Stage) -> dict[str, Any]:
    asked = _asked(stage, numeric.compare, task)
    outputs = asked.pop("found", None)
    limits = workload.thresholds[workload.precision]
    if outputs is not None:
        asked["status"] = "passed" if outputs and all(numeric.passes(each, limits) for each in outputs) else "failed"
    return {**asked, "batch": task.batch, "limits": dict(limits), "outputs": outputs or []}


def _accuracy(workload: Workload, task: Task, stage: Stage, files: Files) -> dict[str, Any]:
    if files.weights is None or files.data is None:
        return {"status": "skipped", "reason": "accuracy needs trained weights and a data set: --weights, --data"}
    asked = _asked(stage, accuracy.score, task, files.weights, files.data, workload.data_percent)
    return {**asked, **asked.pop("found", {}), "weights": str(files.weights), "data": str(files.data)}


def _perf(workload: Workload, tasks: list[Task], stage: Stage) -> dict[str, Any]:
    """Speed of each batch size from rows of the store, and of concurrent clients, which are not stored."""
    with open_run(stage.session.store, stage.environment.manifest(), stage.command) as run:
        stage.session.run(tasks, run)
    query = connect(read(stage.session.store)).execute("SELECT * FROM rows WHERE run = ? ORDER BY batch", [run.name])
    columns = [column[0] for column in query.description]
    rows = [perf.of_row(dict(zip(columns, values, strict=True))) for values in query.fetchall()]
    found: dict[str, Any] = {"run": run.name, "store": str(stage.session.store), "perf": rows}
    if workload.clients > 1:
        found["clients"] = [_clients(workload, task, stage) for task in tasks]
    return found


def _clients(workload: Workload, task: Task, stage: Stage) -> dict[str, Any]:
    asked = _asked(stage, perf.concurrent, task, workload.clients, workload.iterations)
    known, seen = asked.pop("found", (dict.fromkeys(perf.FIGURES), None))
    reason = seen and disturbance(seen, stage.session.references[task.threads])
    if reason:
        asked, known = {"status": "disturbed", "reason": reason}, dict.fromkeys(perf.FIGURES)
    return {"batch": task.batch, "clients": workload.clients, **asked, **known}


def _asked(stage: Stage, function: Callable[..., Any], *arguments: Any) -> dict[str, Any]:
    """Status and, if it succeeded, the result `found` of a function run in the child."""
    answer = stage.worker.ask(_guarded, (function, arguments), stage.session.policy.timeout_s)
    if isinstance(answer, Outcome):
        return {"status": answer.status, "reason": answer.reason}
    return {"status": "ok", "reason": None} | ({} if answer is None else {"found": answer})


def _guarded(backend: Backend, function: Callable[..., Any], arguments: tuple[Any, ...]) -> Any:
    """In the child: the function's result, or the status of its exception."""
    try:
        return function(backend, *arguments)
    except Exception as error:  # noqa: BLE001 - whatever a foreign library throws becomes a status of the report
        said = str(error).strip()[:300]
        known = isinstance(error, HetBenchError)
        return Outcome(status_of(error), said if known else f"{type(error).__name__}: {said}")


def _compiled(backend: Backend, task: Task) -> None:
    """In the child: build the network, compile or export it, and call it once."""
    with ready(backend, task) as subject:
        subject.call()
        backend.synchronise()


def set_up(workload: Workload, device: Backend, chip: str | None, session: Mapping[str, Any],
          command: tuple[str, ...]) -> Stage:  # fmt: skip
    """Context with the device, a child process and a session; `session` holds store, policy and say."""
    import psutil

    environment = describe(device, chip)
    known = environment.chip
    worker = Worker(device, llc_bytes=2**20 * (known.llc_mb or known.l2_mb or 32),
                    memory_bytes=int(0.9 * psutil.virtual_memory().available))  # fmt: skip
    policy = session["policy"]
    budget = replace(policy.budget, min_repeats=workload.iterations, max_repeats=workload.iterations)
    made = Session(environment, worker, store=session["store"], policy=replace(policy, budget=budget),
                   say=session["say"])  # fmt: skip
    return Stage(device, environment, worker, made, command)
