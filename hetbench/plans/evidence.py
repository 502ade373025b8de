"""What the knowledge graph says for and against acting on an operator type: measured rows, and registrations."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache

import numpy as np

from hetbench.catalog.chips import Chip, chips
from hetbench.catalog.support import COVERED, platform_of
from hetbench.errors import RefusedError
from hetbench.knowledge.graph import knowledge_graph
from hetbench.operators import operator_type

__all__ = ["lacking", "measured", "measured_in"]

_SIBLING = {"fp16": ("bf16",), "bf16": ("fp16",)}  # same width, same matrix units


def measured(op: str, family: str) -> int:
    """How many operators of a type were measured on the chips of a family, in any precision.

    >>> measured("Linear", "cuda") > measured("Linear", "cann") > 0
    True
    """
    return sum(count for (name, _), count in _counts(family).items() if name == op)


def measured_in(op: str, dtype: str, family: str) -> int:
    """The same of those in a precision, where fp16 and bf16 stand for each other; for a vector operator, whose time is
    that of its bytes, all vector operators in any precision.

    >>> measured_in("Linear", "int8", "cann")
    0
    """
    counts = _counts(family)
    if operator_type(op).cost_class == "vector":
        return sum(count for (name, _), count in counts.items() if operator_type(name).cost_class == "vector")
    return sum(counts.get((op, name), 0) for name in (dtype, *_SIBLING.get(dtype, ())))


@lru_cache(maxsize=256)
def lacking(op: str, chip: Chip) -> tuple[str, ...]:
    """ATen operators of a type that the chip's registrations do not hold natively or composed; empty where all are
    held, or no registrations are known.

    >>> from hetbench.catalog.chips import chip
    >>> lacking("Linear", chip("cann"))
    ()
    """
    try:
        platform = platform_of(chip)
    except RefusedError:
        return ()
    edges = knowledge_graph().neighbours(f"type:{op}", "supports")
    found = (each.attributes for each in edges if each.attributes["platform"] == platform)
    return tuple(sorted({str(each["operator"]) for each in found if each["status"] not in COVERED}))


@lru_cache(maxsize=8)
def _counts(family: str) -> Mapping[tuple[str, str], int]:
    """(type, dtype) -> measured operators, each once for every chip of the family that measured it."""
    store = knowledge_graph().store
    total = np.zeros(store.instances, dtype=np.int64)
    for chip in chips().values():
        if chip.family == family:
            total += store.measured_by(chip.name)
    dtypes, found = store.array("dtype"), dict[tuple[str, str], int]()
    for op, span in store.spans.items():
        part = slice(span.start, span.stop)
        sums = np.bincount(dtypes[part], total[part], len(store.meta["dtypes"])).astype(np.int64)
        found |= {(op, name): count for name, count in zip(store.meta["dtypes"], sums.tolist(), strict=True) if count}
    return found
