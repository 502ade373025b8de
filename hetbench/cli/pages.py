"""`hetbench report` and `dashboard`: pages in HTML. Exit codes as in `hetbench.cli.app`: 0 written, 2 wrong usage, an
unknown name or a place that cannot be written, 3 refused, 4 a damaged artefact."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from hetbench.artifacts.atomic import write_whole
from hetbench.cli.analysis import (
    ChipFile,
    Confidence,
    Json,
    Phase,
    Precision,
    Predictor,
    Stack,
    Value,
    Whole,
    milliseconds,
)  # fmt: skip
from hetbench.cli.artifacts import api as shell_api
from hetbench.pages.dashboard import write_site
from hetbench.pages.report import report_page
from hetbench.pages.report_data import ReportRequest, report_data

__all__ = ["app"]

app = typer.Typer()


@app.command()
def report(
    models: Annotated[list[str], typer.Argument(help="Models of `hetbench models`.")],
    output: Annotated[Path | None, typer.Option("--output", "-o", help="File to write; report.html.")] = None,
    source: Annotated[str, typer.Option(help="Chip or family that the models run on now.")] = "cuda",
    source_value: Value = None,
    targets: Annotated[str, typer.Option(help="all, or families and chips parted by commas.")] = "all",
    slo: Annotated[str | None, typer.Option(help="Deadline of one call, such as 50ms or 0.2s.")] = None,
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
    """One HTML page, complete without network: matrix, ranking, measurements, coverage, attribution, chip facts."""
    api = shell_api()
    if chip_file is not None:
        added = api.add_chip(chip_file).name
        targets = targets if targets == "all" else f"{targets},{added}"
    given = {
        "batch": batch, "seq_len": seq_len, "image_size": image_size, "precision": precision, "phase": phase,
        "stack": stack, "predictor": predictor, "confidence": confidence,
    }  # fmt: skip
    options = {name: value for name, value in given.items() if value is not None}
    slo_ms = None if slo is None else milliseconds(slo)
    data = report_data(api, ReportRequest(models, source, targets, source_value, slo_ms, options))
    if output is not None or not as_json:
        path = output or Path("report.html")
        write_whole(path, report_page(data))
        count = len(data["models"])
        typer.echo(f"{path}: {count} model{'s' * (count > 1)}, {path.stat().st_size / 1e6:.2g} MB", err=as_json)
    if as_json:
        print(json.dumps(data, indent=2, allow_nan=False))


@app.command()
def dashboard(
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder to write.")] = Path("dashboard"),
    as_json: Json = False,
) -> None:
    """The whole catalogue on all chips as a static site: filters, search, a page for each model."""
    data, size = write_site(shell_api(), output)
    if as_json:
        print(json.dumps(data, allow_nan=False))
    else:
        typer.echo(f"{output / 'index.html'}: {len(data['models'])} models, {len(data['chips'])} chips, "
                   f"{size / 1e6:.2g} MB")  # fmt: skip
