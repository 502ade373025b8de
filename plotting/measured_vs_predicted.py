"""Measured against predicted latency of models that were held out, one panel a family.

    python -m plotting.measured_vs_predicted --results runs/models --out runs/figures

Reads the hold-out predictions that `python -m surrogates.whole` keeps. Log axes; the dashed lines are 20 % off.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

FAMILIES = ("cuda", "rocm", "oneapi", "cann", "mlu")
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00")  # told apart without red and green
MARKERS = "os^Dv"
_POINTS = 3000  # of one family; more hide one another


def read(folder: Path) -> Any:
    """Held-out rows of every group: family, ms and surrogate."""
    import numpy as np
    import pandas as pd

    parts = [pd.read_parquet(path) for path in sorted(folder.glob("*.models.parquet"))]
    frame = pd.concat(parts, ignore_index=True)
    return frame.assign(surrogate=np.sqrt(frame.network * frame.trees))


def draw(frame: Any) -> Any:
    """The figure of a table with columns family, ms (measured) and surrogate (predicted ms)."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(1, len(FAMILIES), figsize=(16, 3.6), layout="constrained")
    for axis, family, colour, marker in zip(axes, FAMILIES, COLOURS, MARKERS, strict=True):
        part = frame[frame.family == family]
        error = (part.surrogate / part.ms - 1).abs().median()
        shown = part.sample(min(len(part), _POINTS), random_state=0)
        size = 6 if len(part) > 1000 else 20
        axis.scatter(shown.ms, shown.surrogate, s=size, alpha=0.4, color=colour, marker=marker, linewidths=0)
        ends = [part.ms.min() / 1.5, part.ms.max() * 1.5]
        axis.plot(ends, ends, color="black", linewidth=0.8)
        for factor in (0.8, 1.2):
            axis.plot(ends, [factor * end for end in ends], color="black", linewidth=0.5, linestyle="--")
        axis.set(xscale="log", yscale="log", xlabel="measured, ms", xlim=ends, ylim=ends)
        axis.set_title(f"{family}: {len(part):,} rows, median error {error:.1%}", fontsize=10)
    axes[0].set_ylabel("predicted, ms (model held out)")
    return figure


def main() -> None:
    """Draw and write PNG and PDF."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--results", type=Path, default=Path("runs/models"))
    parser.add_argument("--out", type=Path, default=Path("runs/figures"))
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    figure = draw(read(options.results))
    for kind in ("png", "pdf"):
        path = options.out / f"measured_vs_predicted.{kind}"
        figure.savefig(path, dpi=150)
        print(path)


if __name__ == "__main__":
    main()
