"""The surrogate of one operator class: full head, ratio heads, heads of single chips, and interval bands.

Every head predicts log(latency / base), with `base` the roofline with cache plus the launch floor (see `features`).
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hetbench.catalog.chips import Chip
from hetbench.predict.cells import Cells, Choice
from hetbench.predict.features import Features
from hetbench.predict.perceptron import Perceptron
from hetbench.predict.trees import Forest
from hetbench.schema import PROTOCOLS

__all__ = ["OWN_EFFECTS", "ClassSurrogate", "added_chips", "median_of_three", "roofline_log_ratio"]

OWN_EFFECTS = [0, 3, 4]
"""Columns of a cell's effects that differ on one chip: operator, dtype, and both together."""


def added_chips(
    folder: Path, floors: dict[str, dict[str, float]], classes: Mapping[str, dict[str, Any]]
) -> list[dict[str, Any]]:
    """Read the heads of single chips (`chip-*.json`, written by `python -m surrogates.add`).

    Their launch floors are added to `floors`. Their residuals before the chip was added widen the interval bands in
    `classes` of unmeasured chips of the same family and kind.
    """
    chips = [json.loads(path.read_text()) for path in sorted(folder.glob("chip-*.json"))]
    for each in chips:
        floors[each["chip"]] = each["floors"]
        for cls, band in each["unseen"].items():
            bands = classes[cls]["intervals"]
            for level in ("C", "D"):
                near = f"{level}/{each['family']}"
                known = bands.get(f"{near}/{each['kind']}") or bands.get(near) or bands.get(f"{level}/") or band
                bands[f"{near}/{each['kind']}"] = union_of_bands(known, band)
    return chips


def union_of_bands(one: Sequence[Sequence[float]], other: Sequence[Sequence[float]]) -> list[list[float]]:
    """The union of two bands, each [low, high] where the launch floor dominates and elsewhere.

    >>> union_of_bands([[-1, 1], [-1, 1]], [[-2, 0], [0, 2]])
    [[-2, 1], [-1, 2]]
    """
    return [[min(a[0], b[0]), max(a[1], b[1])] for a, b in zip(one, other, strict=True)]


class ClassSurrogate:
    """The heads, measurement cells and interval bands of one operator class.

    `spec` is the entry of the class in `operators.json`, `arrays` the contents of its npz file.
    """

    def __init__(self, spec: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]]) -> None:
        self.spec = spec
        self.cells = Cells(spec["cells"], arrays["cell_effects"])
        self.members: list[tuple[float, Forest | Perceptron]] = [
            (float(weight), (Forest if name == "forest" else Perceptron).from_arrays(arrays, name))
            for name, weight in spec["members"].items()
        ]
        self.ratio = {group: Forest.from_arrays(arrays, f"ratio_{group}") for group in spec["ratio"]}
        self.chip_heads: dict[str, tuple[Mapping[str, Any], Forest]] = {}
        """Chip added later -> its entry for the class, and its trees."""

    def add_chips(self, folder: Path, cls: str, chips: Sequence[Mapping[str, Any]]) -> None:
        """Add the heads of single chips that were fitted on this class."""
        for each in chips:
            if cls in each["classes"]:
                name, spec = each["chip"], each["classes"][cls]
                with np.load(folder / f"chip-{name}.npz", allow_pickle=False) as stored:
                    arrays = {key: stored[key] for key in stored.files if key.startswith(f"{cls}.")}
                self.chip_heads[name] = spec, Forest.from_arrays(arrays, f"{cls}.forest")
                self.spec = {**self.spec, "intervals": {**self.spec["intervals"], f"chip/{name}": spec["band"]}}

    def chip_head(self, chip: Chip, op: str, dtypes: Sequence[str]) -> Choice | None:
        """The choice of the head fitted on this chip alone; None where it has no rows of them."""
        if chip.name not in self.chip_heads:
            return None
        spec, _ = self.chip_heads[chip.name]
        known = {(name, dtype): (rows, effects) for name, dtype, rows, *effects in spec["cells"]}
        for dtype in dtypes:
            if (op, dtype) in known:
                rows, effects = known[op, dtype]
                return Choice(
                    f"chip/{chip.name}", np.array(effects, dtype=np.float32), 0, spec["protocol"], "B", rows,
                    f"head of {chip.name} alone, {spec['rows']:,} rows of the class", 0.0, dtypes[0], op=op,
                )  # fmt: skip
        return None

    def predict(
        self, head: str, made: Features, choices: Sequence[Choice], which: NDArray[np.int64]
    ) -> NDArray[np.float64]:
        """log(latency / base) by one head, [rows]; `which` is the index of each row's choice."""
        if head == "roofline":
            return roofline_log_ratio(made)
        effects = np.array([c.effects for c in choices])[which]
        protocol = np.array([PROTOCOLS.index(c.protocol) for c in choices], dtype=np.float32)[which]
        if head.startswith("ratio/"):
            matrix = np.concatenate((made.ratio, effects[:, :4], protocol[:, None]), axis=1)
            learned = self.ratio[head.removeprefix("ratio/")](matrix) + np.array([c.bias for c in choices])[which]
            return median_of_three(learned, np.array([c.constant for c in choices])[which], made)
        if head.startswith("chip/"):
            _, trees = self.chip_heads[head.removeprefix("chip/")]
            return trees(np.concatenate((made.ratio, made.absolute, effects[:, OWN_EFFECTS]), axis=1))
        cells = np.array([c.cell for c in choices])[which]
        labels = np.stack((protocol, cells.astype(np.float32)), axis=1)
        matrix = np.concatenate((made.ratio, made.absolute, effects, labels), axis=1)
        total = np.zeros(len(which), dtype=np.float64)
        for weight, member in self.members:
            total += weight * (member(matrix[:, :-1], cells) if isinstance(member, Perceptron) else member(matrix))
        return total

    def interval(
        self, choices: Sequence[Choice], which: NDArray[np.int64], made: Features, chip: Chip
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Lower and upper quantile of the residual of log latency, each [rows].

        The band depends on head or level, family, kind of chip, and on whether the launch floor dominates.
        """
        table = self.spec["intervals"]
        bound = (made.roofline_ms > made.base_ms / 2).astype(np.int64)  # 0: the launch floor dominates
        bands = []
        for choice in choices:
            level = "D" if choice.head == "roofline" else choice.level
            near = f"{level}/{chip.family}"
            keys = (choice.head, f"{near}/{chip.kind}", near, f"{level}/", "D/")
            bands.append(next(table[key] for key in keys if key in table))
        picked = np.array(bands)[which, bound]  # [rows, 2]
        return picked[:, 0], picked[:, 1]


def roofline_log_ratio(made: Features) -> NDArray[np.float64]:
    """log((roofline without cache + launch floor) / base), [rows]: the roofline as a head."""
    out: NDArray[np.float64] = np.log((made.roofline_ms + made.floor_ms) / made.base_ms)
    return out


def median_of_three(
    learned: NDArray[np.float64], constant: NDArray[np.float64], made: Features
) -> NDArray[np.float64]:
    """Median of learned head, constant and roofline, as log(latency / base), [rows]; for families without rows.

    None of the three is the best on every held-out family, and the median is never the worst. Where `constant` is NaN
    (the family has rows) the result is `learned`.
    """
    if np.isnan(constant).all():
        return learned
    low, high = np.minimum(learned, constant), np.maximum(learned, constant)
    middle = np.maximum(low, np.minimum(high, roofline_log_ratio(made)))
    out: NDArray[np.float64] = np.where(np.isnan(constant), learned, middle)
    return out
