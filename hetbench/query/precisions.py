"""Which precision a question means, and whether a chip has units for it."""

from __future__ import annotations

from hetbench.catalog.chips import Chip
from hetbench.errors import RefusedError
from hetbench.formats import FORMATS, STORED
from hetbench.schema import PRECISIONS, element

__all__ = ["check_precision", "default_precision", "named_precision", "stored_note"]


def default_precision(*chips: Chip | None) -> str:
    """fp16 where every chip has it, else fp32; without a chip fp16.

    >>> from hetbench.catalog.chips import chip
    >>> default_precision(chip("cuda")), default_precision(chip("cuda"), chip("amd-epyc-7r32"))
    ('fp16', 'fp32')
    """
    return "fp16" if all(chip is None or chip.supports("fp16") for chip in chips) else "fp32"


def named_precision(named: str, chip: Chip | None) -> tuple[str | None, tuple[str, ...]]:
    """The format that a network's name asks for, or none and a note where the chip has no units for it."""
    if chip is None or chip.supports(named) is not False:
        return named, ()
    return None, (f"{chip.name} has no {named} units: {default_precision(chip)} instead",)


def stored_note(precision: str, chip: Chip | None) -> tuple[str, ...]:
    """What a format of stored weights means for the answer; nothing for a precision of elements."""
    if precision not in STORED:
        return ()
    form, half = FORMATS[precision], element(precision)
    bits = f"{8 * form.weight_bytes:.3g} bits{' on average' if form.everything else ', scales included'}"
    what = "all weights" if form.everything else (
        "of a mixture of experts the experts', else all linear layers' weights but the output layer's"
        if form.experts_only else "weights of linear layers but the output layer"
    )  # fmt: skip
    where = f"; products in {chip.computed_in(precision)}" if chip else ""
    return (f"{precision}: {what} in {bits}{where}, all else in {half}",)


def check_precision(precision: str, chip: Chip) -> tuple[str, ...]:
    """Check that a chip has units of a precision: `RefusedError` where not, a note where the datasheet is silent."""
    supported = chip.supports(precision)
    if precision in STORED and not supported:
        wanted = " or ".join(FORMATS[precision].compute)
        raise RefusedError(f"{chip.name} states no peak in {wanted}, which weights in {precision} are multiplied in.")
    if supported is False:
        has = ", ".join(name for name in PRECISIONS if chip.supports(name))
        raise RefusedError(f"{chip.name} has no {precision} units. It has: {has}.")
    if supported is None:
        return (f"the datasheet of {chip.name} does not say whether it has {precision} units",)
    return ()
