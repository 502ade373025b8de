"""Operator tables of aiconfigurator: a Parquet file per system, operator and serving engine, latency in ms.

Imported: GEMM in bf16, fp8, int8 weight-only and SmoothQuant; attention with a bf16 cache; quantisation, MoE and
collectives. Energy is power times latency if power was sampled. Times of 0 are left out. The reference names the file
and its row, counted from 1.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from typing import Any

from data_collection.upstream.files import Tree

__all__ = ["rows"]

_CHIPS = {
    "h200_sxm": "nvidia-h200-sxm", "b200_sxm": "nvidia-b200-sxm", "gb200": "nvidia-gb200", "l40s": "nvidia-l40s",
    "a100_sxm": "nvidia-a100-sxm4-80gb", "h100_sxm": "nvidia-h100-sxm5-80gb", "b60": "intel-arc-pro-b60",
}  # fmt: skip
_DTYPES = {
    "bfloat16": "bf16", "fp8": "fp8", "int8_wo": "int8-wo", "sq": "int8-sq", "half": "fp16", "int8": "int8",
    "w4a16_mxfp4": "w4a16_mxfp4",
}  # fmt: skip
_COLLECTIVES = {
    "all_reduce": "AllReduce", "all_gather": "AllGather", "reduce_scatter": "ReduceScatter", "alltoall": "AllToAll",
}  # fmt: skip
_BATCH = 20_000

Shape = tuple[str, str, dict[str, int], dict[str, Any]]
"""Operator, upstream's name of the precision, dims, extra."""


def rows(tree: Tree) -> Iterator[dict[str, Any]]:
    for path in tree.paths():
        kind = path.rsplit("/", 1)[1].removesuffix("_perf.parquet")
        shape = tree.known(path, 0, _SHAPES, kind)
        chip = tree.known(path, 0, _CHIPS, path.split("/systems/data/")[1].split("/")[0])
        platform = "oneapi" if chip.startswith("intel") else "cuda"
        common = {"platform": platform, "chip": chip, "phase": "fwd", "stat": "mean"}
        for number, cells in _records(tree, path):
            row = _row(tree, path, number, cells, shape)
            if row:
                yield common | row


def _records(tree: Tree, path: str) -> Iterator[tuple[int, dict[str, Any]]]:
    import pyarrow.parquet as pq

    number = 0
    for batch in pq.ParquetFile(io.BytesIO(tree.read(path))).iter_batches(batch_size=_BATCH):
        for cells in batch.to_pylist():
            number += 1
            yield number, cells


def _row(tree: Tree, path: str, number: int, cells: dict[str, Any],
         shape: Callable[[dict[str, Any]], Shape | None]) -> dict[str, Any] | None:  # fmt: skip
    try:
        told, latency = shape(cells), float(cells["latency"])
    except KeyError as error:
        tree.bad(path, number, f"no column {error}")
    if told is None or not latency > 0 or told[1] not in _DTYPES:
        tree.leave_out("a KV cache or collective that is not read" if told is None else "no time" if not latency > 0
                       else f"precision {told[1]}, which the schema has not")  # fmt: skip
        return None
    op, precision, dims, extra = told
    return {
        "ref": tree.ref(path, f"#row{number}"), "software": f"{cells['framework'].lower()} {cells['version']}",
        "op": op, "dtype": _DTYPES[precision], "dims": dims, "latency_ms": latency,
        "extra": extra | _power(cells, latency) | {"kernel_source": cells["kernel_source"]},
    }  # fmt: skip


def _power(cells: dict[str, Any], latency: float) -> dict[str, float]:
    watts = cells.get("power")
    if not watts or not watts > 0:
        return {}
    joules = float(f"{watts * latency / 1e3:.6g}")
    return {"power_w": round(watts, 2), "power_limit_w": cells["power_limit"], "energy_j": joules}


def _gemm(cells: dict[str, Any]) -> Shape:
    return "Linear", cells["gemm_dtype"], {name: cells[name] for name in "mnk"}, {}


def _attention(stage: str) -> Callable[[dict[str, Any]], Shape | None]:
    def shape(cells: dict[str, Any]) -> Shape | None:
        if cells["kv_cache_dtype"] != "bfloat16":
            return None
        isl, step = cells["isl"], cells["step"]
        dims = {
            "batch": cells["batch_size"], "q_len": isl if stage == "context" else 1, "kv_len": isl + step,
            "heads": cells["num_heads"], "kv_heads": cells["num_key_value_heads"], "head_dim": cells["head_dim"],
            "causal": 1, "window": cells.get("window_size") or 0,
        }  # fmt: skip
        return "Attention", cells["attn_dtype"], dims, {"stage": stage, "kv_dtype": cells["kv_cache_dtype"]}

    return shape


def _encoder(cells: dict[str, Any]) -> Shape:
    isl, heads = cells["isl"], cells["num_heads"]
    dims = {"batch": cells["batch_size"], "q_len": isl, "kv_len": isl, "heads": heads, "kv_heads": heads,
            "head_dim": cells["head_dim"], "causal": 0}  # fmt: skip
    return "Attention", cells["attn_dtype"], dims, {"stage": "encoder"}


def _quantize(kind: str) -> Callable[[dict[str, Any]], Shape]:
    return lambda cells: ("Quantize", cells["quant_dtype"], {"rows": cells["m"], "cols": cells["k"]}, {"kind": kind})


def _moe(cells: dict[str, Any]) -> Shape:
    dims = {
        "tokens": cells["num_tokens"], "hidden": cells["hidden_size"], "inter": cells["inter_size"],
        "topk": cells["topk"], "experts": cells["num_experts"], "tp": cells["moe_tp_size"], "ep": cells["moe_ep_size"],
    }  # fmt: skip
    return "MoE", cells["moe_dtype"], dims, {"distribution": cells["distribution"]}


def _collective(column: str) -> Callable[[dict[str, Any]], Shape]:
    def shape(cells: dict[str, Any]) -> Shape:
        dims = {"n_chips": cells["num_gpus"], "message_size": cells["message_size"]}
        return _COLLECTIVES[cells["op_name"]], cells[column], dims, {}

    return shape


_SHAPES: dict[str, Callable[[dict[str, Any]], Shape | None]] = {
    "gemm": _gemm, "context_attention": _attention("context"), "generation_attention": _attention("generation"),
    "encoder_attention": _encoder, "computescale": _quantize("computescale"), "scale_matrix": _quantize("scale_matrix"),
    "moe": _moe, "nccl": _collective("nccl_dtype"), "oneccl": _collective("nccl_dtype"),
    "custom_allreduce": _collective("allreduce_dtype"),
}  # fmt: skip
