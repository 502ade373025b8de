"""`hetbench compare`: one metric of a model on several chips, side by side."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from hetbench.answers import Answer, Answers, digits, number
from hetbench.cli.options import (
    Batch,
    ChipFile,
    Confidence,
    ImageSize,
    Json,
    Model,
    Optimizer,
    Phase,
    Precision,
    Predictor,
    SeqLen,
    Stack,
)  # fmt: skip
from hetbench.cli.output import print_json, print_lines, print_table
from hetbench.cli.session import open_api_with_chip
from hetbench.errors import InvalidInputError

__all__ = ["app"]

app = typer.Typer()


@app.command(rich_help_panel="Questions")
def compare(
    model: Model,
    chips: Annotated[str, typer.Option(help="Chips and families separated by commas; ratios are to the first.")],
    metric: Annotated[str, typer.Option(help="Metric: see `hetbench metrics`.")] = "latency",
    batch: Batch = None,
    seq_len: SeqLen = None,
    image_size: ImageSize = None,
    precision: Precision = None,
    phase: Phase = None,
    optimizer: Optimizer = None,
    stack: Stack = None,
    predictor: Predictor = None,
    confidence: Confidence = None,
    chip_file: ChipFile = None,
    as_json: Json = False,
) -> None:
    """One metric of a model on several chips, with the ratio to the first of them."""
    api, added = open_api_with_chip(chip_file)
    names = list(dict.fromkeys(name.strip() for name in chips.split(",") if name.strip()))
    names += [added] if added is not None and added not in names else []
    if not names:
        raise InvalidInputError("no chips to compare: --chips takes names separated by commas, such as cuda,amd-mi210.")
    found = api.query(
        model, metric=metric, device=names, batch=batch, seq_len=seq_len, image_size=image_size, precision=precision,
        phase=phase, stack=stack, predictor=predictor, confidence=confidence, optimizer=optimizer,
    )  # fmt: skip
    if as_json:
        print_json(found.to_dict())
        return
    _print(found)


def _print(found: Answers) -> None:
    """The answers in the order asked, then notes that all share are printed once, then what was refused."""
    columns = ("chip", "value", "interval", "level", "precision", "stack", "ratio")
    first = next(iter(found.values()), None)
    print_table(columns, (_row(answer, first) for answer in found.values()), as_json=False)
    stacks = {answer.stack for answer in found.values()}
    warned = ["the chips are answered under different stacks; --stack compares under one"] if len(stacks) > 1 else []
    print_lines(f"  note: {note}" for note in warned)
    print_lines(f"  refused: {name}: {why}" for name, why in found.refused.items())


def _row(answer: Answer, first: Answer | None) -> list[Any]:
    within = "" if answer.lower is None or answer.upper is None else f"{digits(answer.lower)} .. {digits(answer.upper)}"
    ratio = "" if first is None or not first.value else digits(answer.value / first.value)
    where = answer.chip or "any chip"
    return [where, number(answer.value, answer.unit), within, answer.level, answer.precision, answer.stack, ratio]
