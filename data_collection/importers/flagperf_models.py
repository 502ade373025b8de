"""FlagPerf's training and inference: README tables on Nvidia A100 to H800 and on Ascend 910B, one line per setting.

Throughput is of the whole job, with (`p_whole`) and without evaluation (`p_train`) and data loading (`p_core`), or of
one card (`token/p/s`). `p_val_*` of an inference is the run of the framework without the tool of its line. The variant
of an A100 follows from its memory; lines of dashes within a table name the model of the lines below; an Ascend README
whose lines still say A100 is read by its hardware section. Lines of other vendors' tools and blank cells are left out.
"""

from __future__ import annotations

import re
from collections.abc import Hashable, Iterator
from typing import Any

from data_collection.importers._tables import tables
from data_collection.upstream.differences import Known
from data_collection.upstream.files import Tree

__all__ = ["KNOWN", "once", "rows"]

_LINKED = "a README that is a link to another model's, or its lines of another model"
_WHY = "cards of `1x8*40G`, framework of a folder that names none, a length or batch of the text, a range"
KNOWN = (
    Known("corpus", _LINKED, lambda row: row["model"] in ("llama1_13B", "llama1_7B", "gpt3_13B", "gpt3_6.7B")),
    *(Known(side, _WHY, lambda row: True) for side in ("here", "corpus")),
)
_TOOLS = ("tensorrt", "torchtrt", "inductor")
_COLUMNS = {  # column -> metric, unit, factor
    "e2e_time": ("e2e_time_s", "s", 1.0), "MFU": ("mfu", "%", 1.0), "mem": ("memory_mb", "MiB", 1024.0),
    "memory": ("memory_mb", "MiB", 1024.0), "token/p/s": ("throughput_per_chip", "tokens/s/chip", 1.0),
    "throughput": ("throughput", "upstream:throughput", 1.0),
    **dict.fromkeys(("p_whole", "p_train", "p_core"), ("throughput", "samples/s", 1.0)),
}  # fmt: skip
_VALUE = re.compile(r"(\d+(?:\.\d+)?)%?\s*(?:[/*].*)?")  # 74/80; 70.09 * 8 GB
_UNITS = {"bertLarge": "sequences/s", "mmlu": "tokens/s"}  # of an inference; the others count images
_IMAGES = {"resnet50": 224, "swinTransformer": 224, "vit_l_16": 224}
_MEMORY = {"40": "nvidia-a100-sxm4-40gb", "80": "nvidia-a100-sxm4-80gb"}
_CHIPS = {"A800": "nvidia-a800-sxm4-80gb", "H100": "nvidia-h100-sxm-80gb", "H800": "nvidia-h800-sxm-80gb"}


def once(row: dict[str, Any]) -> Hashable:
    """A README may be a link to another one."""
    return row["model"], row["chip"], row["n_chips"], row["software"], str(row["extra"])


def rows(tree: Tree) -> Iterator[dict[str, Any]]:
    for path in tree.paths():
        text = tree.text(path)
        for table in tables(text):
            size = ""
            for line, cells in table.body:
                if all(set(cell) == {"-"} for cell in cells[1:]):
                    size = cells[0].rsplit("-", 1)[-1]  # `LLaMA-13B | --- | ---`: of the lines below
                told = dict(zip((name.replace("*", "").replace("\\", "") for name in table.head), cells, strict=True))
                if told.get("推理工具") in _TOOLS:
                    yield from _inference(tree, path, line, told)
                elif "配置" in told and re.search(r"\d ?x ?\d", told["配置"]):
                    yield from _training(tree, path, line, told, text, size)


def _inference(tree: Tree, path: str, line: int, told: dict[str, str]) -> Iterator[dict[str, Any]]:
    model, tool = path.split("/")[-2], told["推理工具"]
    batch = told.get("bs", "")
    row = {
        "ref": tree.ref(path, f"#L{line}"), "platform": "cuda", "chip": "nvidia-a100-sxm4-40gb", "model": model,
        "precision": told["precision"].split()[0], "image_size": _IMAGES.get(model), "phase": "inference", "n_chips": 1,
        "batch": int(batch) if batch.isdigit() else None,
    }  # fmt: skip
    unit = next((unit for name, unit in _UNITS.items() if name in model), "images/s")
    for column in told:
        native = column.startswith("p_val_")
        figure = ("throughput", unit, 1.0) if column.startswith(("p_val_", "p_infer_")) else _COLUMNS.get(column)
        software = f"native framework validation run (row tool: {tool})" if native else tool
        yield from _figure(row | {"software": software}, told, column, figure)


def _training(tree: Tree, path: str, line: int, told: dict[str, str], text: str,
              part: str) -> Iterator[dict[str, Any]]:  # fmt: skip
    folder, label, memory = path.split("/")[-2], told["配置"], told.get("mem") or told.get("memory") or ""
    model, _, framework = folder.rpartition("-") if "-" in folder else (folder, "", "")
    if part:
        model = re.sub(r"[\d.]+B$", part, model)
    ascend = "/ascend/" in path
    size = re.search(r"\* ?(\d\d)G", label) or re.search(r"/ ?(\d\d)", memory) or re.search(r"\((\d\d)G\)", text)
    version = re.search(r"训练框架版本[：:] ?(.*)", text)
    told_version = version[1].strip() if version else ""
    plain = not framework or told_version.lower().startswith(framework.lower())
    nodes, cards = re.findall(r"(\d+) ?x ?(\d+)", label)[0]
    setting = told.get("fix_hp", "")
    length = re.search(r"MPE ?= ?(\d+)", setting, re.IGNORECASE) or re.search(r"简写为MPE.*?默认为\**(\d+)", text)
    batch = re.search(r"\b(?:per_device_bs|bs|LBS|local_batchsize) ?= ?(\d+)", setting)
    card = next((name for name in ("A100", *_CHIPS) if name in label), "")
    chip = _MEMORY.get(size[1] if size else "") if card == "A100" else _CHIPS.get(card)
    if ascend:
        chip = "huawei-ascend-910b"
    row = {
        "ref": tree.ref(path, f"#L{line}"), "platform": "cann" if ascend else "cuda", "model": model,
        "chip": chip,
        "software": told_version if plain else f"{framework} {told_version}".strip(), "phase": "training",
        "precision": told.get("precision") or _stated(text), "batch": int(batch[1]) if batch else None,
        "seq_len": int(length[1]) if length else None, "n_chips": int(nodes) * int(cards),
    }  # fmt: skip
    for column in told if chip else ():
        yield from _figure(row, told, column, _COLUMNS.get(column))


def _figure(row: dict[str, Any], told: dict[str, str], column: str,
            figure: tuple[str, str, float] | None) -> Iterator[dict[str, Any]]:  # fmt: skip
    value = _VALUE.fullmatch(told[column])
    if figure and value and float(value[1]):
        metric, unit, factor = figure
        extra = {"row": told, "column": column}
        yield row | {"metric": metric, "unit": unit, "value": float(value[1]) * factor, "extra": extra}


def _stated(text: str) -> str:
    found = re.search(r"数据精度 *\| *([\w+]+)", text)
    return found[1] if found else "unstated"
