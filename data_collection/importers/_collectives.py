"""Columns of a collective in tables of the Vidur profiler, which several sources use."""

from __future__ import annotations

from data_collection.upstream.files import Tree

__all__ = ["OPERATORS", "statistics"]

OPERATORS = {"all_reduce": "AllReduce", "send_recv": "SendRecv"}
_STATISTICS = ("min", "max", "mean", "median", "std")


def statistics(tree: Tree, path: str, line: int, cells: dict[str, str]) -> dict[str, float]:
    """min, max, mean, median and std in ms; the median is above 0."""
    kind = cells.get("collective", "")
    if kind not in OPERATORS:
        tree.bad(path, line, f"unknown collective {kind!r}")
    told = {name: tree.number(path, line, cells[f"time_stats.{kind}.{name}"], above=-1e-12) for name in _STATISTICS}
    if told["median"] <= 0:
        tree.bad(path, line, "median 0")
    return told
