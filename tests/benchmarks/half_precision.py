"""How right answers in bf16 are where only fp16 was taught, on measured rows that taught nothing.

    python -m tests.benchmarks.half_precision --corpus FOLDER

Products that were measured in both precisions by the same software on the same chip, by how much they differ; and the
published latencies of whole models in bf16, asked as upstream writes them.
"""

from __future__ import annotations

import argparse
from collections import defaultdict
from pathlib import Path

import numpy as np

from hetbench import HetBench

PRODUCTS = [("op", "in", ["Linear", "BMM"]), ("dtype", "in", ["fp16", "bf16"])]
MODELS = ("openvino", "nvidia_dle")
CELLS = ("model", "chip", "precision", "batch", "seq_len", "image_size", "phase", "software")


def products(corpus: Path) -> None:
    """Print quantiles of bf16 / fp16 of products, by file and chip."""
    import pyarrow.parquet as pq

    columns = ["chip", "software", "op", "dims", "dtype", "latency_ms"]
    for path in sorted((corpus / "op").glob("*.parquet")):
        found: dict[tuple[str, ...], dict[str, float]] = defaultdict(dict)
        for row in pq.read_table(path, columns=columns, filters=PRODUCTS).to_pylist():
            found[row["chip"], str(row["software"]), row["op"], row["dims"]][row["dtype"]] = row["latency_ms"]
        ratios: dict[str, list[float]] = defaultdict(list)
        for (chip, *_), ms in found.items():
            if len(ms) == 2:
                ratios[chip].append(ms["bf16"] / ms["fp16"])
        for chip, each in sorted(ratios.items()):
            if len(each) >= 20:
                low, middle, high = np.quantile(each, (0.05, 0.5, 0.95))
                print(f"{path.stem:20s} {chip:24s} {len(each):6,d} products, bf16 / fp16 "
                      f"{low:.2f} {middle:.2f} {high:.2f}")  # fmt: skip


def models(corpus: Path) -> None:
    """Print measured and predicted latency of whole models in bf16, predicted even where a row answers."""
    import pyarrow.parquet as pq

    kept = [("precision", "=", "bf16"), ("metric", "=", "latency_ms"), ("phase", "=", "inference")]
    files = (corpus / "model" / f"{name}.parquet" for name in MODELS)
    rows = [row for path in files for row in pq.read_table(path, filters=kept).to_pylist()]
    table = {name: [row[name] for row in rows] for name in CELLS}
    found = HetBench().query_models(table)
    errors, inside = [], []
    answers = (found[name] for name in ("value", "lower", "upper", "level"))
    for row, value, low, high, level in zip(rows, *answers, strict=True):
        print(f"{row['model']:20s} {row['chip']:24s} batch {row['batch']}: {row['value']:.2f} ms measured, "
              f"{value:.2f} [{low:.2f}, {high:.2f}] {level}")  # fmt: skip
        if low > 0:  # no measured answer
            errors.append(abs(value / row["value"] - 1))
            inside.append(low <= row["value"] <= high)
    print(f"{len(errors)} predicted: median error {np.median(errors):.0%}, {np.mean(inside):.0%} inside")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--corpus", type=Path, required=True)
    chosen = parser.parse_args()
    products(chosen.corpus)
    models(chosen.corpus)
