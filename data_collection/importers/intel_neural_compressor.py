"""Validated models of Intel Neural Compressor: throughput of int8 and fp32 models on one Xeon socket, summed over
instances of a few cores.

The page changes with each release, so it is read at many commits, the newest first; a row in several of them is read
once. Framework and version are from the heading, processor and instances from the sentence about the tests, unless the
column states others.
"""

from __future__ import annotations

import re
from collections.abc import Hashable, Iterator
from typing import Any

from data_collection.importers._tables import Table, number, tables
from data_collection.upstream.differences import Known
from data_collection.upstream.files import Tree

__all__ = ["KNOWN", "once", "rows"]

_FRAMEWORKS = {
    "Extension for TensorFlow": "intel-extension-for-tensorflow", "TensorFlow": "tensorflow", "Keras": "keras",
    "PyTorch": "pytorch", "MXNet": "mxnet", "ONNX Runtime": "onnxruntime",
}  # fmt: skip
_CHIPS = {"8380": "intel-xeon-8380", "8480+": "intel-xeon-8480plus"}
_TESTED = re.compile(
    r"(?:results test on|Test by Intel on)\W*[\d/]+.*?Platinum (?P<chip>\d+\+?)(?P<how>.*?batch size 1)", re.DOTALL
)
_WHY = "framework (MXNet, Keras, the TensorFlow extension), batch of the column or &, lost in the prepared table"


def _stated(row: dict[str, Any]) -> bool:
    named = re.match(r"[12]\.|tensorflow 1\.2|mxnet|keras|intel-extension", row["software"])
    return bool(named) or " bs=" in row["extra"] or "&" in row["model"]


KNOWN = (Known("here", _WHY, _stated), Known("corpus", _WHY, _stated),
         Known("corpus", "upstream's line names no model", lambda row: not row["model"]))  # fmt: skip


def once(row: dict[str, Any]) -> Hashable:
    """What makes rows one row: at several commits, where a version or the spelling of a model was mended between them,
    or fp32 beside several int8 variants."""
    model = re.sub(r"[^a-z0-9]", "", row["model"].lower())
    return row["software"].split()[0], row["chip"], model, row["precision"], row["value"]


def rows(tree: Tree) -> Iterator[dict[str, Any]]:
    for path in tree.paths():
        text = tree.text(path)
        tested = list(_TESTED.finditer(text))
        if not tested:
            tree.bad(path, 0, "no sentence says where and when it was tested")
        lines = [text.count("\n", 0, each.start()) + 1 for each in tested]
        for table in tables(text):
            before = [each for each, line in zip(tested, lines, strict=True) if line < table.line]
            if before and any("hroughput" in name for name in table.head):
                yield from _rows(tree, path, table, before[-1])


def _rows(tree: Tree, path: str, table: Table, tested: re.Match[str]) -> Iterator[dict[str, Any]]:
    heading = table.headings[-1]
    version = re.search(r"\d+(\.\d+)+", heading)
    framework = next((name for text, name in _FRAMEWORKS.items() if text in heading), None)
    if version is None or framework is None:
        tree.bad(path, table.line, f"{heading!r} names no framework with its version")
    for line, cells in table.body:
        for column, cell in zip(table.head, cells, strict=True):
            value = number(cell)
            precision = column.rsplit(" | ", 1)[-1]
            if value and cells[0] and "hroughput" in column and precision in ("INT8", "FP32"):
                stated = re.search(r"bs=(\d+)", column)
                yield {
                    "ref": tree.ref(path, f"#L{line}"), "platform": "oneapi",
                    "chip": tree.known(path, line, _CHIPS, tested["chip"]), "model": cells[0],
                    "software": f"{framework} {version[0]} + neural-compressor", "precision": precision.lower(),
                    "batch": int(stated[1]) if stated else 1, "phase": "inference", "metric": "throughput",
                    "unit": "samples/s (sum over instances on 1 socket)", "value": value, "n_chips": 1,
                    "extra": {"column": column, "heading": heading, "config": _config(tested, column),
                              "variant": cells[1] if table.head[1] == "Example" else ""},
                }  # fmt: skip


def _config(tested: re.Match[str], column: str) -> str:
    """Cores and instances: `1s4c14ins1bs` or `10ins 4c/ins` of the column, or those of the sentence."""
    short = re.search(r"1s(\d+)c(\d+)ins", column)
    turned = re.search(r"(\d+)ins (\d+)c/ins", column)
    if short or turned:
        cores, instances = short.groups() if short else turned.groups()[::-1] if turned else ("", "")
    else:
        cores, instances = re.findall(r"(\d+) (?:cores/instance|instances?)", tested["how"])[:2]
    return f"1 socket, {cores} cores/instance, {instances} instances, all instances summed"
