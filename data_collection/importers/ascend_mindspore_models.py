"""Speed lines in README tables of MindSpore models: mostly ms per training step, one column per device.

A cell can have several figures, each with its number of cards if stated (`1pc: 190 ms/step; 8pcs: 200 ms/step`);
seconds are converted to milliseconds. A row that is in both the English and the Chinese README is read once. The chip
is that of the resource line, or else of the column. Precision is not stated.
"""

from __future__ import annotations

import re
from collections.abc import Hashable, Iterator
from typing import Any

from data_collection.importers._tables import Table, tables
from data_collection.upstream.differences import Known
from data_collection.upstream.files import Tree

__all__ = ["KNOWN", "once", "rows"]

KNOWN = (
    Known("here", "READMEs and cells that the prepared table lacks, or that it reads otherwise", lambda row: True),
    Known("corpus", "figures of the template for contributors: no measurements", lambda row: "TEMPLATE" in row["ref"]),
    Known("corpus", "sentences, which are no table", lambda row: '"speed_cell"' not in row["extra"]),
    Known("corpus", "read otherwise: cards, batch, version or phase", lambda row: True),
)

_CHIPS = (
    (r"310", "huawei-ascend-310"), (r"A100", "nvidia-a100"), (r"V100", "nvidia-v100"), (r"3090", "nvidia-rtx3090"),
    (r"titan", "nvidia-titan"), (r"910|ascend", "huawei-ascend-910"),
)  # fmt: skip
_GPUS = re.compile(r"A100|V100|3090|titan", re.IGNORECASE)
_LINES = {
    "speed": r"(training |train )?speed|(训练)?速度|(training )?performance|性能",
    "resource": r"resources?|hardware|资源|硬件",
    "version": r"mindspore.?version|mindspore ?版本|mindspore|version", "model": r"model.?version|模型版本|模型",
    "batch": r"batch.?size|批次大小|批大小",
    "parameters": r"(training |hyper)?-?param(eter)?s?|训练参数|超参数?",
    "data": r"data ?sets?|数据集", "date": r"uploaded.*|上传日期",
}  # fmt: skip
_MANY = r"\d+|单|双|一|四|八|single|one|two|four|eight"
_CARD = r"(?:pcs?|ps?|张?卡|devices?|cards?|个?NPUs?|GPUs?)"
_FIGURE = re.compile(
    rf"(?:(?P<before>{_MANY})\s*{_CARD}\s*(?:训练|[(（][^)）]*[)）])?\s*[:：,，]?\s*~?|(?<![\d.~*×-]))"
    r"(?P<value>\d+(?:\.\d+)?)\s*(?P<unit>imgs?|fps|samples?|sentences|ms|毫秒|s(?:ec(?:onds?)?)?|秒)\s*"
    r"(?P<per>/ ?(?:steps?|iter|batch|s(?:ec(?:ond)?)?|步|次)|per step)?\s*"
    rf"(?:[(（]\s*(?P<after>{_MANY})\s*{_CARD}[^)）]*[)）])?",
    re.IGNORECASE,
)
_WORDS = {"单": 1, "single": 1, "一": 1, "one": 1, "双": 2, "two": 2, "四": 4, "four": 4, "八": 8, "eight": 8}
_OTHER = re.compile(r"(epoch time|\bto)\W*$", re.IGNORECASE)  # before a figure that is none, or the end of a range
_INFERENCE = re.compile("infer|推理|zero-shot", re.IGNORECASE)


def once(row: dict[str, Any]) -> Hashable:
    """A row of both languages of a README."""
    return row["model"].split(":")[0], row["chip"], row["batch"], row["n_chips"], row["metric"], row["value"]


def rows(tree: Tree) -> Iterator[dict[str, Any]]:
    for path in tree.paths():
        for table in tables(tree.text(path)):
            told = {name: line for line in table.body if line[1] for name in _named(line[1][0])}
            if "speed" in told:
                yield from _rows(tree, path, table, told)


def _named(cell: str) -> list[str]:
    return [name for name, pattern in _LINES.items() if re.fullmatch(pattern, cell, re.IGNORECASE)]


def _rows(tree: Tree, path: str, table: Table, told: dict[str, tuple[int, list[str]]]) -> Iterator[dict[str, Any]]:
    line, speeds = told["speed"]
    section = table.headings[-1] if table.headings else ""
    phase = "inference" if _INFERENCE.search(section) else "training"
    for at, cell in enumerate(speeds[1:], start=1):
        said = {name: cells[at] for name, (_, cells) in told.items()}
        resource = said.get("resource", "")
        chip = _chip(resource) or _chip(table.head[at])
        if len(set(_GPUS.findall(resource))) > 1:
            tree.leave_out("a cell of several GPUs: which of the figures is of which is not said")
            continue
        if chip is None:
            if _FIGURE.search(cell):
                tree.leave_out("a speed on hardware that is not listed, or of which none is stated")
            continue
        for found in _FIGURE.finditer(cell):
            figure = _figure(found)
            if figure is None or _OTHER.search(cell[: found.start()]):
                tree.leave_out("a figure of another kind than a time of a step or a rate")
                continue
            cards = (found["before"] or found["after"] or "").lower()
            batch = re.search(r"batch.?size ?[=:：]? ?(\d+)", said.get("parameters", ""), re.IGNORECASE)
            version = re.sub(r"(?i)mindspore[ -]?", "", said.get("version", "")).split(",")[0].strip()
            folder, model = path.rsplit("/", 1)[0], said.get("model", "")
            whole = re.match(r"\d+", said.get("batch", ""))
            yield {
                "ref": tree.ref(path, f"#L{line}"), "platform": "cuda" if chip.startswith("nvidia") else "cann",
                "chip": chip, "software": f"mindspore {version}".strip(),
                "model": f"{folder}:{model}" if model else folder, "precision": "unstated",
                "batch": int(whole[0]) if whole else int(batch[1]) if batch else None, "phase": phase,
                "n_chips": (_WORDS.get(cards) or int(cards)) if cards else None, **figure,
                "extra": {"speed_cell": cell, "resource": said.get("resource", ""), "column": table.head[at],
                          "dataset": said.get("data", ""), "training_parameters": said.get("parameters", ""),
                          "section": section, "date": said.get("date", "")},
            }  # fmt: skip


def _chip(text: str) -> str | None:
    return next((chip for pattern, chip in _CHIPS if re.search(pattern, text, re.IGNORECASE)), None)


def _figure(found: re.Match[str]) -> dict[str, Any] | None:
    value, unit, per = float(found["value"]), found["unit"].lower(), (found["per"] or "").lower().strip("/ ")
    if unit in ("ms", "毫秒") or (unit[0] in "s秒" and unit[:3] not in ("sam", "sen")):
        if not per or not value:
            return None
        factor = 1.0 if unit in ("ms", "毫秒") else 1e3
        return {"metric": "latency_ms", "unit": "ms/batch" if per == "batch" else "ms/step", "value": value * factor}
    return {"metric": "throughput", "unit": unit if unit == "fps" else found["unit"] + "/" + per, "value": value}
