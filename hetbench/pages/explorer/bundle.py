"""The data of the explorer: one JSON document whose numbers are packed, zlib-compressed and written in base64.

`values` and `marks` hold the arrays of all blocks one after another; a block states where its own begin.
"""

from __future__ import annotations

import zlib
from base64 import b64encode
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hetbench.answers import LEVEL_TEXTS
from hetbench.api import HetBench
from hetbench.catalog.chips import Chip, chips, default_chip
from hetbench.catalog.models import models
from hetbench.errors import RefusedError
from hetbench.metrics import METRICS
from hetbench.pages.dashboard_data import StringTable
from hetbench.pages.explorer.grids import LEVELS, Block, Grids, default_sizes
from hetbench.pages.explorer.interpolation import GridError
from hetbench.pages.labels import chip_label
from hetbench.query.precisions import default_precision
from hetbench.schema import FAMILIES
from hetbench.version import __version__

__all__ = ["bundle", "packed"]

_CHIP = ("name", "family", "vendor", "kind", "arch", "launch_year", "mem_gb", "tdp_w", "mem_bw_gbs")
_SERVING_METRICS = {
    "tpot": ("ms", "lower", "time per output token after the first"),
    "ttft": ("ms", "lower", "time to the first token"),
    "throughput": ("1/s", "higher", "output tokens per second of the whole deployment"),
    "energy": ("J", "lower", "energy of one output token, all chips of the deployment together"),
}


def bundle(api: HetBench, grids: Grids, errors: Sequence[GridError]) -> dict[str, Any]:
    """Everything that the explorer's page needs, as JSON.

    >>> from hetbench.pages.explorer.choice import choose
    >>> from hetbench.pages.explorer.grids import ask_grids
    >>> api = HetBench()
    >>> data = bundle(api, ask_grids(api, choose(api, ["bert-tiny"], ["nvidia-l4"]))[0], [])
    >>> data["chips"][0]["label"], data["blocks"][0]["axes"]["batch"]
    ('NVIDIA L4', [1, 4, 16, 64])
    """
    texts = StringTable()
    blocks: list[dict[str, Any]] = []
    values: list[NDArray[np.float32]] = []
    marks: list[NDArray[np.uint16]] = []
    for block in grids.blocks:
        start = sum(each.size for each in marks)
        blocks.append(_block(block, start, texts))
        values.append(block.values.ravel())
        marks.append(block.marks.ravel())
    names = dict.fromkeys(block.model for block in grids.blocks)
    defaults = {default_chip(family)[0].name for family in FAMILIES}
    return {
        "hetbench": __version__, "levels": dict(LEVEL_TEXTS), "marks": list(LEVELS),
        "metrics": _metrics(), "models": [_model(name) for name in names],
        "chips": [_chip(chips()[name], name in defaults) for name in grids.chips],
        "blocks": blocks, "reasons": list(grids.reasons), "texts": texts.all,
        "errors": [each.to_dict() for each in errors],
        "coverage": [_coverage(api, name) for name in names if name in models()],
        "values": packed(np.concatenate(values)), "packed_marks": packed(np.concatenate(marks)),
    }  # fmt: skip


def packed(array: NDArray[Any]) -> str:
    """The bytes of an array, all first bytes before all second ones, as zlib in base64.

    >>> len(packed(np.zeros(1000, np.float32))) < 60
    True
    """
    planes = np.ascontiguousarray(array).view(np.uint8).reshape(-1, array.itemsize).T
    return b64encode(zlib.compress(planes.tobytes(), 6)).decode()


def _metrics() -> dict[str, Any]:
    model = {name: (each.unit, each.better, each.meaning) for name, each in METRICS.items()
             if name in ("latency", "energy", "memory", "throughput")}  # fmt: skip
    return {group: {name: dict(zip(("unit", "better", "meaning"), facts, strict=True)) for name, facts in each.items()}
            for group, each in (("model", model), ("serving", _SERVING_METRICS))}  # fmt: skip


def _model(name: str) -> dict[str, Any]:
    known = models().get(name)
    if known is None:
        return {"name": name, "title": name.rpartition("/")[2], "category": "llm", "task": "text generation",
                "page": False}  # fmt: skip
    return {key: getattr(known, key) for key in ("name", "title", "category", "task", "params")} | {"page": True}


def _chip(chip: Chip, default: bool) -> dict[str, Any]:
    return {key: getattr(chip, key) for key in _CHIP} | {
        "label": chip_label(chip.name), "default": default, "precision": default_precision(chip)}


def _block(block: Block, start: int, texts: StringTable) -> dict[str, Any]:
    return {
        "model": block.model, "phase": block.phase, "axes": {name: list(each) for name, each in block.axes.items()},
        "variants": [dict(each) for each in block.variants], "quantities": list(block.quantities),
        "defaults": default_sizes(block), "start": start, "memory": block.memory,
        "evidence": [[_evidence(each, texts) for each in chip] for chip in block.evidence],
    }  # fmt: skip


def _evidence(found: Mapping[str, Any] | None, texts: StringTable) -> list[Any] | None:
    """Kind, precision, stack, surrogate, support, notes, references, and time of each operator type in ms."""
    if found is None:
        return None
    words = [texts.index(found[name]) for name in ("kind", "precision", "stack", "surrogate")]
    lists = [[texts.index(each) for each in found[name]] for name in ("notes", "refs")]
    return [*words, found["support"], *lists, {texts.index(name): ms for name, ms in found["shares"].items()}]


def _coverage(api: HetBench, name: str) -> dict[str, Any]:
    """Operator calls of a model by support status on the platform of each family, and those that are not covered."""
    found: dict[str, Any] = {}
    for family in FAMILIES:
        try:
            report = api.coverage(name, family).to_dict()
        except RefusedError as why:
            found[family] = {"refused": str(why)}
            continue
        lacking = [[one["operator"], one["status"], one["calls"]] for one in report["operators"]
                   if one["status"] not in ("native", "composite")]  # fmt: skip
        found[family] = {"title": report["title"], "chip": report["chip"], "shares": report["shares"],
                         "time_shares": report["time_shares"], "lacking": lacking}  # fmt: skip
    return {"model": name, "families": found}
