"""Operator timings of NeuSight: eager PyTorch calls in fp32 between device events, mean of the fastest 5 of 25, ms.

Upstream writes a matrix product as (B, M, N, K) with N as the contraction; here k is the contraction. A Linear has
B·M rows and a bias. Read are the training and test tables of both vendors and fp16mm.csv. The traces of whole models
(`scripts/asplos/label`, 1.6 % of the prepared table) are not: their nodes get an operator only by a walk over
upstream's own graph code, and they serve comparison with peers, not training.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from data_collection.sources.check import Known
from data_collection.sources.upstream import Tree

__all__ = ["KNOWN", "rows"]

KNOWN = (Known("corpus", "traces of whole models, which this importer does not read",
               lambda row: row["split"] == "trace"),)  # fmt: skip
_CHIPS = {
    "Tesla P100-PCIE-16GB": "nvidia-p100-pcie-16gb", "Tesla P4": "nvidia-p4", "Tesla T4": "nvidia-t4",
    "Tesla V100-PCIE-32GB": "nvidia-v100-pcie-32gb", "NVIDIA A100-PCIE-40GB": "nvidia-a100-pcie-40gb",
    "NVIDIA A100 80GB PCIe": "nvidia-a100-pcie-80gb", "NVIDIA H100 80GB HBM3": "nvidia-h100-sxm5-80gb",
    "NVIDIA L4": "nvidia-l4", "AMD Instinct MI100": "amd-mi100", "AMD Instinct MI210": "amd-mi210",
}  # fmt: skip
_VECTORS = {
    "add": "Add", "addu": "AddScalar", "mul": "Mul", "mulu": "MulScalar", "div": "Div", "divu": "DivScalar",
    "pow": "Pow", "powu": "PowScalar", "relu": "ReLU", "gelu": "GELU", "tanh": "Tanh",
}  # fmt: skip
_BY_ROW = {"ln": "LayerNorm", "softmax": "Softmax"}
_HALF = "scripts/asplos/fp16mm.csv"
_FASTEST = "mean of fastest 5 of 25, device events"
_NAME = 96  # characters of a kernel's name that are kept


def rows(tree: Tree) -> Iterator[dict[str, Any]]:
    for path in tree.paths():
        for line, cells in tree.records(path):
            yield _half(tree, path, line, cells) if path == _HALF else _row(tree, path, line, cells)


def _row(tree: Tree, path: str, line: int, cells: dict[str, str]) -> dict[str, Any]:
    amd = "/dataset_amd/" in path
    name = cells["OPName"]
    op, dims, more = _operator(tree, path, line, cells, name)
    extra: dict[str, Any] = {"upstream_op": name, "stat_detail": _FASTEST}
    if cells["Kernel Name"]:
        extra["kernel"] = cells["Kernel Name"][:_NAME]
    for key in ("Grid", "Block"):
        if cells[f"{key} x"]:
            extra[key.lower()] = [tree.whole(path, line, cells[f"{key} {axis}"]) for axis in "xyz"]
    return {
        "ref": tree.ref(path, f"#L{line}"), "platform": "rocm" if amd else "cuda",
        "chip": tree.known(path, line, _CHIPS, cells["Device"]),
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
        "extra": {"stat_detail": f"1 warm-up, {_FASTEST}",
                  "device_note": "device inferred from fp16mm_exp.py (H100 config)",
                  "neusight_pred_ms": tree.number(path, line, cells["pred"])},
    }  # fmt: skip
