"""Training of milabench on MI325X: items per second and peak memory at several batch sizes, from one YAML file.

Items are per GPU, with eight copies running at once, or per node for benches that end in -gpus. The precision is the
suffix of the bench, or upstream's default for its models; the sequence length is from upstream's configuration. On this
chip tf32 equals fp32. Failed runs (0 items) are counted.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from data_collection.upstream.differences import Known
from data_collection.upstream.files import Tree

__all__ = ["KNOWN", "rows"]

KNOWN = (Known("here", "benches, batch sizes and numbers of loading processes that the prepared table leaves out",
               lambda row: True),)  # fmt: skip

_LINE = re.compile(
    r" +- \{batch_size: (?P<batch>\d+), cpu: (?P<cpu>\d+), memory: (?P<memory>\d+) MiB, perf: (?P<perf>[\d.]+),"
)
_PRECISION = re.compile(r".*?-(?P<stated>(?:tf32-)?(?:fp16|fp32)|tf32)")
_DEFAULT = dict.fromkeys(("reformer", "regnet_y_128gf", "resnet50", "resnet50-noio", "t5", "whisper"), "tf32-fp16")
_LENGTHS = {"bert": 512, "reformer": 4096, "t5": 1024}
_UNIT = "items per second; per GPU for single-GPU benches (8 copies run at once), whole node for *-gpus"


def rows(tree: Tree) -> Iterator[dict[str, Any]]:
    for path in tree.paths():
        bench = ""
        for line, text in enumerate(tree.text(path).splitlines(), start=1):
            found = _LINE.match(text)
            if re.fullmatch(r"[\w-]+:", text):
                bench = text[:-1]
            elif "perf:" in text and not found:
                tree.bad(path, line, "no batch, memory and items")
            elif found and not float(found["perf"]):
                tree.leave_out("a failed run")
            elif found:
                stated = _PRECISION.fullmatch(bench)
                row = {
                    "ref": tree.ref(path, f"#L{line}"), "platform": "rocm", "chip": "amd-mi325x", "model": bench,
                    "software": "pytorch, rocm 6.2 (per PR #331)", "batch": int(found["batch"]), "phase": "training",
                    "precision": stated["stated"] if stated else _DEFAULT.get(bench),
                    "seq_len": _LENGTHS.get(bench.split("-")[0]), "n_chips": 8 if bench.endswith("-gpus") else 1,
                    "extra": {"cpu_workers": int(found["cpu"]), "unit_note": _UNIT, "bench": bench},
                }  # fmt: skip
                yield row | {"metric": "throughput", "unit": "items/s", "value": float(found["perf"])}
                yield row | {"metric": "memory_mb", "unit": "MiB", "value": float(found["memory"])}
