"""How right answers are for weights stored in fewer bits, on measured rows that taught nothing.

    python -m tests.benchmarks.stored_formats --corpus FOLDER [--every N]

Products with 8-bit weights on an A100 (TensorRT-LLM's weight-only plugin): what they gain over bf16, and residuals of
the prediction by the number of weights, from which `hetbench.predict.stored` takes its two constants on even rows; the
figures printed are of odd rows. Whole models: rows of llama.cpp, OpenVINO and transformers with GPTQ, asked as
upstream writes them.
"""

from __future__ import annotations

import argparse
import json
from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np

from hetbench import HetBench
from hetbench.predict.stored import REALISED, SIZES
from tests.benchmarks.askable import _aliases, _number

MODELS = {"openvino": (("ttft_ms", "tpot_ms"), "ms"), "optimum_benchmark": (("latency_ms",), "ms"),
          "strix_halo_lhl": (("throughput",), "tokens/s")}  # fmt: skip
CELLS = ("model", "chip", "precision", "batch", "seq_len", "software", "phase")
CHIP, SOFTWARE = "nvidia-a100-sxm4-80gb", "trtllm 1.0.0"


def operator_rows(corpus: Path) -> list[tuple[dict[str, int], float, float]]:
    """Shape, ms in bf16 and ms with 8-bit weights of every product that was measured in both, ordered by shape."""
    import pyarrow.parquet as pq

    kept = [("op", "=", "Linear"), ("dtype", "in", ["int8-wo", "bf16"]), ("software", "=", SOFTWARE),
            ("chip", "=", CHIP)]  # fmt: skip
    found: dict[str, dict[str, float]] = defaultdict(dict)
    for row in pq.read_table(corpus / "op" / "aiconfigurator.parquet", filters=kept).to_pylist():
        found[row["dims"]][row["dtype"]] = row["latency_ms"]
    return [(json.loads(dims), ms["bf16"], ms["int8-wo"]) for dims, ms in sorted(found.items()) if len(ms) == 2]


def operators(corpus: Path, every: int) -> None:
    """Print gains and residuals of products."""
    rows = operator_rows(corpus)
    for half, name in ((0, "even rows, which set the constants"), (1, "odd rows")):
        shapes, plain_ms, stored_ms = zip(*rows[half :: 2 * every], strict=True)
        plain, stored = (_ask(shapes, dtype) for dtype in ("bf16", "w8a16"))
        weights = np.array([each["n"] * each["k"] for each in shapes])
        few = np.array([each["m"] for each in shapes]) <= 16
        real, gain = np.log(np.array(plain_ms) / stored_ms), np.log(plain["value"] / stored["value"]) / REALISED
        large = few & (weights >= SIZES[-1])
        print(f"{name}: {len(shapes)}; gain of {large.sum()} large products of few rows, log measured / log of bytes: "
              f"{np.median(real[large] / gain[large]):.2f}")  # fmt: skip
        residual = np.log(np.array(stored_ms) / stored["value"])
        inside = (stored["lower"] <= stored_ms) & (stored_ms <= stored["upper"])
        for low, high in zip((0, *SIZES), (*SIZES, np.inf), strict=True):
            rows_of = (weights >= low) & (weights < high)
            ends = np.quantile(residual[rows_of], (0.05, 0.5, 0.95))
            print(f"  weights from {low / 1e6:5.1f} million: {rows_of.sum():5d} rows, residual "
                  f"{ends[0]:+.2f} {ends[1]:+.2f} {ends[2]:+.2f}, inside {inside[rows_of].mean():.0%}")  # fmt: skip


def models(corpus: Path, every: int) -> None:
    """Print error, coverage and width for whole models, by data set, phase and precision as upstream writes it."""
    measured = model_rows(corpus)
    keys = sorted(measured, key=str)[::every]
    found = HetBench().query_models({name: [key[at] for key in keys] for at, name in enumerate(CELLS, start=1)})
    groups: dict[tuple[str, str, str], list[int]] = defaultdict(list)
    for at, key in enumerate(keys):
        if found["lower"][at] > 0:
            groups[key[0], key[7], str(key[3])].append(at)
    for group, members in sorted(groups.items()):
        ms = np.array([np.median(measured[keys[at]]) for at in members])
        value, low, high = (found[name][members] for name in ("value", "lower", "upper"))
        inside, width = ((low <= ms) & (ms <= high)).mean(), np.median(high / low)
        print(f"{' '.join(group):44s} {len(ms):4d} settings: median error {np.median(abs(value / ms - 1)):.0%}, "
              f"{inside:.0%} inside, upper / lower {width:.1f}")  # fmt: skip


def model_rows(corpus: Path) -> dict[tuple[Any, ...], list[float]]:
    """Setting as upstream writes it -> measured ms of one pass, of every publication of it."""
    import pyarrow.parquet as pq

    aliases, found = _aliases(corpus), defaultdict(list)
    for name, (metric, unit_of) in MODELS.items():
        for row in pq.read_table(corpus / "model" / f"{name}.parquet").to_pylist():
            if row["phase"] in ("prefill", "decode") and row["metric"] in metric and row["value"] > 0:
                tokens = row["seq_len"] if row["phase"] == "prefill" else 1
                ms = 1e3 * tokens / row["value"] if unit_of == "tokens/s" else row["value"]
                chip = aliases.get((row["platform"], row["chip"]), row["chip"])
                sizes = _number(row["batch"]), _number(row["seq_len"])
                software = "llama.cpp" if "llama.cpp" in row["software"] else row["software"]
                if row["metric"] == "latency_ms" and row["phase"] == "decode":  # of all tokens that were generated
                    continue
                found[(name, row["model"], chip, row["precision"], *sizes, software, row["phase"])].append(ms)
    return found


def _ask(shapes: Any, dtype: str) -> dict[str, Any]:
    many = len(shapes)
    return HetBench().query_operators({
        "op": ["Linear"] * many, "dims": list(shapes), "dtype": [dtype] * many, "phase": ["fwd"] * many,
        "chip": [CHIP] * many, "protocol": ["kernel"] * many,
    })  # fmt: skip


def main() -> None:
    """Print both parts."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--corpus", type=Path, required=True)
    parser.add_argument("--every", type=int, default=1, help="ask every n-th row only")
    chosen = parser.parse_args()
    operators(chosen.corpus, chosen.every)
    models(chosen.corpus, chosen.every)


if __name__ == "__main__":
    main()
