"""A chip of a device's facts and measured peaks, kept in the records of this machine."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from data_collection.backends import Backend
from data_collection.chip.facts import device_facts
from data_collection.chip.probes import launch_us, peaks
from hetbench.catalog.chips import Chip
from hetbench.catalog.datasheets import load_chip
from hetbench.catalog.own_chips import save_own_chip
from hetbench.errors import InvalidInputError, RefusedError

__all__ = ["SECONDS", "chip_of", "chosen_chip", "measure_chip"]

SECONDS = 10.0
"""Time for each figure: about a minute for all of them."""


def chip_of(facts: dict[str, Any], measured: dict[str, float], device_name: str, notes: str) -> Chip:
    """The record of a device: what it reports, what was measured, and the name by which it is recognised.

    >>> facts = {"name": "my-cpu", "family": "oneapi", "kind": "cpu", "compute_units": 2}
    >>> chip = chip_of(facts, {"fp32_tflops": 0.1964, "mem_bw_gbs": 66.9}, "My CPU, 2 CPUs", "")
    >>> chip.fp32_tflops, dict(chip.aliases), chip.source.split(" ")[0]
    (0.1964, {'My CPU, 2 CPUs': 'exact'}, 'measured-here')
    """
    day = datetime.now(UTC).date().isoformat()
    told = {
        **facts, **measured, "confidence": "medium", "aliases": {device_name: "exact"},
        "source": f"measured-here on {day} by python -m data_collection.chip measure",
    }  # fmt: skip
    return Chip.from_mapping({**told, "notes": notes} if notes else told)


def chosen_chip(backend: Backend, name: str | None, file: Path | None) -> str | None:
    """The name of the chip that `--chip NAME` or `--chip-file FILE` gives a device; None where neither is given.

    The record of a file joins the chips of this machine, so that queries and reports know its rows. Raises
    `RefusedError` for a chip of another kind or die, `InvalidInputError` for both options or a name of the catalogue.
    """
    if file is None:
        return name
    if name is not None:
        raise InvalidInputError("--chip and --chip-file both name the chip: give one of them.")
    chip = backend.accept(load_chip(file))
    save_own_chip(chip)
    return chip.name


def measure_chip(
    backend: Backend, *, name: str | None = None, seconds: float = SECONDS, say: Callable[[str], None] = print
) -> Chip:
    """Measure the device of a backend, write its record and return it; the record replaces an earlier one.

    Args:
        backend: of the device.
        name: of the chip; left out, made of what the device reports.
        seconds: for each figure.
        say: takes a line for each figure as it is measured.

    Raises:
        InvalidInputError: the catalogue has the name, or the record cannot be written.
        RefusedError: a figure is far from that of any chip, as on a machine that others load.
    """
    seen, facts = backend.identity(), device_facts(backend)
    measured = {}
    for fact, figure in peaks(backend, seconds):
        measured[fact] = float(f"{figure:.4g}")
        say(f"  {fact} = {measured[fact]:g}")
    floors = {protocol: launch_us(backend, protocol) for protocol in backend.protocols}
    floor = ", ".join(f"{figure:.3g} us by {protocol}" for protocol, figure in floors.items())
    notes = (
        f"peaks and bandwidth are the best that {backend.software()} reached in {seconds:g} s each, not a datasheet's; "
        f"a call on one element takes {floor}; power is not known"
    )
    try:
        chip = chip_of(facts, measured, seen.device_name, notes)
    except InvalidInputError as why:
        raise RefusedError(f"the figures measured here cannot be: {why} Measure again on a quiet machine.") from None
    chip = chip if name is None else replace(chip, name=name)
    path = save_own_chip(chip)
    say(f"  {chip.name} ({chip.arch}) in {path}")
    return chip
