"""The answer to every model on every chip family at its defaults, beside what should agree with it, as one page.

    python -m surrogates.publish.defaults [--out surrogates/defaults.md]

Each line holds the latency with its interval, the roofline of the same operators, the operator types that take most of
the time, the answer for a twin (another chip of the same die, with the ratio of both bandwidths), and the nearest
published row of the model on the chip with what is predicted at that row's own setting.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from math import log
from pathlib import Path

from hetbench import HetBench
from hetbench.answers import Answer, digits
from hetbench.artifacts import write_whole
from hetbench.catalog import evidence
from hetbench.catalog.chips import chips, default_chip
from hetbench.catalog.models import models
from hetbench.errors import HetBenchError, command
from hetbench.schema import FAMILIES

_COLUMNS = ("model", "stack", "ms [90 %]", "level", "roofline", "x", "time", "twin", "nearest published row")
_HEAD = """# Default answers

Latency of every model of the catalogue on the default chip of every family, as `api.query(model, target=family,
metric="latency")` answers. Made by `python -m surrogates.publish.defaults`; do not edit.

`roofline` is max(time at the peak, time at the bandwidth) summed over the operators plus launch floors, `x` the answer
over it. `time` names the operator types that take most. `twin` is another chip of the same die under the same setting:
its answer over this one, in brackets this chip's bandwidth over its. The nearest published row is the latency row of
the same model and chip whose setting differs least: measured ms, and what is predicted at its own setting over it."""


@command("stopped")
def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("surrogates/defaults.md"))
    options = parser.parse_args()
    write_whole(options.out, "\n".join(page(HetBench())) + "\n", "--out FILE")


def page(api: HetBench) -> Iterator[str]:
    """The lines of the page."""
    yield _HEAD
    for family in FAMILIES:
        chip, why = default_chip(family)
        yield f"\n## {family}: {chip.name}\n\n{why[:1].upper()}{why[1:]}.\n"
        yield "| " + " | ".join(_COLUMNS) + " |"
        yield "|" + "---|" * len(_COLUMNS)
        for name in models():
            yield "| " + " | ".join(_cells(api, name, chip.name)) + " |"


def _cells(api: HetBench, name: str, chip: str) -> list[str]:
    try:
        answer = api.query(name, target=chip, metric="latency")
        roofline = api.query(name, target=chip, metric="latency", predictor="roofline", stack="eager")
    except HetBenchError as why:
        return [name, *[""] * (len(_COLUMNS) - 2), str(why).partition(".")[0]]
    between = "" if answer.lower is None or answer.upper is None else (
        f" [{digits(answer.lower)}, {digits(answer.upper)}]")  # fmt: skip
    top = sorted(answer.shares.items(), key=lambda each: -each[1])[:3]
    return [
        name, f"{answer.stack} {answer.precision}", f"{digits(answer.value)}{between}",
        f"{answer.kind[0].upper()}:{answer.level}", digits(roofline.value), f"{answer.value / roofline.value:.1f}",
        ", ".join(f"{op} {ms / answer.value:.0%}" for op, ms in top), _twin(api, answer), _neighbour(api, answer),
    ]  # fmt: skip


def _twin(api: HetBench, answer: Answer) -> str:
    """Another chip of the die with the nearest bandwidth, its answer over this one."""
    own = chips()[str(answer.chip)]
    known = [each for each in chips().values() if each.die == own.die and each.name != own.name and each.bandwidth]
    if not known or not own.bandwidth:
        return ""
    twin = min(known, key=lambda each: abs(log((each.bandwidth or 1) / (own.bandwidth or 1))))
    try:
        other = api.query(str(answer.model), target=twin.name, metric="latency", **_setting(answer))
    except HetBenchError:
        return f"{twin.name}: refused"
    return f"{twin.name} {other.value / answer.value:.2f} ({own.bandwidth / (twin.bandwidth or 1):.2f})"


def _setting(answer: Answer) -> dict[str, object]:
    names = ("batch", "seq_len", "image_size", "precision", "phase", "stack")
    return {name: getattr(answer, name) for name in names if getattr(answer, name) is not None}


def _neighbour(api: HetBench, answer: Answer) -> str:
    """The published latency row that differs least from the answer's setting, and the prediction at its setting."""
    rows = [
        row for row in evidence.rows(model=str(answer.model))
        if row.chip == answer.chip and row.metric == "latency" and row.n_chips == 1 and row.batch and row.use != "show"
    ]  # fmt: skip
    if not rows:
        return ""

    def distance(row: evidence.Row) -> float:
        sizes = (("batch", 1.0), ("seq_len", 1.0), ("image_size", 2.0))
        off = sum(w * abs(log((getattr(row, n) or 1) / (getattr(answer, n) or 1))) for n, w in sizes)
        names = ("precision", "phase", "stack")
        return off + sum(float(getattr(row, name) != getattr(answer, name)) for name in names)

    row = min(rows, key=distance)
    options = {"batch": row.batch, "seq_len": row.seq_len, "image_size": row.image_size, "precision": row.precision,
               "phase": row.phase, "stack": row.stack}  # fmt: skip
    where = f"{row.value:.4g} ms ({row.stack} {row.precision} batch {row.batch})"
    try:
        found = api.query(row.model, target=row.chip, metric="latency", predictor="autogluon",
                          **{name: value for name, value in options.items() if value is not None})  # fmt: skip
    except HetBenchError:
        return f"{where}, not predicted"
    return f"{where}, predicted {found.value / row.value:.2f} x"


if __name__ == "__main__":
    main()
