"""NeuSight's own protocol: train on what it trained on, test on its trace rows, beside what it predicted for them.

    python -m surrogates.neusight --corpus ../shared/corpus --work runs/operators

Training rows: NeuSight's `train` split on its five NVIDIA GPUs, without any (operator, dims) of the trace. H100, L4
and A100-80GB are unseen, and so are the AMD chips, of which nothing is used. Rows and figures of the peers come
from the predictions they ship. Forward rows of at least 0.05 ms are scored, as the peer's floor has no smaller.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from hetbench.operators import operator_type
from surrogates import holdout
from surrogates.corpus import DIMS, load
from surrogates.dataset import Effects, complete, floors, matrix, with_roofline
from surrogates.evaluate import table
from surrogates.tabular import Budget, fit_ratio, ratio_columns

CLASS_OF = {"Linear": "gemm", "BMM": "gemm"}
SEEN = ("nvidia-p100-pcie-16gb", "nvidia-p4", "nvidia-t4", "nvidia-v100-pcie-32gb", "nvidia-a100-pcie-40gb")
SCORED = ("Linear", "BMM", "LayerNorm", "Softmax", "Add", "AddScalar", "Mul", "MulScalar", "Div", "DivScalar", "Pow",
          "PowScalar", "ReLU", "GELU", "Tanh")  # fmt: skip
_CHIP = {"amd-mi250": "amd-mi210"}
_LEAST_MS = 0.05
# chosen on its training chips alone, one left out each; chips never seen take the mean of two ratio heads
SEEN_BUDGET = Budget(200_000, 600, 8, 0.08)
UNSEEN_BUDGETS = (Budget(200_000, 600, 8, 0.08), Budget(200_000, 300, 8, 0.05, columns=0.3))


def trace(corpus: Path) -> pd.DataFrame:
    """The peer's forward rows, one a node, with every method's prediction as a column in ms."""
    rows = pd.read_parquet(corpus / "peers" / "peer_op_predictions_neusight.parquet")
    rows = rows[(rows.phase == "fwd") & rows.op.isin(SCORED) & (rows.measured_ms >= _LEAST_MS)]
    keys = ["chip", "model", "mode", "batch", "seq_len", "node", "op", "dims", "measured_ms"]
    wide = rows.pivot_table(index=keys, columns="method", values="predicted_ms", aggfunc="first").reset_index()
    dims = pd.DataFrame([json.loads(text) for text in wide.dims], index=wide.index)
    for name in DIMS:
        wide[name] = dims[name].fillna(0).astype("int64") if name in dims else 0
    wide.loc[wide.op == "Linear", "b"] = 1
    return wide.assign(
        cls=wide.op.map(CLASS_OF).fillna("vector"), latency_ms=wide.measured_ms, data_chip=wide.chip,
        chip=wide.chip.replace(_CHIP), family=np.where(wide.chip.str.startswith("amd"), "rocm", "cuda"), dtype="fp32",
        protocol="event", library="neusight", layout="",
    )  # fmt: skip


def signature(frame: pd.DataFrame) -> pd.Series:
    """Operator and its required dims as one string a row, whatever else a data set says of the shape."""
    out = pd.Series("", index=frame.index)
    for op, rows in frame.groupby("op").groups.items():
        dims = frame.loc[rows, list(operator_type(op).dims)].astype(str).agg(",".join, axis=1)
        out.loc[rows] = f"{op}:" + dims
    return out


def group_of(chip: str) -> str:
    """seen, unseen or amd."""
    return "amd, zero-shot" if chip.startswith("amd") else ("seen chips" if chip in SEEN else "unseen chips")


def run(corpus: Path, work: Path) -> pd.DataFrame:
    """Fit on NeuSight's training rows and predict its trace rows: column `surrogate`, ms."""
    asked = trace(corpus)
    frames = {name: with_roofline(complete(frame)) for name, frame in load(corpus, work).items()}
    parts = []
    for cls in ("gemm", "vector"):
        frame, test = frames[cls], asked[asked.cls == cls].reset_index(drop=True)
        mine = frame[(frame.dataset == "neusight") & (frame.split == "train") & (frame.family == "cuda")
                     & frame.chip.isin(SEEN)]  # fmt: skip
        train = mine[~signature(mine).isin(set(signature(test)))].reset_index(drop=True)
        known = [f[(f.dataset == "neusight") & (f.split == "train") & f.chip.isin(SEEN)] for f in frames.values()]
        floor = floors(known)
        made, unseen = matrix(train, floor), matrix(test, floor)
        effects = Effects.fit(train, made.target)
        weight = holdout.cell_weight(train)
        full, asked_full = (
            np.hstack([ratio_columns(m, f, effects), m.absolute]) for m, f in ((made, train), (unseen, test))
        )
        log_seen = fit_ratio(full, made.target, weight, [SEEN_BUDGET]).predict(asked_full)
        ratio, asked_ratio = ratio_columns(made, train, effects), ratio_columns(unseen, test, effects)
        log_unseen = fit_ratio(ratio, made.target, weight, UNSEEN_BUDGETS).predict(asked_ratio)
        ours = unseen.base_ms * np.exp(np.where(test.data_chip.isin(SEEN), log_seen, log_unseen))
        print(
            f"{cls}: {len(train):,} training rows, {len(mine) - len(train)} removed as in the trace, {len(test)} tested"
        )
        parts.append(test.assign(surrogate=ours))
    scored = pd.concat(parts, ignore_index=True)
    return scored.assign(group=scored.data_chip.map(group_of))


def scores(scored: pd.DataFrame) -> dict[str, list[dict[str, Any]]]:
    """Tables by group, and by group and operator class, for ours and every peer that covers the rows."""
    kind = scored.op.map({**CLASS_OF, "Linear": "Linear", "BMM": "BMM", "LayerNorm": "LayerNorm", "Softmax": "Softmax"})
    scored = scored.assign(operator=kind.fillna("elementwise"))
    nvidia = scored[scored.family == "cuda"]
    return {
        "by_group": table(nvidia, ["group"], ["surrogate", "neusight", "roofline"])
        + table(scored[scored.family == "rocm"], ["group"], ["surrogate", "neusight"]),
        "by_group_and_operator": table(scored, ["group", "operator"], ["surrogate", "neusight"], least=5),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--corpus", type=Path, required=True)
    parser.add_argument("--work", type=Path, default=Path("runs/operators"))
    options = parser.parse_args()
    result = scores(run(options.corpus, options.work))
    (options.work / "neusight.json").write_text(json.dumps(result, indent=1))
    for rows in result.values():
        for row in rows:
            label = " / ".join(str(v) for v in row.values() if isinstance(v, str))
            print(label, *(f"{m}: {s['median_ape']} / {s['mean_ape']}" for m, s in row.items() if isinstance(s, dict)),
                  f"n = {row['surrogate']['n']}", sep="   ")  # fmt: skip


if __name__ == "__main__":
    main()
