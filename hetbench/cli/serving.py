"""`hetbench serve-plan`: the deployments of a language model on a chip, and the cheapest within an objective.

Exit codes as in `hetbench.cli`.
"""

from __future__ import annotations

from typing import Annotated

import typer

from hetbench.cli.options import ChipFile, InputLen, Json, KvFormat, Model, OutputLen, Stack, Target
from hetbench.cli.output import print_json, print_lines
from hetbench.cli.session import open_api_with_chip

__all__ = ["app"]

app = typer.Typer()
PANEL = "Questions"


@app.command(name="serve-plan", rich_help_panel=PANEL)
def serve_plan(
    model: Model,
    target: Target = None,
    slo: Annotated[str | None, typer.Option(help="Objective, such as ttft=500ms,tpot=30ms. Default: none.")] = None,
    input_len: InputLen = None,
    output_len: OutputLen = None,
    chips: Annotated[int | None, typer.Option(help="Most chips of a deployment. Default: those of a node.")] = None,
    precision: Annotated[
        str | None, typer.Option(help="Weights: bf16, fp8, w4a16, mxfp4, nvfp4, ... Default: those of the checkpoint.")
    ] = None,
    kv: KvFormat = None,
    stack: Stack = None,
    chip_file: ChipFile = None,
    as_json: Json = False,
) -> None:
    """Parallel plans and loads of a language model on a chip: tokens per second and chip against time per token."""
    api, added = open_api_with_chip(chip_file)
    found = api.serve_plan(
        model, target or added, slo=slo, input_len=input_len, output_len=output_len, chips=chips, precision=precision,
        kv=kv, stack=stack,
    )  # fmt: skip
    print_json(found.to_dict()) if as_json else print_lines(found.lines())
