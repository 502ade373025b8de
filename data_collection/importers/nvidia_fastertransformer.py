"""BERT tables of FasterTransformer: latency of the encoder stack on one GPU, frameworks beside its own kernels.

The network is BERT-Base without embeddings. EFF-FT removes padding, of an average length of half the sequence. A100 is
TF32 where the text above the table sets that override. The memory of the A100 is not stated. The guides of GPT, Swin,
T5 and ViT are not read, nor tables of sparsity, MIG and several GPUs.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from data_collection.importers._tables import Table, number, tables
from data_collection.upstream.differences import Known
from data_collection.upstream.files import Tree

__all__ = ["KNOWN", "rows"]

KNOWN = (Known("corpus", "guides of GPT, Swin, T5 and ViT, which are not read",
               lambda row: "bert" not in row["model"]),)  # fmt: skip
_HEADING = re.compile(r"BERT performance on (?P<chip>A100|A10|T4|V100) and (?P<framework>TensorFlow|PyTorch)")
_COLUMN = re.compile(r"(?P<kernel>\S+) +Latency \(ms\)")


def rows(tree: Tree) -> Iterator[dict[str, Any]]:
    for path in tree.paths():
        for table in tables(tree.text(path)):
            found = _HEADING.fullmatch(table.headings[-1]) if table.headings else None
            if found:
                yield from _rows(tree, path, table, found)


def _rows(tree: Tree, path: str, table: Table, found: re.Match[str]) -> Iterator[dict[str, Any]]:
    for line, cells in table.body:
        told = dict(zip(table.head, cells, strict=True))
        for column, cell in told.items():
            kernel, value = _COLUMN.fullmatch(column), number(cell)
            if kernel and value:
                yield {
                    "ref": tree.ref(path, f"#L{line}"), "platform": "cuda", "chip": f"nvidia-{found['chip'].lower()}",
                    "software": f"{found['framework'].lower()} {kernel['kernel']}", "n_chips": 1, "phase": "inference",
                    "model": "bert-base (12 layers encoder only, no embeddings)", "metric": "latency_ms",
                    "precision": _precision(kernel["kernel"], told.get("Precision", ""), table.above),
                    "batch": tree.whole(path, line, told["Batch_size"]), "unit": "ms/batch", "value": value,
                    "seq_len": tree.whole(path, line, told["Seq_len"]),
                    "extra": {"column": column, "heading": table.headings[-1], "ctx": table.above[-100:],
                              "precision_col": told.get("Precision")},
                }  # fmt: skip


def _precision(kernel: str, stated: str, above: str) -> str:
    """Of the kernel's name, else of the line; TF32 is set in the text."""
    if named := re.search("INT8|FP16", kernel):
        return named[0].lower()
    return "tf32" if stated == "TF32" or ("OVERRIDE=1" in above and stated != "FP16") else stated.lower()
