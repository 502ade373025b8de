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
from hetbench.predict.protocols import DEVICE_PROTOCOLS
from hetbench.predict.trees import Forest
from hetbench.predict.unstated import clock_width, peak_width
from hetbench.schema import PROTOCOLS

__all__ = ["HUGE_MS", "OWN_EFFECTS", "ClassSurrogate", "added_chips", "median_of_three", "roofline_log_ratio"]

_HEAD_ALONE = (1.0, 0.0, 0.0)
_BEYOND = 1.0  # log2: a factor of two
HUGE_MS = 1.0
"""From this latency on an operator takes the third band of its level: there neither launch nor tail effects matter."""
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
    most = max(len(one), len(other))
    pairs = zip(*([*band, *[band[-1]] * (most - len(band))] for band in (one, other)), strict=True)
    return [[min(a[0], b[0]), max(a[1], b[1])] for a, b in pairs]


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
        self._range = arrays.get("cell_low"), arrays.get("cell_high")
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
        total = self._full(made, effects, np.array([c.cell for c in choices])[which], protocol)
        engines = np.array([1 + len(c.peers) for c in choices])
        for at in range(int(engines.max()) - 1):
            rows = np.flatnonzero((engines > at + 1)[which])
            peers = [c.peers[at] if at < len(c.peers) else None for c in choices]
            own = np.array([c.effects if p is None else p.effects for c, p in zip(choices, peers, strict=True)])
            cell = np.array([0 if p is None else p.index for p in peers])
            picked = which[rows]
            total[rows] += self._full(made.take(rows), own[picked], cell[picked], protocol[rows])
        mean: NDArray[np.float64] = total / engines[which]
        return mean

    def _full(
        self, made: Features, effects: NDArray[np.float32], cells: NDArray[np.int64], protocol: NDArray[np.float32]
    ) -> NDArray[np.float64]:
        """log(latency / base) by the full head as the cells of the rows were measured, [rows]."""
        labels = np.stack((protocol, cells.astype(np.float32)), axis=1)
        matrix = np.concatenate((made.ratio, made.absolute, effects, labels), axis=1)
        total = np.zeros(len(cells), dtype=np.float64)
        for weight, member in self.members:
            total += weight * (member(matrix[:, :-1], cells) if isinstance(member, Perceptron) else member(matrix))
        return total

    def blended(
        self, learned: NDArray[np.float64], choices: Sequence[Choice], which: NDArray[np.int64], made: Features,
        chip: Chip,
    ) -> NDArray[np.float64]:  # fmt: skip
        """log(latency / base) with the shares of constant efficiency and roofline of the level and family, [rows].

        Shares are those that erred least on sources, dies and families left out; they are all the head's where nothing
        was left out to compare. A shape outside what the chip's rows cover takes those of level X.
        """
        each = np.array([[self._shares(choice, chip), self._shares(choice, chip, "X")] for choice in choices])
        if (each[:, :, 0] == 1).all():
            return learned
        shares = each[which, self.outside(choices, which, made).astype(np.int64)]  # [rows, 3]
        usual = np.array([self._usual(choice, chip) for choice in choices])[which]
        out: NDArray[np.float64] = shares[:, 0] * learned + shares[:, 1] * usual
        return out + shares[:, 2] * roofline_log_ratio(made)

    def _shares(self, choice: Choice, chip: Chip, level: str = "") -> Sequence[float]:
        """Of head, constant efficiency and roofline; those of another level where it has any."""
        if choice.alone or choice.head == "roofline" or choice.head.startswith("chip/"):
            return _HEAD_ALONE
        table: Mapping[str, Sequence[float]] = self.spec.get("blend", {})
        own = table.get(f"{choice.level}/{chip.family}", _HEAD_ALONE)
        return table.get(f"{level}/{chip.family}", own)

    def _usual(self, choice: Choice, chip: Chip) -> float:
        """Usual log(latency / base) of the operator and dtype in the family, else everywhere."""
        names = (f"{choice.op}/{choice.dtype}", choice.op, "")
        table: Mapping[str, float] = self.spec["constant"]
        return next(table[key] for key in (*(f"{chip.family}|{name}" for name in names), *names) if key in table)

    def interval(
        self, choices: Sequence[Choice], which: NDArray[np.int64], made: Features, chip: Chip,
        told: NDArray[np.float64],
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:  # fmt: skip
        """Lower and upper quantile of the residual of log latency, each [rows]; `told` is log(answer / base), [rows].

        The band depends on head or level, family and kind of chip, and size: where the launch floor dominates,
        elsewhere, and from `HUGE_MS` on where that differs. A shape outside what the chip's rows cover takes band X.
        What is told to run far from its roofline is told less surely: the band is in units that grow with `told`.
        """
        table = self.spec["intervals"]
        outside = self.outside(choices, which, made)
        bound = np.where(made.roofline_ms <= made.base_ms / 2, 0, np.where(made.base_ms < HUGE_MS, 1, 2))
        levels = ["D" if choice.head == "roofline" else choice.level for choice in choices]
        bands = np.array([
            [self._band((choice.head,), name, chip), self._band((), "X" if f"X/{chip.family}" in table else "D", chip)]
            for choice, name in zip(choices, levels, strict=True)
        ])  # [choices, inside or outside, sizes, 2]  # fmt: skip
        low, high = bands[which, outside.astype(np.int64), bound].T * self._unit(choices, which, told)
        extra = np.array([self._of_estimates(choice, chip) for choice in choices])  # [choices, 2]
        if extra.any():
            clock, peak = extra[which].T
            wider = np.where(bound == 0, clock, np.where(made.compute_bound, peak, 0.0))
            return -np.hypot(low, wider), np.hypot(high, wider)
        return low, high

    def _unit(
        self, choices: Sequence[Choice], which: NDArray[np.int64], told: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        """What a band is multiplied with, [rows]; bands of single chips are as they are."""
        curve = self.spec.get("slowness")
        if curve is None:
            return np.ones(len(told))
        own = np.array([choice.head.startswith("chip/") for choice in choices])[which]
        out: NDArray[np.float64] = np.where(own, 1.0, np.interp(told, curve["at"], curve["times"]))
        return out

    @staticmethod
    def _of_estimates(choice: Choice, chip: Chip) -> tuple[float, float]:
        """Half widths, in log, of an estimated clock and peak; 0 where rows of the chip itself absorb what is off."""
        if choice.level == "B":
            return 0.0, 0.0
        clock = clock_width(chip) if choice.protocol in DEVICE_PROTOCOLS else 0.0
        return clock, peak_width(chip, choice.dtype)

    def _band(self, first: Sequence[str], level: str, chip: Chip) -> list[list[float]]:
        """The band of a level for a chip, of three sizes; `first` are keys that go before."""
        table, near = self.spec["intervals"], f"{level}/{chip.family}"
        keys = (*first, f"{near}/{chip.kind}", near, f"{level}/", "D/")
        band = next(table[key] for key in keys if key in table)
        return [*band, *[band[-1]] * (3 - len(band))]

    def outside(
        self, choices: Sequence[Choice], which: NDArray[np.int64], made: Features
    ) -> NDArray[np.bool_]:
        """Rows whose shape lies more than a factor of two beyond what the chip's rows of the dtype cover, [rows].

        A size or its alignment counts: where every measured n is a multiple of 8, an odd n is outside.
        """
        low, high = self._range
        full = np.array([choice.head == "full" for choice in choices])[which]
        if low is None or high is None or not full.any():
            return np.zeros(len(which), dtype=np.bool_)
        cells = np.array([choice.cell for choice in choices])[which]
        beyond = (made.ratio < low[cells] - _BEYOND) | (made.ratio > high[cells] + _BEYOND)
        out: NDArray[np.bool_] = full & beyond.any(axis=1)
        return out


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
