"""HipKittens beside vendor kernels on MI355X and MI325X: JSON files of mean device times, milliseconds, by size.

A file has one operator in one setting, with one key per size: the side of a square matrix product, else the sequence
length; other dims are from upstream's scripts. The batch of an attention follows from its stated TFLOPS and time.
`impl` in `extra` names the library; for a general model keep only the vendor's and PyTorch's.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from data_collection.upstream.files import Tree

__all__ = ["rows"]

_TIMING = "cuda/hip events per iteration, 500 warm-up, 100 iterations"
_LIBRARIES = {  # what follows avg_time in a key
    "": "hipkittens", "_tk": "hipkittens", "_hipblaslt": "hipblaslt", "_aiter": "aiter", "_ref": "aiter",
    "_compiled": "torch.compile", "_pytorch_compiled": "torch.compile", "_pytorch": "pytorch eager",
}  # fmt: skip
_GEMM = {"_aiter": "aiter tgemm", "_pytorch": "pytorch (vendor BLAS)"}
_BATCH, _HEADS, _GROUPED, _HEAD, _WIDTH = 16, 16, 64, 128, 2048


def rows(tree: Tree) -> Iterator[dict[str, Any]]:
    for path in tree.paths():
        kind = path.split("/")[1]
        for size, told in json.loads(tree.text(path)).items():
            length = tree.whole(path, size, size)
            for key, value in told.items():
                if key.startswith("avg_time"):
                    library = key.removeprefix("avg_time")
                    gemm = _GEMM.get(library) if kind.endswith("gemm") else None
                    op, dims = _operator(tree, path, kind, length, told)
                    yield {
                        "ref": tree.ref(path), "platform": "rocm", "op": op, "dims": dims, "stat": "mean",
                        "chip": "amd-mi325x" if "mi325x" in path else "amd-mi355x",
                        "dtype": "fp8" if kind == "fp8_gemm" else "bf16", "phase": "bwd" if "bkwd" in path else "fwd",
                        "latency_ms": tree.number(path, size, value),
                        "extra": {"impl": gemm or tree.known(path, size, _LIBRARIES, library), "timing": _TIMING},
                    }  # fmt: skip


def _operator(tree: Tree, path: str, kind: str, length: int, told: dict[str, Any]) -> tuple[str, dict[str, int]]:
    if kind.endswith("gemm"):
        return "Linear", {"m": length, "n": length, "k": length}
    if kind == "layernorm":
        return "fused:Dropout+Add+LayerNorm", {"rows": _BATCH * length, "cols": _WIDTH}
    if kind == "rotary":
        return "RoPE", {"batch": _BATCH, "q_len": length, "heads": _HEADS, "head_dim": _HEAD}
    name = path.rsplit("/", 1)[1]
    heads, width = _GROUPED if "gqa" in name else _HEADS, 64 if "_d64_" in name else _HEAD
    causal = "causal" in name and "non_causal" not in name
    one = 4 * length**2 * heads * width / (2 if causal else 1) * (2.5 if "bkwd" in name else 1)  # flops of a sequence
    batch = told["tflops"] * told["avg_time"] * 1e9 / one
    if abs(batch / round(batch) - 1) > 1e-2:
        tree.bad(path, length, f"TFLOPS and time make a batch of {batch}")
    dims = {"batch": round(batch), "q_len": length, "kv_len": length, "heads": heads, "head_dim": width}
    return "Attention", dims | {"kv_heads": 8 if "gqa" in name else heads, "causal": int(causal)}
