"""Deployments of language models for `plotting.serving_pareto`, as Parquet.

    python -m plotting.serving_tables --out runs/tables

Every plan of a node at every load that fits; `front` marks those that no other beats in both time per token and tokens
per second and chip.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pandas as pd

from hetbench.catalog.chips import chip
from hetbench.serving import load, named, serve_plan
from hetbench.serving.planner import explore

__all__ = ["CHIPS", "deployments", "main"]

MODEL = "meta-llama/Llama-3.1-70B-Instruct"
CHIPS = MappingProxyType({
    "nvidia-h100-sxm5-80gb": "fp8", "amd-mi300x": "fp8", "nvidia-b200-sxm-180gb": "fp8", "huawei-ascend-910b3": "w8a8",
})  # fmt: skip
_LEVELS = MappingProxyType({"model": "level C", "known": "level C", "engine": "level D", "none": "level D",
                           "alone": "level D"})  # fmt: skip


def deployments(
    model: str = MODEL, chips: Mapping[str, str] = CHIPS, input_len: int = 1024, output_len: int = 1024
) -> pd.DataFrame:
    """Columns of `plotting.serving_pareto.read` for one model; `chips` gives the weight format on each chip."""
    known, facts, rows = load(), named(model), []
    for name, precision in chips.items():
        there = chip(name)
        options: dict[str, Any] = {"input_len": input_len, "output_len": output_len, "precision": precision}
        best = serve_plan(facts, there, options, known, {})
        front = {(p.plan, p.concurrency) for p in best.pareto}
        found = explore(facts, there, options, known)
        for point in (found.point(int(at)) for at in found.fits):
            rows.append({
                "model": facts.name, "chip": name, "family": there.family, "engine": best.engine,
                "precision": best.precision, "plan": point.plan, "concurrency": point.concurrency,
                "tpot_ms": point.tpot_ms, "rate": point.throughput_per_chip, "input_len": input_len,
                "output_len": output_len, "front": (point.plan, point.concurrency) in front,
                "evidence": _LEVELS[best.evidence],
            })  # fmt: skip
    return pd.DataFrame(rows)


def main() -> None:
    """Write the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path("runs/tables"))
    chosen = parser.parse_args()
    chosen.out.mkdir(parents=True, exist_ok=True)
    deployments().to_parquet(chosen.out / "serving.parquet")
    print(chosen.out / "serving.parquet")


if __name__ == "__main__":
    main()
