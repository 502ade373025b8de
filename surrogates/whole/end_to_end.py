"""Whole models measured on one machine beside what hetbench predicts for them and beside the sum of their operators.

    python -m surrogates.whole.end_to_end data_collection/measurements/amd-epyc-zen4-2vcpu-kvm.parquet

`predicted` is the sum over the operators by the surrogates, whose operators no pass taught; `lower` and `upper` bound
the answer, which is that sum times what a pass usually takes over it. `summed` adds the operators
that were measured by themselves in the same file, and for those that were not the prediction; `share` is how much of it
was measured. The table joins chip-NAME.json, where surrogates.publish.report reads it.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from hetbench import HetBench
from hetbench.errors import command
from hetbench.graphs.model_graph import load
from hetbench.predict.features import by_class
from hetbench.predict.intervals import pass_factor, pass_interval
from hetbench.predict.operators import SumPrediction
from hetbench.predict.operators import load as surrogates
from hetbench.query.latency import PROTOCOL
from surrogates.reading import read_table
from surrogates.whole.rows import OWN_COLUMNS
from surrogates.writing import write_json

Key = tuple[str, str, str]


@command("stopped")
def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("rows", type=Path)
    parser.add_argument("--out", type=Path, default=Path("hetbench/catalog/surrogates"))
    options = parser.parse_args()
    table = compare(read_table(options.rows, (*OWN_COLUMNS, "dims"), "python -m data_collection.store publish FILE"))
    path = options.out / f"chip-{table.chip[0]}.json"
    spec = json.loads(path.read_text())
    spec["end_to_end"] = json.loads(table.drop(columns="chip").to_json(orient="records", double_precision=4))
    write_json(path, spec, indent=1)
    print(table.drop(columns="chip").to_string(index=False, float_format="{:.3g}".format))
    for name in ("predicted", "summed", "roofline"):
        error = (table[name] / table.measured - 1).abs()
        print(f"{name}: median error {error.median():.1%}, mean {error.mean():.1%} of {len(table)} models")


def compare(rows: pd.DataFrame) -> pd.DataFrame:
    """One row a measured model: setting, and ms measured, predicted, summed and by the roofline."""
    api = HetBench()
    own = rows[rows.kind == "operator"]
    known = {
        (op, dtype, json.dumps(json.loads(dims), sort_keys=True)): ms
        for op, dtype, dims, ms in zip(own.name, own.precision, own.dims, own.latency_ms, strict=True)
    }  # fmt: skip
    found = []
    models = rows[(rows.kind == "model") & (rows.layout == "contiguous") & (rows.cache == "hot")]
    for row in models.to_dict("records"):
        sizes = {name: None if np.isnan(row[name]) else int(row[name]) for name in ("batch", "seq_len", "image_size")}
        setting = {"chip": row["chip"], "model": row["name"], "precision": row["precision"], "stack": row["stack"]}
        summed, share = _summed(row, sizes, known, api)
        made, roof = (_sum_of(row, sizes, api, predictor) for predictor in ("autogluon", "roofline"))
        usual = pass_factor(surrogates(), api.chip(row["chip"])[0])
        bounds = (usual * each for each in (made.value, made.lower, made.upper))
        lower, upper = pass_interval(surrogates(), *bounds, surrogates().interval_level)
        found.append(setting | sizes | {
            "measured": row["latency_ms"], "predicted": made.value, "lower": lower, "upper": upper,
            "summed": summed, "share": share, "roofline": roof.value,
        })  # fmt: skip
    return pd.DataFrame(found)


def _sum_of(row: dict[str, Any], sizes: dict[str, int | None], api: HetBench, predictor: str) -> SumPrediction:
    """The sum over the operators by a predictor."""
    table = load(row["name"]).operators(**sizes, precision=row["precision"], phase=row["phase"])
    return surrogates().predict_model(table, api.chip(row["chip"])[0], protocol=PROTOCOL, predictor=predictor)


def _summed(
    row: dict[str, Any], sizes: dict[str, int | None], known: dict[Key, float], api: HetBench
) -> tuple[float, float]:
    """Sum over the operators in ms, and the share of it that was measured."""
    chip = api.chip(row["chip"])[0]
    table = load(row["name"]).operators(**sizes, precision=row["precision"], phase=row["phase"])
    measured = predicted = 0.0
    for groups in by_class(table).values():
        for group in groups:
            guess = surrogates().predict(group.op, group.dtype, group.dims, chip, protocol="wall").value
            for index, count in enumerate(group.count.tolist()):
                dims = json.dumps({name: int(values[index]) for name, values in group.dims.items()}, sort_keys=True)
                ms = known.get((group.op, group.dtype, dims))
                measured += count * (ms or 0.0)
                predicted += 0.0 if ms else count * float(guess[index])
    return measured + predicted, measured / (measured + predicted)


if __name__ == "__main__":
    main()
