"""`hetbench coverage`, `explain`, `advise` and `migrate`: analyses of a model on one or several chips."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from hetbench.cli.options import (
    Batch,
    ChipFile,
    Confidence,
    Deadline,
    ImageSize,
    InputLen,
    Json,
    KvFormat,
    Model,
    Optimizer,
    OutputLen,
    Phase,
    Precision,
    Predictor,
    SeqLen,
    Source,
    SourceLatency,
    Stack,
    Target,
    Targets,
    at_least,
    parse_milliseconds,
)  # fmt: skip
from hetbench.cli.output import print_json
from hetbench.cli.session import open_api_with_chip
from hetbench.errors import escaped

__all__ = ["app"]

app = typer.Typer()
PANEL = "Analysis"


@app.command(rich_help_panel=PANEL)
def coverage(
    model: Model,
    target: Target = None,
    batch: Batch = None,
    seq_len: SeqLen = None,
    image_size: ImageSize = None,
    precision: Precision = None,
    phase: Phase = None,
    chip_file: ChipFile = None,
    as_json: Json = False,
) -> None:
    """Operator coverage: which ATen operators a chip runs natively, composed, on the CPU or not at all."""
    api, added = open_api_with_chip(chip_file)
    found = api.coverage(
        model, target or added, batch=batch, seq_len=seq_len, image_size=image_size, precision=precision, phase=phase
    )  # fmt: skip
    _print(found, found.lines(), as_json)


@app.command(rich_help_panel=PANEL)
def explain(
    model: Model,
    source: Source = None,
    target: Target = None,
    by: Annotated[str, typer.Option(help="Group operators by type, layer or module.")] = "type",
    depth: Annotated[int, typer.Option(help="Levels of the module path that name a group with --by module.")] = 4,
    batch: Batch = None,
    seq_len: SeqLen = None,
    image_size: ImageSize = None,
    precision: Precision = None,
    phase: Phase = None,
    optimizer: Optimizer = None,
    stack: Stack = None,
    predictor: Predictor = None,
    source_value: SourceLatency = None,
    link_gbs: Annotated[
        float | None,
        typer.Option(help="Bandwidth between the two chips in GB/s (1e9 bytes/s). Default: that of the host links."),
    ] = None,
    chip_file: ChipFile = None,
    as_json: Json = False,
) -> None:
    """Latency attribution: Shapley values of operator groups, for the target or for the change from the source."""
    api, added = open_api_with_chip(chip_file)
    found = api.explain(
        model, source, target or added, by=by, depth=depth, link_gbs=link_gbs, source_value=source_value, batch=batch,
        seq_len=seq_len, image_size=image_size, precision=precision, phase=phase, stack=stack, predictor=predictor,
        optimizer=optimizer,
    )  # fmt: skip
    _print(found, found.lines(), as_json)


@app.command(rich_help_panel=PANEL)
def advise(
    model: Model,
    target: Target = None,
    accuracy_safe: Annotated[
        bool, typer.Option("--accuracy-safe", help="Exclude actions that may change the model's outputs.")
    ] = False,
    method: Annotated[str, typer.Option(help="Search method: beam, greedy or exhaustive.")] = "beam",
    batch: Batch = None,
    seq_len: SeqLen = None,
    image_size: ImageSize = None,
    precision: Annotated[str | None, typer.Option(help="Precision that the plan starts from. Default: fp32.")] = None,
    phase: Phase = None,
    stack: Stack = None,
    predictor: Predictor = None,
    confidence: Confidence = None,
    chip_file: ChipFile = None,
    as_json: Json = False,
) -> None:
    """Optimisation plan for a model on a chip: steps with predicted gains, and excluded actions with the reason."""
    api, added = open_api_with_chip(chip_file)
    found = api.advise(
        model, target or added, accuracy_safe=accuracy_safe, method=method, batch=batch, seq_len=seq_len,
        image_size=image_size, precision=precision, phase=phase, stack=stack, predictor=predictor,
        confidence=confidence,
    )  # fmt: skip
    _print(found, found.lines(), as_json)


@app.command(rich_help_panel=PANEL)
def migrate(
    models: Annotated[list[str], typer.Argument(help="One model, or several that must all run on the same chip.")],
    source: Source = None,
    source_value: SourceLatency = None,
    targets: Targets = "all",
    slo: Deadline = None,
    objective: Annotated[str, typer.Option(help="latency, energy or throughput-per-watt.")] = "latency",
    limit: Annotated[int | None, typer.Option(help="Number of chips to print; JSON always has all of them.")] = 20,
    batch: Batch = None,
    seq_len: SeqLen = None,
    image_size: ImageSize = None,
    precision: Precision = None,
    phase: Phase = None,
    optimizer: Optimizer = None,
    stack: Stack = None,
    predictor: Predictor = None,
    confidence: Confidence = None,
    input_len: InputLen = None,
    output_len: OutputLen = None,
    kv: KvFormat = None,
    chip_file: ChipFile = None,
    as_json: Json = False,
) -> None:
    """Choosing a chip: rank all candidates; * marks Pareto-optimal ones in latency, energy and memory share.

    With --slo ttft=500ms,tpot=30ms chips are ranked for serving, by tokens per second and chip within the objective.
    """
    at_least("--limit", limit, 0)
    api, _ = open_api_with_chip(chip_file)
    served = slo is not None and "=" in slo
    found = api.migrate(
        models[0] if len(models) == 1 else models, source, targets, source_value=source_value,
        slo_ms=None if slo is None or served else parse_milliseconds(slo), objective=objective, batch=batch,
        seq_len=seq_len, image_size=image_size, precision=precision, phase=phase, stack=stack, predictor=predictor,
        confidence=confidence, slo=slo if served else None, input_len=input_len, output_len=output_len, kv=kv,
        optimizer=optimizer,
    )  # fmt: skip
    _print(found, found.lines(limit), as_json)


def _print(found: Any, lines: list[str], as_json: bool) -> None:
    if as_json:
        print_json(found.to_dict())
    else:
        print(escaped("\n".join(lines), keep="\n"))
