"""Ask how fast any AI model runs on any chip, and get an answer in microseconds, with its evidence.

`chips`, `metrics` and `models` here are the functions that list the catalogue; the modules of the same names are
reached as `from hetbench.catalog.chips import ...`. `HetBench` and the answers are loaded on first use, with numpy.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from hetbench.catalog.chips import chips
from hetbench.catalog.models import models
from hetbench.errors import ArtifactError, HetBenchError, InvalidInputError, RefusedError, UnknownNameError
from hetbench.metrics import metrics

if TYPE_CHECKING:
    from hetbench.answers import Answer, Answers
    from hetbench.api import HetBench
    from hetbench.operators import operator_types

__version__ = "0.1.0"

__all__ = [
    "Answer",
    "Answers",
    "ArtifactError",
    "HetBench",
    "HetBenchError",
    "InvalidInputError",
    "RefusedError",
    "UnknownNameError",
    "__version__",
    "chips",
    "metrics",
    "models",
    "operator_types",
]

_LAZY = {
    "Answer": "hetbench.answers",
    "Answers": "hetbench.answers",
    "HetBench": "hetbench.api",
    "operator_types": "hetbench.operators",
}


def __getattr__(name: str) -> Any:
    if name not in _LAZY:
        raise AttributeError(f"module 'hetbench' has no attribute {name!r}")
    value = getattr(import_module(_LAZY[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
