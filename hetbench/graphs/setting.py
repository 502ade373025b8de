"""The setting of one pass (batch, sequence length, image size, precision, phase), checked against a model's limits."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from hetbench.errors import InvalidInputError, RefusedError, shown
from hetbench.schema import PHASES
from hetbench.schema import precision as canonical_precision

__all__ = ["MAX_BATCH", "MAX_TOKENS", "Setting", "checked_setting"]

MAX_BATCH, MAX_TOKENS = 2**16, 2**28
"""Above these, totals of the largest models exceed int64."""


@dataclass(frozen=True, slots=True)
class Setting:
    """Checked sizes, precision and phase of one pass; a size is None where the model has no such input."""

    batch: int | None
    """Samples; None only for a traced module, whose sizes are fixed by its example inputs."""
    seq_len: int | None
    """Tokens; in phase `decode` the tokens already in the KV cache."""
    image_size: int | None
    """Side of the square image in pixels."""
    precision: str
    phase: str


def checked_setting(
    owner: str, phases: Sequence[str], limits: Mapping[str, Any], batch: int | None, seq_len: int | None,
    image_size: int | None, precision: str, phase: str,
) -> Setting:  # fmt: skip
    """The setting of one pass of the model `owner`, with its defaults filled in.

    `limits` is the table of a graph: batch -> default, and seq_len, image_size -> (least, most, multiple, default).
    Raises `InvalidInputError` for a size that the model does not take, `RefusedError` for a phase or image size that it
    was not traced at.
    """
    precision = canonical_precision(precision)
    if not isinstance(phase, str) or phase not in phases:
        if not isinstance(phase, str) or phase not in PHASES:
            raise InvalidInputError(f"unknown phase {shown(phase)}. {owner} has: {', '.join(phases)}.")
        raise RefusedError(
            f"{owner} has no phase {shown(phase)}: it does not generate tokens. It has: {', '.join(phases)}."
        )
    if limits.get("fixed"):
        if (batch, seq_len, image_size) != (None, None, None):
            raise InvalidInputError(
                f"{owner} was traced at one setting: its sizes are those of the example inputs. "
                "Trace it again with inputs of the size you need."
            )
        return Setting(None, None, None, precision, phase)
    batch = _size("batch", limits["batch"] if batch is None else batch, 1, MAX_BATCH, owner)
    sizes = {"seq_len": seq_len, "image_size": image_size}
    for name, given in sizes.items():
        bounds = limits.get(name)
        if bounds is None:
            if given is not None:
                raise InvalidInputError(f"{owner} takes no {name}; leave it out.")
            continue
        low, high, multiple, default = bounds
        sizes[name] = _size(name, default if given is None else given, low, high, owner, multiple)
    traced, image = limits.get("image_sizes"), sizes["image_size"]
    if traced and image not in traced:
        raise RefusedError(
            f"{owner} was traced at image sizes {', '.join(map(str, traced))} only, not at {image}."
        )
    if batch * max(sizes["seq_len"] or 1, 1) > MAX_TOKENS:
        raise InvalidInputError(f"{owner}: batch x seq_len exceeds the limit of {MAX_TOKENS:,} tokens.")
    return Setting(batch, sizes["seq_len"], sizes["image_size"], precision, phase)


def _size(name: str, given: object, low: int, high: int, owner: str, multiple: int = 1) -> int:
    """`given` as a whole number within bounds."""
    whole = isinstance(given, int | np.integer) and not isinstance(given, bool)
    if whole and low <= int(given) <= high and int(given) % multiple == 0:  # type: ignore[call-overload]
        return int(given)  # type: ignore[call-overload, no-any-return]
    steps = f", a multiple of {multiple}" if multiple > 1 else ""
    why = ""
    if whole and name == "seq_len" and int(given) > high:  # type: ignore[call-overload]
        why = (
            f" Its table of positions has no more rows: cut the text into pieces of {high}, as a batch, or ask for a "
            "network with rotary positions."
        )
    raise InvalidInputError(f"{owner}: {name}={shown(given)} must be a whole number from {low} to {high}{steps}.{why}")
