"""NeuSight's end-to-end cases as sums of operators: the nodes of one layer times the number of layers, plus the rest.

The peer publishes the FX nodes of a copy of each model with a single layer, in order, and repeats the nodes of that
layer. `composition` reproduces its published totals that way. The corpus has no nodes of Switch-XL4, in which the peer
repeats no layer; the operators of that model are counted in `switch`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from hetbench.errors import InvalidInputError
from hetbench.operators import operator_type
from surrogates.corpus import DIMS
from surrogates.evaluate import score
from surrogates.reading import read_table

CASE = ["chip", "model", "mode", "batch", "seq_len"]
PHASE = {"inf": "inference", "train": "training_fwd"}
LAYERS = {"bert_large": 24, "gpt2_large": 36, "gpt3_xl": 24, "gpt3_27": 32, "opt_13": 24}
PEERS = ("neusight", "habitat", "roofline")
# first and last node of the layer, by the peer's definition
NODE_COLUMNS = ("phase", "op", "method", "chip", "model", "mode", "batch", "seq_len", "node", "dims", "measured_ms",
                "predicted_ms")  # fmt: skip
"""Columns of the peer's predictions of nodes that are read."""
_LAYER = {"bert_large": ("bert_encoder_layer_0_attention_self_query", "bert_encoder_layer_0_output_layer_norm"),
          "opt_13": ("model_decoder_layers_0_self_attn_layer_norm", "add_8")}  # fmt: skip
_GPT_LAYER = ("transformer_h_0_ln_1", "add_15")
_CHIP = {"amd-mi250": "amd-mi210"}  # the peer runs one die
_CLASS = {"Linear": "gemm", "BMM": "gemm"}
# operators outside the training split read and write one tensor, like Tanh; dropout also writes a mask byte
_UNARY = {"Where": (1, 1), "Contiguous": (1, 1), "Embedding": (1, 1), "CumSum": (1, 1), "Dropout": (9, 8)}
_VIEWS = ("GetItem",)  # no kernel
_BROADCAST = {"Add": "AddScalar", "Div": "DivScalar"}


def shaped(rows: pd.DataFrame) -> pd.DataFrame:
    """Rows with `op`, `chip` and JSON `dims` as rows of the training tables: the dims as columns, and the cell."""
    dims = pd.DataFrame([json.loads(text) for text in rows.dims], index=rows.index)
    out = rows.copy()
    for name in DIMS:
        if name in dims:
            out[name] = dims[name].fillna(0).astype("int64")
        elif name not in out:  # `batch` here is the model's; no operator of these models has that dim
            out[name] = 0
    out.loc[out.op == "Linear", "b"] = 1
    return out.assign(
        cls=out.op.map(_CLASS).fillna("vector"), data_chip=out.chip, chip=out.chip.replace(_CHIP), dtype="fp32",
        family=np.where(out.chip.str.startswith("amd"), "rocm", "cuda"), protocol="event", library="neusight",
        layout="",
    )  # fmt: skip


def nodes(corpus: Path) -> pd.DataFrame:
    """The peer's forward nodes with its prediction, in order; `count` is the number of calls in the whole model."""
    rows = read_table(corpus / "peers" / "peer_op_predictions_neusight.parquet", NODE_COLUMNS)
    rows = rows[(rows.method == "neusight") & (rows.phase == "fwd")].reset_index(drop=True)
    count = np.ones(len(rows), dtype=np.int64)
    after = np.zeros(len(rows), dtype=bool)
    for case, index in rows.groupby(CASE, sort=False).indices.items():
        first, last = (list(rows.node.to_numpy()[index]).index(name) for name in _LAYER.get(case[1], _GPT_LAYER))
        count[index[first : last + 1]] = LAYERS[case[1]]
        after[index[last + 1 :]] = True
    return rows.assign(count=count, after=after)


