"""Questions to a set of surrogates before it is installed or called intact: each of its parts must answer."""

from __future__ import annotations

import math
from pathlib import Path

from hetbench.artifacts.file_types import BROKEN
from hetbench.errors import ArtifactError

__all__ = ["probe"]

_OPERATORS = {
    "Linear": {"m": 128, "n": 768, "k": 768}, "Add": {"numel": 2**20},
    "Conv2d": {"n": 1, "c": 64, "h": 56, "w": 56, "k": 64, "r": 3, "s": 3, "stride": 1, "pad": 1},
    "Attention": {"b": 1, "heads": 12, "q_len": 128, "kv_len": 128, "head_dim": 64},
}  # fmt: skip
_MODELS = ("resnet-50", "gpt2")
_METRICS = ("latency", "power")


def probe(folder: Path) -> None:
    """Raise `ArtifactError` where a set fails on a question or answers with a figure that none can be."""
    from hetbench.api import HetBench
    from hetbench.schema import FAMILIES

    cells = [(op, dims, family) for op, dims in _OPERATORS.items() for family in FAMILIES]
    ops, sizes, families = zip(*cells, strict=True)
    asked = {"op": ops, "dims": sizes, "chip": families, "dtype": ["fp16"] * len(cells),
             "phase": ["fwd"] * len(cells)}  # fmt: skip
    whole = [(model, family, metric) for model in _MODELS for family in FAMILIES for metric in _METRICS]
    try:
        api = HetBench(artifacts=folder)
        found = [api.query_operators(asked)]
        models, families, metrics = zip(*whole, strict=True)
        found.append(api.query_models({"model": models, "chip": families, "metric": metrics}))
    except BROKEN as error:
        raise ArtifactError(f"{folder} fails on a question: {type(error).__name__}: {error}.") from None
    for table in found:
        for value, lower, upper in zip(*(table[name] for name in ("value", "lower", "upper")), strict=True):
            if math.isnan(value):
                continue  # refused, with a reason
            bounds = [value if math.isnan(bound) else bound for bound in (lower, upper)]
            if not (0 < bounds[0] <= value <= bounds[1] < math.inf):
                raise ArtifactError(f"{folder} answers {value:.3g} within {lower:.3g} and {upper:.3g}: it is damaged.")
