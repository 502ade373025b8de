"""`hetbench report` and `hetbench dashboard`: answers as HTML pages."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from hetbench.artifacts.atomic import write_whole
from hetbench.cli.options import (
    Batch,
    ChipFile,
    Confidence,
    Deadline,
    ImageSize,
    Json,
    Phase,
    Precision,
    Predictor,
    SeqLen,
    SourceLatency,
    Stack,
    Targets,
    parse_milliseconds,
)  # fmt: skip
from hetbench.cli.output import print_json
from hetbench.cli.progress import counted
from hetbench.cli.session import open_api, open_api_with_chip

__all__ = ["app"]

app = typer.Typer()
PANEL = "Pages"


@app.command(rich_help_panel=PANEL)
def report(
    models: Annotated[list[str], typer.Argument(help="Names of models: see `hetbench models`.")],
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="File to write. Default: report.html; with --json, none.")
    ] = None,
    source: Annotated[str, typer.Option(help="Chip or family that the models run on today.")] = "cuda",
    source_value: SourceLatency = None,
    targets: Targets = "all",
    slo: Deadline = None,
    batch: Batch = None,
    seq_len: SeqLen = None,
    image_size: ImageSize = None,
    precision: Precision = None,
    phase: Phase = None,
    stack: Stack = None,
    predictor: Predictor = None,
    confidence: Confidence = None,
    chip_file: ChipFile = None,
    as_json: Json = False,
) -> None:
    """Write a migration report as one self-contained HTML page.

    It holds the migration matrix, the ranking of chips, published measurements, operator coverage, latency
    attribution, an optimisation plan and the chips' datasheets.
    """
    from hetbench.pages.report import report_page
    from hetbench.pages.report_data import ReportRequest, report_data

    api, added = open_api_with_chip(chip_file)
    if added is not None and targets != "all":
        targets = f"{targets},{added}"
    given = {
        "batch": batch, "seq_len": seq_len, "image_size": image_size, "precision": precision, "phase": phase,
        "stack": stack, "predictor": predictor, "confidence": confidence,
    }  # fmt: skip
    options = {name: value for name, value in given.items() if value is not None}
    served = slo if slo is not None and "=" in slo else None
    slo_ms = None if slo is None or served else parse_milliseconds(slo)
    data = report_data(api, ReportRequest(models, source, targets, source_value, slo_ms, options, served))
    if output is not None or not as_json:
        path = output or Path("report.html")
        write_whole(path, report_page(data))
        count = len(data["models"])
        typer.echo(f"{path}: {count} model{'s' * (count > 1)}, {path.stat().st_size / 1e6:.2g} MB", err=as_json)
    if as_json:
        print_json(data)


@app.command(rich_help_panel=PANEL)
def dashboard(
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder to write.")] = Path("dashboard"),
    models: Annotated[
        str | None,
        typer.Option(help="Models, separated by commas; names of the hub are served only. Default: the catalogue's."),
    ] = None,
    chips: Annotated[
        str | None, typer.Option(help="Chips or families, separated by commas. Default: generations in common use.")
    ] = None,
    full: Annotated[
        bool, typer.Option("--full", help="All chips, more precisions and denser grids: takes hours.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Write an explorer of models and chips: a static site that answers in the browser, without network.

    It ranks chips for a model, phase, precision and size, with intervals and evidence; shows Pareto fronts, a migration
    matrix, operator coverage and where the time goes; and saves figures and tables.
    """
    from hetbench.pages.dashboard import write_site

    with counted("answers") as progress:
        data, size = write_site(open_api(), output, _names(models), _names(chips), full=full, progress=progress)
    if as_json:
        print(json.dumps(data, allow_nan=False))
    else:
        typer.echo(f"{output / 'index.html'}: {len(data['models'])} models, {len(data['chips'])} chips, "
                   f"{size / 1e6:.2g} MB. Open it in a browser, or: hetbench serve --site {output}")  # fmt: skip


def _names(given: str | None) -> list[str] | None:
    """The names of a list separated by commas; None where none is given."""
    return [each.strip() for each in (given or "").split(",") if each.strip()] or None
