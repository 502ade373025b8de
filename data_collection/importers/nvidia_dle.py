"""Inference tables of NVIDIA's Deep Learning Examples: mean latency and throughput of a forward pass on one GPU.

The heading names the GPU; the model is named by the folder, the line or the text above the table, since TensorFlow 2
tables of BERT-Base and BERT-Large follow each other. Mixed precision is amp. Percentiles, speed-ups and tables of
training are not read.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from data_collection.importers._tables import Table, tables
from data_collection.upstream.differences import Known
from data_collection.upstream.files import Tree

__all__ = ["KNOWN", "rows"]

KNOWN = (
    Known("corpus", "trainings and sentences, which are not read",
          lambda row: row["phase"] == "training" or row["model"] == "wav2vec2"),
    Known("corpus", "speed-ups filed as latencies", lambda row: '"Avg latency - speedup"' in row["extra"][:60]),
    Known("corpus", "lines with a batch a precision, which are not read", lambda row: "sequences/sec" in row["extra"]),
    Known("corpus", "tables headed BERT-Base filed as bert-large", lambda row: row["model"] == "bert-large"),
    Known("here", "tables headed BERT-Base filed as bert-large", lambda row: row["model"] == "bert-base"),
)  # fmt: skip
_CHIPS = (  # in the heading, the first that matches
    (r"A100.*80 ?GB", "nvidia-a100-sxm-80gb"), (r"A100.*40 ?GB", "nvidia-a100-sxm-40gb"), (r"\bA30\b", "nvidia-a30"),
    (r"\bA10\b", "nvidia-a10"), (r"\bA40\b", "nvidia-a40"), (r"\bT4\b", "nvidia-t4"),
    (r"V100.*32 ?G", "nvidia-v100-sxm2-32gb"), (r"V100.*16 ?G", "nvidia-v100-sxm2-16gb"),
)  # fmt: skip
_FRAMEWORKS = {"MxNet": "mxnet", "PaddlePaddle": "paddlepaddle", "PyTorch": "pytorch", "TensorFlow": "tensorflow",
               "TensorFlow2": "tensorflow2"}  # fmt: skip
_PRECISIONS = (  # in the column, the line or the text above, the first that matches
    (r"mixed precision|\bAMP\b", "amp_fp16"), (r"\bint8\b", "int8"), (r"\btf32\b", "tf32"), (r"\bfp16\b", "fp16"),
    (r"\bfp32\b", "fp32"),
)  # fmt: skip
_FIGURE = re.compile(r"([\d,]+(?:\.\d+)?) ?(?:img/s|images?/s|ms)?")


def rows(tree: Tree) -> Iterator[dict[str, Any]]:
    for path in tree.paths():
        for table in tables(tree.text(path)):
            where = " / ".join(table.headings)
            if "inference" in f"{where} {table.above}".lower() or "/triton/" in path:
                yield from _rows(tree, path, table, where)


def _rows(tree: Tree, path: str, table: Table, where: str) -> Iterator[dict[str, Any]]:
    chip = _first(_CHIPS, table.headings[::-1])
    software = f"{_FRAMEWORKS[path.split('/')[0]]} (NGC)" + (" triton TensorRT" if "/triton/" in path else "")
    for line, cells in table.body:
        told = {name.lower(): cell for name, cell in zip(table.head, cells, strict=True)}
        batch = next((cell for name, cell in told.items() if re.match(r"(client )?batch ?size", name)), "")
        length = told.get("sequence length", "")
        for column, cell in zip(table.head, cells, strict=True):
            metric = _metric(column.lower())
            precision = _first(_PRECISIONS, (column, told.get("precision", ""), table.above, *table.headings[::-1]))
            value = _FIGURE.fullmatch(cell)
            if metric and value and not (chip and batch.isdigit()):
                tree.leave_out("a figure without a chip or a batch")
            elif metric and value:
                yield {
                    "ref": tree.ref(path, f"#L{line}"), "platform": "cuda", "chip": chip,
                    "software": software,
                    "model": _model(path, told.get("model", ""), f"{where} {table.above}"), "precision": precision,
                    "batch": int(batch), "seq_len": int(length) if length.isdigit() else None,
                    "image_size": 224 if "resnet50" in path or "RN50" in path else None, "phase": "inference",
                    "metric": metric, "unit": "ms/batch" if metric == "latency_ms" else "samples/s", "n_chips": 1,
                    "value": float(value[1].replace(",", "")),
                    "extra": {"column": column, "heading": where, "ctx": table.above[:140],
                              "row": dict(zip(table.head, cells, strict=True))},
                }  # fmt: skip


def _metric(column: str) -> str | None:
    if "speedup" in column or "scaling" in column:
        return None
    if re.search(r"throughput|inferences/second", column):
        return "throughput"
    return "latency_ms" if "latency" in column and re.search("avg|average", column) else None


def _model(path: str, stated: str, context: str) -> str:
    if "BERT" in path:
        return "bert-base" if stated == "base" or "bert-base" in context.lower() else "bert-large"
    return stated if stated.startswith("efficientnet") else "resnet50"


def _first(table: tuple[tuple[str, str], ...], texts: tuple[str, ...]) -> str | None:
    """What the first text that names one of them names."""
    for text in texts:
        for pattern, name in table:
            if re.search(pattern, text, re.IGNORECASE):
                return name
    return None
