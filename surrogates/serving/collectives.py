"""Fit the collectives: latency and slope over each link, scored on sizes, chips and sources left out.

    python -m surrogates.serving.collectives --corpus CORPUS

Rows: NCCL and oneCCL tables and engine kernels within a graph (aiconfigurator, AISimulate), NCCL under PyTorch (Vidur,
PipeWeave). Sizes are bytes; aiconfigurator's `message_size` counts elements. Writes `collectives.json`.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from scipy.optimize import nnls

from hetbench.catalog.chips import chip as chip_named
from hetbench.catalog.chips import chips as all_chips
from hetbench.serving.collectives import COLLECTIVES, FORMAT, link_kind, wire

OUT = Path(__file__).resolve().parents[2] / "hetbench" / "catalog" / "surrogates" / "collectives.json"
TABLES = ("aiconfigurator", "aisimulate_b60", "vidur", "pipeweave")
QUANTILES = (0.025, 0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95, 0.975)
_SEVERAL_NODES = ("nvidia-a100-pcie-80gb", "nvidia-h100-nvl-94gb")  # pairs joined by bridges, the rest over PCIe
_WIDTH = {"fp16": 2, "bf16": 2, "int8": 1, "fp32": 4}


def read(corpus: Path) -> pd.DataFrame:
    """Columns source, op, kernel, chip, chips, bytes, us, x (us on the wire), [rows]; medians of repeats."""
    parts = []
    aliases = pd.read_csv(corpus / "chip_aliases.csv").set_index(["platform", "chip_as_in_data"]).canonical.to_dict()
    for name in TABLES:
        table = pd.read_parquet(corpus / "op" / f"{name}.parquet", filters=[("op", "in", list(COLLECTIVES))])
        dims, extra = table.dims.map(json.loads), table.extra.map(json.loads)
        kernel = extra.map(lambda e: e.get("kernel_source", "NCCL"))
        width = table.dtype.map(_WIDTH).fillna(1).where(dims.map(lambda d: "message_size" in d), 1)
        size = dims.map(lambda d: d.get("message_size") or d.get("bytes") or d.get("size"))
        keys = zip(table.platform, table.chip, strict=True)
        parts.append(pd.DataFrame({
            "source": name, "op": table.op, "kernel": np.where(kernel.isin(["NCCL", "oneCCL"]), "library", "engine"),
            "eager": kernel.str.contains("eager"), "chip": [aliases.get(key, key[1]) for key in keys],
            "chips": dims.map(lambda d: d["n_chips"]), "bytes": size * width, "us": 1e3 * table.latency_ms,
        }))  # fmt: skip
    frame = pd.concat(parts, ignore_index=True)
    known = {name: one for name, one in all_chips().items() if one.interconnect_gbs}
    kept = ~frame.eager & frame.chip.isin(known) & ~frame.chip.isin(_SEVERAL_NODES) & (frame.chips <= 8)
    frame = frame[kept & (frame.us > 0)]
    frame = frame.assign(half=(2 * np.log2(frame.bytes.astype(float))).round())  # half doublings of size
    groups = frame.groupby(["source", "op", "kernel", "chip", "chips", "half"], as_index=False)
    out = groups.agg(us=("us", "median"), bytes=("bytes", "median"))
    rate = out.chip.map(lambda name: known[name].interconnect_gbs * 1e9 / 2)
    on_wire = [float(wire(op, n)) for op, n in zip(out.op, out.chips, strict=True)]
    return out.assign(x=1e6 * out.bytes * on_wire / rate)


def solve(rows: pd.DataFrame) -> np.ndarray:
    """latency, spread and slope of least relative squares, none negative; each doubling of size weighs alike."""
    x, us = rows.x.to_numpy(float), rows.us.to_numpy(float)
    size = np.round(np.log2(np.maximum(rows.bytes.to_numpy(float), 1)))
    weight = pd.Series(size).map(pd.Series(size).value_counts()).to_numpy(float) ** -0.5
    columns = np.stack([np.ones_like(x), np.sqrt(x), x], 1) / us[:, None]
    return nnls(columns * weight[:, None], weight)[0]


def laws(frame: pd.DataFrame) -> dict[str, dict[str, list[float]]]:
    """Factors and number of rows by "op | kernel | chip", and of the median by die and kind of link; by chips."""
    out: dict[str, dict[str, list[float]]] = {}
    for (op, kernel, chip, n), rows in frame.groupby(["op", "kernel", "chip", "chips"]):
        out.setdefault(f"{op} | {kernel} | {chip}", {})[str(n)] = [*solve(rows), len(rows)]
    for owner in (lambda one: chip_named(one).die, lambda one: link_kind(chip_named(one))):
        pooled: dict[tuple[str, str], list[list[float]]] = {}
        for key, own in [(key, own) for key, own in out.items() if key.rpartition(" | ")[2] in all_chips()]:
            head, _, chip = key.rpartition(" | ")
            for n, factors in own.items():
                pooled.setdefault((f"{head} | {owner(chip)}", n), []).append(factors[:3])
        for (key, n), factors in pooled.items():
            out.setdefault(key, {})[n] = [*np.median(factors, axis=0), 0]
    return out


def predict(made: dict[str, dict[str, list[float]]], rows: pd.DataFrame) -> np.ndarray:
    """us [rows]; NaN where nothing is known."""
    out, rows = np.full(len(rows), np.nan), rows.reset_index(drop=True)
    for (op, kernel, name, n), part in rows.groupby(["op", "kernel", "chip", "chips"]):
        chip = chip_named(name)
        found = [made.get(f"{op} | {kernel} | {owner}", {}).get(str(n)) for owner in
                 (chip.name, chip.die, link_kind(chip))]  # fmt: skip
        own = next((each for each in found if each), None)
        if own:
            out[part.index] = own[0] + own[1] * part.x**0.5 + own[2] * part.x
    return out


def held_out(frame: pd.DataFrame) -> pd.DataFrame:
    """Predicted over measured, with every third size, each die, and each source left out."""
    third = frame.half.astype(int) % 3
    die = frame.chip.map(lambda name: chip_named(name).die)
    parts = []
    for split, groups in (("size", third), ("chip", die), ("source", frame.source)):
        for name in groups.unique():
            test = frame[groups == name]
            found = predict(laws(frame[groups != name]), test)
            kind = [link_kind(chip_named(each)) for each in test.chip]
            parts.append(test.assign(split=split, ratio=found / test.us, kind=kind))
    return pd.concat(parts, ignore_index=True).dropna(subset=["ratio"])


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--corpus", type=Path, required=True)
    parser.add_argument("--out", type=Path, default=OUT)
    arguments = parser.parse_args()
    frame = read(arguments.corpus)
    held = held_out(frame)
    held["ape"] = 100 * abs(held.ratio - 1)
    score = held.groupby(["split", "op", "kernel"]).ape.agg(["size", "median"]).round(1)
    print(score.to_string())
    print(held.groupby(["split", "kind"]).ape.median().round(1).to_string())
    bands = {"measured": _quantiles(held[held.split == "size"])}
    bands |= {kind: _quantiles(held[(held.split == "chip") & (held.kind == kind)]) for kind in ("direct", "bus")}
    made = {key: {n: [round(float(v), 4) for v in own[:3]] + [int(own[3])] for n, own in by.items()}
            for key, by in sorted(laws(frame).items())}  # fmt: skip
    table: dict[str, Any] = {
        "format": FORMAT, "kernels": {op: sorted(part.kernel.unique()) for op, part in frame.groupby("op")},
        "laws": made, "quantiles": list(QUANTILES), "bands": bands,
        "refs": ["ai-dynamo/aiconfigurator@095f58a5", "microsoft/vidur@7d475133"],
        "card": json.loads(score.reset_index().to_json(orient="records")),
    }  # fmt: skip
    arguments.out.write_text(json.dumps(table, separators=(",", ":")) + "\n")
    return 0


def _quantiles(part: pd.DataFrame) -> list[float]:
    logs = -np.log(part.ratio)
    return [round(float(v), 4) for v in np.quantile(logs, QUANTILES)]


if __name__ == "__main__":
    raise SystemExit(main())
