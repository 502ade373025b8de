"""Training of MindCV and MindYOLO on Ascend: README tables of ms per step and images per second over all cards.

The step includes the data pipeline. Batch is per card. `910*` and Atlas 800T A2 are the 910B. The tables do not state
the precision. Images per second follow from the step time; `consistent` is false if they contradict it.
"""

from __future__ import annotations

import re
from collections.abc import Hashable, Iterator
from typing import Any

from data_collection.importers._tables import Table, number, tables
from data_collection.upstream.differences import Known
from data_collection.upstream.files import Tree

__all__ = ["KNOWN", "once", "rows"]

KNOWN = (
    Known("here", "47,34 ms/step: the comma is the point", lambda row: row["value"] == 47.34),
    *(Known(side, "the sentence above the table names no version", lambda row: row["model"] == "volo")
      for side in ("here", "corpus")),
)  # fmt: skip

_FIGURES = (("ms/step", "latency_ms", "ms/step"), ("img/s", "throughput", "images/s (all cards)"))
_CLOSE = 0.05  # by how much the two figures of a line may differ


def once(row: dict[str, Any]) -> Hashable:
    """A line of several tables or commits is one row."""
    return tuple(row[name] for name in ("model", "chip", "batch", "n_chips", "metric", "value"))


def rows(tree: Tree) -> Iterator[dict[str, Any]]:
    for path in tree.paths():
        for table in tables(tree.text(path)):
            if "ms/step" in table.head:
                for line, cells in table.body:
                    yield from _rows(tree, path, table, line, cells)


def _rows(tree: Tree, path: str, table: Table, line: int, cells: list[str]) -> Iterator[dict[str, Any]]:
    told = {name.lower().replace(" ", ""): cell for name, cell in zip(table.head, cells, strict=True)}
    context = re.findall(r"tested on ascend ([^.]*?)(?:machines|\(8p\))? ?(?:with|$)", table.above, re.IGNORECASE)
    if not context:
        tree.bad(path, line, "no sentence above the table names the chip")
    version = re.search(r"mindspore (\d[\d.]+\d)", table.above)
    batch, cards = told["batchsize"], told.get("cards") or "8"
    if "*" in batch:  # 32 * 8
        batch, cards = batch.split("*")
    batch_, cards_ = tree.whole(path, line, batch), tree.whole(path, line, cards)
    size = told.get("resolution") or f"{told['imagesize']}x{told['imagesize']}"
    name = told.get("modelname") or told["name"]
    figures = {column: number(told.get(column, "")) for column, _, _ in _FIGURES}
    step, rate = figures["ms/step"], figures["img/s"]
    extra: dict[str, Any] = {"jit_level": told.get("jitlevel"), "context": table.above[-200:],
                             "params_m": told.get("params(m)") or told.get("params")}  # fmt: skip
    if step and rate:
        extra["img_s_from_ms"] = round(batch_ * cards_ / step * 1e3, 2)
        extra["consistent"] = abs(extra["img_s_from_ms"] / rate - 1) < _CLOSE
    row = {
        "ref": tree.ref(path, f"#L{line}"), "platform": "cann",
        "chip": "huawei-ascend-910b" if re.search(r"\*|A2", context[-1]) else "huawei-ascend-910",
        "software": f"mindspore {version[1]}" if version else "mindspore",
        "model": "-".join(filter(None, (name, told.get("scale") or told.get("backbone")))),
        "precision": "fp16-amp (recipe amp_level, not in table)", "batch": batch_, "n_chips": cards_,
        "image_size": size, "phase": "training", "extra": extra,
    }  # fmt: skip
    for column, metric, unit in _FIGURES:
        if figures[column]:
            yield row | {"metric": metric, "unit": unit, "value": figures[column]}
