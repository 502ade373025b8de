"""The same questions from the shell.

Exit codes: 0 answered, 2 wrong usage or an unknown name, 3 refused for lack of evidence, 4 a damaged artefact. Answers
go to stdout, as JSON alone with `--json`; an error is one message on stderr.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from hetbench.answers import Answer, Answers, digits, number
from hetbench.catalog.chips import chips as all_chips
from hetbench.catalog.chips import default_chip
from hetbench.catalog.models import models as all_models
from hetbench.catalog.sources import sources as all_sources
from hetbench.cli import analysis, artifacts, pages
from hetbench.cli import graph as cli_graph
from hetbench.cli.artifacts import api as shell_api
from hetbench.cli.graph import dim
from hetbench.errors import HetBenchError, InvalidInputError
from hetbench.graphs import networks as measured_networks
from hetbench.knowledge import explain_answer
from hetbench.metrics import metrics as all_metrics
from hetbench.operators import operator_types
from hetbench.schema import FAMILIES, PRECISIONS
from hetbench.spaces import spaces

__all__ = ["app", "main"]

app = typer.Typer(
    add_completion=False, no_args_is_help=True, pretty_exceptions_enable=False,
    help="How fast an AI model or operator runs on a chip: measured, predicted with an interval, or exact.",
)  # fmt: skip

app.add_typer(cli_graph.app, name="graph")
app.add_typer(analysis.app)
app.add_typer(pages.app)
app.add_typer(artifacts.app)

Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]
ChipFile = Annotated[Path | None, typer.Option(help="Datasheet (TOML or JSON) of a chip to add.")]
Text = Annotated[str | None, typer.Option()]
Whole = Annotated[int | None, typer.Option()]


@app.command()
def query(
    model: Annotated[str, typer.Argument(help="A model of `hetbench models`, or a measured network by its name.")],
    target: Annotated[str | None, typer.Option(help="Chip or family to answer for.")] = None,
    source: Annotated[str | None, typer.Option(help="Chip or family to compare with.")] = None,
    metric: Annotated[str | None, typer.Option(help="One of `hetbench metrics`; all of them if left out.")] = None,
    batch: Whole = None,
    seq_len: Whole = None,
    image_size: Whole = None,
    precision: Annotated[str | None, typer.Option(help=f"{', '.join(PRECISIONS)}; fp16 where the chip has it.")] = None,
    phase: Annotated[str | None, typer.Option(help="inference, prefill or decode.")] = None,
    stack: Annotated[str | None, typer.Option(help="Software stack; the chip's usual one if left out.")] = None,
    confidence: Annotated[float | None, typer.Option(help="Share that intervals hold; 0.9 if left out.")] = None,
    predictor: Annotated[str | None, typer.Option(help="auto, autogluon or roofline.")] = None,
    source_value: Annotated[float | None, typer.Option(help="What you measured there; latency if no metric.")] = None,
    chip_file: ChipFile = None,
    explain: Annotated[bool, typer.Option("--explain", help="Show the evidence of what costs the time.")] = False,
    as_json: Json = False,
) -> None:
    """How a model does on a chip, beside a source chip if one is named."""
    api = shell_api()
    if chip_file is not None:
        added = api.add_chip(chip_file)
        target = target or added.name
    if source_value is not None and metric is None:
        metric = "latency"
    found = api.query(
        model, source, target, metric, source_value=source_value, batch=batch, seq_len=seq_len, image_size=image_size,
        precision=precision, phase=phase, stack=stack, predictor=predictor, confidence=confidence,
    )  # fmt: skip
    paths = explain_answer(found, lambda name: api.chip(name)[0]) if explain else None
    if as_json:
        _print_json(found.to_dict() | ({} if paths is None else {"explain": paths.to_dict()}))
        return
    (_print_answers if isinstance(found, Answers) else _print_answer)(found)
    for line in () if paths is None else paths.lines():
        _console().print(line, soft_wrap=True)


@app.command()
def operator(
    op: Annotated[str, typer.Argument(help="A type of `hetbench operators`.")],
    dims: Annotated[list[str], typer.Argument(help="Its dims as name=value, such as m=128 n=3072 k=768.")],
    device: Annotated[str | None, typer.Option(help="Chip or family.")] = None,
    precision: Text = None,
    protocol: Annotated[str, typer.Option(help="What the time includes: kernel, graph, event or wall.")] = "event",
    library: Text = None,
    layout: Text = None,
    predictor: Text = None,
    chip_file: ChipFile = None,
    as_json: Json = False,
) -> None:
    """Forward latency of one operator on a chip."""
    api = shell_api()
    if chip_file is not None:
        added = api.add_chip(chip_file)
        device = device or added.name
    if device is None:
        raise InvalidInputError("no chip to answer for: name one with --device, or give a datasheet with --chip-file.")
    found = api.query_operator(
        op, dict(dim(text) for text in dims), device=device, precision=precision, protocol=protocol, library=library,
        layout=layout, predictor=predictor,
    )  # fmt: skip
    if as_json:
        _print_json(found.to_dict())
    else:
        _print_answer(found)


@app.command()
def models(as_json: Json = False) -> None:
    """The models of the catalogue."""
    columns = ("name", "title", "category", "params", "phases", "batch", "seq_len", "image_size", "licence")
    _print_table(columns, ([getattr(m, c) for c in columns] for m in all_models().values()), as_json)


@app.command()
def networks(as_json: Json = False) -> None:
    """Measured networks beyond the catalogue, which `query` takes by these names or by those of timm."""
    _print_table(("name",), ([name] for name in measured_networks.names()), as_json)


@app.command()
def chips(as_json: Json = False) -> None:
    """The chips of the catalogue; unknown facts are blank."""
    columns = ("name", "family", "vendor", "arch", "launch_year", "fp32_tflops", "fp16_tflops", "mem_gb", "mem_bw_gbs")
    defaults = {default_chip(family)[0].name for family in FAMILIES}
    rows = ([*(getattr(c, k) for k in columns), c.name in defaults, c.confidence] for c in all_chips().values())
    _print_table((*columns, "default", "confidence"), rows, as_json)


@app.command()
def operators(as_json: Json = False) -> None:
    """The operator types and their dims."""
    rows = ([o.name, o.cost_class, list(o.dims), list(o.optional)] for o in operator_types().values())
    _print_table(("name", "cost_class", "dims", "optional"), rows, as_json)


@app.command()
def metrics(as_json: Json = False) -> None:
    """The metrics, their units and where their values come from."""
    columns = ("name", "unit", "better", "kind", "meaning")
    _print_table(columns, ([getattr(m, c) for c in columns] for m in all_metrics().values()), as_json)


@app.command(name="spaces")
def list_spaces(as_json: Json = False) -> None:
    """The architecture spaces of `HetBench(search_space=...)`, and the deployment space."""
    rows = ([each.name, each.title, each.size(), len(each.parameters), each.quality] for each in spaces().values())
    _print_table(("name", "title", "size", "parameters", "quality"), rows, as_json)


@app.command()
def sources(as_json: Json = False) -> None:
    """Where the data come from: every upstream with its licence and what it gives."""
    texts = ["name", "licence", "families"] + ["repository", "title", "commits", "citation", "gives"] * as_json
    names = [*texts, "operator_rows", "model_rows", "evidence_rows", "registrations", "chip_facts"]
    _print_table(names, ([_listed(getattr(s, c)) for c in names] for s in all_sources().values()), as_json)
    for source in () if as_json else all_sources().values():
        _console().print(f"{source.name}: {source.citation} {source.gives}", soft_wrap=True)


def _listed(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value


def _console() -> Console:
    return Console(width=None if sys.stdout.isatty() else 160, highlight=False, markup=False)


def _print_json(value: Any) -> None:
    print(json.dumps(value, indent=2, allow_nan=False))


def _print_table(columns: Sequence[str], rows: Iterable[Sequence[Any]], as_json: bool) -> None:
    if as_json:
        _print_json([dict(zip(columns, row, strict=True)) for row in rows])
        return
    table = Table(*columns, box=None, pad_edge=False, header_style="bold")
    for row in rows:
        table.add_row(*map(_cell, row))
    _console().print(table)


def _cell(value: Any) -> str:
    if value is None or value is False:
        return ""
    if value is True:
        return "yes"
    if isinstance(value, list | tuple):
        return " ".join(map(str, value))
    return str(value)


def _print_answer(answer: Answer) -> None:
    console = _console()
    console.print(str(answer), soft_wrap=True)
    console.print(f"  {_setting(answer)}", soft_wrap=True)
    for line in _evidence(answer):
        console.print(f"  {line}", soft_wrap=True)


def _print_answers(answers: Answers) -> None:
    console = _console()
    if not answers:
        console.print("nothing could be answered")
    else:
        console.print(_setting(next(iter(answers.values()))), soft_wrap=True)
    both = any(answer.source is not None for answer in answers.values())
    table = Table("metric", "value", "interval", "kind", "level", "rows", box=None, pad_edge=False, header_style="bold")
    if both:
        table.add_column("source")
        table.add_column("ratio")
    for name, answer in answers.items():
        cells = [name, number(answer.value, answer.unit), _interval(answer), answer.kind, answer.level, answer.support]
        if both:
            cells += [number(answer.source.value, answer.unit) if answer.source else "", _ratio(answer)]
        table.add_row(*map(_cell, cells))
    console.print(table)
    lines = [line for answer in answers.values() for line in _evidence(answer)]
    refused = (f"refused: {name}: {why}" for name, why in answers.refused.items())
    for line in (*dict.fromkeys(lines), *refused):
        console.print(f"  {line}", soft_wrap=True)


def _interval(answer: Answer) -> str:
    if answer.lower is None or answer.upper is None:
        return ""
    return f"{digits(answer.lower)} .. {digits(answer.upper)} at {100 * answer.interval_level:g} %"


def _ratio(answer: Answer) -> str:
    return "" if answer.ratio is None else digits(answer.ratio)


def _setting(answer: Answer) -> str:
    names = ("precision", "batch", "seq_len", "image_size", "phase", "stack", "protocol")
    known = [f"{name} {getattr(answer, name)}" for name in names if getattr(answer, name) is not None]
    where = [f"{answer.chip} ({answer.family})"] if answer.chip else []
    return ", ".join([str(answer.model or answer.operator), *where, *known])


def _evidence(answer: Answer) -> list[str]:
    """Lines that say where the time goes, what to know, and the references, for both sides."""
    lines = []
    if answer.shares:
        top = sorted(answer.shares.items(), key=lambda item: -item[1])[:5]
        total = sum(answer.shares.values())
        lines.append("time: " + ", ".join(f"{name} {ms / total:.0%}" for name, ms in top))
    lines += [f"note: {note}" for note in answer.notes] + [f"ref: {ref}" for ref in answer.refs]
    if answer.source is not None:
        lines.append(f"source: {answer.source}")
        lines += [f"source note: {note}" for note in answer.source.notes]
        lines += [f"source ref: {ref}" for ref in answer.source.refs]
    return lines


def main(arguments: Sequence[str] | None = None) -> None:
    """Entry point of the `hetbench` command: runs it and exits with the code of the outcome."""
    try:
        app(args=None if arguments is None else list(arguments), prog_name="hetbench")
    except HetBenchError as error:
        print(f"hetbench: {error}", file=sys.stderr)
        raise SystemExit(error.exit_code) from None
