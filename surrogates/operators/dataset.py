"""Training rows to matrices: chip facts, launch floors and what is learned of each measurement cell.

A cell is (op, chip, dtype, protocol, library, layout). Its effect is the shrunken mean of the target over its
training rows; operators, libraries, layouts and dtypes get the same. All of it is fitted on training rows only
and travels in the artefact, so that a query builds the very same columns.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, fields, replace

import numpy as np
import pandas as pd

from hetbench.catalog.chips import Chip, chips
from hetbench.catalog.estimates import clock_mhz
from hetbench.operators import operator_type
from hetbench.predict.canonical import canonical_dims
from hetbench.predict.cells import CELL_KEYS
from hetbench.predict.features import CLASSES, chip_facts, class_of, features
from hetbench.predict.protocols import DEVICE_PROTOCOLS, FLOOR_QUANTILE, launch_floor
from hetbench.schema import STORAGE_BYTES

_SMALL_MS = 0.005  # an operator with this roofline or less is launch-bound
_FLOOR_COLUMNS = ("cls", "chip", "family", "protocol", "source", "version", "latency_ms", "roofline_ms")
_FLOOR_ROWS = 5  # a floor of its own takes at least this many rows
_NEAREST_PROTOCOL = {"graph": "kernel", "kernel": "graph", "event": "wall", "wall": "event"}
_SHRINK_ROWS = 20.0  # an effect of this many rows counts half


@dataclass(frozen=True)
class Matrix:
    """One class of operators as numbers; every array has one entry a row."""

    ratio: np.ndarray  # [rows, ratio columns]
    absolute: np.ndarray  # [rows, absolute columns]
    base_ms: np.ndarray
    roofline_ms: np.ndarray  # without the floor
    floor_ms: np.ndarray
    least_ms: np.ndarray  # the datasheet's minimum
    latency_ms: np.ndarray

    def take(self, rows: np.ndarray) -> Matrix:
        """Some of the rows, by index."""
        return Matrix(*(getattr(self, field.name)[rows] for field in fields(self)))

    @property
    def target(self) -> np.ndarray:
        """log(latency / (roofline + floor)), [rows]."""
        return np.log(self.latency_ms / self.base_ms)


def complete(frame: pd.DataFrame) -> pd.DataFrame:
    """Rows that state every required dim of their operator."""
    keep = np.ones(len(frame), dtype=bool)
    for op, rows in frame.groupby("op").indices.items():
        for name in operator_type(op).dims:
            if name in frame and name != "pad":
                keep[rows] &= frame[name].to_numpy()[rows] > 0
    return frame[keep].reset_index(drop=True)


def tells_floor(frame: pd.DataFrame) -> pd.DataFrame:
    """What `floors` reads of a frame: the rows whose roofline is below `_SMALL_MS`."""
    return frame.loc[frame.roofline_ms < _SMALL_MS, [name for name in _FLOOR_COLUMNS if name in frame]]


def floors(frames: list[pd.DataFrame]) -> dict[str, dict[str, float]]:
    """Launch floors for `hetbench.predict.protocols.launch_floor`: a low quantile of the latencies of small operators.

    Only rows whose roofline is below `_SMALL_MS` tell a floor; a class without such rows takes the least of the
    chip's other classes under the same protocol, and a protocol that nobody measured the nearest one.
    """
    catalogue = chips()
    rows = pd.concat([tells_floor(frame) for frame in frames])
    own = rows.groupby(["cls", "chip", "family", "protocol"]).latency_ms.agg(
        [lambda v: v.quantile(FLOOR_QUANTILE), "size"]
    )
    own.columns = ["floor", "size"]
    own = own[own["size"] >= _FLOOR_ROWS].reset_index()
    table: dict[str, dict[str, float]] = {}
    for row in own.itertuples():
        table.setdefault(row.chip, {})[f"{row.cls}/{row.protocol}"] = float(row.floor)
    for (chip, protocol), part in own.groupby(["chip", "protocol"]):
        for cls in CLASSES:
            table[chip].setdefault(f"{cls}/{protocol}", float(part.floor.min()))
    for group, members in [("any", own.chip), *((f"family:{n}", part.chip) for n, part in own.groupby("family"))]:
        pooled: dict[str, list[float]] = {}
        for chip in sorted(set(members)):
            ghz = clock_mhz(catalogue[chip]) / 1e3
            for key, value in table[chip].items():
                pooled.setdefault(key, []).append(value * (ghz if key.split("/")[1] in DEVICE_PROTOCOLS else 1.0))
        table[group] = {key: float(np.median(values)) for key, values in sorted(pooled.items())}
    for cls in CLASSES:
        for protocol, nearest in _NEAREST_PROTOCOL.items():
            found = table["any"].get(f"{cls}/{nearest}")
            if found is not None:
                table["any"].setdefault(f"{cls}/{protocol}", found)
    return table


def with_roofline(frame: pd.DataFrame) -> pd.DataFrame:
    """The rows with their plain roofline in ms, which no floor enters."""
    return frame.assign(roofline_ms=_matrix(frame, lambda *_: 1.0).roofline_ms)


def matrix(frame: pd.DataFrame, floor: dict[str, dict[str, float]]) -> Matrix:
    """Features of the rows of one class, in their order."""
    return _matrix(frame, lambda record, cls, protocol: launch_floor(floor, record, cls, protocol))


def _matrix(frame: pd.DataFrame, floor_of: Callable[[Chip, str, str], float]) -> Matrix:
    catalogue, blocks, order = chips(), [], []
    groups = frame.groupby(["op", "chip", "dtype", "protocol"], sort=False).indices
    for (op, chip, dtype, protocol), rows in groups.items():
        kind, record = operator_type(op), catalogue[chip]
        part = frame.iloc[rows]
        dims = {name: part[name].to_numpy() for name in (*kind.dims, *kind.optional) if name in part}
        facts = chip_facts(record, dtype, floor_of(record, class_of(op, dims), protocol))
        shared = canonical_dims(op, dims, STORAGE_BYTES[dtype])
        made = features(class_of(op, dims), shared, facts)
        blocks.append(replace(made, floor_ms=np.full(len(rows), made.floor_ms)))
        order.append(rows)
    back = np.argsort(np.concatenate(order), kind="stable")
    return Matrix(
        *(np.concatenate([getattr(b, name) for b in blocks])[back] for name in
          ("ratio", "absolute", "base_ms", "roofline_ms", "floor_ms", "least_ms")),
        frame.latency_ms.to_numpy(),
    )  # fmt: skip


@dataclass(frozen=True)
class Effects:
    """Shrunken means of the target by label, each with the mean for labels never seen."""

    tables: dict[str, dict[str, float]]
    default: float

    @classmethod
    def fit(cls, frame: pd.DataFrame, target: np.ndarray) -> Effects:
        overall = float(np.mean(target))
        tables = {}
        for name, labels in _labels(frame).items():
            parts = (
                [labels] if name != "library" else [pd.Series(labels).map(spell).to_numpy(str) for spell in SPELLINGS]
            )
            table: dict[str, float] = {}
            for spelled in reversed(parts):  # the most specific spelling of a library is written last
                sums = pd.DataFrame({"label": spelled, "target": target}).groupby("label").target.agg(["sum", "count"])
                mean = (sums["sum"] + _SHRINK_ROWS * overall) / (sums["count"] + _SHRINK_ROWS)
                table |= {label: float(value) for label, value in mean.items()}
            tables[name] = table
        return cls(tables, overall)

    def columns(self, frame: pd.DataFrame) -> np.ndarray:
        """[rows, 5]: effects of op, library, layout, dtype and of the whole cell."""
        return np.stack([self._column(name, labels) for name, labels in _labels(frame).items()], axis=1)

    def _column(self, name: str, labels: np.ndarray) -> np.ndarray:
        spellings = SPELLINGS if name == "library" else SPELLINGS[:1]
        unique = {label: self._of(self.tables[name], [spell(label) for spell in spellings]) for label in set(labels)}
        return pd.Series(labels).map(unique).to_numpy(np.float32)

    def _of(self, table: dict[str, float], spelled: list[str]) -> float:
        return next((table[label] for label in spelled if label in table), self.default)


# a library as written, without its version, and its engine alone
SPELLINGS = (
    lambda name: name,
    lambda name: re.sub(r" [^/]*", "", name),
    lambda name: re.split(r"[ /]", name)[0],
)


def cell_labels(frame: pd.DataFrame) -> pd.Series:
    """The name of each row's cell, one string."""
    first, *others = (frame[name].astype(str) for name in CELL_KEYS)
    return first.str.cat(others, sep="|")


def _labels(frame: pd.DataFrame) -> dict[str, np.ndarray]:
    named = {name: frame[name].to_numpy(str) for name in ("op", "library", "layout", "dtype")}
    return {**named, "cell": cell_labels(frame).to_numpy(str)}
