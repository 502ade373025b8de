"""The `HetBench` that the commands ask: on the selected set of surrogates, with the chip of a datasheet added."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from hetbench.api import HetBench

__all__ = ["open_api", "open_api_with_chip"]


def open_api() -> HetBench:
    """`HetBench` on the set selected by `hetbench artifacts use`, else on the set in the package, with the timings that
    `hetbench observe` keeps."""
    from hetbench.api import HetBench
    from hetbench.artifacts.integrity import HomelessError, home
    from hetbench.artifacts.sets import selected

    api = HetBench(artifacts=selected())
    try:
        kept = home().parent / "observations.json"
    except HomelessError:
        return api
    if kept.is_file():
        api.load_observations(kept)
    return api


def open_api_with_chip(chip_file: Path | None) -> tuple[HetBench, str | None]:
    """`open_api` with the chip of a datasheet added, and the name of that chip; None without a datasheet."""
    api = open_api()
    return api, None if chip_file is None else api.add_chip(chip_file).name
