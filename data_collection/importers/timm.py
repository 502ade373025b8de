"""Benchmark tables of timm: one line per model, samples per second and ms per batch; the file name has the setting.

A line gives two rows, throughput and latency per batch. GPU tables are AMP fp16 at the largest batch that fits, CPU
tables fp32 at batch 1. `dynamo` in the name means torch.compile.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from data_collection.upstream.files import Tree

__all__ = ["rows"]

_NAME = re.compile(
    r"benchmark-(?P<work>infer|train)-(?P<precision>amp|fp32)-(?P<layout>nchw|nhwc)-pt(?P<torch>\d+)"
    r"-(?:cu(?P<cuda>\d+)|cpu)-(?P<chip>\w+?)(?P<compile>-dynamo)?\.csv"
)
_CHIPS = {
    "rtx3090": ("cuda", "nvidia-rtx-3090"), "rtx4090": ("cuda", "nvidia-rtx-4090"),
    "4090": ("cuda", "nvidia-rtx-4090"), "5090": ("cuda", "nvidia-rtx-5090"),
    "i9_10940x": ("oneapi", "intel-core-i9-10940x"),
}  # fmt: skip
_TORCH = {"112": "1.12", "113": "1.13", "210": "2.1.0", "221": "2.2.1", "240": "2.4.0", "291": "2.9.1"}
_COUNTS = {"gmacs": "infer_gmacs", "mactsM": "infer_macts"}


def rows(tree: Tree) -> Iterator[dict[str, Any]]:
    for path in tree.paths():
        found = _NAME.fullmatch(path.rsplit("/", 1)[1])
        if found is None:
            tree.bad(path, 0, "the file name does not say work, precision, layout, PyTorch and chip")
        common, extra = _setting(tree, path, found)
        for line, cells in tree.records(path):
            if not cells[f"{found['work']}_samples_per_sec"]:
                tree.leave_out("a model that failed")
                continue
            yield from _pair(tree, path, line, cells, found["work"], common, extra)


def _setting(tree: Tree, path: str, found: re.Match[str]) -> tuple[dict[str, Any], dict[str, Any]]:
    platform, chip = tree.known(path, 0, _CHIPS, found["chip"])
    torch = tree.known(path, 0, _TORCH, found["torch"])
    device = f"cuda {found['cuda'][:-1]}.{found['cuda'][-1]}" if found["cuda"] else "cpu"
    compiled = " torch.compile" if found["compile"] else ""
    common = {
        "platform": platform, "chip": chip, "software": f"pytorch {torch} {device}{compiled} timm",
        "precision": "amp_fp16" if found["precision"] == "amp" else "fp32", "n_chips": 1,
        "phase": "inference" if found["work"] == "infer" else "training",
    }  # fmt: skip
    return common, {"compile": "inductor" if compiled else "eager", "layout": found["layout"], "torch": torch}


def _pair(tree: Tree, path: str, line: int, cells: dict[str, str], work: str, common: dict[str, Any],
          extra: dict[str, Any]) -> Iterator[dict[str, Any]]:  # fmt: skip
    more = {"param_count_m": tree.number(path, line, cells["param_count"])}
    for ours, theirs in _COUNTS.items():
        if cells.get(theirs):
            more[ours] = tree.number(path, line, cells[theirs], above=-1e-9)
    row = common | {
        "ref": tree.ref(path, f"#L{line}"), "model": cells["model"], "extra": extra | more,
        "batch": tree.whole(path, line, cells[f"{work}_batch_size"]),
        "image_size": tree.whole(path, line, cells[f"{work}_img_size"]),
    }  # fmt: skip
    rate = tree.number(path, line, cells[f"{work}_samples_per_sec"])
    step = tree.number(path, line, cells[f"{work}_step_time"])
    yield row | {"metric": "throughput", "unit": "samples/s", "value": rate}
    yield row | {"metric": "latency_ms", "unit": "ms/batch", "value": step}
