"""README tables of Ascend ModelZoo-PyTorch: inference of offline models on 310, 310P and 310B, training on 910.

Inference is samples per second of the NPU alone, as upstream's tool computes it. Tables have one chip per line or per
column, and quote a T4. If neither the figure nor its column has a unit, frames per second are assumed (`unit_source`).
Precision is not stated (the tool's default is fp16). A 310 row has four chips per card only if upstream states it.
Training is frames per second of all cards; the generation of the 910 is not stated, and the vendor's names of the GPUs
beside it are read as V100 and A100. Ratios, accuracies and sentences are not read.
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
    Known("here", "READMEs and lines that the prepared table lacks, or that it reads otherwise", lambda row: True),
    Known("corpus", "sentences, which are no table", lambda row: '"prose"' in row["extra"]),
    Known("corpus", "read otherwise: size of a video's image, version behind a link, variant, batch", lambda row: True),
)

_CHIPS = (  # what a column or cell says, in this order
    (r"310B", "huawei-ascend-310b"), (r"310P", "huawei-ascend-310p"), (r"310", "huawei-ascend-310"),
    (r"\bT4|T4性能", "nvidia-t4"), (r"910", "huawei-ascend-910"),
)  # fmt: skip
_RATE = re.compile(r"性能|吞吐|fps|qps|throughput|performance|T4|310", re.IGNORECASE)
_NO_RATE = re.compile(r"/ ?(310|T4)|310P?/|精度|acc|map|基准|AOE|耗时|芯片|ms|数据|提升|比", re.IGNORECASE)
_BATCH = re.compile(r"batch|^bs$|^throughput$|^input$|^size$|^$|模型|^model", re.IGNORECASE)
_SUMMARY = re.compile(r"最优|best|top|acc|m?AP\b|精度|[hw]?mean|psnr|miou", re.IGNORECASE)  # first words of a line
_VARIANT = re.compile(r"模型(变体|名称)?|model", re.IGNORECASE)
_VALUE = re.compile(r"(\d+(?:\.\d+)?)\s*(fps|qps|it/s|images?/s|帧/s|samples?/s)?", re.IGNORECASE)
_QUOTED = "unstated (GPU baseline quoted by Ascend ModelZoo; usually TensorRT fp16)"
_NAMES = "name", "名称", "device", "type"  # columns of a training table that hold the number of cards and their maker
_AMP = {"O1": "fp16-amp", "O2": "fp16-amp", "True": "fp16-amp", "amp": "fp16-amp", "混合精度": "fp16-amp", "O0": "fp32",
        "FP32": "fp32", "fp32": "fp32", "False": "fp32", "fp16": "fp16"}  # fmt: skip


def rows(tree: Tree) -> Iterator[dict[str, Any]]:
    for path in tree.paths():
        found = list(tables(tree.text(path)))
        lines = [cells for each in found for _, cells in each.body if cells[1:]]
        stated = {cells[0].lower(): re.match(r"\d[\w.]*", cells[1]) for cells in lines}
        versions = [f"{name} {stated[name][0]}" for name in ("cann", "pytorch") if stated.get(name)]
        shapes = _shapes(found)
        work = _training if path.startswith("PyTorch/") else _inference
        for table in found:
            for line, cells in table.body:
                row = {"ref": tree.ref(path, f"#L{line}"), "metric": "throughput"}
                yield from (row | each for each in work(tree, path, table, cells, versions, shapes))


def _shapes(found: list[Table]) -> list[list[str]]:
    """Sizes of the inputs, first the batch."""
    into = (cells for table in found if re.match("输入|input", table.head[0], re.IGNORECASE) for _, cells in table.body)
    split = (re.split(r" *[x*×,] *", cell.lower()) for cells in into for cell in cells[1:])
    return [shape for shape in split if len(shape) > 1 and shape[-1].isdigit()]


def _inference(tree: Tree, path: str, table: Table, cells: list[str], versions: list[str],
               shapes: list[list[str]]) -> Iterator[dict[str, Any]]:  # fmt: skip
    folder = re.sub("^(ACL_PyTorch|AscendIE)/", "", path.rsplit("/", 1)[0])
    tool = "TorchAIE" if path.startswith("AscendIE/") else "ACL/OM offline"
    turned = all(name.isdigit() for name in table.head[1:])  # a column a batch
    named = dict(zip(table.head, cells, strict=True))
    variant = next((cell for name, cell in named.items() if _VARIANT.fullmatch(name) and not _size(cell)), None)
    image = next((shape[1:3] if shape[3] == "3" else shape[2:] for shape in shapes if len(shape) == 4), None)
    length = [shape[1] for shape in shapes if len(shape) == 2 and shape[1].isdigit()]
    place = next((cell for name, cell in named.items() if re.search("芯片|soc|device", name, re.IGNORECASE)), cells[0])
    if any(_SUMMARY.match(cell) for cell in cells[:3] if not re.search(r"\d", cell) or cell is cells[0]):
        tree.leave_out("a line that sums up or compares others")
        return
    for name, cell in zip(table.head, cells, strict=True):
        value = _VALUE.fullmatch(cell)
        chip = _chip(name) or _chip(place)
        rate = name.isdigit() if turned else _RATE.search(name) and not _NO_RATE.search(name)
        if not rate or not value or not chip:
            if rate and value:
                tree.leave_out("a rate on hardware that is not listed, or of which none is stated")
            continue
        unit = "cell" if value[2] else "header" if "fps" in name.lower() else "assumed"
        if float(value[1]):
            yield {
                "platform": "cuda" if chip == "nvidia-t4" else "cann", "chip": chip, "precision": "unstated",
                "software": _QUOTED if chip == "nvidia-t4" else "; ".join((tool, *versions)), "phase": "inference",
                "model": f"{folder}:{variant}" if variant else folder,
                "batch": int(name) if turned else _batch(table, cells), "unit": "samples/s", "value": float(value[1]),
                "image_size": "x".join(image) if image and all(map(str.isdigit, image)) else None,
                "seq_len": int(length[0]) if length and "/nlp/" in path else None,
                "n_chips": 4 if re.search(r"310 ?(\* ?4|\(FPS/Card)", name) else 1,  # a card has four
                "extra": {"header": table.head, "row": cells, "column": name, "unit_source": unit,
                          "input_shapes": [" x ".join(shape) for shape in shapes]},
            }  # fmt: skip


def _chip(text: str) -> str | None:
    return next((chip for pattern, chip in _CHIPS if re.search(pattern, text, re.IGNORECASE)), None)


def _batch(table: Table, cells: list[str]) -> int | None:
    for name, cell in zip(table.head, cells, strict=True):
        bare = re.fullmatch(r"[ =:]*(\d+)( ?[(（]最优性能[)）])?", cell) if _BATCH.search(name) else None
        if size := bare or _size(cell) or re.search(r"(?:bs|batch_?size)[ _=]?(\d+)", cell, re.IGNORECASE):
            return int(size[1])
    return None


def _size(cell: str) -> re.Match[str] | None:
    return re.fullmatch(r"(?:bs|batch ?size)[ _=:]*(\d+)", cell, re.IGNORECASE)


def _training(tree: Tree, path: str, table: Table, cells: list[str], versions: list[str],
              shapes: list[list[str]]) -> Iterator[dict[str, Any]]:  # fmt: skip
    at = {name.lower().replace(" ", "_"): cell for name, cell in zip(table.head, cells, strict=True)}
    column = next((name for name in at if re.search(r"fps|性能|^throughput$", name) and "精度" not in name), None)
    name = next((at[key] for key in _NAMES if key in at), "")
    cards = re.search(r"(\d+) ?[px*-]", name, re.IGNORECASE) or re.fullmatch(r"(\d+)[pP]?", at.get("npu_nums", ""))
    value = _VALUE.fullmatch(at[column]) if column else None
    if not column or not value or not float(value[1]) or not cards:
        tree.leave_out("a line of a training table without a rate and a number of cards")
        return
    rival = re.search(r"竞品 ?([VA])|([VA])100", name, re.IGNORECASE)
    if not rival and re.search("竞品|GPU", name, re.IGNORECASE):
        tree.leave_out("a rate of a GPU that is not named")
        return
    chip = {"V": "nvidia-v100", "A": "nvidia-a100"}[(rival[1] or rival[2]).upper()] if rival else "huawei-ascend-910"
    version = re.search(r"\d+(\.\d+)+", at.get("torch_version") or at.get("torch", ""))
    maker = "pytorch (GPU baseline quoted by Ascend ModelZoo)" if rival else "torch_npu"
    batch = next((at[key] for key in ("batch_size", "batchsize", "bs") if key in at), "")
    amp = at.get("amp_type") or at.get("精度模式") or at.get("use_amp")
    yield {
        "platform": "cuda" if rival else "cann", "chip": chip, "model": path.rsplit("/", 1)[0].removeprefix("PyTorch/"),
        "software": "; ".join((maker, *versions, *([f"pytorch {version[0]}"] if version else ()))),
        "precision": _AMP.get(amp or "", "unstated"), "batch": int(batch) if batch.isdigit() else None,
        "phase": "training", "unit": "it/s" if re.search("it(er)?s?/s", column + at[column]) else "samples/s",
        "value": float(value[1]), "n_chips": int(cards[1]),
        "extra": {"header": table.head, "row": cells, "amp_type": amp},
    }  # fmt: skip
