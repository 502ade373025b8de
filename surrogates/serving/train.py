"""Fit, score and export the serving surrogate.

    python -m data_collection.tables.serving_rows --corpus CORPUS --out runs/serving/rows.parquet
    python -m surrogates.serving --rows runs/serving/rows.parquet

Writes `hetbench/catalog/surrogates/serving.json` (effects, rows that support them, intervals) and
`serving_card.json` (scores of every hold-out).
"""

from __future__ import annotations

import argparse
import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from hetbench.errors import command
from hetbench.serving.effects import COLUMNS, FORMAT, NEAR
from hetbench.serving.levels import recency
from surrogates.serving import neighbours, power, rows, score
from surrogates.serving.fit import LEVELS, Effects, settled
from surrogates.serving.splits import nearest, series_of
from surrogates.writing import joining, write_json, write_table

OUT = Path(__file__).resolve().parents[2] / "hetbench" / "catalog" / "surrogates"


def exported(
    effects: Effects, frame: pd.DataFrame, made: dict[str, list[float]], watts: dict[str, Any],
    beside: dict[str, Any],
) -> dict[str, Any]:  # fmt: skip
    """What `hetbench.serving.effects` reads."""
    pairs = (series_of(frame) + " | " + frame.chip).value_counts()
    near = nearest(frame).value_counts()
    levels = {
        level: {name: [round(float(v), 4) for v in values] for name, values in sorted(effects.levels[level].items())}
        for level in LEVELS
    }  # fmt: skip
    return {
        "format": FORMAT, "columns": list(COLUMNS), "base": [round(float(v), 4) for v in effects.base],
        "levels": levels, "rows": {name: int(n) for name, n in pairs.items()},
        "near": {name: int(n) for name, n in near.items() if n >= NEAR}, "quantiles": list(score.QUANTILES),
        "newest": newest(frame), "beside": beside,
        "bands": {k: [round(v, 4) for v in b] for k, b in made.items()}, "power": watts,
    }  # fmt: skip


def newest(frame: pd.DataFrame) -> dict[str, str]:
    """The newest version of each engine, and on each chip with each network."""
    out = {}
    for keys in (frame.engine, neighbours.group_of(frame)):
        for key, part in frame.groupby(keys):
            engine = part.engine.iloc[0]
            out[str(key)] = max(part.version.unique(), key=lambda version, engine=engine: recency(engine, version))
    return out


@command("stopped")
def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rows", type=Path, default=Path("runs/serving/rows.parquet"))
    parser.add_argument("--out", type=Path, default=OUT)
    parser.add_argument("--held", type=Path, help="Keep the hold-outs in this file, or read them from it.")
    arguments = parser.parse_args()
    frame, dropped = rows.usable(rows.read(arguments.rows))
    watted = power.busy(frame)
    frame = frame[frame.metric != "power"].reset_index(drop=True)
    kept = rows.physical(frame, rows.terms(frame))
    print(f"{len(frame):,} rows, {int((~kept).sum())} faster than the memory allows; {dict(dropped)}")
    frame = frame[kept].reset_index(drop=True)
    effects, made = settled(frame)
    missed = score.residuals(effects, frame, made)
    kernels = neighbours.kernels(frame, missed)
    print(kernels)
    if arguments.held is not None and arguments.held.is_file():
        held = pd.read_parquet(arguments.held)
        held = held.merge(frame[rows.SETTING].drop_duplicates(), on=rows.SETTING)  # rows that a rule dropped since
    else:
        held = score.with_evidence(score.held_out(frame, made, kernels), frame)
        if arguments.held is not None:
            write_table(arguments.held, held)
    beside = neighbours.exported(kernels, frame, missed)
    held = score.with_bands(score.with_evidence(held, frame))
    _export(arguments, frame, effects, held, watted, beside, int((~kept).sum()))
    return 0


def _export(
    arguments: argparse.Namespace, frame: pd.DataFrame, effects: Effects, held: pd.DataFrame, watted: pd.DataFrame,
    beside: dict[str, Any], unphysical: int,
) -> None:  # fmt: skip
    powered, law = power.held_out(watted), power.law(watted)
    watts = {
        "every": np.round(law["every"], 4).tolist(),
        "chips": {name: np.round(own, 4).tolist() for name, own in law["chips"].items()},
        "rows": {name: int(n) for name, n in watted.chip.value_counts().items()},
    }  # fmt: skip
    bands = score.nested(score.bands(held[held.split.isin(score.CALIBRATING)])) | power.bands(powered)
    table = exported(effects, frame, bands, watts, beside)
    card = {
        "rows": len(frame), "rows_sha256": hashlib.sha256(arguments.rows.read_bytes()).hexdigest(),
        "unphysical": unphysical, "sources": {str(k): int(v) for k, v in frame.source.value_counts().items()},
        "splits": _records(score.table(held, ["split", "metric"])),
        "folds": _records(score.table(held, ["split", "fold", "metric"])),
        "evidence": _records(score.table(held, ["evidence", "metric"])),
        "power": _records(_power_table(powered)),
    }  # fmt: skip
    with joining(arguments.out, ["serving.json", "serving_card.json"]) as made:
        write_json(made / "serving.json", table)
        write_json(made / "serving_card.json", card, indent=1)
    print(score.table(held, ["split", "metric"]).to_string())
    print(_power_table(powered).to_string())


def _power_table(held: pd.DataFrame) -> pd.DataFrame:
    ape = 100 * abs(held.ratio - 1)
    constant = 100 * abs(held.constant - 1)
    return held.assign(ape=ape, const=constant).groupby(["split", "chip"]).agg(
        rows=("ape", "size"), median_ape=("ape", "median"), constant=("const", "median")
    ).round(1)  # fmt: skip


def _records(table: pd.DataFrame) -> list[dict[str, Any]]:
    return json.loads(table.reset_index().to_json(orient="records"))
