"""Operator latency from the exported surrogates: roofline, and AutoGluon's members as plain arrays.

A *cell* is what was measured together: (op, chip, dtype, protocol, library, layout). Where the chip has enough
rows of the operator, the full head answers from that cell (level B); a near twin's cell or a stand-in operator's
lowers the answer to C; without any cell the ratio head, which knows no absolute property of a chip, answers at
level C or D. Intervals come from the residuals of the matching hold-out.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from copy import copy
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from hetbench.artifacts import sets
from hetbench.catalog.chips import Chip
from hetbench.errors import ArtifactError, RefusedError
from hetbench.predict import rgat
from hetbench.predict.conditioning import Conditioned, Rows
from hetbench.predict.features import CLASSES, Facts, Features, by_class, canonical, chip_facts, class_of, features
from hetbench.predict.heads import Choice, Head, added
from hetbench.schema import PROTOCOLS, STORAGE_BYTES

if TYPE_CHECKING:
    from hetbench.graphs.model_graph import OperatorGroup, OperatorTable

__all__ = ["COVERED", "FLOOR_QUANTILE", "ModelPrediction", "OperatorSurrogate", "Prediction", "launch_floor", "load"]

FLOOR_QUANTILE = 0.02
FORMAT = sets.FORMATS["operators.json"]
DEVICE_PROTOCOLS = ("kernel", "graph")
USUAL_MHZ = 1500.0  # of chips whose clock is not stated
COVERED = 0.9  # share of the predicted time that a model's level must cover
_SIBLING = {"fp16": ("bf16",), "bf16": ("fp16",)}  # same width, same matrix units
_ANY_DTYPE = ("fp32", "fp16", "bf16")  # a memory-bound operator's efficiency hardly depends on the dtype

# Operators nobody published rows of, and the measured operator with the same traffic pattern that stands in.
STAND_INS = {
    "MatMul": ("Linear",), "BMM": ("Linear",), "Linear": ("MatMul",), "Conv1d": ("Conv2d",),
    "BatchNorm2d": ("Mul", "Add"), "GroupNorm": ("LayerNorm",), "RMSNorm": ("LayerNorm",), "LayerNorm": ("RMSNorm",),
    "LogSoftmax": ("Softmax",), "Softmax": ("LayerNorm", "RMSNorm"), "CumSum": ("Softmax",),
    "MaxPool2d": ("ReLU", "Add"), "AvgPool2d": ("ReLU", "Add"), "AdaptiveAvgPool2d": ("ReLU", "Add"),
    "GroupedMatMul": ("BMM", "Linear", "MatMul"), "Conv3d": ("Conv2d",), "ConvTranspose1d": ("Conv1d", "Conv2d"),
    "ConvTranspose2d": ("Conv2d",), "ConvTranspose3d": ("Conv2d",), "VarMean": ("LayerNorm", "Softmax"),
    "Sort": ("Softmax",), "TopK": ("Softmax",), "RoPE": ("Mul", "Add"), "SiLUAndMul": ("Mul", "Add"),
    "Embedding": ("ReLU", "Add"),
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


def converted(native: NDArray[Any], floor: Any, target: Any) -> NDArray[Any]:
    """From a protocol with one launch floor to another's: an eager launch hides behind a longer kernel; all in ms."""
    out: NDArray[Any] = np.where(
        target > floor, np.maximum(native, target), np.maximum(native - floor, 0) + np.minimum(target, floor)
    )
    return out


def measured_protocol(measured: Mapping[str, Sequence[str]], dtype: str, asked: str) -> str:
    """The protocol asked for where the dtype has rows under it, else the one that most of its rows have.

    >>> measured_protocol({"bf16": ["graph", "kernel"]}, "bf16", "event")
    'graph'
    """
    found = measured.get(dtype, ())
    return asked if asked in found or not found else found[0]


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
    head: str
    """What answered: full, ratio, ratio+rgat, rgat or roofline."""


@dataclass(frozen=True, slots=True)
class ModelPrediction:
    """Latency of a whole model in ms, and what it is made of."""

    value: float
    lower: float
    upper: float
    level: str
    support: int
    """Measured rows behind all the cells that answered."""
    by_operator: Mapping[str, float]
    """Predicted ms of each operator type."""
    by_level: Mapping[str, float]
    """Predicted ms that rest on each evidence level."""
    launch_ms: float
    """What its launches alone take: the sum of the launch floors."""


