"""`hetbench coverage`, `explain`, `advise`, `migrate`: what runs there, what costs the time, what to change, where to
go. Exit codes as in `hetbench.cli.app`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from hetbench.api import HetBench
from hetbench.attribution.copa import DEPTH, GROUPINGS
from hetbench.cli.artifacts import api as shell_api
from hetbench.errors import InvalidInputError
from hetbench.migration import OBJECTIVES
from hetbench.plans.search import METHODS
from hetbench.schema import PRECISIONS

__all__ = ["app", "milliseconds"]

app = typer.Typer()

Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]
ChipFile = Annotated[Path | None, typer.Option(help="Datasheet (TOML or JSON) of a chip to add.")]
Model = Annotated[str, typer.Argument(help="A model of `hetbench models`.")]
Target = Annotated[str | None, typer.Option(help="Chip or family to answer for.")]
Source = Annotated[str | None, typer.Option(help="Chip or family that the model runs on now.")]
Whole = Annotated[int | None, typer.Option()]
Precision = Annotated[str | None, typer.Option(help=f"{', '.join(PRECISIONS)}; fp16 where the chip has it.")]
Phase = Annotated[str | None, typer.Option(help="inference, prefill or decode.")]
Stack = Annotated[str | None, typer.Option(help="Software stack; the chip's usual one if left out.")]
Value = Annotated[float | None, typer.Option(help="Latency in ms that you measured on the source.")]
Predictor = Annotated[str | None, typer.Option(help="auto, autogluon, rgat or roofline.")]
Confidence = Annotated[float | None, typer.Option(help="Share that intervals hold; 0.9 if left out.")]


@app.command()
def coverage(
    model: Model,
    target: Target = None,
    batch: Whole = None,
    seq_len: Whole = None,
    image_size: Whole = None,
    precision: Precision = None,
    phase: Phase = None,
    chip_file: ChipFile = None,
    as_json: Json = False,
) -> None:
    """Which operators a chip's PyTorch runs natively, composed, on the CPU or not at all, by calls and by time."""
    api, added = _api(chip_file)
    found = api.coverage(
        model, target or added, batch=batch, seq_len=seq_len, image_size=image_size, precision=precision, phase=phase
    )  # fmt: skip
    _print(found.to_dict(), found.lines(), as_json)


@app.command()
def explain(
    model: Model,
    source: Source = None,
    target: Target = None,
    by: Annotated[str, typer.Option(help=f"{', '.join(GROUPINGS)}.")] = "type",
    depth: Annotated[int, typer.Option(help="Names of the module path, with --by module.")] = DEPTH,
    batch: Whole = None,
    seq_len: Whole = None,
    image_size: Whole = None,
    precision: Precision = None,
    phase: Phase = None,
    stack: Stack = None,
    predictor: Predictor = None,
    source_value: Value = None,
    link_gbs: Annotated[float | None, typer.Option(help="1e9 bytes/s from chip to chip; else the host links'.")] = None,
    chip_file: ChipFile = None,
    as_json: Json = False,
) -> None:
    """Which operators make the latency on the target, or with a source its difference: Shapley values."""
    api, added = _api(chip_file)
    found = api.explain(
        model, source, target or added, by=by, depth=depth, link_gbs=link_gbs, source_value=source_value, batch=batch,
        seq_len=seq_len, image_size=image_size, precision=precision, phase=phase, stack=stack, predictor=predictor,
    )  # fmt: skip
    _print(found.to_dict(), found.lines(), as_json)


@app.command()
def advise(
    model: Model,
    target: Target = None,
    accuracy_safe: Annotated[bool, typer.Option("--accuracy-safe", help="Leave out what may change results.")] = False,
    method: Annotated[str, typer.Option(help=f"{', '.join(METHODS)}.")] = METHODS[0],
    batch: Whole = None,
    seq_len: Whole = None,
    image_size: Whole = None,
    precision: Annotated[str | None, typer.Option(help="What the plan starts from; fp32 if left out.")] = None,
    phase: Phase = None,
    stack: Stack = None,
    predictor: Predictor = None,
    confidence: Confidence = None,
    chip_file: ChipFile = None,
    as_json: Json = False,
) -> None:
    """What to change so that a model runs faster on a chip: steps with expected gains, and what nothing supports."""
    api, added = _api(chip_file)
    found = api.advise(
        model, target or added, accuracy_safe=accuracy_safe, method=method, batch=batch, seq_len=seq_len,
        image_size=image_size, precision=precision, phase=phase, stack=stack, predictor=predictor,
        confidence=confidence,
    )  # fmt: skip
    _print(found.to_dict(), found.lines(), as_json)


@app.command()
def migrate(
    models: Annotated[list[str], typer.Argument(help="Models of `hetbench models`; several are a fleet.")],
    source: Source = None,
    source_value: Value = None,
    targets: Annotated[str, typer.Option(help="all, or families and chips parted by commas.")] = "all",
    slo: Annotated[str | None, typer.Option(help="Deadline of one call, such as 50ms or 0.2s.")] = None,
    objective: Annotated[str, typer.Option(help=f"{', '.join(OBJECTIVES)}.")] = "latency",
    limit: Annotated[int | None, typer.Option(help="Chips to print; JSON holds all.")] = 20,
    batch: Whole = None,
    seq_len: Whole = None,
    image_size: Whole = None,
    precision: Precision = None,
    phase: Phase = None,
    stack: Stack = None,
    predictor: Predictor = None,
    confidence: Confidence = None,
    chip_file: ChipFile = None,
    as_json: Json = False,
) -> None:
    """Rank chips to move to; * marks those that none beats in latency, energy and share of memory at once."""
    api, _ = _api(chip_file)
    found = api.migrate(
        models[0] if len(models) == 1 else models, source, targets, source_value=source_value,
        slo_ms=None if slo is None else milliseconds(slo), objective=objective, batch=batch, seq_len=seq_len,
        image_size=image_size, precision=precision, phase=phase, stack=stack, predictor=predictor,
        confidence=confidence,
    )  # fmt: skip
    _print(found.to_dict(), found.lines(limit), as_json)


def milliseconds(text: str) -> float:
    """A duration such as 50ms, 0.2s or 80us in ms; a plain number is ms.

    >>> milliseconds("0.2s"), milliseconds("50 ms"), milliseconds("7")
    (200.0, 50.0, 7.0)
    """
    units = {"us": 1e-3, "ms": 1.0, "s": 1e3}
    given = text.strip().lower()
    unit = next((name for name in units if given.endswith(name)), "")
    try:
        return float(given.removesuffix(unit)) * units.get(unit, 1.0)
    except ValueError:
        raise InvalidInputError(f"a duration is a number with us, ms or s, such as 50ms; given: {text!r}.") from None


def _api(chip_file: Path | None) -> tuple[HetBench, str | None]:
    """The library with the chip of a datasheet added, and that chip's name."""
    api = shell_api()
    return api, None if chip_file is None else api.add_chip(chip_file).name


def _print(value: Any, lines: list[str], as_json: bool) -> None:
    print(json.dumps(value, indent=2, allow_nan=False) if as_json else "\n".join(lines))
