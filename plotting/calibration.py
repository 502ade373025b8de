"""Interval calibration: share of measurements inside the intervals against the nominal share, by evidence level.

    python -m plotting.calibration --results runs --out runs/figures

Uses hold-out predictions. The intervals come from other held-out rows (`plotting.holdouts`): from the other half of the
shapes or models, and for a chip from the other held-out chips, but never narrower than the intervals of models.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from hetbench.errors import RefusedError
from plotting import style
from plotting.command import run
from plotting.holdouts import held, model_rows, operator_rows

__all__ = ["LEVELS", "RESULTS", "draw", "main", "read"]

RESULTS = "."
LEVELS = tuple(round(0.5 + 0.04 * step, 2) for step in range(13))
"""Nominal shares, over the range of `confidence=`."""
_TITLES = ("B: operators, unseen shapes", "C: unseen models", "D: models on an unseen chip")


def read(folder: Path) -> dict[str, Any]:
    """Title -> table with one row per family, the number of rows `n` and one column per nominal share."""
    found, missing = {}, []
    try:
        found[_TITLES[0]] = held(operator_rows(folder / "operators"), LEVELS)
    except RefusedError as why:
        missing.append(str(why))
    try:
        models, chips = (model_rows(folder / "models", split) for split in ("models", "chips"))
        found[_TITLES[1]] = held(models, LEVELS)
        found[_TITLES[2]] = held(chips, LEVELS, each=True, wider=models)
    except RefusedError as why:
        missing.append(str(why))
    if not found:
        raise RefusedError(" ".join(missing))
    return {"": found}


def draw(tables: Any) -> Any:
    """One panel per evidence level; above the diagonal the intervals are wider than necessary."""
    figure, axes = style.panels(1, len(tables), width=3.9, height=4.0, sharex=True, sharey=True)
    for axis, (title, table) in zip(axes[0], tables.items(), strict=True):
        levels = [column for column in table if column != "n"]
        ends = [100 * levels[0] - 2, 101]
        axis.plot(ends, ends, color="#888888", linewidth=0.8)
        for family, how in style.FAMILY.items():
            if family in table.index:
                row = table.loc[family]
                label = f"{family}, {int(row.n):,} rows"
                axis.plot([100 * x for x in levels], 100 * row[levels], label=label, **how.of_line())
        axis.set(xlabel="interval should hold, %")
        axis.set_title(title, fontsize=10)
        axis.legend(fontsize=8, loc="best", handlelength=3.2)
    axes[0, 0].set_ylabel("observed coverage, % of measurements")
    return figure


def main() -> None:
    """Draw and write PNG and PDF."""
    run(__file__, __doc__, read, draw, RESULTS)


if __name__ == "__main__":
    main()