class OperatorSurrogate:
    """The surrogates of one artefact folder.

    >>> import hetbench.predict.operators as predictors
    >>> sorted(predictors.load().classes)
    ['conv', 'decode', 'gemm', 'prefill', 'vector']
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        index = json.loads((folder / "operators.json").read_text())
        if index["format"] != FORMAT:
            raise ArtifactError(
                f"{folder} has format {index['format']}; this hetbench reads {FORMAT}: install its version"
            )
        self.id: str = index["id"]
        self.floors: dict[str, dict[str, float]] = index["floors"]
        self.classes: dict[str, Any] = index["classes"]
        self.interval_level: float = index["interval_level"]
        self._added = added(folder, self.floors, self.classes)
        self._heads: dict[str, Head] = {}
        self._choices: dict[tuple[str, ...], Choice] = {}
        self.observed: Mapping[str, Conditioned] = {}
        """By chip what the caller's own measurements say of it."""

    def given(self, observed: Mapping[str, Conditioned]) -> OperatorSurrogate:
        """The same surrogates, conditioned on observed operators by chip."""
        made = copy(self)
        made.observed = observed
        return made

    @cached_property
    def network(self) -> rgat.Rgat:
        """The network of the folder; that of the package where a folder of one training run holds none."""
        return rgat.load(self.folder if (self.folder / "rgat.json").exists() else None)

    def head(self, cls: str) -> Head:
        """The arrays of one class, read on first use."""
        if cls not in self._heads:
            with np.load(self.folder / f"{cls}.npz", allow_pickle=False) as stored:
                self._heads[cls] = Head(self.classes[cls], {name: stored[name] for name in stored.files})
            self._heads[cls].add(self.folder, cls, self._added)
        return self._heads[cls]

    def predict(
        self, op: str, dtype: str, dims: Mapping[str, Any], chip: Chip, *, protocol: str = "event",
        library: str | None = None, layout: str | None = None, predictor: str = "auto",
    ) -> Prediction:  # fmt: skip
        """Latency of operators of one type and dtype on one chip; every dim is an int or an array [rows]."""
        cls = class_of(op, dims)
        choice = self.choose(cls, op, dtype, chip, protocol, library, layout, predictor)
        shared = canonical(op, dims, STORAGE_BYTES[dtype])
        which = np.zeros(len(shared["flops"]), dtype=np.int64)
        value, lower, upper = self.evaluate(cls, shared, chip, protocol, [choice], which)
        source = choice.source
        if chip.name in self.observed:
            source = f"{source}; conditioned on {len(self.observed[chip.name].seen.cls)} observed operators"
        head = choice.head.partition("/")[0]
        head = head if not choice.rgat else "rgat" if choice.rgat == 1 else f"{head}+rgat"
        return Prediction(value, lower, upper, self._level(cls, choice, chip), choice.support, source, head)

    def predict_model(
        self, table: OperatorTable, chip: Chip, *, protocol: str = "event", predictor: str = "auto"
    ) -> ModelPrediction:
        """Latency of a whole operator table: each operator's latency times its count, summed.

        The interval adds the bounds of the operators, as if all their errors had one sign. The level is the best
        one that covers nine tenths of the predicted time.
        """
        parts = self.parts(table, chip, protocol, predictor)
        total = np.sum([bounds.sum(axis=1) for *_, bounds in parts], axis=0)
        by_level: dict[str, float] = {}
        by_operator: dict[str, float] = {}
        for cls, groups, choices, which, bounds in parts:
            for index, ms in enumerate(np.bincount(which, bounds[0], len(groups))):
                level = self._level(cls, choices[index], chip)
                by_level[level] = by_level.get(level, 0.0) + float(ms)
                by_operator[groups[index].op] = by_operator.get(groups[index].op, 0.0) + float(ms)
        launches = ((cls, sum(int(group.count.sum()) for group in groups)) for cls, groups, *_ in parts)
        launch_ms = sum(self._floor(chip, cls, protocol) * count for cls, count in launches)
        covered, level = 0.0, "D"
        for name in sorted(by_level):
            covered += by_level[name]
            level = name
            if covered >= COVERED * total[0]:
                break
        support = sum({id(c): c.support for *_, choices, _, _ in parts for c in choices}.values())
        value, lower, upper = (float(each) for each in total)
        return ModelPrediction(value, lower, upper, level, support, by_operator, by_level, launch_ms)

    def parts(
        self, table: OperatorTable, chip: Chip, protocol: str, predictor: str
    ) -> list[tuple[str, list[OperatorGroup], list[Choice], NDArray[np.int64], NDArray[np.float64]]]:
        """By class: its groups, their choices, each row's group [rows], and count x (value, lower, upper) [3, rows]."""
        parts = []
        for cls, groups in by_class(table).items():
            choices = [self.choose(cls, g.op, g.dtype, chip, protocol, None, None, predictor) for g in groups]
            blocks = [canonical(g.op, g.dims, STORAGE_BYTES[g.dtype]) for g in groups]
            names = [name for name in blocks[0] if all(name in block for block in blocks)]
            shared = {name: np.concatenate([block[name] for block in blocks]) for name in names}
            which = np.repeat(np.arange(len(groups)), [len(g.count) for g in groups])
            count = np.concatenate([g.count for g in groups])
            bounds = np.stack(self.evaluate(cls, shared, chip, protocol, choices, which)) * count  # [3, rows]
            parts.append((cls, groups, choices, which, bounds))
        return parts

    def evaluate(
        self, cls: str, shared: Mapping[str, NDArray[Any]], chip: Chip, protocol: str, choices: Sequence[Choice],
        which: NDArray[np.int64],
    ) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:  # fmt: skip
        """Latency and its interval in ms, [rows] each, of rows of one class; `which` names each row's choice."""
        head = self.head(cls)
        out = np.empty((3, len(which)))
        for name in dict.fromkeys(c.head for c in choices):
            rows = np.array([c.head == name for c in choices])[which]
            everything = bool(rows.all())
            part = shared if everything else {key: array[rows] for key, array in shared.items()}
            picked = which if everything else which[rows]
            made = features(cls, part, self._facts(cls, chip, choices, picked))
            native = made.base_ms * np.exp(self._log_ratio(cls, head, name, made, choices, picked))
            value = self._converted(native, chip, cls, choices, picked, protocol)
            low, high = head.interval(choices, picked, made, chip)
            out[:, rows] = value, value * np.exp(low), value * np.exp(high)
        if chip.name in self.observed and any(c.head != "roofline" for c in choices):
            asked = self.kernel_rows(cls, shared, chip, protocol, choices, which)
            offset, variance = self.observed[chip.name].both(asked)
            out[0] *= np.exp(offset)
            width = self.network.spec["width"][cls] * np.sqrt(variance)
            out[1], out[2] = out[0] * np.exp(-width), out[0] * np.exp(width)
        return out[0], out[1], out[2]

    def _log_ratio(
        self, cls: str, head: Head, name: str, made: Features, choices: Sequence[Choice], which: NDArray[np.int64]
    ) -> NDArray[np.float64]:
        """log(latency / base) by the head and the RGAT, by their shares, [rows]."""
        share = np.array([c.rgat for c in choices])[which]
        if not share.any():
            return head.predict(name, made, choices, which)
        decoded = self.network.decode(cls, made.ratio, [(c.op, c.dtype, c.protocol) for c in choices], which)
        if (share == 1).all():
            return decoded.mean
        return (1 - share) * head.predict(name, made, choices, which) + share * decoded.mean

    def kernel_rows(
        self, cls: str, shared: Mapping[str, NDArray[Any]], chip: Chip, protocol: str, choices: Sequence[Choice],
        which: NDArray[np.int64],
    ) -> Rows:  # fmt: skip
        """Rows of one class as the kernel of `hetbench.predict.conditioning` sees them."""
        network = self.network
        made = features(cls, shared, self._facts(cls, chip, choices, which))
        decoded = network.decode(cls, made.ratio, [(c.op, c.dtype, c.protocol) for c in choices], which)
        cells = np.array([f"{c.op}|{c.dtype}|{protocol}" for c in choices])[which]
        seen = network.spec["seen_amplitude"][cls]
        amplitude = np.array([seen if c.level == "B" else 1.0 for c in choices])[which]
        return Rows(np.full(len(which), CLASSES.index(cls)), cells, decoded.coordinates, decoded.noise, amplitude)

    def _level(self, cls: str, choice: Choice, chip: Chip) -> str:
        """The level of a choice; observed operators of the class are few rows of this chip."""
        observed = self.observed.get(chip.name)
        if choice.level != "D" or observed is None or CLASSES.index(cls) not in observed.seen.cls:
            return choice.level
        return "C"

    def _facts(self, cls: str, chip: Chip, choices: Sequence[Choice], which: NDArray[np.int64]) -> Facts:
        """Chip facts per row: peak, item size and floor follow each row's choice."""
        each = [chip_facts(chip, c.dtype, self._floor(chip, cls, c.protocol)) for c in choices]
        if len(each) == 1:
            return each[0]
        columns = np.array([(f.peak, f.floor_ms, f.itemsize) for f in each])[which].T
        return replace(each[0], peak=columns[0], floor_ms=columns[1], itemsize=columns[2])

    def _floor(self, chip: Chip, cls: str, protocol: str) -> float:
        return launch_floor(self.floors, chip, cls, protocol)

    def _converted(
        self, native: NDArray[Any], chip: Chip, cls: str, choices: Sequence[Choice], which: NDArray[np.int64],
        asked: str,
    ) -> NDArray[Any]:  # fmt: skip
        """From the protocol of the rows to the one asked for."""
        if all(c.protocol == asked for c in choices):
            return native
        floor = np.array([self._floor(chip, cls, c.protocol) for c in choices])[which]
        return converted(native, floor, self._floor(chip, cls, asked))

    def choose(
        self, cls: str, op: str, dtype: str, chip: Chip, protocol: str, library: str | None, layout: str | None,
        predictor: str = "auto",
    ) -> Choice:  # fmt: skip
        """The head and the cell that answer; cached, since it depends on names only."""
        key = (cls, op, dtype, chip.name, chip.die, protocol, library or "", layout or "", predictor)
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
            return Choice("roofline", _NO_EFFECTS, 0, protocol, "D", 0, "roofline", 0.0, dtype)
        if predictor == "rgat":
            return replace(self._ratio(cls, op, dtype, chip, protocol), rgat=1.0, source="the RGAT alone")
        own_head = self.head(cls).of_chip(chip, op, (dtype, *_SIBLING.get(dtype, ())))
        if own_head is not None:
            return own_head
        index = self.head(cls).cells
        stand_ins = STAND_INS.get(op, ()) + (_ANY_VECTOR if cls == "vector" else ())
        dtypes = [dtype, *_SIBLING.get(dtype, ())] + (list(_ANY_DTYPE) if cls == "vector" else [])
        for own in (True, False):
            for name in (op, *stand_ins):
                for measured_as in dict.fromkeys(dtypes):
                    cell = index.best(chip, own, name, measured_as, protocol, library, layout)
                    if cell is not None:
                        exact = own and name == op and measured_as in (dtype, *_SIBLING.get(dtype, ()))
                        source = f"rows of {name} {measured_as} on {cell.chip}"
                        return Choice("full", cell.effects, cell.index, cell.protocol, "B" if exact else "C", cell.rows,
                                      source, 0.0, dtype, op=op)  # fmt: skip
        found = self._ratio(cls, op, dtype, chip, protocol)
        if predictor != "auto" or not np.isnan(found.constant):  # a family without rows takes the median of three
            return found
        share = self.network.spec["share"][cls]
        source = f"{found.source}; {share:.0%} RGAT, which erred least on dies never seen" if share else found.source
        return replace(found, rgat=share, source=source)

    def _ratio(self, cls: str, op: str, dtype: str, chip: Chip, protocol: str) -> Choice:
        head = self.head(cls)
        group = chip.family if chip.family in head.spec["ratio"] else "any"
        spec = head.spec["ratio"][group]
        default = float(spec["default"])
        constant = np.nan
        if chip.family not in head.spec["protocol"]:  # no row of this family
            constant = _first(head.spec["constant"], (f"{op}/{dtype}", op, ""), default)
        effects = [
            _first(spec["op"], (op, *STAND_INS.get(op, ()), *_ANY_VECTOR), default),
            _first(spec["library"], (chip.family,), default),
            _first(spec["layout"], (chip.family,), default),
            _first(spec["dtype"], (dtype, *_SIBLING.get(dtype, ()), *_ANY_DTYPE), default),
            0.0,  # no cell, no effect of one
        ]
        few = head.cells.rows_of(chip.name)
        bias = spec["bias"].get(chip.name, 0.0)
        known = few or any(chip.name in c["chips"] for c in self.classes.values())
        source = f"ratio head, {few} rows of the class on this chip" if few else "ratio head, other chips' rows only"
        native = head.spec["protocol"].get(chip.family) or measured_protocol(
            head.spec.get("measured", {}), dtype, protocol
        )
        return Choice(
            f"ratio/{group}", np.array(effects, dtype=np.float32), 0, native,
            "C" if known else "D", few, source, bias, dtype, constant, op,
        )  # fmt: skip


_NO_EFFECTS = np.zeros(5, dtype=np.float32)


def _first(table: Mapping[str, float], names: Sequence[str], default: float) -> float:
    """The value of the first of `names` that the table holds."""
    return next((table[name] for name in names if name in table), default)


@lru_cache(maxsize=4)
def load(folder: Path | None = None) -> OperatorSurrogate:
    """The surrogates of a folder, by default those shipped with hetbench."""
    path = folder or sets.EMBEDDED
    if not (path / "operators.json").exists():
        raise ArtifactError(f"{path} holds no operators.json; train one with `python -m surrogates.train --out {path}`")
    return OperatorSurrogate(path)
