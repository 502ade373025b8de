"""Operator latency from the exported surrogates: roofline, and AutoGluon's members as plain arrays.

A *cell* is what was measured together: (op, chip, dtype, protocol, library, layout). Where the chip has enough
rows of the operator, the full head answers from that cell (level B); a near twin's cell or a stand-in operator's
lowers the answer to C; without any cell the ratio head, which knows no absolute property of a chip, answers at
level C or D. Intervals come from the residuals of the matching hold-out.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hetbench.chips import Chip
from hetbench.errors import ArtifactError, RefusedError
from hetbench.features import Features, canonical, chip_facts, class_of, features
from hetbench.forest import Forest
from hetbench.perceptron import Perceptron
from hetbench.schema import PROTOCOLS, STORAGE_BYTES

__all__ = ["CELL_KEYS", "FLOOR_QUANTILE", "OperatorSurrogate", "Prediction", "load", "launch_floor"]

CELL_KEYS = ("op", "chip", "dtype", "protocol", "library", "layout")
FLOOR_QUANTILE = 0.02
FORMAT = 1
_ENOUGH_ROWS = 50  # a cell with fewer rows is evidence for a bias, not for the full head
DEVICE_PROTOCOLS = ("kernel", "graph")
USUAL_MHZ = 1500.0  # of chips whose clock is not stated
_SIBLING = {"fp16": "bf16", "bf16": "fp16"}  # same width, same matrix units
_PROTOCOL_ORDER = ("event", "graph", "kernel", "wall")

# Operators nobody published rows of, and the measured operator with the same traffic pattern that stands in.
STAND_INS = {
    "MatMul": ("Linear",), "BMM": ("Linear",), "Linear": ("MatMul",), "Conv1d": ("Conv2d",),
    "BatchNorm2d": ("Mul", "Add"), "GroupNorm": ("LayerNorm",), "RMSNorm": ("LayerNorm",), "LayerNorm": ("RMSNorm",),
    "LogSoftmax": ("Softmax",), "Softmax": ("LayerNorm", "RMSNorm"), "CumSum": ("Softmax",),
    "MaxPool2d": ("ReLU", "Add"), "AvgPool2d": ("ReLU", "Add"), "AdaptiveAvgPool2d": ("ReLU", "Add"),
    "RoPE": ("Mul", "Add"), "SiLUAndMul": ("Mul", "Add"), "Embedding": ("ReLU", "Add"),
}  # fmt: skip
_ANY_VECTOR = ("ReLU", "Mul", "Add", "GELU", "SiLU")


def launch_floor(table: Mapping[str, Mapping[str, float]], chip: Chip, cls: str, protocol: str) -> float:
    """Launch floor in ms of a class of operators: the chip's own, else its family's, else that of all chips.

    On the device a kernel's start-up is a number of cycles, so those of other chips are scaled to this chip's clock.

    `table` maps a chip to "class/protocol" -> ms, and "family:NAME" or "any" likewise to ms at 1 GHz.
    """
    key = f"{cls}/{protocol}"
    own = table.get(chip.name, {})
    if key in own:
        return own[key]
    for group in (f"family:{chip.family}", "any"):
        found = table.get(group, {}).get(key)
        if found is not None:
            return found * 1e3 / (chip.boost_mhz or USUAL_MHZ) if protocol in DEVICE_PROTOCOLS else found
    raise ArtifactError(f"no launch floor for {key!r}; known protocols: {', '.join(PROTOCOLS)}")


@dataclass(frozen=True, slots=True)
class Prediction:
    """Latency of operators, in ms, one entry a row."""

    value: NDArray[np.float64]
    lower: NDArray[np.float64]
    upper: NDArray[np.float64]
    level: str
    """Evidence level B, C or D, the same for all rows of one call."""
    support: int
    """Measured rows of the cell behind the answer; 0 where there is none."""
    source: str
    """Which head and whose rows: for people, not for programs."""


@dataclass(frozen=True, slots=True)
class Choice:
    """What answers for one (operator, dtype, chip, protocol): a head, its labels and how sure it is."""

    head: str
    """`full`, `ratio` or `roofline`."""
    effects: NDArray[np.float32]
    cell: int
    protocol: str
    level: str
    support: int
    source: str
    bias: float


class OperatorSurrogate:
    """The surrogates of one artefact folder.

    >>> import hetbench.predictors as predictors
    >>> sorted(predictors.load().classes)
    ['conv', 'decode', 'gemm', 'prefill', 'vector']
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        index = json.loads((folder / "operators.json").read_text())
        if index["format"] != FORMAT:
            raise ArtifactError(f"{folder} has format {index['format']}, this hetbench reads {FORMAT}: install its version")
        self.id: str = index["id"]
        self.floors: dict[str, dict[str, float]] = index["floors"]
        self.classes: dict[str, Any] = index["classes"]
        self.interval_level: float = index["interval_level"]
        self._heads: dict[str, _Head] = {}
        self._choices: dict[tuple[str, ...], Choice] = {}

    def head(self, cls: str) -> _Head:
        """The arrays of one class, read on first use."""
        if cls not in self._heads:
            with np.load(self.folder / f"{cls}.npz", allow_pickle=False) as stored:
                self._heads[cls] = _Head(self.classes[cls], {name: stored[name] for name in stored.files})
        return self._heads[cls]

    def predict(
        self, op: str, dtype: str, dims: Mapping[str, Any], chip: Chip, *, protocol: str = "event",
        library: str | None = None, layout: str | None = None, predictor: str = "auto",
    ) -> Prediction:  # fmt: skip
        """Latency of operators of one type and dtype on one chip; every dim is an int or an array [rows]."""
        cls = class_of(op, dims)
        choice = self.choose(cls, op, dtype, chip, protocol, library, layout, predictor)
        shared = canonical(op, dims, STORAGE_BYTES[dtype])
        return self.evaluate(cls, shared, chip, dtype, protocol, [choice], np.zeros(len(shared["flops"]), dtype=np.int64))

    def evaluate(
        self, cls: str, shared: Mapping[str, NDArray[Any]], chip: Chip, dtype: str, protocol: str,
        choices: Sequence[Choice], which: NDArray[np.int64],
    ) -> Prediction:  # fmt: skip
        """Latency of rows of one class and dtype; `which` says whose choice each row follows."""
        head = self.head(cls)
        value = np.empty(len(which))
        lower, upper = np.empty(len(which)), np.empty(len(which))
        for key in dict.fromkeys((c.head, c.protocol) for c in choices):
            mine = [i for i, c in enumerate(choices) if (c.head, c.protocol) == key]
            rows = slice(None) if len(mine) == len(choices) else np.isin(which, mine)
            part = {name: array[rows] for name, array in shared.items()} if len(mine) < len(choices) else shared
            picked = which[rows]
            floor = self._floor(chip, cls, key[1])
            made = features(cls, part, chip_facts(chip, dtype, floor))
            log_ratio = head.predict(key[0], made, choices, picked)
            native = made.base_ms * np.exp(log_ratio)
            value[rows] = self._converted(native, chip, cls, key[1], protocol)
            low, high = head.interval(choices, picked, made, chip.family)
            lower[rows], upper[rows] = value[rows] * np.exp(low), value[rows] * np.exp(high)
        worst = max(choices, key=lambda c: c.level)
        return Prediction(value, lower, upper, worst.level, min(c.support for c in choices), worst.source)

    def _floor(self, chip: Chip, cls: str, protocol: str) -> float:
        return launch_floor(self.floors, chip, cls, protocol)

    def _converted(self, native: NDArray[Any], chip: Chip, cls: str, measured: str, asked: str) -> NDArray[Any]:
        """From the protocol of the rows to the one asked for: an eager launch hides behind a longer kernel."""
        if measured == asked:
            return native
        floor, target = self._floor(chip, cls, measured), self._floor(chip, cls, asked)
        if target > floor:
            return np.maximum(native, target)
        out: NDArray[Any] = np.maximum(native - floor, 0) + target
        return out

    def choose(
        self, cls: str, op: str, dtype: str, chip: Chip, protocol: str, library: str | None, layout: str | None,
        predictor: str = "auto",
    ) -> Choice:  # fmt: skip
        """The head and the cell that answer; cached, since it depends on names only."""
        key = (cls, op, dtype, chip.name, protocol, library or "", layout or "", predictor)
        if key not in self._choices:
            self._choices[key] = self._choose(cls, op, dtype, chip, protocol, library, layout, predictor)
        return self._choices[key]

    def _choose(
        self, cls: str, op: str, dtype: str, chip: Chip, protocol: str, library: str | None, layout: str | None,
        predictor: str,
    ) -> Choice:  # fmt: skip
        if cls not in self.classes:
            raise RefusedError(f"no surrogate covers {op} (class {cls}); covered: {', '.join(sorted(self.classes))}.")
        if not chip.bandwidth:
            raise RefusedError(
                f"{chip.name} has no stated memory bandwidth, so nothing can be predicted for it. "
                "Give its datasheet with `hetbench query ... --chip-file FILE`."
            )
        if predictor == "roofline":
            return Choice("roofline", _NO_EFFECTS, 0, protocol, "D", 0, "roofline", 0.0)
        index = self.head(cls).cells
        stand_ins = STAND_INS.get(op, ()) + (_ANY_VECTOR if cls == "vector" else ())
        for rank, (name, group, measured_as) in enumerate(
            (name, group, as_dtype)
            for name in (op, *stand_ins)
            for group in ("chip", "twin")
            for as_dtype in (dtype, _SIBLING.get(dtype, ""))
        ):
            found = index.best(chip, group, name, measured_as, protocol, library, layout)
            if found is not None:
                level = "B" if rank < 2 else "C"
                return found.choice("full", level, 0.0, f"rows of {name} {measured_as} on {found.chip}")
        return self._ratio(cls, op, dtype, chip, protocol)

    def _ratio(self, cls: str, op: str, dtype: str, chip: Chip, protocol: str) -> Choice:
        head = self.head(cls)
        spec = head.spec["ratio"]
        names = (op, *STAND_INS.get(op, ()), *_ANY_VECTOR)
        effects = [
            next((spec["op"][n] for n in names if n in spec["op"]), spec["default"]),
            spec["library"].get(chip.family, spec["default"]),
            spec["layout"].get(chip.family, spec["default"]),
            spec["dtype"].get(dtype, spec["dtype"].get(_SIBLING.get(dtype, ""), spec["default"])),
            0.0,
        ]
        few = head.cells.rows_of(chip.name)
        bias = spec["bias"].get(chip.name, 0.0)
        known = few or any(chip.name in c["chips"] for c in self.classes.values())
        source = f"ratio head, {few} rows of the class on this chip" if few else "ratio head, other chips' rows only"
        return Choice(
            "ratio", np.array(effects, dtype=np.float32), 0, head.spec["protocol"].get(chip.family, protocol),
            "C" if known else "D", few, source, bias,
        )  # fmt: skip


