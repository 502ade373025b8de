"""The report of a task as one page."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from data_collection.pages import Heading, Part, Table, Text

__all__ = ["summary"]

_UNSAID = ("status", "reason")


def summary(report: Mapping[str, Any]) -> list[Part]:
    """The parts of the page."""
    workload, environment, operators = report["workload"], report["environment"], report["operators"]
    covered = operators["covered_percent"]
    said = operators["reason"] or ", ".join(operators["not_covered"]) or "every operator is registered or composed"
    parts: list[Part] = [
        Heading("Task"),
        Table("What was asked", ["field", "value"], [
            [name, ", ".join(map(str, value)) if isinstance(value, list | tuple) else value]
            for name, value in workload.items() if name != "thresholds"
        ]),
        Table("Where it ran", ["field", "value"], [
            ["chip", environment["chip"]], ["device", environment["device"]], ["software", report["software"]],
            ["commit", environment["commit"]], ["operator calls covered, %", covered], ["not covered", said],
        ]),
    ]  # fmt: skip
    if "compile" in report:
        rows = [[each["batch"], *(each[name] for name in _UNSAID)] for each in report["compile"]]
        parts += [Heading("Compilation"), Table("Built, compiled or exported, called once",
                                                ["batch", *_UNSAID], rows)]  # fmt: skip
    if "perf" in report:
        parts += _perf(report)
    if "numeric" in report:
        parts += _numeric(report["numeric"], workload["precision"])
    if "accuracy" in report:
        parts += _accuracy(report["accuracy"])
    return parts


def _perf(report: Mapping[str, Any]) -> list[Part]:
    columns = ["batch", "samples/s", "mean, ms", "p50, ms", "p99, ms"]
    names = ("batch", "qps", "avg_ms", "p50_ms", "p99_ms")
    rows = [[*(row[name] for name in (*names, "repeats", *_UNSAID))] for row in report["perf"]]
    parts: list[Part] = [
        Heading("Speed"),
        Text(f"Rows of run {report['run']} in the store {report['store']}. Times are of one call on the whole batch; "
             "p99 needs 100 of them. A row that something else disturbed has no figure."),
        Table("One client", [*columns, "repeats", *_UNSAID], rows),
    ]  # fmt: skip
    if "clients" in report:
        rows = [[*(row[name] for name in ("clients", *names, *_UNSAID))] for row in report["clients"]]
        parts.append(Table("Concurrent clients: samples/s of all, latency as one sees it",
                           ["clients", *columns, *_UNSAID], rows))  # fmt: skip
    return parts


def _numeric(found: Mapping[str, Any], precision: str) -> list[Part]:
    limits = found["limits"]
    rule = (f"Passes where every output is finite, its cosine is at least {limits['cosine']} and its max rel at most "
            f"{limits['max_rel']} ({precision}).")  # fmt: skip
    names = ("shape", "max_abs", "max_rel", "cosine", "mse", "fault")
    rows = [[str(each[name]) if name == "shape" else each[name] for name in names] for each in found["outputs"]]
    return [
        Heading("Numeric"),
        Text(f"{found['status']}. {rule} {found['reason'] or ''}"),
        Table("Outputs against the same network in fp32 on the CPU, random weights of one seed",
              ["output", "max abs", "max rel (of the largest magnitude)", "cosine", "MSE", "fault"], rows),
    ]  # fmt: skip


def _accuracy(found: Mapping[str, Any]) -> list[Part]:
    if "accuracy" not in found:
        return [Heading("Accuracy"), Text(f"{found['status']}: {found['reason']}")]
    rows = [
        [where, *(found[prefix + name] for name in ("right", "answers", "accuracy", "lower", "upper"))]
        for where, prefix in (("as asked", ""), ("fp32 on the CPU", "reference_"))
    ]
    return [
        Heading("Accuracy"),
        Text(f"{found['samples']} of {found['of_samples']} samples of {found['data']}, weights {found['weights']}."),
        Table("Right answers", ["run", "right", "answers", "accuracy", "lower (95 %)", "upper (95 %)"], rows),
    ]
