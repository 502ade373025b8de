"""The whole catalogue as plain JSON: every model on every chip at default settings, in the metrics of a dashboard.

One row an answer, its texts by their place in one list, so that some 24,000 answers stay small; every number is that of
`HetBench.query(model, target=chip, metric=metric)` to the last digit.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from hetbench.answers import LEVEL_TEXTS, Answer
from hetbench.api import HetBench
from hetbench.catalog.chips import chips
from hetbench.catalog.models import models
from hetbench.errors import RefusedError
from hetbench.metrics import METRICS
from hetbench.version import __version__

__all__ = ["COLUMNS", "SHOWN", "Texts", "catalogue", "catalogue_data"]

SHOWN = ("latency", "throughput", "energy", "memory")
COLUMNS = ("model", "chip", "value", "lower", "upper", "level", "kind", "precision", "stack")
"""Of a row: model and chip are places in their lists, level, kind, precision and stack places in `texts`."""

_MODEL = ("name", "title", "category", "task", "params", "batch", "seq_len", "image_size")
_CHIP = ("name", "family", "vendor", "kind", "arch", "launch_year", "mem_gb")

Found = dict[str, dict[str, dict[str, Answer | str]]]
"""model -> chip -> metric -> the answer, or why it is refused."""


class Texts:
    """Texts, each kept once and meant by its place.

    >>> texts = Texts()
    >>> texts.place("a"), texts.place("b"), texts.place("a"), texts.place(None), texts.all
    (0, 1, 0, None, ['a', 'b'])
    """

    def __init__(self) -> None:
        self._places: dict[str, int] = {}

    def place(self, text: str | None) -> int | None:
        """Its place; None for no text."""
        return None if text is None else self._places.setdefault(text, len(self._places))

    @property
    def all(self) -> list[str]:
        """By place."""
        return list(self._places)


def catalogue(api: HetBench, names: Sequence[str] | None = None, on: Sequence[str] | None = None) -> Found:
    """The answers about models on chips, all of the catalogue where none are named.

    >>> found = catalogue(HetBench(), ["bert-tiny"], ["nvidia-l4", "huawei-ascend-950"])["bert-tiny"]
    >>> found["nvidia-l4"]["latency"].unit, found["huawei-ascend-950"]["latency"][:17]
    ('ms', 'huawei-ascend-950')
    """
    return {
        name: {chip: {metric: _answer(api, name, chip, metric) for metric in SHOWN} for chip in on or chips()}
        for name in names or models()
    }


def _answer(api: HetBench, model: str, chip: str, metric: str) -> Answer | str:
    try:
        answer: Answer = api.query(model, target=chip, metric=metric)
    except RefusedError as why:
        return str(why)
    return answer


def _kept(record: Any, names: Sequence[str]) -> dict[str, Any]:
    return {name: getattr(record, name) for name in names}


def catalogue_data(found: Found) -> dict[str, Any]:
    """The answers as JSON.

    >>> data = catalogue_data(catalogue(HetBench(), ["bert-tiny"], ["nvidia-l4"]))
    >>> len(data["rows"]["latency"]), data["columns"][2]
    (1, 'value')
    """
    names, places = list(found), list(next(iter(found.values())))
    texts = Texts()
    rows: dict[str, list[list[Any]]] = {metric: [] for metric in SHOWN}
    refused: dict[str, list[list[Any]]] = {metric: [] for metric in SHOWN}
    for model, name in enumerate(names):
        for chip, place in enumerate(places):
            for metric, answer in found[name][place].items():
                if isinstance(answer, str):
                    refused[metric].append([model, chip, texts.place(answer.replace(place, "it"))])
                    continue
                told = (answer.level, answer.kind, answer.precision, answer.stack)
                rows[metric].append([model, chip, answer.value, answer.lower, answer.upper, *map(texts.place, told)])
    return {
        "hetbench": __version__, "levels": dict(LEVEL_TEXTS), "columns": list(COLUMNS),
        "metrics": {name: _kept(METRICS[name], ("unit", "better", "meaning")) for name in SHOWN},
        "models": [_kept(models()[name], _MODEL) for name in names],
        "chips": [_kept(chips()[name], _CHIP) for name in places],
        "texts": texts.all, "rows": rows, "refused": refused,
    }  # fmt: skip
