"""The data of the dashboard as plain JSON: every catalogue model on every chip at default settings.

Each answer is one row. Repeated strings are replaced by their index in one list, which keeps some 24,000 answers small.
Every number equals `HetBench.query(model, target=chip, metric=metric)` to the last digit.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import product
from typing import Any

from hetbench.answers import LEVEL_TEXTS, Answer
from hetbench.api import HetBench
from hetbench.catalog.chips import chips
from hetbench.catalog.models import models
from hetbench.errors import RefusedError
from hetbench.metrics import METRICS
from hetbench.version import __version__

__all__ = ["COLUMNS", "DASHBOARD_METRICS", "StringTable", "catalogue_answers", "catalogue_data"]

DASHBOARD_METRICS = ("latency", "throughput", "energy", "memory")
COLUMNS = ("model", "chip", "value", "lower", "upper", "level", "kind", "precision", "stack")
"""Columns of a row. Model and chip are indices into `models` and `chips`; level, kind, precision and stack are indices
into `texts`."""

_MODEL = ("name", "title", "category", "task", "params", "batch", "seq_len", "image_size")
_CHIP = ("name", "family", "vendor", "kind", "arch", "launch_year", "mem_gb")

CatalogueAnswers = dict[str, dict[str, dict[str, Answer | str]]]
"""model -> chip -> metric -> the answer, or the reason of the refusal."""


class StringTable:
    """Strings, each stored once and referred to by its index.

    >>> texts = StringTable()
    >>> texts.index("a"), texts.index("b"), texts.index("a"), texts.index(None), texts.all
    (0, 1, 0, None, ['a', 'b'])
    """

    def __init__(self) -> None:
        self._index: dict[str, int] = {}

    def index(self, text: str | None) -> int | None:
        """The index of a string, which is added if it is new; None for None."""
        return None if text is None else self._index.setdefault(text, len(self._index))

    @property
    def all(self) -> list[str]:
        """The strings in the order of their indices."""
        return list(self._index)


def catalogue_answers(
    api: HetBench, model_names: Sequence[str] | None = None, chip_names: Sequence[str] | None = None,
    progress: Callable[[int], None] = lambda answers: None,
) -> CatalogueAnswers:  # fmt: skip
    """The answers about models on chips in `DASHBOARD_METRICS`; all models or all chips if none are named.

    `progress` is called with the number of answers that each model adds.

    >>> found = catalogue_answers(HetBench(), ["bert-tiny"], ["nvidia-l4", "huawei-ascend-950"])["bert-tiny"]
    >>> found["nvidia-l4"]["latency"].unit, found["huawei-ascend-950"]["latency"][:17]
    ('ms', 'huawei-ascend-950')
    """
    found: CatalogueAnswers = {}
    for name in model_names or models():
        found[name] = {chip: {metric: _answer(api, name, chip, metric) for metric in DASHBOARD_METRICS}
                       for chip in chip_names or chips()}  # fmt: skip
        progress(len(found[name]) * len(DASHBOARD_METRICS))
    return found


def _answer(api: HetBench, model: str, chip: str, metric: str) -> Answer | str:
    try:
        answer: Answer = api.query(model, target=chip, metric=metric)
    except RefusedError as why:
        return str(why)
    return answer


def _fields(record: Any, names: Sequence[str]) -> dict[str, Any]:
    return {name: getattr(record, name) for name in names}


def catalogue_data(found: CatalogueAnswers) -> dict[str, Any]:
    """The answers of `catalogue_answers` as JSON, with the records of their models, chips and metrics.

    >>> data = catalogue_data(catalogue_answers(HetBench(), ["bert-tiny"], ["nvidia-l4"]))
    >>> len(data["rows"]["latency"]), data["columns"][2]
    (1, 'value')
    """
    names, chip_names = list(found), list(next(iter(found.values()), {}))
    texts = StringTable()
    rows: dict[str, list[list[Any]]] = {metric: [] for metric in DASHBOARD_METRICS}
    refused: dict[str, list[list[Any]]] = {metric: [] for metric in DASHBOARD_METRICS}
    for (model, name), (chip, chip_name) in product(enumerate(names), enumerate(chip_names)):
        for metric, answer in found[name][chip_name].items():
            if isinstance(answer, str):
                refused[metric].append([model, chip, texts.index(answer.replace(chip_name, "it"))])
                continue
            strings = map(texts.index, (answer.level, answer.kind, answer.precision, answer.stack))
            rows[metric].append([model, chip, answer.value, answer.lower, answer.upper, *strings])
    return {
        "hetbench": __version__, "levels": dict(LEVEL_TEXTS), "columns": list(COLUMNS),
        "metrics": {name: _fields(METRICS[name], ("unit", "better", "meaning")) for name in DASHBOARD_METRICS},
        "models": [_fields(models()[name], _MODEL) for name in names],
        "chips": [_fields(chips()[name], _CHIP) for name in chip_names],
        "texts": texts.all, "rows": rows, "refused": refused,
    }  # fmt: skip