def switch(batch: int, train: bool) -> list[tuple[str, dict[str, int], int]]:
    """Operators of one forward pass of Switch-XL4 (24 + 24 layers, four experts) at 512 tokens: (op, dims, count).

    12 + 12 layers are sparse, with 64 slots an expert and sample. Views and host work are left out; the
    normalisations and the routing come as the small kernels that the peer's graph has.
    """
    tokens, slots, scores = 512 * batch, 64 * batch, 32 * 512 * batch
    wide, ffn, inner = 1024, 16384, 4096

    def flat(op: str, numel: int, count: int) -> tuple[str, dict[str, int], int]:
        return op, {"numel": numel}, count

    linear = [
        ("Linear", {"m": m, "n": n, "k": k}, count)
        for m, n, k, count in (
            (tokens, inner, wide, 216), (tokens, wide, inner, 72), (tokens, ffn, wide, 24), (tokens, wide, ffn, 24),
            (slots, ffn, wide, 96), (slots, wide, ffn, 96), (tokens, 4, wide, 24), (tokens, 32128, wide, 1),
        )
    ]  # fmt: skip
    attention = [
        ("BMM", {"b": 32 * batch, "m": 512, "n": 512, "k": 128}, 72), flat("Add", scores * 512, 75),
        ("Softmax", {"rows": scores, "cols": 512}, 72), ("BMM", {"b": 32 * batch, "m": 512, "n": 128, "k": 512}, 72),
        flat("Contiguous", tokens * inner, 72),
    ]  # fmt: skip
    norms = [
        flat("PowScalar", tokens * wide, 122), flat("Tanh", tokens * wide // 2, 122), flat("AddScalar", tokens, 122),
        flat("Tanh", tokens, 122), flat("Mul", tokens * wide, 292 if train else 268), flat("Add", tokens * wide, 120),
    ]  # fmt: skip  # the mean reads and hardly writes: half of a unary operator; then the root
    routing = [
        flat("ReLU", tokens * ffn, 24), flat("ReLU", slots * ffn, 96), flat("Tanh", slots * wide, 2 * 192),
        flat("Tanh", tokens, 96 + 24),
    ]  # fmt: skip
    dropped = ((scores * 512, 72), (tokens * ffn, 24), (slots * ffn, 96), (tokens * wide, 124)) if train else ()
    return [*linear, *attention, *norms, *routing, *(flat("Dropout", numel, count) for numel, count in dropped)]


def totals(corpus: Path) -> pd.DataFrame:
    """Measured and predicted forward totals in ms: a row per single-chip case without options, a column per method."""
    rows = pd.read_parquet(corpus / "peers" / "peer_predictions_neusight.parquet")
    rows = rows[(rows.option == "") & rows.phase.isin(list(PHASE.values()))]
    rows = rows.assign(mode=rows.phase.map({phase: mode for mode, phase in PHASE.items()}))
    keys = [*CASE, "phase", "measured_ms"]
    return rows.pivot_table(index=keys, columns="method", values="predicted_ms", aggfunc="first").reset_index()


def _switch_nodes(cases: pd.DataFrame) -> pd.DataFrame:
    rows = [
        {**case, "node": "", "op": op, "dims": json.dumps(dims), "count": count, "after": False}
        for case in cases[cases.model == "switchxl4"][CASE].to_dict("records")
        for op, dims, count in switch(int(case["batch"]), case["mode"] == "train")
    ]
    return pd.DataFrame(rows)


def queries(corpus: Path) -> pd.DataFrame:
    """Every node of every case as a row for the surrogate; `kernel` is false for nodes that run no kernel.

    Views run no kernel, nor does `contiguous` on the result of a Linear (the end of OPT). A mask added to the attention
    matrix, or a number that divides it, is not a second tensor: the scalar operator is used for it.
    """
    rows = pd.concat([nodes(corpus), _switch_nodes(totals(corpus))], ignore_index=True)
    kernel = ~rows.op.isin(_VIEWS) & ~(rows["after"] & (rows.op == "Contiguous"))
    rows = rows.assign(op=rows.op.where(~_one_operand(rows), rows.op.replace(_BROADCAST)))
    changed = [_as_trained(op, json.loads(text)) for op, text in zip(rows.op, rows.dims, strict=True)]
    rows = rows.assign(kernel=kernel, op=[op for op, _ in changed], dims=[json.dumps(dims) for _, dims in changed])
    asked = shaped(rows).assign(latency_ms=rows.measured_ms.fillna(0))
    check_dims(asked)
    return asked


def _one_operand(rows: pd.DataFrame) -> pd.Series:
    """Whether a node adds to or divides the whole attention matrix; only Switch-XL4 adds a bias of full size."""
    dims = [json.loads(text) for text in rows.dims]
    numel = [d.get("numel", d.get("rows", 0) * d.get("cols", 0)) for d in dims]
    keys = pd.MultiIndex.from_frame(rows[CASE].assign(numel=numel))
    inside = keys.isin(keys[(rows.op == "Softmax").to_numpy()])
    return rows.op.isin(list(_BROADCAST)) & (rows.model != "switchxl4") & inside


def _as_trained(op: str, dims: Mapping[str, int]) -> tuple[str, dict[str, int]]:
    """The operator of the training split that is used instead of this one."""
    if op in _VIEWS:
        return "Tanh", {"numel": 1}
    if op not in _UNARY:
        return op, dict(dims)
    up, down = _UNARY[op]
    numel = dims["tokens"] * dims["dim"] if op == "Embedding" else dims["numel"]
    return "Tanh", {"numel": numel * up // down}


def check_dims(rows: pd.DataFrame) -> None:
    """Raise `UnknownNameError` for an unknown operator, `InvalidInputError` for rows without one of its dims."""
    for op, part in rows.groupby("op"):
        lacking = [name for name in operator_type(str(op)).dims if not (part[name] > 0).all()]
        if lacking:
            raise InvalidInputError(f"{op} in NeuSight's nodes lacks the dims {', '.join(lacking)}.")


def composed(rows: pd.DataFrame, column: str) -> pd.Series:
    """Sum of a column in ms by case, each node times its count."""
    return (rows[column] * rows["count"]).groupby([rows[key] for key in CASE]).sum(min_count=1)


def composition(corpus: Path) -> float:
    """Largest relative difference between the peer's published totals and the sums of its nodes, in percent."""
    mine = composed(nodes(corpus), "predicted_ms").rename("mine").reset_index()
    both = totals(corpus).merge(mine, on=CASE)
    return float(100 * (both.mine / both.neusight - 1).abs().max())


def cases(corpus: Path, priced: pd.DataFrame) -> pd.DataFrame:
    """Totals of this project as `surrogate`, and sums of measured nodes; `priced` has the nodes' `ours` in ms."""
    asked = priced.assign(chip=priced.data_chip, ours=priced.ours.where(priced.kernel, 0.0))
    found = totals(corpus)
    for name, column in (("surrogate", "ours"), ("measured_nodes", "measured_ms")):
        found = found.merge(composed(asked, column).rename(name).reset_index(), on=CASE, how="left")
    return found.assign(latency_ms=found.measured_ms)


def summary(found: pd.DataFrame, groups: pd.Series) -> list[dict[str, Any]]:
    """Scores by phase and group, and over all NVIDIA cases; a method is scored where it covers the cases."""
    nvidia = found.chip.str.startswith("nvidia")
    named = [(name, (groups == name).to_numpy()) for name in sorted(set(groups))]
    rows = []
    for phase in PHASE.values():
        for name, inside in [*named, ("all NVIDIA", nvidia.to_numpy())]:
            part = found[inside & (found.phase == phase).to_numpy()]
            if len(part):
                rows.append({"phase": phase, "group": name, **_scores(part)})
    return rows


def _scores(part: pd.DataFrame) -> dict[str, Any]:
    scores = {}
    for method in ("surrogate", *PEERS, "measured_nodes"):
        covered = part[part[method].notna()]
        if len(covered):
            scores[method] = score(covered.latency_ms.to_numpy(), covered[method].to_numpy())
    return scores
