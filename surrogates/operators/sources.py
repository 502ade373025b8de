"""Sources and software versions never seen: fit without them, ask the artefact as a caller would, score the answers.

A source is a data set with its harness and engine (`source` of the training tables); it leaves on every chip at once,
so that a near twin does not give it away. A question names neither library nor layout. Bands, blends and fall-backs
are set on these rows, since they are what a measurement of somebody else looks like.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from hetbench.catalog.chips import Chip, chips
from hetbench.operators import operator_type
from hetbench.predict.canonical import canonical_dims
from hetbench.predict.cells import Choice, is_older
from hetbench.predict.features import chip_facts, class_of, features
from hetbench.predict.operators import FORMAT, OperatorSurrogate
from hetbench.predict.protocols import launch_floor
from hetbench.schema import STORAGE_BYTES
from surrogates.operators.classes import spec_of
from surrogates.operators.dataset import Effects, cell_labels, floors, matrix, tells_floor
from surrogates.operators.holdout import constant_residual
from surrogates.operators.tabular import Budget, fit_trees, full_columns, sample
from surrogates.splits import source_folds, version_folds
from surrogates.writing import write_table

QUICK_RATIO = (Budget(15_000, 120, 7, 0.12, columns=0.5),)
_QUICK = Budget(25_000, 150, 7, 0.2)
_POOL_ROWS = 250_000  # rows of a class that the folds are made of
_LIBRARY = 4  # place of the library in a cell of operators.json
_SCORED_ROWS = 2_000  # rows of a source and family that are scored


def leave_sources_out(name: str, frames: dict[str, pd.DataFrame], work: Path) -> pd.DataFrame:
    """Answers for rows of every source and version left out in turn: split, group and the columns of `answered`."""
    frame, parts = frames[name], []
    frame = frame.iloc[sample(frame, _POOL_ROWS)].reset_index(drop=True)
    known = {each: tells_floor(rows) for each, rows in frames.items()}
    for split, label, away in _folds(frame):
        if split == "source":
            gone = set(frame.family[away] + "|" + frame.source[away])
            kept = [rows[~(rows.family + "|" + rows.source).isin(gone)] for rows in known.values()]
        else:
            gone = set(frame.version[away])
            kept = [rows[~rows.version.isin(gone)] for rows in known.values()]
        folder = work / "sources" / f"{name}-{split}-{label}"
        done = folder / "rows.parquet"
        if not done.exists():
            folder.mkdir(parents=True, exist_ok=True)
            fit_without(name, frame[~away], floors(kept), folder, set(frame.family[away]))
            write_table(done, answered(_drawn(frame[away]), frame[~away], OperatorSurrogate(folder)))
        rows = pd.read_parquet(done).assign(split=split)
        if label == "harness":  # a die that only this harness timed left as well: another question
            rows = rows[rows.level != "D"]
        parts.append(rows)
    return pd.concat(parts, ignore_index=True)


def _folds(frame: pd.DataFrame) -> Iterator[tuple[str, str, np.ndarray]]:
    fold = source_folds(frame)
    for index in range(int(fold.max()) + 1):
        yield "source", str(index), fold == index
    engines = frame.source.str.startswith("aiconfigurator/") & (frame.family == "cuda")
    others = (frame.family == "cuda") & ~engines
    if engines.any() and others.sum() >= _SCORED_ROWS:  # another harness timed the family
        yield "source", "harness", engines.to_numpy()
    versions = version_folds(frame)
    for index in range(int(versions.max()) + 1):
        yield "version", str(index), versions == index


def _drawn(rows: pd.DataFrame) -> pd.DataFrame:
    parts = [part.iloc[sample(part, _SCORED_ROWS)] for _, part in rows.groupby(["family", "source"])]
    return pd.concat(parts, ignore_index=True)


def fit_without(
    name: str, train: pd.DataFrame, floor: dict[str, dict[str, float]], folder: Path, families: set[str]
) -> None:
    """A smaller artefact of one class in `folder`: trees alone, and the ratio heads of the families asked for."""
    train = train.reset_index(drop=True)
    size = cell_labels(train).value_counts()
    picked = train.iloc[sample(train, _QUICK.rows)].reset_index(drop=True)
    made = matrix(picked, floor)
    effects = Effects.fit(picked, made.target)
    cells = {label: index for index, label in enumerate(sorted(size.index))}
    table = full_columns(made, picked, effects, cells, cell_labels(picked))
    arrays = fit_trees(table, made.target, _QUICK).to_arrays("forest")
    spec, more = spec_of(picked, made, effects, cells, size, train, QUICK_RATIO, families)
    np.savez(folder / f"{name}.npz", **arrays, **more)
    spec["members"] = {"forest": 1.0}
    index = {"format": FORMAT, "id": "left-out", "interval_level": 0.9, "floors": floor, "classes": {name: spec}}
    (folder / "operators.json").write_text(json.dumps(index))


def answered(test: pd.DataFrame, train: pd.DataFrame, surrogate: OperatorSurrogate) -> pd.DataFrame:
    """The rows with what a caller who names neither library nor layout is told, and the baselines.

    Columns added: learned (ms), level (X: a shape outside what the chip's rows cover), head, older (whether newer
    software of the row's engine answered), base_ms, roofline (with the floor), constant (usual efficiency of the
    operator and dtype on the family's other sources), roofline_ms (without the floor), floor_ms.
    """
    made = matrix(test, surrogate.floors)
    learned, level, head = np.empty(len(test)), np.empty(len(test), dtype=object), np.empty(len(test), dtype=object)
    older = np.zeros(len(test), dtype=bool)
    catalogue = chips()
    cells = test.groupby(["op", "chip", "dtype", "protocol"], sort=False).indices
    for (op, chip, dtype, protocol), rows in cells.items():
        kind, part = operator_type(op), test.iloc[rows]
        dims = {key: part[key].to_numpy() for key in (*kind.dims, *kind.optional) if key in part}
        found = surrogate.predict(op, dtype, dims, catalogue[chip], protocol=protocol, predictor="autogluon")
        choice = surrogate.choose(class_of(op, dims), op, dtype, catalogue[chip], protocol, None, None, "autogluon")
        beyond = _outside(surrogate, choice, op, dtype, dims, catalogue[chip])
        learned[rows], head[rows] = found.value, found.head
        older[rows] = superseded(part.library, choice, surrogate.classes[class_of(op, dims)]["cells"])
        level[rows] = np.where(beyond, "X", found.level)
    usual = np.empty(len(test))
    train = train.reset_index(drop=True)
    train = train.iloc[sample(train, _QUICK.rows)].reset_index(drop=True)
    target = matrix(train, surrogate.floors).target
    for family, rows in test.groupby("family").indices.items():
        own = (train.family == family).to_numpy()
        near = own if own.sum() >= 30 else np.ones(len(train), dtype=bool)
        usual[rows] = constant_residual(train[near], target[near], test.iloc[rows])
    return test.assign(
        learned=learned, level=level, head=head, older=older, constant=made.base_ms * np.exp(usual),
        roofline=made.roofline_ms + made.floor_ms, base_ms=made.base_ms, roofline_ms=made.roofline_ms,
        floor_ms=made.floor_ms,
    )  # fmt: skip


def superseded(libraries: pd.Series, choice: Choice, cells: Sequence[Sequence[Any]]) -> np.ndarray:
    """Which rows are of an earlier version of the engine than the cell that answers, [rows]; none of the ratio heads.

    A question that names no software means the newest that was measured: what the one before took is another question.
    """
    if choice.head != "full":
        return np.zeros(len(libraries), dtype=bool)
    answering = [cells[index][_LIBRARY] for index in (choice.cell, *(peer.index for peer in choice.peers))]
    known = {name: any(is_older(name, than) for than in answering) for name in set(libraries)}
    return libraries.map(known).to_numpy(bool)


def _outside(
    surrogate: OperatorSurrogate, choice: Choice, op: str, dtype: str, dims: dict[str, np.ndarray], chip: Chip
) -> np.ndarray:
    """Which rows lie outside the shapes that the answering cell covers."""
    cls, shared = class_of(op, dims), canonical_dims(op, dims, STORAGE_BYTES[dtype])
    facts = chip_facts(chip, choice.dtype, launch_floor(surrogate.floors, chip, cls, choice.protocol))
    which = np.zeros(len(shared["flops"]), dtype=np.int64)
    return surrogate.class_surrogate(cls).outside([choice], which, features(cls, shared, facts))
