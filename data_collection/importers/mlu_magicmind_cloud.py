"""MagicMind samples on Cambricon MLU370-S4 and -X4: README tables, and the logs of mm_run behind many of their lines.

Upstream deleted both (`withdrawn` in each row); they are read at earlier commits. Throughput is of one thread with
pipelined host copies; latency is of the MLU alone. A log adds latency, mean power and memory of the card, whose type
follows from the number of clusters, 6 or 8. `flags` states why a row should not be used: its throughput and latency
contradict each other, or its table is marked as outdated, repeats another or exceeds the chip's peak. The image size is
the network's usual one if the table has none.
"""

from __future__ import annotations

import re
from collections.abc import Hashable, Iterator, Mapping
from typing import Any

from data_collection.importers._tables import Table, number, tables
from data_collection.upstream.differences import Known
from data_collection.upstream.files import Tree

__all__ = ["KNOWN", "once", "rows"]

KNOWN = (
    Known("here", "logs of mm_run", lambda row: "_log_perf" in row["ref"]),
    Known("here", "tables that the prepared table lacks: ResNet50, CenterNet, YoloV5, VGG16, senet50, tacotron2 on X4",
          lambda row: row["model"].startswith(("ResNet50", "CenterNet", "YoloV5", "VGG16", "senet50", "tacotron2"))),
)  # fmt: skip

_SOFTWARE = {"40fdec8": "MagicMind (repo v1.2, 2022-10)", "ac244f3": "MagicMind (repo v1.1, 2022-09)"}
_PRECISIONS = {
    "force_float32": "fp32", "forced float32": "fp32", "force_float16": "fp16", "forced float16": "fp16",
    "int8 mixed float16": "int8", "qint8_mixed_float16": "int8", "qint16_mixed_float32": "int16",
}  # fmt: skip
_IMAGES = {"alexnet": 224, "mobilenetv2": 224, "mobilenetv3": 224, "resnext50": 224, "arcface": 112,
           "deeplabv3_tf": 513, "Squeezenet_v1_0": 227, "Squeezenet_v1_1": 227}  # fmt: skip
_WITHDRAWN = (
    'performance tables were deleted upstream in eb9e7f7 (2022-10-17, "delete performance data"); '
    "this is the git-history value"
)
_TOOL = "mm_run (1 thread? host+copy pipeline; throughput may use several streams)"
_SLIP = "suspect: throughput*latency/batch far from 1 (label or column slip upstream)"
_PENDING = 'README said "to be updated" (待更新) above the table'
_BEYOND = (
    "implausible as BERT-base seq384 fp32: implies > MLU370-X4 fp32 peak (24 TFLOPS); exclude or treat as unverified"
)
_TIMES = "MLU compute Latency Avg (ms)", "95% (ms)", "99% (ms)"
_COPY = "suspect: the figures are those of the table of bert_qa"
_BOARDS = {"6": "MLU370 S4", "8": "MLU370 X4"}
_LOG = re.compile(
    r"(?:pose_(?P<part>body25|coco)_)?(?P<mode>\w+?_float\d\d)(?:_(?P<mutable>true|false))?_\w*log_perf"
)
_PARTS = {"body25": "BODY_25", "coco": "COCO"}
_FIGURES = {
    "throughput": r"Throughput \(qps\): +([\d.e+]+)", "latency_ms": r"^MLU Compute Latency \(ms\):.*?mean: ([\d.e+]+)",
    "power_w": r"^dev0_power_info\(W\):.*?mean: ([\d.e+]+)", "memory_mb": r"^dev0_mem_info\(MB\):.*?mean: ([\d.e+]+)",
}  # fmt: skip
_UNITS = {
    "throughput": "samples/s", "latency_ms": "ms (MLU compute latency avg, per batch)",
    "power_w": "W (card, mean over the run)", "memory_mb": "MB (card, mean over the run)",
}  # fmt: skip
_ITEMS = "items/s (tacotron2_items_per_sec)"
_AGREE = 0.78, 1.25  # throughput times latency over batch of rows that do not contradict themselves


def once(row: dict[str, Any]) -> Hashable:
    """A throughput or latency stands in the table, which may leave out the batch, and in the log."""
    place = None if row["metric"] in ("throughput", "latency_ms") else row["ref"]
    return row["model"], row["chip"], row["precision"], row["metric"], row["value"], place


def rows(tree: Tree) -> Iterator[dict[str, Any]]:
    settings: dict[str, dict[str, Any]] = {}  # model -> a row of its table
    for path in tree.paths("buildin/**/README.{MD,md}"):
        for table in tables(tree.text(path)):
            if "Throughput (qps)" in table.head:
                for line, cells in table.body:
                    for row in _table(tree, path, table, line, cells):
                        settings.setdefault(row["model"], row)
                        yield row
    for path in tree.paths("buildin/**/*_log_perf"):
        yield from _log(tree, path, settings)


