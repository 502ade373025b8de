"""Training of milabench on several chips: items per second and peak memory at several batch sizes, from YAML files.

One line is one observation and gives two rows. The figure is of one GPU while all GPUs of the node run a copy; of
benches that end in -gpus the file does not say whether it is of a GPU or of the node, and their rows are marked. A
bench whose name states no precision is marked `unstated`; `tf32-fp16` is autocast to fp16 with TF32 products. Failed
runs (0 items) are counted.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from data_collection.upstream.differences import Known
from data_collection.upstream.files import Tree

__all__ = ["KNOWN", "once", "rows"]

KNOWN = (Known("here", "observations that the prepared table keeps back", lambda row: True),)

_CHIPS = {
    "H100": ("cuda", "nvidia-h100-sxm5-80gb"), "H200": ("cuda", "nvidia-h200-sxm-141gb"),
    "L40S": ("cuda", "nvidia-l40s"), "MI325": ("rocm", "amd-mi325x"),
}  # fmt: skip
_LINE = re.compile(
    r" +- \{batch_size: (?P<batch>\d+), cpu: (?P<cpu>\d+), memory: (?P<memory>[\d.]+) MiB, perf: (?P<perf>[\d.]+), "
    r"time: (?P<time>[\d.]+)\}"
)
_PRECISION = re.compile(r"-(?:tf32-)?(fp16|fp32|tf32|bf16)(?=-|$)")
_NOTE = "value per GPU while all GPUs of the node run a copy"


def once(row: dict[str, Any]) -> tuple[object, ...]:
    """What identifies an observation that a file holds at both commits."""
    return row["chip"], row["model"], row["batch"], row["metric"], row["value"], row["extra"]["time"]


def rows(tree: Tree) -> Iterator[dict[str, Any]]:
    for path in tree.paths():
        platform, chip = tree.known(path, 0, _CHIPS, path.rsplit("/", 1)[1].removesuffix(".yaml"))
        bench = ""
        for line, text in enumerate(tree.text(path).splitlines(), start=1):
            found = _LINE.match(text)
            if re.fullmatch(r"[\w.-]+:", text):
                bench = text[:-1]
            elif "perf:" in text and not found:
                tree.leave_out("an observation without batch, memory and items")
            elif found and not float(found["perf"]):
                tree.leave_out("a failed run")
            elif found:
                stated = _PRECISION.search(bench)
                extra = {"cpu_workers": int(found["cpu"]), "time": _time(found["time"])}
                extra |= {"gpus": True} if bench.endswith("-gpus") else {}
                row = {
                    "ref": tree.ref(path, f"#L{line}"), "platform": platform, "chip": chip, "model": bench,
                    "software": f"milabench, PyTorch {'ROCm' if platform == 'rocm' else 'CUDA'}", "phase": "training",
                    "precision": stated[1] if stated else "unstated", "batch": int(found["batch"]), "n_chips": 1,
                    "extra": extra | {"note": _NOTE},
                }  # fmt: skip
                yield row | {"metric": "throughput", "unit": "items/s per GPU", "value": float(found["perf"])}
                yield row | {"metric": "memory_mb", "unit": "MiB peak device memory", "value": float(found["memory"])}


def _time(text: str) -> int | float:
    """Seconds since the epoch, whole where upstream writes them so."""
    return float(text) if "." in text else int(text)
