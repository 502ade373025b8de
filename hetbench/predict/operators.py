"""Operator latency from the exported surrogates of a set, and its sum over a model.

`selection` chooses the head and measurement cell for each (operator, dtype, chip, protocol); the surrogate of the
operator class predicts log(latency / base) from the features; `protocols` converts to the protocol asked for. Intervals
are quantiles of the residuals on the matching hold-out. The caller's own measurements correct the prediction by a
Gaussian process on its residuals.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from copy import copy
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from hetbench.artifacts import EMBEDDED, FORMATS
from hetbench.catalog.chips import Chip
from hetbench.catalog.estimates import peak_flops
from hetbench.errors import ArtifactError
from hetbench.loading import LOCK, load_once
from hetbench.predict import rgat, stored
from hetbench.predict.by_kernel import COVERED, ByKernel, sum_prediction
from hetbench.predict.cells import Choice
from hetbench.predict.class_surrogate import ClassSurrogate, added_chips
from hetbench.predict.doubling import DOUBLINGS, Halves, held_by_halves, with_halves
from hetbench.predict.features import CLASSES, Facts, Features, by_class, chip_facts, class_of, features
from hetbench.predict.gaussian_process import MOST_NOISE, OperatorRows, Posterior
from hetbench.predict.operator_answers import ClassPart, Prediction, SumPrediction
from hetbench.predict.protocols import asked_floor, convert_protocol, launch_floor
from hetbench.predict.selection import Selector, said_by
from hetbench.predict.speakers import chips_of_die, speaker

if TYPE_CHECKING:
    from hetbench.graphs import OperatorTable

__all__ = ["COVERED", "FORMAT", "ClassPart", "OperatorSurrogate", "Prediction", "SumPrediction", "load"]

FORMAT = FORMATS["operators.json"]
_OWN_ROWS = 300  # of a class: with fewer a chip is answered by the chip of its die that has most


class OperatorSurrogate(ByKernel):
    """The operator surrogates of one set.

    >>> import hetbench.predict.operators as predictors
    >>> sorted(predictors.load().classes)
    ['conv', 'decode', 'gemm', 'prefill', 'vector']
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        index = json.loads((folder / "operators.json").read_text())
        if index["format"] != FORMAT:
            raise ArtifactError(f"{folder} has format {index['format']}; this hetbench reads {FORMAT}: install its own")
        self.id: str = index["id"]
        self.floors: dict[str, dict[str, float]] = index["floors"]
        self.classes: dict[str, Any] = index["classes"]
        self.interval_level: float = index["interval_level"]
        self._added = added_chips(folder, self.floors, self.classes)
        self._heads: dict[str, ClassSurrogate] = {}
        self._selector = Selector(self.classes, self.class_surrogate, lambda cls: self.network.spec["share"][cls])
        self._speakers: dict[tuple[str, Chip], Chip] = {}
        self._floors: dict[tuple[str, str, Chip], float] = {}
        self.doublings = DOUBLINGS
        """How many halves hold an answer up; 0 answers as the heads do."""
        self.observed: Mapping[str, Posterior] = {}
        """Chip -> posterior of the residuals after the caller's own measurements."""

    def with_observations(self, observed: Mapping[str, Posterior]) -> OperatorSurrogate:
        """A copy that is conditioned on the caller's measurements; `observed` maps a chip to its posterior."""
        made = copy(self)
        made.observed = observed
        made.forget_kernel()
        return made

    @cached_property
    def network(self) -> rgat.Rgat:
        """The RGAT of the folder, else the packaged one (a folder of operator training alone has none)."""
        return rgat.load(self.folder if (self.folder / "rgat.json").exists() else None)

    def class_surrogate(self, cls: str) -> ClassSurrogate:
        """The surrogate of one operator class, read on first use; seen only with the heads of single chips in it."""
        with LOCK:
            if cls not in self._heads:
                with np.load(self.folder / f"{cls}.npz", allow_pickle=False) as stored:
                    made = ClassSurrogate(self.classes[cls], {name: stored[name] for name in stored.files})
                made.add_chips(self.folder, cls, self._added)
                self._heads[cls] = made
            return self._heads[cls]

    def predict(
        self, op: str, dtype: str, dims: Mapping[str, Any], chip: Chip, *, protocol: str = "event",
        library: str | None = None, layout: str | None = None, predictor: str = "auto",
    ) -> Prediction:  # fmt: skip
        """Latency of operators of one type and dtype on one chip.

        `dims` are ints or int arrays [rows]; `protocol` is one of `hetbench.schema.PROTOCOLS`; `library` and `layout`
        restrict the measurement cells; `predictor` is auto, autogluon, rgat or roofline. Raises `RefusedError` where no
        surrogate covers the operator or the chip states no memory bandwidth.
        """
        cls = class_of(op, dims)
        on, known = self.speaker(cls, chip, predictor), stored.computed_as(dtype, chip)
        choice = stored.as_stored(self.choose(cls, op, known, on, protocol, library, layout, predictor), dtype)
        sizes, halves = with_halves(op, dims, self._halved(choice))
        which = np.zeros(len(halves), dtype=np.int64)
        shared = stored.dims_of(op, sizes, dtype, chip)
        value, lower, upper = self.evaluate(cls, shared, chip, protocol, [choice], which, halves, on)
        choice, source = said_by(on, chip, choice), choice.source
        if chip.name in self.observed:
            source = f"{source}; conditioned on {len(self.observed[chip.name].seen.cls)} observed operators"
        plain = choice.head.partition("/")[0]
        head = plain if not choice.rgat else "rgat" if choice.rgat == 1 else f"{plain}+rgat"
        return Prediction(value, lower, upper, self._level(cls, choice, chip), choice.support, source, head)

    def predict_model(
        self, table: OperatorTable, chip: Chip, *, protocol: str = "event", predictor: str = "auto"
    ) -> SumPrediction:
        """Latency of an operator table: the sum over its rows of latency x count.

        The interval is the sum of the operators' bounds, which assumes fully correlated errors. The level is the best
        one such that operators of this or a better level take 90 % of the predicted time.
        """
        known = self.sum_by_kernel(table, chip, protocol, predictor)
        if known is not None:
            return known
        parts = self.predict_by_class(table, chip, protocol, predictor)
        total = np.sum([bounds.sum(axis=1) for *_, bounds in parts], axis=0)
        by_level: dict[str, float] = {}
        by_operator: dict[str, float] = {}
        for cls, groups, choices, which, bounds in parts:
            for index, ms in enumerate(np.bincount(which, bounds[0], len(groups))):
                level = self._level(cls, choices[index], chip)
                by_level[level] = by_level.get(level, 0.0) + float(ms)
                by_operator[groups[index].op] = by_operator.get(groups[index].op, 0.0) + float(ms)
        launches = ((self.asked_floor(cls, chip, protocol), groups) for cls, groups, *_ in parts)
        launch_ms = sum(floor * int(group.count.sum()) for floor, groups in launches for group in groups)
        support = sum({id(c): c.support for *_, choices, _, _ in parts for c in choices}.values())
        return sum_prediction(total, by_level, by_operator, support, launch_ms)

    def predict_by_class(
        self, table: OperatorTable, chip: Chip, protocol: str, predictor: str
    ) -> list[ClassPart]:
        """The latency of every row of a table, class by class; the arguments are those of `predict_model`."""
        parts = []
        for cls, groups in by_class(table).items():
            on = self.speaker(cls, chip, predictor)
            chosen = (self.choose(cls, g.op, stored.computed_as(g.dtype, chip), on, protocol, None, None, predictor)
                      for g in groups)  # fmt: skip
            choices = [stored.as_stored(choice, g.dtype) for choice, g in zip(chosen, groups, strict=True)]
            expanded = (with_halves(g.op, g.dims, self._halved(c)) for g, c in zip(groups, choices, strict=True))
            sizes, each = zip(*expanded, strict=True)
            shared = stored.dims_of_all([(g.op, d, g.dtype) for g, d in zip(groups, sizes, strict=True)], chip)
            halves = Halves.joined(each)
            which = np.repeat(np.arange(len(groups)), [len(block) for block in each])
            count = np.concatenate([g.count for g in groups])
            bounds = np.stack(self.evaluate(cls, shared, chip, protocol, choices, which, halves, on)) * count
            choices = [said_by(on, chip, choice) for choice in choices]
            parts.append(ClassPart(cls, groups, choices, which[halves.whole], bounds))
        return parts

    def _halved(self, choice: Choice) -> int:
        """How often the operators of a choice are halved; a roofline grows with the work by itself."""
        return 0 if choice.head == "roofline" else self.doublings

    def evaluate(
        self, cls: str, shared: Mapping[str, NDArray[Any]], chip: Chip, protocol: str, choices: Sequence[Choice],
        which: NDArray[np.int64], halves: Halves | None = None, on: Chip | None = None,
    ) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:  # fmt: skip
        """Latency and bounds in ms, each [rows], from canonical dims; `which` is the index of each row's choice.

        The choices are those of the chip `on` (see `speaker`), by default `chip`: its efficiencies, on chip's roofline.
        With `halves` the entries of `shared` and `which` include operators of half the size, which hold the answers up
        (see `hetbench.predict.doubling`); only the others are answered.
        """
        head, on = self.class_surrogate(cls), on or chip
        by_kernel = self.kernel.evaluate(cls, shared, (chip, on), protocol, choices, which, halves)
        if by_kernel is not None and chip.name not in self.observed:
            return by_kernel[0], by_kernel[1], by_kernel[2]
        made, real = stored.features_of(cls, shared, self._facts(cls, chip, choices, which, on))
        shown = made if on is chip else features(cls, shared, self._facts(cls, on, choices, which, on))
        kept = np.arange(len(which)) if halves is None else halves.that_matter(made.base_ms)
        out = np.empty((3, len(which)))
        for name in dict.fromkeys(c.head for c in choices):
            chosen = kept[np.array([c.head == name for c in choices])[which[kept]]]
            everything, picked = len(chosen) == len(which), which[chosen]
            part, seen = (each if everything else each.take(chosen) for each in (made, shown))
            its = part if real is made else real if everything else real.take(chosen)
            own = shared if everything or real is made else {key: array[chosen] for key, array in shared.items()}
            learned = self._log_ratio(cls, head, name, seen, choices, picked)
            told = head.blended(learned, choices, picked, seen, on)
            native = (part.base_ms if real is made else stored.base_of(part, its, own)) * np.exp(told)
            value = self._converted(native, on, cls, choices, picked, protocol)
            low, high = head.interval([said_by(on, chip, each) for each in choices], picked, seen, chip, told)
            bounds = np.stack((value, value * np.exp(low), value * np.exp(high)))
            bounds = bounds if real is made else stored.widened(bounds, own)
            out[:, chosen] = np.maximum(bounds, its.least_ms)
        out = out if halves is None else held_by_halves(out, halves, kept)
        if chip.name in self.observed and any(c.head != "roofline" for c in choices):
            if halves is not None:
                shared, which = {key: array[halves.whole] for key, array in shared.items()}, which[halves.whole]
            said = [said_by(on, chip, choice) for choice in choices]
            asked = self.operator_rows(cls, shared, chip, protocol, said, which)
            least = real.least_ms if halves is None else real.least_ms[halves.whole]
            out = np.maximum(self.observed[chip.name].moved(out, asked), least)
        return out[0], out[1], out[2]

    def _log_ratio(
        self, cls: str, head: ClassSurrogate, name: str, made: Features, choices: Sequence[Choice],
        which: NDArray[np.int64],
    ) -> NDArray[np.float64]:
        """log(latency / base) of the head blended with the RGAT by its share, [rows]."""
        share = np.array([c.rgat for c in choices])[which]
        if not share.any():
            return head.predict(name, made, choices, which)
        decoded = self.network.decode(cls, made.ratio, [(c.op, c.dtype, c.protocol) for c in choices], which)
        if (share == 1).all():
            return decoded.mean
        return (1 - share) * head.predict(name, made, choices, which) + share * decoded.mean

    def operator_rows(
        self, cls: str, shared: Mapping[str, NDArray[Any]], chip: Chip, protocol: str, choices: Sequence[Choice],
        which: NDArray[np.int64],
    ) -> OperatorRows:  # fmt: skip
        """Operators of one class as inputs of the Gaussian process of `hetbench.predict.gaussian_process`."""
        network = self.network
        made = features(cls, shared, self._facts(cls, chip, choices, which, chip))
        decoded = network.decode(cls, made.ratio, [(c.op, c.dtype, c.protocol) for c in choices], which)
        cells = np.array([f"{c.op}|{c.dtype}|{protocol}" for c in choices])[which]
        seen = network.spec["seen_amplitude"][cls]
        amplitude = np.array([seen if c.level == "B" else 1.0 for c in choices])[which]
        classes = np.full(len(which), CLASSES.index(cls))
        noise = np.minimum(decoded.noise, MOST_NOISE)
        return OperatorRows(classes, cells, decoded.coordinates, noise, amplitude)

    def _level(self, cls: str, choice: Choice, chip: Chip) -> str:
        """Evidence level of a choice; the caller's measurements of the class raise D to C."""
        observed = self.observed.get(chip.name)
        if choice.level != "D" or observed is None or CLASSES.index(cls) not in observed.seen.cls:
            return choice.level
        return "C"

    def _facts(self, cls: str, chip: Chip, choices: Sequence[Choice], which: NDArray[np.int64], on: Chip) -> Facts:
        """Chip facts per row; peak, item size and the launch floor of `on` depend on the choice of the row."""
        each = [chip_facts(chip, c.dtype, launch_floor(self.floors, on, cls, c.protocol)) for c in choices]
        if len(each) == 1:
            return each[0]
        columns = np.array([(f.peak, f.floor_ms, f.itemsize) for f in each])[which].T
        return replace(each[0], peak=columns[0], floor_ms=columns[1], itemsize=columns[2])

    def _converted(
        self, native: NDArray[Any], chip: Chip, cls: str, choices: Sequence[Choice], which: NDArray[np.int64],
        asked: str,
    ) -> NDArray[Any]:  # fmt: skip
        """Convert latencies from the protocol of each row's cell to the one asked for."""
        same = np.array([c.protocol == asked for c in choices])[which]
        if same.all():
            return native
        floor = np.array([launch_floor(self.floors, chip, cls, c.protocol) for c in choices])[which]
        return np.where(same, native, convert_protocol(native, floor, self.asked_floor(cls, chip, asked)))

    def asked_floor(self, cls: str, chip: Chip, protocol: str) -> float:
        """The launch floor of answers under a protocol, see `hetbench.predict.protocols.asked_floor`."""
        key = cls, protocol, chip
        if key not in self._floors:
            self._floors[key] = asked_floor(self.floors, chips_of_die(chip), chip, cls, protocol)
        return self._floors[key]

    def speaker(self, cls: str, chip: Chip, predictor: str = "auto") -> Chip:
        """The chip of the die whose rows of a class speak for a chip; the roofline speaks for each by itself."""
        key, stated = (cls, chip), chip.bandwidth and (chip.vector_flops or peak_flops(chip, "fp16"))
        if predictor == "roofline" or not stated:
            return chip
        if key not in self._speakers:
            head = self.class_surrogate(cls)
            known = speaker(chip, head.cells.enough, _OWN_ROWS)
            self._speakers[key] = chip if chip.name in head.chip_heads else known
        return self._speakers[key]

    def choose(
        self, cls: str, op: str, dtype: str, chip: Chip, protocol: str, library: str | None, layout: str | None,
        predictor: str = "auto",
    ) -> Choice:  # fmt: skip
        """The head and cell that answer for an operator; see `hetbench.predict.selection`."""
        return self._selector.choose(cls, op, dtype, chip, protocol, library, layout, predictor)


@load_once(maxsize=4)
def load(folder: Path | None = None) -> OperatorSurrogate:
    """The operator surrogates of a folder, by default of the packaged set; raises `ArtifactError` without them."""
    path = folder or EMBEDDED
    if not (path / "operators.json").exists():
        raise ArtifactError(f"{path} holds no operators.json; train one with `python -m surrogates.train --out {path}`")
    return OperatorSurrogate(path)
