"""Output tokens per second and chip against time per token of LLM deployments, over requests in flight and plans.

    python -m plotting.serving_pareto --results runs/tables --out runs/figures
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd

from plotting import style
from plotting.command import files, run

__all__ = ["RESULTS", "draw", "main", "read"]

RESULTS = "tables"
_SHOWN_MS = 250.0


def read(folder: Path) -> dict[str, Any]:
    """Model -> table with columns model, chip, family, engine, precision, plan, concurrency, tpot_ms, rate, front and
    evidence; `rate` is output tokens per second and chip."""
    found = pd.read_parquet(files(folder, "serving.parquet", "python -m plotting.serving_tables")[0])
    return {str(name).rpartition("/")[2]: part for name, part in found.groupby("model", sort=False)}


def draw(frame: Any) -> Any:
    """One panel a chip: every plan a thin line over requests in flight, what none beats a thick one; the fronts of the
    other chips are grey."""
    chips = list(dict.fromkeys(frame.chip))
    figure, axes = style.panels(1, len(chips), width=3.1, height=3.3, sharex=True, sharey=True)
    fronts = {name: part[part.front].sort_values("tpot_ms") for name, part in frame.groupby("chip", sort=False)}
    for axis, name in zip(axes[0], chips, strict=True):
        own = frame[frame.chip == name]
        for other in chips:
            if other != name:
                axis.plot(fronts[other].tpot_ms, fronts[other].rate, color="#aaaaaa", linewidth=0.8, zorder=1)
        for _, part in own.groupby("plan", sort=False):
            line = part.sort_values("concurrency")
            axis.plot(line.tpot_ms, line.rate, color="#777777", linewidth=0.5, linestyle=":", zorder=2)
        axis.plot(fronts[name].tpot_ms, fronts[name].rate, **style.FAMILY[own.family.iloc[0]].of_line(), zorder=3)
        for plan, part in fronts[name].groupby("plan", sort=False):
            middle = part.iloc[len(part) // 2]
            axis.annotate(plan, (middle.tpot_ms, middle.rate), xytext=(4, -9), textcoords="offset points", fontsize=7)
        axis.set_title(f"{name}\n{own.engine.iloc[0]}, {own.precision.iloc[0]}, {own.evidence.iloc[0]}", fontsize=8)
        style.log_ticks(axis, "xy")
    axes[0, 0].set_xlim(frame.tpot_ms.min() / 1.2, min(_SHOWN_MS, frame.tpot_ms.max()))
    axes[0, 0].set_ylim(frame.rate.min() / 1.2, frame.rate.max() * 1.3)
    axes[0, 0].set_ylabel("output tokens/s and chip")
    figure.supxlabel("time per output token, ms", fontsize=10)
    first = frame.iloc[0]
    figure.suptitle(f"{first.model}, {first.input_len:.0f} tokens in, {first.output_len:.0f} out; point predictions",
                    fontsize=10)  # fmt: skip
    return figure


def main() -> None:
    """Draw and write PNG and PDF."""
    run(__file__, __doc__, read, draw, RESULTS)


if __name__ == "__main__":
    main()