_NO_EFFECTS = np.zeros(5, dtype=np.float32)


@dataclass(frozen=True, slots=True)
class _Cell:
    index: int
    op: str
    chip: str
    dtype: str
    protocol: str
    library: str
    layout: str
    rows: int
    effects: NDArray[np.float32]

    def choice(self, head: str, level: str, bias: float, source: str) -> Choice:
        return Choice(head, self.effects, self.index, self.protocol, level, self.rows, source, bias)


class _Cells:
    """The cells of one class, found by chip, operator and dtype."""

    def __init__(self, records: Sequence[Sequence[Any]], effects: NDArray[np.float32]) -> None:
        self.by_name: dict[tuple[str, str, str], list[_Cell]] = {}
        self.by_arch: dict[tuple[str, str, str], list[_Cell]] = {}
        self.count: dict[str, int] = {}
        for index, (op, chip, dtype, protocol, library, layout, arch, rows) in enumerate(records):
            cell = _Cell(index, op, chip, dtype, protocol, library, layout, rows, effects[index])
            self.count[chip] = self.count.get(chip, 0) + rows
            if rows >= _ENOUGH_ROWS:
                self.by_name.setdefault((chip, op, dtype), []).append(cell)
                self.by_arch.setdefault((arch, op, dtype), []).append(cell)

    def rows_of(self, chip: str) -> int:
        return self.count.get(chip, 0)

    def best(
        self, chip: Chip, group: str, op: str, dtype: str, protocol: str, library: str | None, layout: str | None
    ) -> _Cell | None:
        """The asked protocol first, then the order of `_PROTOCOL_ORDER`, then the cell with most rows."""
        table = self.by_name if group == "chip" else self.by_arch
        found = table.get((chip.name if group == "chip" else chip.arch or "", op, dtype), [])
        found = [c for c in found if library in (None, c.library) and layout in (None, c.layout)]
        order = (protocol, *_PROTOCOL_ORDER)
        return min(found, key=lambda c: (order.index(c.protocol), -c.rows, c.library), default=None)


