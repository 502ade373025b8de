"""OpenVINO's benchmark table: frames per second and latency of networks on Intel processors, their GPUs and NPUs.

Throughput is benchmark_app's throughput mode, whose batch and streams are not stated; latency is at batch 1, in the
precision of its column. CPU, integrated GPU, NPU, and CPU with GPU are separate chips. `n_chips` is the number of
sockets.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from data_collection.upstream.differences import Known
from data_collection.upstream.files import Tree

__all__ = ["KNOWN", "rows"]

KNOWN = (
    Known("here", "networks, and latencies but of int8, that the prepared table does not have", lambda row: True),
    Known("corpus", "language models: their tables are not read", lambda row: "llm" in row["ref"]),
)
_PARTS = {"cpu-only": "", "igpu-only": "-igpu", "npu-only": "-npu", "cpu+igpu": "-cpu+igpu", "dgpu": ""}
_FAMILIES = re.compile(r"\b(data center gpu|processor|gold|silver|platinum|bronze)\b ?")
_IMAGES = {"resnet-50": 224, "mobilenet-v2": 224}
_COLUMNS = {  # precision -> throughput, latency
    "int8": ("Throughput-INT8", "Latency_int8"), "fp16": ("Throughput-FP16", "Latency_FP16"),
    "fp32": ("Throughput-FP32", "Latency_FP32"), "bf16": ("Throughput_BF16", "Latency_BF16"),
    "int4": ("Throughput_INT4", "Latency_int4"),
}  # fmt: skip


def rows(tree: Tree) -> Iterator[dict[str, Any]]:
    for path in tree.paths():
        for line, cells in tree.records(path):
            if cells["Network model"] not in ("begin_rec", "end_rec"):
                yield from _rows(tree, path, line, cells)


def _rows(tree: Tree, path: str, line: int, cells: dict[str, str]) -> Iterator[dict[str, Any]]:
    row = {
        "ref": tree.ref(path, f"#L{line}"), "platform": "oneapi", "model": cells["Network model"],
        "chip": _chip(tree, path, line, cells["Platform name"]), "phase": "inference",
        "software": "openvino " + cells["Release"].removeprefix("OV-").removesuffix(".0"),
        "image_size": _IMAGES.get(cells["Network model"]), "n_chips": tree.whole(path, line, cells["Sockets"]),
        "extra": {"hw_label": cells["Platform name"], "tdp_w_total": tree.whole(path, line, cells["TDP"])},
    }  # fmt: skip
    for precision, (rate, latency) in _COLUMNS.items():
        if cells[rate]:
            yield row | {"precision": precision, "metric": "throughput", "unit": "samples/s",
                         "value": tree.number(path, line, cells[rate])}  # fmt: skip
        if cells[latency]:
            yield row | {"precision": precision, "metric": "latency_ms", "unit": "ms", "batch": 1,
                         "value": tree.number(path, line, cells[latency])}  # fmt: skip


def _chip(tree: Tree, path: str, line: int, name: str) -> str:
    """`Intel® Xeon® Platinum 8480+ CPU-only` -> `intel-xeon-8480plus`."""
    chip, part = re.sub("[®™]", "", name.lower()).rsplit(" ", 1)
    chip = _FAMILIES.sub("", chip).replace("+", "plus").replace("xeon w1", "xeon w-1")
    return chip.replace(" ", "-") + tree.known(path, line, _PARTS, part)
