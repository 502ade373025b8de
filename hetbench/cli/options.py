"""Arguments and options that several commands share, each with its unit and default; and parsers of their values.

Choices that are defined in modules with numpy are written out here; a test compares them with the definitions.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated

import typer

from hetbench.errors import InvalidInputError, shown
from hetbench.schema import FAMILIES, PHASES, PRECISIONS

__all__ = ["Batch", "ChipFile", "Confidence", "Deadline", "Dims", "FreeSizes", "ImageSize",
           "InputLen", "Json", "KvFormat", "Model",
           "Operator", "Optimizer", "OutputLen", "Phase", "Precision", "Predictor", "SeqLen", "Source", "SourceLatency",
           "Stack", "Target", "Targets", "at_least", "complete_chips", "complete_models", "parse_dims",
           "parse_milliseconds"]  # fmt: skip

_WHOLE = re.compile("-?[0-9]{1,18}")
FreeSizes = Annotated[
    str | None,
    typer.Option("--dims", help="Free sizes of an ONNX file, such as batch=8,seq=128. Default: batch=1."),
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON instead of text.")]
ChipFile = Annotated[
    Path | None,
    typer.Option(help="Datasheet (TOML or JSON) of a chip to add; it is the target if none is named. Default: none."),
]


def complete_models(begun: str) -> list[str]:
    """Models of the catalogue whose names begin like this, for the completion of the shell.

    >>> complete_models("whisper")
    ['whisper-large-v3']
    """
    from hetbench.catalog.models import models

    return [name for name in models() if name.startswith(begun.lower())]


def complete_chips(begun: str) -> list[str]:
    """Chips and families whose names begin like this, or contain it, for the completion of the shell.

    >>> complete_chips("cud"), complete_chips("mi210")
    (['cuda'], ['amd-mi210'])
    """
    from hetbench.catalog.chips import chips

    names = [*FAMILIES, *chips()]
    return [name for name in names if name.startswith(begun.lower())] or [name for name in names if begun in name]


Model = Annotated[
    str,
    typer.Argument(
        help="Name of a model: see `hetbench models` and `hetbench networks`.", autocompletion=complete_models
    ),
]
Operator = Annotated[str, typer.Argument(help="Operator type: see `hetbench operators`.")]
Dims = Annotated[list[str], typer.Argument(help="Dimensions as name=value, such as m=128 n=3072 k=768.")]
Target = Annotated[
    str | None,
    typer.Option(
        "--target", "--device", help="Chip, or chip family for its default chip. No default.",
        autocompletion=complete_chips,
    ),
]  # fmt: skip
Source = Annotated[
    str | None,
    typer.Option(
        help="Chip or family that the model runs on today, to compare with. Default: none.",
        autocompletion=complete_chips,
    ),
]
Targets = Annotated[str, typer.Option(help="Chips and families separated by commas, or all.")]
Batch = Annotated[int | None, typer.Option(help="Batch size in samples. Default: that of the model.")]
SeqLen = Annotated[int | None, typer.Option(help="Sequence length in tokens. Default: that of the model.")]
ImageSize = Annotated[int | None, typer.Option(help="Image height and width in pixels. Default: that of the model.")]
Precision = Annotated[
    str | None, typer.Option(help=f"{', '.join(PRECISIONS)}. Default: fp16 if the chip supports it, else fp32.")
]
Phase = Annotated[
    str | None,
    typer.Option(
        help=f"{', '.join(PHASES)}, training, serving. Default: {PHASES[0]} if the model has it, else its first phase."
    ),
]
Optimizer = Annotated[
    str | None, typer.Option(help="Training: sgd, sgd-momentum, adamw or none. Default: adamw.")
]
InputLen = Annotated[int | None, typer.Option(help="Serving: tokens of a prompt. Default: 1024.")]
OutputLen = Annotated[int | None, typer.Option(help="Serving: tokens that a request generates. Default: 1024.")]
KvFormat = Annotated[str | None, typer.Option(help="Serving: format of the KV cache, bf16 or fp8. Default: bf16.")]
Stack = Annotated[
    str | None, typer.Option(help="Software stack, such as eager or compiled. Default: the usual one of the chip.")
]
Predictor = Annotated[
    str | None, typer.Option(help="auto (best in validation), autogluon, rgat or roofline. Default: auto.")
]
Confidence = Annotated[
    float | None, typer.Option(help="Probability, 0.5 to 0.98, that an interval contains the value. Default: 0.9.")
]
SourceLatency = Annotated[
    float | None, typer.Option(help="Latency in ms that you measured on the source. Default: none.")
]
Deadline = Annotated[
    str | None,
    typer.Option(help="Latency deadline of one call, such as 50ms or 0.2s; in ms without a unit; or an objective of "
                 "serving, such as ttft=500ms,tpot=30ms. Default: none."),
]


def parse_milliseconds(text: str) -> float:
    """A duration such as 50ms, 0.2s or 80us in ms; a plain number is in ms.

    Raises `InvalidInputError` for anything else.

    >>> parse_milliseconds("0.2s"), parse_milliseconds("50 ms"), parse_milliseconds("7")
    (200.0, 50.0, 7.0)
    """
    units = {"us": 1e-3, "ms": 1.0, "s": 1e3}
    given = text.strip().lower()
    unit = next((name for name in units if given.endswith(name)), "")
    try:
        value = float(given.removesuffix(unit)) * units.get(unit, 1.0)
    except ValueError:
        value = -1.0
    if not 0 < value < float("inf"):
        raise InvalidInputError(f"a duration is a number with us, ms or s, such as 50ms; given: {shown(text)}.")
    return value


def parse_dims(words: list[str]) -> dict[str, int]:
    """Dimensions written as name=value. Raises `InvalidInputError` for anything else.

    >>> parse_dims(["m=128", "k=768"])
    {'m': 128, 'k': 768}
    """
    dims: dict[str, int] = {}
    for word in words:
        name, equals, value = (part.strip() for part in word.partition("="))
        if not equals or not _WHOLE.fullmatch(value):
            raise InvalidInputError(
                f"dimensions are given as name=value with whole numbers, such as m=128; given: {shown(word)}."
            )
        if name in dims:
            raise InvalidInputError(f"dimension {shown(name)} is given twice: {dims[name]} and {value}.")
        dims[name] = int(value)
    return dims


def at_least(option: str, value: int | None, least: int) -> None:
    """`InvalidInputError` for a number below `least`; None is no number.

    >>> at_least("--limit", 5, 0)
    """
    if value is not None and value < least:
        raise InvalidInputError(f"{option} must be a whole number from {least}; given: {value}.")
