"""Training and prediction throughput of MindFormers on Ascend: tables of model cards at 11 branches.

A figure per device (`/p`) is of one chip; for the others the number of chips is not stated. A row of several branches
is read once, from the oldest release that has it. The chip is stated in the line, in the name of the configuration or
in the text above the table: 910B (Atlas 800T A2, 900 A2), 910A (Atlas 800), or 910 of unknown generation. Precision is
not read.
"""

from __future__ import annotations

import re
from collections.abc import Hashable, Iterator
from typing import Any

from data_collection.importers._tables import Table, tables
from data_collection.upstream.differences import Known
from data_collection.upstream.files import Tree

__all__ = ["KNOWN", "once", "rows"]

_BRANCHES = {
    "fd4deebc1": "dev", "983b95ebc": "r1.6.0-beta1", "ece44cc45": "r1.5.0", "a1eb2ec17": "kbk-infer",
    "f90b5b9cf": "r1.3.0", "31f07eff7": "r1.2.0", "6db677bcb": "r1.1.0", "3f953cf01": "r1.1.rc1", "6a4076003": "r1.0",
    "d578c60e7": "r0.8", "3b6cedd65": "r0.7",
}  # fmt: skip
_CHIPS = (
    (r"910 ?B|(800T|900)[ _-]?A2", "huawei-ascend-910b"),
    (r"910 ?A\b|At?lt?as 800\b(?! ?T| A2)", "huawei-ascend-910a"),
)  # fmt: skip
_UNIT = r"(?P<unit>(?:tokens|tks|samples)/s(?:/p)?|fps)"
_VALUE = re.compile(rf"(?P<value>\d+(?:\.\d+)?) ?\(?{_UNIT}?\)?(?P<tail>.*)", re.IGNORECASE)
_INFERENCE = re.compile("predict|infer|推理|eval", re.IGNORECASE)
KNOWN = tuple(
    Known(side, "chip, batch or branch read otherwise (GPT-2, InternLM, Qwen-14B, TeleChat2, GLM2)", lambda row: True)
    for side in ("here", "corpus")
)


def once(row: dict[str, Any]) -> Hashable:
    """A row of several branches."""
    return row["model"], row["chip"], row["seq_len"], row["phase"], row["value"]


def rows(tree: Tree) -> Iterator[dict[str, Any]]:
    for path in tree.paths():
        lines = tree.text(path).splitlines()
        for table in tables("\n".join(lines)):
            heads = [name.lower() for name in table.head]
            if heads[0].startswith("config") and any("performance" in name for name in heads):
                for line, cells in table.body:
                    yield from _rows(tree, path, table, line, cells, lines[line - 1])


def _rows(tree: Tree, path: str, table: Table, line: int, cells: list[str], raw: str) -> Iterator[dict[str, Any]]:
    told = {name.lower(): cell for name, cell in zip(table.head, cells, strict=True)}
    length = told.get("seqlength", "")
    for column, cell in told.items():
        value = _VALUE.match(cell) if "performance" in column else None
        if value is None:
            if "performance" in column and cell.strip("- "):
                tree.leave_out("a performance that is no figure")
            continue
        unit = value["unit"] or next((found[0] for found in re.finditer(_UNIT, column)), None)
        if unit is None:
            tree.leave_out("a performance without a unit")
            continue
        unit = unit.lower().replace("tks", "tokens")
        chip, source = _chip(cell, raw, table.above)
        yield {
            "ref": tree.ref(path, f"#L{line}"), "platform": "cann", "chip": chip, "model": cells[0],
            "software": f"mindspore/mindformers {tree.known(path, line, _BRANCHES, tree.commit.sha[:9])}",
            "precision": "unstated", "seq_len": int(length) if length.isdigit() else None,
            "phase": "inference" if _INFERENCE.search(told.get("phase") or column) else "training",
            "metric": "throughput", "unit": unit, "value": float(value["value"]),
            "n_chips": 1 if unit.endswith("/p") else None,
            "extra": {"column": column, "phase_cell": told.get("phase", ""), "tail": value["tail"].strip(),
                      "task": told.get("task", ""), "chip_source": source, "row": cells},
        }  # fmt: skip


def _chip(cell: str, raw: str, above: str) -> tuple[str, str]:
    for text, source in ((cell, "cell"), (raw, "config name"), (above, "text above table")):
        for pattern, chip in _CHIPS:
            if re.search(pattern, text, re.IGNORECASE):
                return chip, source
    return "huawei-ascend-910", "not stated (generation unknown)"
