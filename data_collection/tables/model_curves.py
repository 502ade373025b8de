"""Whole-model rows over batch sizes: series and single cells that no latency curve can have.

Each rule takes the rows and returns the positions of those to exclude; `CURVE_RULES` is the order.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable

from data_collection.tables.model_columns import SERIES, Row

OFF = 3.0  # how far a cell may lie from where its neighbours' batches leave room (trap 4)
FALLS = 0.15  # share of its best rate that a series must keep at its largest batch (trap 1)


def falling(rows: list[Row]) -> set[int]:
    """Series whose rate drops like 1 / batch: the rate printed was calls, not samples (trap 1)."""
    gone = set()
    for series in _series(rows):
        rate = {index: rows[index]["batch"] / rows[index]["value"] for index in series}
        largest = max(series, key=lambda index: rows[index]["batch"])
        if rate[largest] < FALLS * max(rate.values()):
            gone.update(series)
    return gone


def off_curve(rows: list[Row]) -> set[int]:
    """Single cells off the batch curve of their series (trap 4); the worst goes first and the rest is judged again."""
    gone = set()
    for series in _series(rows):
        left = sorted(series, key=lambda index: rows[index]["batch"])
        while len(left) > 2:
            points = [(rows[index]["batch"], rows[index]["value"]) for index in left]
            worst = max(range(len(left)), key=lambda place: excess(points, place))
            if excess(points, worst) <= OFF:
                break
            gone.add(left.pop(worst))
    return gone


def excess(points: list[tuple[int, float]], place: int) -> float:
    """Factor by which a time lies outside what its neighbours allow, 1 inside.

    More samples take no less time, and no more than in proportion: the rate does not fall.

    >>> excess([(1, 1.0), (2, 80.0), (4, 4.0)], 1)
    20.0
    """
    batch, ms = points[place]
    beside = slice(max(min(place - 1, len(points) - 3), 0), None)  # one on each side, or two where a side is empty
    others = [point for point in points[beside][:3] if point[0] != batch]
    bounds = [sorted((time, time * batch / other)) for other, time in others]
    low, high = min(bound[0] for bound in bounds), max(bound[1] for bound in bounds)  # generous: one may be wrong
    return max(low / ms, ms / high, 1.0)


def _series(rows: list[Row]) -> list[list[int]]:
    """Latency rows of one network in one setting over three batches or more."""
    groups = defaultdict(list)
    for index, row in enumerate(rows):
        if row["metric"] == "latency" and row["batch"]:
            groups[(*(row[name] for name in SERIES if name != "upstream"), _sized(row))].append(index)
    return [group for group in groups.values() if len({rows[index]["batch"] for index in group}) > 2]


def _sized(row: Row) -> str:
    """The upstream name without the batch that ModelZoo writes into it; the variant where that is a setting."""
    name = re.sub(r"\W*bs\d+\W*", "", row["upstream"])
    return name if row["file"] == "ascend_modelzoo" else f"{name}; {row['variant']}"


CURVE_RULES: tuple[tuple[str, str, Callable[[list[Row]], set[int]]], ...] = (
    ("rate falls with batch", f"the largest batch keeps less than {FALLS} of the best rate", falling),
    ("off the batch curve", f"more than {OFF:g} times off what the neighbouring batches allow", off_curve),
)
