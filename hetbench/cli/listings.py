"""`hetbench models`, `networks`, `stacks`, `chips`, `operators`, `metrics`, `spaces`, `sources`: the catalogue."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from hetbench.catalog.chips import chips as all_chips
from hetbench.catalog.chips import default_chip
from hetbench.catalog.models import models as all_models
from hetbench.catalog.own_chips import own_chips
from hetbench.catalog.sources import sources as all_sources
from hetbench.cli.options import Json
from hetbench.cli.output import print_lines, print_table
from hetbench.metrics import metrics as all_metrics
from hetbench.operators import operator_types
from hetbench.schema import FAMILIES

__all__ = ["app"]

app = typer.Typer()
PANEL = "Catalogue"


@app.command(rich_help_panel=PANEL)
def models(as_json: Json = False) -> None:
    """List the models of the catalogue with their default sizes."""
    columns = ("name", "title", "category", "params", "phases", "batch", "seq_len", "image_size", "licence")
    print_table(columns, ([getattr(m, c) for c in columns] for m in all_models().values()), as_json)


@app.command(rich_help_panel=PANEL)
def networks(as_json: Json = False) -> None:
    """List measured networks beyond the catalogue; `query` takes these names and those of timm."""
    from hetbench.graphs import networks as measured_networks

    print_table(("name",), ([name] for name in measured_networks.names()), as_json)


@app.command(rich_help_panel=PANEL)
def stacks(
    chip: Annotated[
        str | None,
        typer.Option("--chip", help="Chip; lists what rows of other chips answer there too. Default: all measured."),
    ] = None,
    as_json: Json = False,
) -> None:
    """List the software stacks that are answered, with chip, precision, phase, evidence level and measured rows."""
    from hetbench.api import HetBench
    from hetbench.query.supported import SupportedStack, supported_stacks

    columns = SupportedStack.__match_args__
    found = supported_stacks(None if chip is None else HetBench().chip(chip)[0])
    print_table(columns, ([getattr(each, name) for name in columns] for each in found), as_json)
    if not as_json:
        print_lines(["eager execution is also answered on every chip with stated bandwidth, by the sum over operators"])


@app.command(rich_help_panel=PANEL)
def chips(
    mine: Annotated[bool, typer.Option("--mine", help="Only the chips measured on this machine.")] = False,
    as_json: Json = False,
) -> None:
    """List the chips of the catalogue and of this machine with their facts; unknown facts are blank."""
    columns = ("name", "family", "vendor", "arch", "launch_year", "fp32_tflops", "fp16_tflops", "mem_gb", "mem_bw_gbs")
    defaults = {default_chip(family)[0].name for family in FAMILIES}
    known = own_chips() if mine else {**all_chips(), **own_chips()}
    rows = ([*(getattr(c, k) for k in columns), c.name in defaults, c.confidence] for c in known.values())
    print_table((*columns, "default", "confidence"), rows, as_json)


@app.command(rich_help_panel=PANEL)
def operators(as_json: Json = False) -> None:
    """List the operator types and their dimensions."""
    rows = ([o.name, o.cost_class, list(o.dims), list(o.optional)] for o in operator_types().values())
    print_table(("name", "cost_class", "dims", "optional"), rows, as_json)


@app.command(rich_help_panel=PANEL)
def metrics(as_json: Json = False) -> None:
    """List the metrics with their units and how their values are obtained."""
    columns = ("name", "unit", "better", "kind", "meaning")
    print_table(columns, ([getattr(m, c) for c in columns] for m in all_metrics().values()), as_json)


@app.command(name="spaces", rich_help_panel=PANEL)
def list_spaces(as_json: Json = False) -> None:
    """List the architecture search spaces of `HetBench(search_space=...)` and the deployment space."""
    from hetbench.spaces import spaces

    rows = ([each.name, each.title, each.size(), len(each.parameters), ", ".join(each.qualities)]
            for each in spaces().values())  # fmt: skip
    print_table(("name", "title", "size", "parameters", "quality"), rows, as_json)


@app.command(rich_help_panel=PANEL)
def sources(as_json: Json = False) -> None:
    """List the projects that the data come from, with licence, citation and number of rows."""
    texts = ["name", "licence", "families"] + ["repository", "title", "commits", "citation", "gives"] * as_json
    names = [*texts, "operator_rows", "model_rows", "evidence_rows", "registrations", "chip_facts"]
    print_table(names, ([_plain(getattr(s, c)) for c in names] for s in all_sources().values()), as_json)
    if not as_json:
        print_lines(f"{source.name}: {source.citation} {source.gives}" for source in all_sources().values())


def _plain(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value
