"""Teach the operator surrogates one more chip from rows measured on it, in minutes and without retraining the rest.

    python -m surrogates.add data_collection/measurements/amd-epyc-zen4-2vcpu-kvm.parquet

Reads what `python -m data_collection.store publish` writes, or any Parquet or CSV file with the columns chip, name (or
op), dims, precision (or dtype), protocol and latency_ms. Every class of operators with enough rows gets a head of this
chip alone, which answers at level B from then on; shapes left out say how well, beside what answered before and the
roofline. What the surrogates said before seeing the chip also sets how wide the answers for chips of its family and
kind are that nobody measured. Writes chip-NAME.npz and chip-NAME.json. Teaching only adds: several files are joined, a
quiet row counts before a noisy one of its setting, and a class stays as it was where the set knows it from more rows or
the new head would err more on shapes left out. Nothing is changed where all rows are refused: too few, of another unit,
or of classes known better. `--undo CHIP` puts back what was there before the chip was last taught.

Exit codes: 0 taught, 2 rows or options that cannot be meant, 3 refused, 4 `--out` is no set.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow

from hetbench.artifacts import MANIFEST, check_complete
from hetbench.catalog.chips import Chip
from hetbench.catalog.own_chips import any_chip
from hetbench.errors import ArtifactError, InvalidInputError, RefusedError, command
from hetbench.predict.class_surrogate import OWN_EFFECTS
from hetbench.predict.features import class_of
from hetbench.predict.operators import FORMAT, OperatorSurrogate
from hetbench.predict.protocols import FLOOR_QUANTILE
from surrogates.contribution import check_plausible, checked_rows, files_of, without_chip
from surrogates.evaluate import coverage, score, served
from surrogates.export import forest
from surrogates.intervals import band, size_bin
from surrogates.merging import check_adds, earlier, joined, keep, undo
from surrogates.operators.dataset import Effects, Matrix, matrix, with_roofline
from surrogates.writing import restore, swap

LEAST_ROWS = 100
"""A class with fewer rows is left to the other surrogates."""
_FOLDS = 5
_TRIED = 20  # rows of each class that a taught set must answer before it is put in place
_SMALL_MS = 0.005  # an operator with this roofline or less tells the launch floor
_HOST_PROTOCOLS = ("wall", "event")  # the same on a CPU, which has no device to wait for


@command("stopped")
def main(words: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("rows", type=Path, nargs="*", help="files of one chip; several are joined")
    parser.add_argument("--undo", metavar="CHIP", help="put back what the set knew of a chip before it was last taught")
    parser.add_argument("--out", type=Path, default=Path("hetbench/catalog/surrogates"))
    parser.add_argument("--replace", action="store_true", help="also where the set knows the chip from more rows")
    parser.add_argument("--implausible", action="store_true", help="also rows that look like another unit")
    options = parser.parse_args(words)
    if options.undo:
        print(undo(options.out, any_chip(options.undo).name))
        return
    frames, record = read_all(options.rows)
    spec = teach(frames, record, options.out, replace=options.replace, implausible=options.implausible)
    for cls, found in spec["classes"].items():
        if cls not in frames or len(frames[cls]) != found["rows"]:
            print(f"{cls}: as before, from {found['rows']:,} rows")
            continue
        scores = ", ".join(f"{name} {found['scores'][name]['median_ape']} %" for name in found["scores"])
        print(f"{cls}: {found['rows']:,} rows; median error on shapes left out: {scores}; "
              f"{found['held']['inside']} % inside 90 % intervals")  # fmt: skip
    print(f"{options.out / f'chip-{record.name}.npz'}: {sum(f['rows'] for f in spec['classes'].values()):,} rows; "
          f"undo: --undo {record.name}")  # fmt: skip


def read_all(paths: Sequence[Path]) -> tuple[dict[str, pd.DataFrame], Chip]:
    """Rows of several files of one chip by class; a setting in more than one counts with the median."""
    if not paths:
        raise InvalidInputError("name a file of measured rows, which `python -m data_collection.store publish` writes.")
    found = [read(path) for path in paths]
    for path, (_, record) in zip(paths, found, strict=True):
        if record.name != found[0][1].name:
            first = f"{paths[0]} of {found[0][1].name}"
            raise InvalidInputError(f"{path} is of {record.name}, {first}: teach one chip at a time.")
    frames: dict[str, pd.DataFrame] = {}
    for cls in dict.fromkeys(cls for each, _ in found for cls in each):
        rows = pd.concat([each[cls] for each, _ in found if cls in each], ignore_index=True)
        keys = [name for name in rows if name not in ("latency_ms", "roofline_ms")]
        rows[keys] = rows[keys].fillna(0)
        frames[cls] = rows.groupby(keys, as_index=False, sort=False).agg("median")[list(rows)]
    return frames, found[0][1]


def read(path: Path) -> tuple[dict[str, pd.DataFrame], Chip]:
    """Rows by class in the columns that training takes, and the chip; `InvalidInputError` says what is amiss."""
    try:
        table = pd.read_csv(path) if path.suffix == ".csv" else pd.read_parquet(path)
    except (OSError, ValueError, pyarrow.ArrowException) as error:
        raise InvalidInputError(f"{path} cannot be read: {error}") from None
    if "kind" in table:
        table = table[table.kind == "operator"]
    table = table.rename(columns={"name": "op", "precision": "dtype"})
    missing = {"chip", "op", "dims", "dtype", "protocol", "latency_ms"} - set(table)
    if missing:
        raise InvalidInputError(f"{path} lacks the columns {', '.join(sorted(missing))}.")
    table, sizes = checked_rows(table, path)
    if table.chip.nunique() != 1:
        names = ", ".join(str(each)[:80] for each in table.chip.unique()[:8])
        raise InvalidInputError(f"{path} must hold rows of one chip; found: {names}.")
    record = any_chip(table.chip.iloc[0])
    if "weight" in table:  # a quiet row counts before a noisy one of its setting
        best = table.groupby(["op", "dims", "dtype", "protocol"]).weight.transform("max")
        fine = (table.weight >= best).to_numpy()
        table, sizes = table[fine], [each for each, kept in zip(sizes, fine, strict=True) if kept]
    table = table[["op", "dtype", "protocol", "latency_ms"]].assign(
        cls=[class_of(op, dims) for op, dims in zip(table.op, sizes, strict=True)], chip=record.name,
        family=record.family, library="", layout="",
    )  # fmt: skip
    table = pd.concat([table.reset_index(drop=True), pd.DataFrame(sizes).fillna(0).astype(np.int64)], axis=1)
    keys = [name for name in table if name != "latency_ms"]
    table = table[table.cls != "free"].groupby(keys, as_index=False).latency_ms.median()
    return {cls: with_roofline(part.reset_index(drop=True)) for cls, part in table.groupby("cls")}, record


def teach(
    frames: dict[str, pd.DataFrame], record: Chip, out: Path, *, replace: bool = False, implausible: bool = False
) -> dict[str, Any]:
    """Fit, score and write the heads of one chip; what its JSON file says. A refusal leaves the folder as it was.

    With `replace` the chip may lose rows that the folder knows; with `implausible` the latencies may be of any size.
    """
    if not (out / "operators.json").exists():
        raise ArtifactError(f"{out} holds no operators.json: --out is a folder of surrogates, which the chip joins.")
    if (out / MANIFEST).exists():
        raise RefusedError(f"{out} is a published set, which its {MANIFEST} closes: copy it without that file first.")
    restore(out, files_of(record.name))
    rows = {cls: len(frame) for cls, frame in frames.items() if len(frame) >= LEAST_ROWS}
    if not rows:
        counts = ", ".join(f"{cls} {len(frame)}" for cls, frame in frames.items()) or "none"
        raise RefusedError(f"too few rows of different shapes: {counts}; a class of operators needs {LEAST_ROWS}.")
    before = None if replace else earlier(out, record.name)
    check_adds(record.name, rows, before)
    with without_chip(out, record.name) as folder:  # what answered before must not know these rows
        (spec, arrays), _ = joined(_fitted(frames, record, folder, implausible=implausible), before)
        np.savez_compressed(folder / f"chip-{record.name}.npz", **arrays)
        (folder / f"chip-{record.name}.json").write_text(json.dumps(spec, indent=1, allow_nan=False))
        check_complete(folder)
        for frame in frames.values():
            if not np.isfinite(served(frame.head(_TRIED), OperatorSurrogate(folder), "auto").predicted).all():
                raise RefusedError("the taught head does not answer its own rows; nothing was changed.")
        keep(out, record.name)
        swap(folder, out, files_of(record.name))
    return spec


def _fitted(
    frames: dict[str, pd.DataFrame], record: Chip, folder: Path, *, implausible: bool
) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """What the JSON file of the chip says, and its arrays; `folder` is the set without the chip."""
    before = OperatorSurrogate(folder)
    floors = own_floors(frames)
    arrays: dict[str, np.ndarray] = {}
    spec: dict[str, Any] = {
        "format": FORMAT, "chip": record.name, "provenance": "contributed", "floors": floors, "classes": {},
        "unseen": {},
    }  # fmt: skip
    seen = {cls: served(frame, before, "auto") for cls, frame in frames.items()}
    everything = pd.concat(seen.values())
    unknown = everything[~np.isfinite(everything.predicted)]
    if len(unknown):
        raise RefusedError(f"no surrogate answers {unknown.op.iloc[0]} in {unknown.dtype.iloc[0]} on {record.name}.")
    if not implausible:
        check_plausible(everything)
    for cls, frame in frames.items():
        known = seen[cls]
        base = matrix(frame, before.floors)
        known = known.assign(roofline=base.roofline_ms + base.floor_ms, base_ms=base.base_ms)
        spec["unseen"][cls] = band(known, "predicted")
        if len(frame) >= LEAST_ROWS and len(np.unique(_folds(frame))) == _FOLDS:
            spec["classes"][cls], made = fit_class(frame, known, {**before.floors, record.name: floors})
            arrays |= {f"{cls}.{name}": value for name, value in made.items()}
    for cls in _worse(spec["classes"]):
        del spec["classes"][cls]
        arrays = {name: value for name, value in arrays.items() if not name.startswith(f"{cls}.")}
    text = pd.concat(frames.values()).to_csv(index=False)
    spec |= {"kind": record.kind, "family": record.family, "sha256": hashlib.sha256(text.encode()).hexdigest()}
    return spec, arrays


def _worse(classes: dict[str, Any]) -> list[str]:
    """Classes whose head errs more than what answered before it; `RefusedError` where no other is left."""
    if not classes:
        raise RefusedError(f"too few shapes: each of {_FOLDS} folds of shapes left out needs one of a class.")
    worse: dict[str, str] = {}
    for cls, found in classes.items():
        own, before = (found["scores"][name]["median_ape"] for name in ("own head", "before"))
        if not own <= before:
            worse[cls] = (
                f"{cls}: on shapes left out, the head taught from these rows errs by {own} %, what answered before by "
                f"{before} %, so that the set is better without it."
            )
    if len(worse) == len(classes):
        raise RefusedError(f"{' '.join(worse.values())} Nothing was changed.")
    for said in worse.values():
        print(f"left out: {said}", file=sys.stderr)
    return list(worse)


def _folds(frame: pd.DataFrame) -> np.ndarray:
    """Fold of each row; the rows of a shape share one."""
    return pd.util.hash_pandas_object(frame.drop(columns=["dtype", "latency_ms"]), index=False).to_numpy() % _FOLDS


def own_floors(frames: dict[str, pd.DataFrame]) -> dict[str, float]:
    """Launch floors of the chip in ms by "class/protocol": a low quantile of the latencies of small operators."""
    found: dict[str, float] = {}
    rows = pd.concat(frames.values())
    small = rows[rows.roofline_ms < _SMALL_MS]
    for protocol, part in small.groupby("protocol"):
        names = _HOST_PROTOCOLS if protocol in _HOST_PROTOCOLS else (protocol,)
        for cls in (*frames, "gemm", "prefill", "decode", "conv", "vector"):
            own = part[part.cls == cls].latency_ms
            value = float((own if len(own) >= 5 else part.latency_ms).quantile(FLOOR_QUANTILE))
            found |= {f"{cls}/{name}": value for name in names}
    return found


def fit_class(
    frame: pd.DataFrame, known: pd.DataFrame, floors: dict[str, dict[str, float]]
) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """What the file says of one class, and its arrays; scores are of folds of shapes left out."""
    made = matrix(frame, floors)
    fold = _folds(frame)
    log_ms = np.empty(len(frame))
    for each in range(_FOLDS):
        inside, away = np.flatnonzero(fold != each), np.flatnonzero(fold == each)
        part = frame.iloc[inside]
        effects = Effects.fit(part, made.target[inside])
        fitted = _fit(_columns(made.take(inside), part, effects), made.target[inside])
        log_ms[away] = fitted.predict(_columns(made.take(away), frame.iloc[away], effects))
    guess = frame.assign(
        predicted=made.base_ms * np.exp(log_ms), base_ms=made.base_ms, roofline=made.roofline_ms + made.floor_ms
    )  # fmt: skip
    width = band(guess, "predicted")
    bins = np.minimum(size_bin(guess.roofline_ms.to_numpy(), guess.base_ms.to_numpy()), len(width) - 1)
    low, high = np.array(width)[bins].T
    held = coverage(guess.assign(lower=guess.predicted * np.exp(low), upper=guess.predicted * np.exp(high)))
    measured = frame.latency_ms.to_numpy()
    columns = {"own head": guess.predicted, "before": known.predicted, "roofline": guess.roofline}
    scores = {name: score(measured, values.to_numpy()) for name, values in columns.items()}
    effects = Effects.fit(frame, made.target)
    table = _columns(made, frame, effects)
    names = [f"x{index:02d}" for index in range(table.shape[1])]
    arrays = forest(_fit(pd.DataFrame(table, columns=names), made.target), names).to_arrays("forest")
    size = frame.groupby(["op", "dtype"]).size()
    cells = [
        [op, dtype, int(rows), *effects.columns(frame[(frame.op == op) & (frame.dtype == dtype)].head(1))[0].tolist()]
        for (op, dtype), rows in size.items()
    ]  # fmt: skip
    spec = {"rows": len(frame), "protocol": frame.protocol.mode()[0], "cells": cells, "band": width, "scores": scores,
            "held": held}  # fmt: skip
    return spec, arrays


def _columns(made: Matrix, frame: pd.DataFrame, effects: Effects) -> np.ndarray:
    """What the head of one chip sees: ratio, absolute, and the effects of operator, dtype and both."""
    blocks = made.ratio, made.absolute, effects.columns(frame)[:, OWN_EFFECTS]
    return np.concatenate(blocks, axis=1).astype(np.float32)


def _fit(table: Any, target: np.ndarray) -> Any:
    from catboost import CatBoostRegressor

    return CatBoostRegressor(
        iterations=500, depth=6, learning_rate=0.08, loss_function="RMSE", l2_leaf_reg=3.0, border_count=120,
        thread_count=1, random_seed=0, verbose=0, allow_writing_files=False,
    ).fit(table, target)  # fmt: skip


if __name__ == "__main__":
    main()
