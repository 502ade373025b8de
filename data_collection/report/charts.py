"""Charts of the report: Plotly figures of the same rows as the tables beside them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from data_collection.pages import Chart
from data_collection.report.tables import Row, label, throughput

__all__ = ["latency", "memory", "scaling"]

MOST = 30
"""Most bars or lines in one chart."""
_COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9")  # distinguishable with colour blindness
_SYMBOLS = ("circle", "square", "diamond", "cross", "triangle-up", "x")


def latency(rows: Sequence[Row]) -> Chart:
    """The slowest settings."""
    chosen = sorted(rows, key=lambda row: row["latency_ms"])[-MOST:]
    return _bars(f"Latency, slowest {len(chosen)} settings", "median of one call, ms (log)", chosen,
                 [row["latency_ms"] for row in chosen])  # fmt: skip


def memory(rows: Sequence[Row]) -> Chart:
    """The largest measured memory peaks."""
    known = [row for row in rows if row["peak_memory_bytes"] is not None]
    chosen = sorted(known, key=lambda row: row["peak_memory_bytes"])[-MOST:]
    return _bars(f"Peak memory, largest {len(chosen)} settings", "MB (log)", chosen,
                 [row["peak_memory_bytes"] / 1e6 for row in chosen])  # fmt: skip


def scaling(groups: Sequence[Sequence[Row]]) -> Chart:
    """Throughput by batch, one line per setting."""
    import plotly.graph_objects as go

    lines = [
        go.Scatter(
            x=[row["batch"] for row in group], y=[throughput(row) for row in group], name=label(group[0]),
            mode="lines+markers", marker_symbol=_SYMBOLS[place % 6], line_color=_COLOURS[place % 6],
        )
        for place, group in enumerate(groups[:MOST])
    ]  # fmt: skip
    figure = go.Figure(lines, _layout("Throughput by batch", 480))
    batches = sorted({row["batch"] for group in groups for row in group})
    figure.update_xaxes(title="batch", type="log", tickvals=batches, ticktext=[str(each) for each in batches])
    figure.update_yaxes(title="samples (tokens) per second (log)", type="log")
    figure.update_layout(showlegend=True, legend={"orientation": "h", "y": -0.25})
    return Chart("Throughput by batch", figure)


def _bars(title: str, unit: str, rows: Sequence[Row], values: Sequence[float]) -> Chart:
    import plotly.graph_objects as go

    names = [f"{label(row)}, batch {row['batch']}" for row in rows]
    bars = go.Bar(x=values, y=list(range(len(names))), orientation="h", marker_color=_COLOURS[0],
                  text=[f"{each:.4g}" for each in values], hovertext=names)  # fmt: skip
    figure = go.Figure([bars], _layout(title, 160 + 26 * len(names)))
    figure.update_xaxes(title=unit, type="log")
    figure.update_yaxes(tickvals=list(range(len(names))), ticktext=names, automargin=True)
    return Chart(title, figure)


def _layout(title: str, height: int) -> dict[str, Any]:
    return {"title": title, "template": "plotly_white", "height": height, "font": {"size": 13},
            "margin": {"l": 60, "r": 30, "t": 60, "b": 60}}  # fmt: skip
