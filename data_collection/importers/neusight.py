"""Operator timings of NeuSight: eager PyTorch calls in fp32 between device events, mean of the fastest 5 of 25, ms.

Upstream writes a matrix product as (B, M, N, K) with N as the contraction; here k is the contraction. A Linear has
B·M rows and a bias. Read are the training and test tables of both vendors, fp16mm.csv, and the traces of whole
models (split `trace`; they serve comparison with peers, not training), but those of switch transformers.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from data_collection.importers._neusight import CHIPS, FASTEST, LABELS, trace
from data_collection.upstream.differences import Known
from data_collection.upstream.files import Tree

__all__ = ["KNOWN", "rows"]

_WHY = "traces of BERT and on AMD: nodes that the prepared table lacks or gives the shape of another trace's node"
KNOWN = tuple(Known(side, _WHY, lambda row: row["split"] == "trace") for side in ("here", "corpus"))

_VECTORS = {
    "add": "Add", "addu": "AddScalar", "mul": "Mul", "mulu": "MulScalar", "div": "Div", "divu": "DivScalar",
    "pow": "Pow", "powu": "PowScalar", "relu": "ReLU", "gelu": "GELU", "tanh": "Tanh",
}  # fmt: skip
_BY_ROW = {"ln": "LayerNorm", "softmax": "Softmax"}
_HALF = "scripts/asplos/fp16mm.csv"
_NAME = 96  # characters of a kernel's name that are kept


def rows(tree: Tree) -> Iterator[dict[str, Any]]:
    for path in tree.paths():
        if path.startswith(LABELS):
            yield from trace(tree, path)
            continue
        for line, cells in tree.records(path):
            yield _half(tree, path, line, cells) if path == _HALF else _row(tree, path, line, cells)


def _row(tree: Tree, path: str, line: int, cells: dict[str, str]) -> dict[str, Any]:
    amd = "/dataset_amd/" in path
    name = cells["OPName"]
    op, dims, more = _operator(tree, path, line, cells, name)
    extra: dict[str, Any] = {"upstream_op": name, "stat_detail": FASTEST}
    if cells["Kernel Name"]:
        extra["kernel"] = cells["Kernel Name"][:_NAME]
    for key in ("Grid", "Block"):
        if cells[f"{key} x"]:
            extra[key.lower()] = [tree.whole(path, line, cells[f"{key} {axis}"]) for axis in "xyz"]
    return {
        "ref": tree.ref(path, f"#L{line}"), "platform": "rocm" if amd else "cuda",
        "chip": tree.known(path, line, CHIPS, cells["Device"]),
        "software": "pytorch 2.4.1 rocm" if amd else "pytorch 2.1.0 cuda 12.1 cudnn 8902",
        "op": op, "dtype": "fp32", "phase": "fwd", "dims": dims,
        "latency_ms": tree.number(path, line, cells["Latency"]), "stat": "mean", "extra": extra | more,
        "split": "test" if "/test/" in path else "train",
    }  # fmt: skip


def _operator(tree: Tree, path: str, line: int, cells: dict[str, str],
              name: str) -> tuple[str, dict[str, int], dict[str, Any]]:  # fmt: skip
    def size(key: str) -> int:
        return tree.whole(path, line, cells[key])

    if name == "bmm":
        return "BMM", {"b": size("B"), "m": size("M"), "n": size("K"), "k": size("N")}, {}
    if name == "linear":
        return "Linear", {"m": size("B") * size("M"), "n": size("K"), "k": size("N")}, {"bias": True}
    if name == "conv":
        kernel, side = size("Kernel_Szie"), size("Input_Size")
        dims = {"n": size("B"), "c": size("Input_Channel"), "h": side, "w": side, "oc": size("Output_Channel"),
                "kh": kernel, "kw": kernel, "stride": size("Stride"), "pad": size("Padding"), "groups": 1}  # fmt: skip
        return "Conv2d", dims, {"bias": False}
    lines = {"rows": size("B"), "cols": size("H")}
    if name in _BY_ROW:
        return _BY_ROW[name], lines, {}
    return tree.known(path, line, _VECTORS, name), {"numel": size("B") * size("H"), **lines}, {}


def _half(tree: Tree, path: str, line: int, cells: dict[str, str]) -> dict[str, Any]:
    """fp16 products; the script beside the file configures an H100. Upstream's prediction is kept apart, in `extra`."""
    sizes = {ours: tree.whole(path, line, cells[theirs]) for ours, theirs in zip("bmnk", "BMKN", strict=True)}
    return {
        "ref": tree.ref(path, f"#L{line}"), "platform": "cuda", "chip": "nvidia-h100-sxm5-80gb",
        "software": "pytorch (version not recorded in file) cuda", "op": "BMM", "dtype": "fp16", "phase": "fwd",
        "dims": sizes, "latency_ms": tree.number(path, line, cells["Latency"]), "stat": "mean", "split": "test_fp16",
        "extra": {"stat_detail": f"1 warm-up, {FASTEST}",
                  "device_note": "device inferred from fp16mm_exp.py (H100 config)",
                  "neusight_pred_ms": tree.number(path, line, cells["pred"])},
    }  # fmt: skip