def _table(tree: Tree, path: str, table: Table, line: int, cells: list[str]) -> Iterator[dict[str, Any]]:
    told = dict(zip(table.head, cells, strict=True))
    folder, name = path.split("/")[-2], told["Model"]
    board = next((cell for cell in cells if cell.startswith("MLU370")), "")  # one table's cells are shifted
    mode, mutable, batch = told.get("Quant_Mode"), told.get("Shape_Mutable(H/W)"), told.get("Batch_Size")
    if mode is None:
        mode, mutable, batch = told["QuantMode_ShapeMutable_BatchSize"].rsplit("_", 2)
    length = told.get("Max_Seq_Length") or told.get("Input_Len")
    latency, *tail = (number(told.get(column, "")) for column in _TIMES)
    extra: dict[str, Any] = {"upstream_folder": folder, "quant_mode": mode, "shape_mutable": mutable, "board": board}
    row = {
        "ref": tree.ref(path, f"#L{line}"), "model": f"{name} ({folder})", "image_size": _IMAGES.get(name),
        "seq_len": tree.whole(path, line, length) if length else None,
        "batch": tree.whole(path, line, batch) if batch else None,
        "extra": extra | {"latency_p95_ms": tail[0], "latency_p99_ms": tail[1]},
    }  # fmt: skip
    rate = tree.number(path, line, told["Throughput (qps)"])
    yield from _rows(tree, row, {"throughput": rate, "latency_ms": latency}, table.above)


def _log(tree: Tree, path: str, settings: dict[str, dict[str, Any]]) -> Iterator[dict[str, Any]]:
    folder, name = path.split("/")[-4], path.rsplit("/", 1)[1]
    found, text = _LOG.fullmatch(name), tree.text(path)
    models = [model for model in settings if model.endswith(f"({folder})")]
    if found is None or not models:
        tree.bad(path, 0, "no quantisation mode in the name, or no table of the model")
    if "Throughput (qps)" not in text:
        tree.leave_out("a log of tacotron2, which has another form")
        return
    board = tree.known(path, 0, _BOARDS, _said(tree, path, text, r"Cluster Number: +(\d+)"))
    model = f"{_PARTS[found['part']]} ({folder})" if found["part"] else models[0]
    extra = {"upstream_folder": folder, "quant_mode": found["mode"], "shape_mutable": found["mutable"], "board": board}
    row = {name: settings[model][name] for name in ("model", "image_size", "seq_len")} | {
        "ref": tree.ref(path), "extra": extra, "batch": int(_said(tree, path, text, r"Dim: \[(\d+)")),
    }  # fmt: skip
    extra["power_w_median"] = float(_said(tree, path, text, r"^dev0_power_info\(W\):.*?median: ([\d.e+]+)"))
    figures = {metric: float(_said(tree, path, text, pattern)) for metric, pattern in _FIGURES.items()}
    yield from _rows(tree, row, figures, "")


def _rows(tree: Tree, row: dict[str, Any], figures: Mapping[str, float | None], above: str) -> Iterator[dict[str, Any]]:
    """A row a figure, with what both kinds of file share."""
    extra, rate, latency = dict(row["extra"]), figures["throughput"], figures["latency_ms"]
    if rate and latency and row["batch"]:
        extra["qps_x_latency_over_batch"] = round(rate * latency / 1e3 / row["batch"], 3)
    flags = list(_flags(extra, above))
    row = row | {
        "platform": "mlu", "chip": f"cambricon-{extra['board'].lower().replace(' ', '-')}", "phase": "inference",
        "software": tree.known(row["ref"], 0, _SOFTWARE, tree.commit.sha[:7]), "n_chips": 1,
        "precision": tree.known(row["ref"], 0, _PRECISIONS, extra["quant_mode"]),
        "extra": extra | {"withdrawn": _WITHDRAWN, "flags": flags, "tool": _TOOL},
    }  # fmt: skip
    units = _UNITS | ({"throughput": _ITEMS} if extra["upstream_folder"] == "tacotron2_onnx" else {})
    for metric, value in figures.items():
        if value:
            yield row | {"metric": metric, "unit": units[metric], "value": value}


def _said(tree: Tree, path: str, text: str, pattern: str) -> str:
    found = re.search(pattern, text, re.MULTILINE)
    return found[1] if found else tree.bad(path, 0, f"no line {pattern}")


def _flags(extra: dict[str, Any], above: str) -> Iterator[str]:
    if not _AGREE[0] < extra.get("qps_x_latency_over_batch", 1.0) < _AGREE[1]:
        yield _SLIP
    if "待更新" in above:
        yield _PENDING
    if extra["upstream_folder"] == "bert_tensorflow":
        yield _BEYOND
    if extra["upstream_folder"] == "tacotron2_onnx" and extra["board"] == "MLU370 X4":
        yield _COPY
