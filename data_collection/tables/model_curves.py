"""Find whole-model rows that do not fit a curve of latency over batch size: whole series and single rows.

Each rule takes the rows and returns the positions of those to exclude; `CURVE_RULES` is the order.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable

from data_collection.tables.model_columns import SERIES, Row

OFF = 3.0  # allowed factor outside the range that the neighbouring batches allow
FALLS = 0.15  # least throughput at the largest batch, as a share of the series' best


def falling(rows: list[Row]) -> set[int]:
    """Series whose throughput falls like 1 / batch: upstream printed calls per second, not samples."""
    gone = set()
    for series in _series(rows):
        rate = {index: rows[index]["batch"] / rows[index]["value"] for index in series}
        largest = max(series, key=lambda index: rows[index]["batch"])
        if rate[largest] < FALLS * max(rate.values()):
            gone.update(series)
    return gone


def off_curve(rows: list[Row]) -> set[int]:
    """Single rows off the batch curve of their series; the worst is removed and the rest judged again."""
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
    """Factor by which a latency is outside the range that its neighbours allow; 1 inside.

    More samples take no less time, and no more than in proportion: throughput does not fall.

    >>> excess([(1, 1.0), (2, 80.0), (4, 4.0)], 1)
    20.0
    """
    batch, ms = points[place]
    beside = slice(max(min(place - 1, len(points) - 3), 0), None)  # one neighbour on each side, or two at an end
    others = [point for point in points[beside][:3] if point[0] != batch]
    bounds = [sorted((time, time * batch / other)) for other, time in others]
    low, high = min(bound[0] for bound in bounds), max(bound[1] for bound in bounds)  # the wider one
    return max(low / ms, ms / high, 1.0)


def _series(rows: list[Row]) -> list[list[int]]:
    """Positions of latency rows of one network and setting with three or more batches."""
    groups = defaultdict(list)
    for index, row in enumerate(rows):
        if row["metric"] == "latency" and row["batch"]:
            groups[(*(row[name] for name in SERIES if name != "upstream"), _sized(row))].append(index)
    return [group for group in groups.values() if len({rows[index]["batch"] for index in group}) > 2]


def _sized(row: Row) -> str:
    """The upstream name without the batch size that ModelZoo includes; elsewhere with the variant."""
    name = re.sub(r"\W*bs\d+\W*", "", row["upstream"])
    return name if row["file"] == "ascend_modelzoo" else f"{name}; {row['variant']}"


CURVE_RULES: tuple[tuple[str, str, Callable[[list[Row]], set[int]]], ...] = (
    ("rate falls with batch", f"the largest batch keeps less than {FALLS} of the best rate", falling),
    ("off the batch curve", f"more than {OFF:g} times off what the neighbouring batches allow", off_curve),
)
