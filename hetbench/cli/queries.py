"""`hetbench query` and `hetbench operator`: metrics of a model, latency of one operator."""

from __future__ import annotations

from typing import Annotated

import typer

from hetbench.answers import Answers
from hetbench.cli.options import (
    Batch,
    ChipFile,
    Confidence,
    Dims,
    FreeSizes,
    ImageSize,
    InputLen,
    Json,
    KvFormat,
    Model,
    Operator,
    Optimizer,
    OutputLen,
    Phase,
    Precision,
    Predictor,
    SeqLen,
    Source,
    Stack,
    Target,
    parse_dims,
)  # fmt: skip
from hetbench.cli.output import print_answer, print_answers, print_json, print_lines
from hetbench.cli.session import open_api_with_chip
from hetbench.errors import InvalidInputError
from hetbench.schema import PROTOCOLS

__all__ = ["app"]

app = typer.Typer()
PANEL = "Questions"


@app.command(rich_help_panel=PANEL)
def query(
    model: Model,
    target: Target = None,
    source: Source = None,
    metric: Annotated[str | None, typer.Option(help="Metric: see `hetbench metrics`. Default: all of them.")] = None,
    batch: Batch = None,
    seq_len: SeqLen = None,
    image_size: ImageSize = None,
    precision: Precision = None,
    phase: Phase = None,
    stack: Stack = None,
    confidence: Confidence = None,
    predictor: Predictor = None,
    source_value: Annotated[
        float | None,
        typer.Option(help="What you measured on the source, in the unit of --metric (default: latency in ms)."),
    ] = None,
    chip_file: ChipFile = None,
    input_len: InputLen = None,
    output_len: OutputLen = None,
    concurrency: Annotated[int | None, typer.Option(help="Serving: requests in flight. Default: 1.")] = None,
    request_rate: Annotated[
        float | None, typer.Option(help="Serving: requests per second, instead of --concurrency. Default: none.")
    ] = None,
    chips: Annotated[
        int | None, typer.Option(help="Serving: chips of the deployment. Training: data-parallel chips. Default: 1.")
    ] = None,
    parallel: Annotated[str | None, typer.Option(help="Serving: tp8, tp4dp2, ep8, pp2. Default: tp.")] = None,
    kv: KvFormat = None,
    optimizer: Optimizer = None,
    dims: FreeSizes = None,
    explain: Annotated[bool, typer.Option("--explain", help="Show the evidence for the costliest operators.")] = False,
    as_json: Json = False,
) -> None:
    """Latency, throughput, energy and other metrics of a model on a chip; with --source, the ratio to a second chip."""
    api, added = open_api_with_chip(chip_file)
    if source_value is not None and metric is None:
        metric = "latency"
    found = api.query(
        model, source, target or added, metric, source_value=source_value, batch=batch, seq_len=seq_len,
        image_size=image_size, precision=precision, phase=phase, stack=stack, predictor=predictor,
        confidence=confidence, input_len=input_len, output_len=output_len, concurrency=concurrency,
        request_rate=request_rate, chips=chips, parallel=parallel, kv=kv, optimizer=optimizer,
        dims=dims,
    )  # fmt: skip
    paths = None
    if explain and phase == "serving":
        raise InvalidInputError("--explain shows the operators of one pass, and a deployment has none: leave it out.")
    if explain and model.lower().endswith(".onnx"):
        raise InvalidInputError("--explain shows measurements of networks known by name: leave it out for a file.")
    if explain:
        from hetbench.knowledge import explain_answer

        paths = explain_answer(found, lambda name: api.chip(name)[0])
    if as_json:
        print_json(found.to_dict() | ({} if paths is None else {"explain": paths.to_dict()}))
        return
    if isinstance(found, Answers):
        print_answers(found)
    else:
        print_answer(found)
    print_lines([] if paths is None else paths.lines())


@app.command(rich_help_panel=PANEL)
def operator(
    op: Operator,
    dims: Dims,
    device: Annotated[str | None, typer.Option(help="Chip, or chip family for its default chip. No default.")] = None,
    precision: Precision = None,
    protocol: Annotated[str, typer.Option(
        help=f"What the latency includes, by how it is timed: {', '.join(PROTOCOLS)}."
    )] = "event",
    library: Annotated[
        str | None, typer.Option(help="Kernel library. Default: the one with most measurements on the chip.")
    ] = None,
    layout: Annotated[
        str | None, typer.Option(help="NCHW or NHWC. Default: the one with most measurements on the chip.")
    ] = None,
    predictor: Predictor = None,
    chip_file: ChipFile = None,
    as_json: Json = False,
) -> None:  # fmt: skip
    """Forward latency of one operator on a chip."""
    api, added = open_api_with_chip(chip_file)
    device = device or added
    if device is None:
        raise InvalidInputError("no chip to answer for: name one with --device, or give a datasheet with --chip-file.")
    found = api.query_operator(
        op, parse_dims(dims), device=device, precision=precision, protocol=protocol, library=library, layout=layout,
        predictor=predictor,
    )  # fmt: skip
    if as_json:
        print_json(found.to_dict())
    else:
        print_answer(found)
