"""Waterfall from the latency on one chip to that on another, by operator group.

    python -m plotting.waterfall --results runs/tables --out runs/figures
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd

from plotting import style
from plotting.command import by_model, run

__all__ = ["RESULTS", "draw", "main", "read", "steps"]

RESULTS = "tables"
_TOTAL, _SLOWER, _FASTER = "#555555", "#d55e00", "#56b4e9"
_SHOWN = 7  # groups with a bar of their own; the others share one


def read(folder: Path) -> dict[str, Any]:
    """Model -> table with columns model, source, target, source_ms, target_ms, group, value_ms and level."""
    return by_model(folder, "attribution.parquet")


def steps(part: pd.DataFrame) -> list[tuple[str, float, float]]:
    """Bars (name, start, end) in ms: the source from 0, the groups in sequence, the target from 0.

    >>> made = pd.DataFrame({"source": "a", "target": "b", "source_ms": 4.0, "target_ms": 5.0,
    ...                      "group": ["Linear", "Add"], "value_ms": [1.5, -0.5]})
    >>> steps(made)
    [('a', 0.0, 4.0), ('Linear', 4.0, 5.5), ('Add', 5.5, 5.0), ('b', 0.0, 5.0)]
    """
    first = part.iloc[0]
    ordered = part.loc[part.value_ms.abs().sort_values(ascending=False).index]
    values = list(zip(ordered.group, ordered.value_ms.astype(float), strict=True))
    if len(values) > _SHOWN:
        kept, rest = values[: _SHOWN - 1], values[_SHOWN - 1 :]
        values = [*kept, (f"{len(rest)} others", sum(ms for _, ms in rest))]
    found, at = [(str(first.source), 0.0, float(first.source_ms))], float(first.source_ms)
    for name, ms in values:
        found.append((name, at, at + ms))
        at += ms
    return [*found, (str(first.target), 0.0, float(first.target_ms))]


def draw(frame: Any) -> Any:
    """One panel per target. Grey: total latencies, hatched: slower on the target, plain: faster."""
    targets = dict(list(frame.groupby("target", sort=False)))
    figure, axes = style.panels(1, len(targets), width=3.6, height=3.2)
    for axis, part in zip(axes[0], targets.values(), strict=True):
        bars = steps(part)
        for place, (_, start, end) in enumerate(bars):
            whole = place in (0, len(bars) - 1)
            colour = _TOTAL if whole else _SLOWER if end > start else _FASTER
            axis.barh(place, end - start, left=start, color=colour, edgecolor="black", linewidth=0.5,
                      hatch="//" if colour == _SLOWER else None)  # fmt: skip
            said = f" {end:.3g}" if whole else f" {end - start:+.2g}"
            axis.text(max(start, end), place, said, va="center", fontsize=7)
        axis.set_yticks(range(len(bars)), [name for name, *_ in bars], fontsize=7)
        axis.invert_yaxis()
        axis.set_xlim(0, 1.2 * max(max(start, end) for _, start, end in bars))
        axis.set_xlabel("latency, ms", fontsize=8)
        axis.set_title(f"level {part.level.iloc[0]}", fontsize=8)
    figure.suptitle(f"{frame.model.iloc[0]}: contribution to slower (hatched) or faster latency", fontsize=9)
    return figure


def main() -> None:
    """Draw and write PNG and PDF."""
    run(__file__, __doc__, read, draw, RESULTS)


if __name__ == "__main__":
    main()
