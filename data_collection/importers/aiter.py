"""Tuned kernel tables of aiter: the best kernel found for a shape, in microseconds.

The kind of table follows from its header. Lines with a time of 0 or infinity are failed tunings and counted. The gfx
name is inferred from the number of compute units if a table does not state it.
"""

from __future__ import annotations

from collections.abc import Iterator
from math import inf
from typing import Any

from data_collection.upstream.differences import Known
from data_collection.upstream.files import Tree

__all__ = ["KNOWN", "rows"]

KNOWN = (
    Known("here", "faster than the chip can be: 700 to 1,860 TFLOPS on an MI308X",
          lambda row: "mi308x" in row["chip"] and '"tflops":"0.0"' not in row["extra"]),
    Known("here", "lines of InferenceX that the prepared table keeps back",
          lambda row: row["ref"].startswith("SemiAnalysisAI/")),
    Known("here", "a placeholder of 1.0 us with 0 TFLOPS", lambda row: row["latency_ms"] == 1e-3),
)  # fmt: skip

_CHIPS = {
    ("gfx942", "80"): "amd-gfx942-80cu-mi308x", ("gfx942", "304"): "amd-gfx942-304cu-mi300x-or-mi325x",
    ("gfx950", "256"): "amd-gfx950-mi350x-or-mi355x", ("gfx1250", "256"): "amd-gfx1250-256cu",
    ("gfx1250", "96"): "amd-gfx1250-96cu",
}  # fmt: skip
_GFX = {"80": "gfx942", "304": "gfx942", "256": "gfx950"}
_GEMM_EXTRA = ("libtype", "splitK", "kernelName", "bias", "outdtype", "tflops", "bw", "bpreshuffle", "scaleAB")
_MOE_EXTRA = ("q_type", "tflops", "bw", "act_type", "doweight_stage1", "run_1stage", "us1", "us2")
_MOE_DIMS = {"tokens": "token", "hidden": "model_dim", "inter": "inter_dim", "experts": "expert", "topk": "topk"}
_RULE_DIMS = {
    "batch": "b", "q_len": "sq", "k_heads": "num_k_heads", "v_heads": "num_v_heads", "k_dim": "head_k_dim",
    "v_dim": "head_v_dim",
}  # fmt: skip
_NAME = 80  # characters of a kernel's name that are kept


def rows(tree: Tree) -> Iterator[dict[str, Any]]:
    for path in tree.paths():
        for line, cells in tree.records(path, short=True):
            row = _row(tree, path, line, cells)
            if row:
                yield row


def _row(tree: Tree, path: str, line: int, cells: dict[str, str]) -> dict[str, Any] | None:
    cells = {name.strip(): value.strip() for name, value in cells.items()}
    micros = _time(tree, path, line, cells)
    if not 0 < micros < inf:
        tree.leave_out("a failed tuning: no time")
        return None
    common = {
        "ref": tree.ref(path, f"#L{line}"), "platform": "rocm", "chip": _chip(tree, path, line, cells), "phase": "fwd",
        "latency_ms": micros / 1e3, "stat": "unknown",
    }  # fmt: skip
    if "num_k_heads" in cells:
        return common | _rule(tree, path, line, cells)
    if "model_dim" in cells:
        return common | _moe(tree, path, line, cells)
    return common | _gemm(tree, path, line, cells)


def _time(tree: Tree, path: str, line: int, cells: dict[str, str]) -> float:
    text = cells.get("us", cells.get("duration", ""))
    try:
        return float(text)
    except ValueError:
        tree.bad(path, line, f"{text!r} is no time")


def _chip(tree: Tree, path: str, line: int, cells: dict[str, str]) -> str:
    units = cells.get("cu_num", "")
    gfx = cells.get("gfx") or cells.get("arch") or _GFX.get(units, "")
    if not units and gfx:
        return f"amd-{gfx}-cu-unstated"
    return tree.known(path, line, _CHIPS, (gfx, units))


def _gemm(tree: Tree, path: str, line: int, cells: dict[str, str]) -> dict[str, Any]:
    name = path.rsplit("/", 1)[1]
    batched = "B" in cells or "b" in cells
    sizes = (("b",) if batched else ()) + ("m", "n", "k")
    extra: dict[str, Any] = {key: cells[key][:_NAME] for key in _GEMM_EXTRA if key in cells}
    if "blockscale" in name:
        extra["quant"] = "blockscale"
    library = cells.get("libtype", "ck")
    return {
        "software": f"ROCm aiter tuned ({library})", "op": "BMM" if batched else "Linear",
        "dtype": _dtype(tree, path, line, cells, name),
        "dims": {key: tree.whole(path, line, cells.get(key.upper(), cells.get(key))) for key in sizes}, "extra": extra,
    }  # fmt: skip


def _dtype(tree: Tree, path: str, line: int, cells: dict[str, str], name: str) -> str:
    if "a4w4" in name:
        return "mxfp4"
    if "blockscale" in name:
        return "fp8"
    stated = cells.get("q_dtype_w") or cells.get("dtype") or ""
    if "int8" in stated:
        return "int8"
    if "float8" in stated:
        return "fp8"
    if "bfloat16" in stated or name.startswith("bf16"):
        return "bf16"
    if not name.startswith("a8w8") or stated:
        tree.bad(path, line, f"no precision in {name}")
    return "a8w8-unstated"


def _moe(tree: Tree, path: str, line: int, cells: dict[str, str]) -> dict[str, Any]:
    extra = {key: cells[key] for key in _MOE_EXTRA if key in cells}
    if not cells.get("gfx"):
        extra["gfx_inferred_from"] = "cu_num"
    return {
        "software": "ROCm aiter tuned fused-moe", "op": "MoE",
        "dtype": "/".join(cells[key].removeprefix("torch.") for key in ("q_dtype_a", "q_dtype_w")),
        "dims": {ours: tree.whole(path, line, cells[theirs]) for ours, theirs in _MOE_DIMS.items()}, "extra": extra,
    }  # fmt: skip


def _rule(tree: Tree, path: str, line: int, cells: dict[str, str]) -> dict[str, Any]:
    return {
        "software": "ROCm aiter flydsl", "op": "GatedDeltaRuleDecode", "dtype": "bf16",
        "dims": {ours: tree.whole(path, line, cells[theirs]) for ours, theirs in _RULE_DIMS.items()}, "extra": {},
    }  # fmt: skip
