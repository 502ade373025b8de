"""Ask how fast any AI model runs on any chip, and get an answer in microseconds, with its evidence.

`chips`, `metrics` and `models` list the catalogue. `HetBench` and the answers are loaded on first use, with numpy.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from hetbench.catalog.chips import chips
from hetbench.catalog.models import models
from hetbench.errors import ArtifactError, HetBenchError, InvalidInputError, RefusedError, UnknownNameError
from hetbench.metrics import metrics
from hetbench.plugins import lazy_exports
from hetbench.version import __version__

if TYPE_CHECKING:
    from hetbench.answers import Answer, Answers
    from hetbench.api import HetBench
    from hetbench.operators import operator_types

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

__getattr__ = lazy_exports(__name__, {"answers": "Answer Answers", "api": "HetBench", "operators": "operator_types"})


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
