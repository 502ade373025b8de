"""What a stack adds to the memory that a network needs: derived against measured rows of the catalogue's models.

    python -m surrogates.whole.memory --out hetbench/catalog/surrogates

Derived is the least that the network takes (weights, activations at their peak, KV cache); measured has the context,
the libraries' workspaces and the allocator's reserve on top. The overhead of a stack is one number, the median over its
models of the median difference, so that no model with many batch sizes decides it alone.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from hetbench.catalog import evidence
from hetbench.errors import command
from hetbench.graphs import model_graph
from surrogates.writing import write_json

FORMAT = 1
ENOUGH_ROWS = 5  # with fewer, a stack's constant is a guess
_WEIGHT_BITS = {"int4": 4, "int8-weight": 8}  # weights alone; the rest of the pass stays in fp16
_RSS = "RSS"


@command("stopped")
def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("hetbench/catalog/surrogates"))
    frame = compared()
    stacks = [_stack(str(stack), str(kind), part) for (stack, kind), part in frame.groupby(["stack", "kind"])]
    path = parser.parse_args().out / "memory.json"
    artefact = {"format": FORMAT, "made_by": "python -m surrogates.whole.memory", "unit": "MB", "stacks": stacks}
    write_json(path, artefact, indent=1)
    ratios = frame.groupby(["stack", "kind", "model", "precision"]).ratio.describe(percentiles=[0.5]).round(2)
    print(
        ratios.drop(columns="std").to_string(),
        pd.DataFrame(stacks).drop(columns="refs").to_string(index=False),
        sep="\n\n",
    )
    print(f"wrote {path}")


def compared() -> pd.DataFrame:
    """Every memory row of a catalogue model beside what its graph derives, in MB of 10**6 bytes."""
    rows = [
        {
            "stack": row.stack or "unstated", "kind": _RSS if _RSS in row.note else "VRAM", "model": row.model,
            "precision": row.precision, "batch": row.batch, "seq_len": row.seq_len, "measured": row.value,
            "derived": derived_mb(row), "ref": row.ref,
        }
        for row in evidence.rows(metric="memory") if row.batch
    ]  # fmt: skip
    return pd.DataFrame(rows).assign(
        ratio=lambda table: table.measured / table.derived, extra=lambda table: table.measured - table.derived
    )


def derived_mb(row: evidence.Row) -> float:
    """Memory of the pass that holds most: the last decoding step of a request, else the pass itself."""
    model = model_graph.load(row.model)
    bits = _WEIGHT_BITS.get(row.precision or "")
    length, phase = row.seq_len, "inference"
    if "prefill" in model.phases:
        phase = "decode" if row.phase == "serving" else "prefill"
        length = (row.seq_len or 0) + (row.new_tokens or 0)
    parts = model.memory(row.batch, length, row.image_size, "fp16" if bits else row.precision or "fp32", phase)
    weights = parts.weights_bytes * (bits / 16 if bits else 1)
    return (weights + parts.activations_peak_bytes + parts.kv_cache_bytes) / 1e6


def overhead(part: pd.DataFrame) -> float:
    """MB that a stack adds: the median model's median difference."""
    return float(part.groupby("model").extra.median().median())


def _stack(stack: str, kind: str, part: pd.DataFrame) -> dict[str, Any]:
    """One stack's overhead and the errors without it, with it, and with that of the other models alone."""
    enough = len(part) >= ENOUGH_ROWS
    added = overhead(part) if enough else None
    others = [(own, part[part.model != model]) for model, own in part.groupby("model")]
    left_out = [
        (own.derived + overhead(rest)) / own.measured for own, rest in others if len(rest) >= ENOUGH_ROWS and enough
    ]
    return {
        "stack": stack, "kind": kind, "rows": len(part), "models": part.model.nunique(),
        "overhead_mb": None if added is None else round(added, 1), "ratio_median": round(float(part.ratio.median()), 3),
        "mape_derived": _mape(part.derived / part.measured),
        "mape_with_overhead": None if added is None else _mape((part.derived + added) / part.measured),
        "mape_leave_model_out": _mape(pd.concat(left_out)) if len(left_out) > 1 else None,
        "refs": sorted(part.ref.unique()),
    }  # fmt: skip


def _mape(ratio: pd.Series) -> float:
    return round(float(np.abs(ratio - 1).mean()), 3)


if __name__ == "__main__":
    main()