class _Head:
    """The members and tables of one class."""

    def __init__(self, spec: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]]) -> None:
        self.spec = spec
        self.cells = _Cells(spec["cells"], arrays["cell_effects"])
        kinds = {"forest": Forest, "perceptron": Perceptron}
        self.members = [
            (float(weight), kinds[name].from_arrays(arrays, name)) for name, weight in spec["members"].items() if weight
        ]
        self.ratio_forest = Forest.from_arrays(arrays, "ratio")

    def predict(
        self, head: str, made: Features, choices: Sequence[Choice], which: NDArray[np.int64]
    ) -> NDArray[np.float64]:
        """log(latency / base), [rows]."""
        if head == "roofline":
            plain: NDArray[np.float64] = np.log((made.roofline_ms + made.floor_ms) / made.base_ms)
            return plain
        effects = np.array([c.effects for c in choices])[which]
        protocol = np.array([PROTOCOLS.index(c.protocol) for c in choices], dtype=np.float32)[which]
        if head == "ratio":
            matrix = np.concatenate((made.ratio, effects[:, :4], protocol[:, None]), axis=1)
            return self.ratio_forest(matrix) + np.array([c.bias for c in choices])[which]
        cells = np.array([c.cell for c in choices])[which]
        labels = np.stack((protocol, cells.astype(np.float32)), axis=1)
        matrix = np.concatenate((made.ratio, made.absolute, effects, labels), axis=1)
        total = np.zeros(len(which))
        for weight, member in self.members:
            total += weight * (member(matrix[:, :-1], cells) if isinstance(member, Perceptron) else member(matrix))
        return total

    def interval(
        self, choices: Sequence[Choice], which: NDArray[np.int64], made: Features, family: str
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Lower and upper residual of log latency, [rows] each, by level, family and launch-bound or not."""
        table = self.spec["intervals"]
        bound = (made.roofline_ms > made.base_ms / 2).astype(np.int64)  # 0: the launch floor dominates
        bands = []
        for choice in choices:
            level = "D" if choice.head == "roofline" else choice.level
            bands.append(next(table[k] for k in (f"{level}/{family}", f"{level}/", "D/") if k in table))
        picked = np.array(bands)[which, bound]  # [rows, 2]
        return picked[:, 0], picked[:, 1]


@lru_cache(maxsize=4)
def load(folder: Path | None = None) -> OperatorSurrogate:
    """The surrogates of a folder, by default those shipped with hetbench."""
    path = folder or Path(str(files("hetbench") / "catalog" / "surrogates"))
    if not (path / "operators.json").exists():
        raise ArtifactError(f"{path} holds no operators.json; train one with `python -m surrogates.train --out {path}`")
    return OperatorSurrogate(path)
