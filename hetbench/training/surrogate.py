"""What measured training steps take over the step composed of operators and passes: one factor, pooled and shrunk.

    factor = product of the effects of precision, stack, family and die, each drawn to 1 where few steps tell it

`python -m surrogates.training` fits it, and with it how much of the step is taken from whole passes, the intervals
(from networks left out on dies that were measured, from dies left out elsewhere), and what a framework adds to the
memory.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from hetbench.artifacts.sets import EMBEDDED
from hetbench.catalog.chips import Chip
from hetbench.errors import ArtifactError
from hetbench.loading import load_once
from hetbench.training.memory import MIXED

__all__ = ["FORMAT", "RICH", "Ratio", "StepSurrogate", "cell_of", "labels_of", "load"]

FORMAT = 1
RICH = 30
"""Networks from which on a cell is told by its own steps."""


@dataclass(frozen=True, slots=True)
class Ratio:
    """What a quantity takes over what was composed, with its interval."""

    value: float
    lower: float
    upper: float
    level: str
    support: int


def cell_of(chip: Chip, stack: str, precision: str) -> str:
    """The narrowest label: die, stack, and whether the products run in half precision.

    >>> from hetbench.catalog.chips import chip
    >>> cell_of(chip("nvidia-a100-sxm4-80gb"), "eager", "bf16")
    'Ampere GA100|eager|half'
    """
    return f"{chip.die or chip.name}|{stack}|{'half' if precision in MIXED else 'full'}"


def labels_of(chip: Chip, stack: str, precision: str, updates: bool = True) -> tuple[str, ...]:
    """The labels whose effects add up, the widest first; without an update a step is a forward and a backward pass
    alone, and no training loop runs around it.

    >>> from hetbench.catalog.chips import chip
    >>> labels_of(chip("nvidia-l4"), "eager", "fp16")[:3]
    ('loop', 'half', 'stack eager')
    """
    kind, die = "half" if precision in MIXED else "full", chip.die or chip.name
    return (
        "loop" if updates else "passes", kind, f"stack {stack}", f"{chip.family}|{kind}", f"{chip.family}|{stack}",
        die, f"{die}|{kind}", cell_of(chip, stack, precision),
    )  # fmt: skip


@dataclass(frozen=True, slots=True)
class StepSurrogate:
    """The factors of one set."""

    id: str
    share: float
    """Share of whole passes in the composed step, the rest is the sum of operators; a geometric mean."""
    effects: Mapping[str, float]
    """Log factor of each label."""
    cells: Mapping[str, tuple[int, int]]
    """Steps and networks measured of each cell."""
    quantiles: Sequence[float]
    bands: Mapping[str, Sequence[float]]
    """Quantiles of log(measured / predicted): `C` of networks left out, `T` of those in cells of fewer than `RICH`
    networks, `D` of dies; `C stack` of one stack alone."""
    memory: Mapping[str, Mapping[str, Sequence[float]]]
    """Family, or "" for those without rows -> MB that a framework adds (`add`), and quantiles of log(measured /
    predicted), `log_ratio`."""

    @property
    def stacks(self) -> tuple[str, ...]:
        """Stacks that steps were measured under."""
        return tuple(sorted({cell.split("|")[1] for cell in self.cells}))

    def ratio(
        self, chip: Chip, stack: str, precision: str, updates: bool = True, confidence: float = 0.9
    ) -> Ratio:
        """What a step takes over the composed one.

        >>> from hetbench.catalog.chips import chip
        >>> found = load().ratio(chip("nvidia-h100-sxm5-80gb"), "eager", "fp32")
        >>> found.level, found.lower < found.value < found.upper
        ('C', True)
        """
        log = sum(self.effects.get(label, 0.0) for label in labels_of(chip, stack, precision, updates))
        rows, networks = self.cells.get(cell_of(chip, stack, precision), (0, 0))
        level, kind = "C" if rows else "D", "T" if 0 < networks < RICH else "C" if rows else "D"
        table = self.bands.get(f"{kind} {stack}", self.bands[kind])
        low, high = _between(self.quantiles, table, confidence)
        value = math.exp(log)
        return Ratio(value, value * math.exp(min(low, 0.0)), value * math.exp(max(high, 0.0)), level, rows)

    def memory_mb(self, derived_mb: float, chip: Chip | None, confidence: float = 0.9) -> Ratio:
        """Peak memory in MB of a step whose tensors take `derived_mb`.

        >>> load().memory_mb(1000.0, None).value >= 1000
        True
        """
        known = chip is not None and chip.family in self.memory
        own = self.memory[chip.family] if chip is not None and known else self.memory[""]
        value = derived_mb + own["add"][0]
        low, high = _between(self.quantiles, own["log_ratio"], confidence)
        return Ratio(value, value * math.exp(min(low, 0.0)), value * math.exp(max(high, 0.0)), "C" if known else "D", 0)


def _between(at: Sequence[float], table: Sequence[float], confidence: float) -> tuple[float, float]:
    tail = (1 - confidence) / 2
    low, high = np.interp([tail, 1 - tail], at, table)
    return float(low), float(high)


@load_once(maxsize=4)
def load(folder: Path | None = None) -> StepSurrogate:
    """The factors of a folder; of the package where the folder has none.

    Raises `ArtifactError` where the file cannot be read or has another format.

    >>> "eager" in load().stacks
    True
    """
    path = (folder or EMBEDDED) / "training.json"
    path = path if path.is_file() else EMBEDDED / "training.json"
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ArtifactError(f"training.json cannot be read: {error}. Run `python -m surrogates.training`.") from None
    if data.get("format") != FORMAT:
        raise ArtifactError(f"training.json has format {data.get('format')!r}; this hetbench reads {FORMAT}.")
    tables = [*data["bands"].values(), *(each["log_ratio"] for each in data["memory"].values())]
    if any(len(table) != len(data["quantiles"]) for table in tables):
        raise ArtifactError("training.json: its bands do not have as many entries as its quantiles.")
    cells = {name: (int(rows), int(networks)) for name, (rows, networks) in data["cells"].items()}
    return StepSurrogate(
        data["id"], data["share"], data["effects"], cells, data["quantiles"], data["bands"], data["memory"]
    )  # fmt: skip
