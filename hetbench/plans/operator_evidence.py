"""What the knowledge graph holds on an operator type: measured operators by family, and missing registrations."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache

import numpy as np

from hetbench.catalog.chips import Chip, chips
from hetbench.catalog.support import COVERED, platform_of
from hetbench.errors import RefusedError
from hetbench.knowledge.graph import knowledge_graph
from hetbench.operators import operator_type

__all__ = ["measured_operators", "measured_operators_in", "missing_registrations"]

_SIBLING = {"fp16": ("bf16",), "bf16": ("fp16",)}  # same width, same matrix units


def measured_operators(op: str, family: str) -> int:
    """Number of measured operators of a type on the chips of a family, in any precision.

    >>> measured_operators("Linear", "cuda") > measured_operators("Linear", "cann") > 0
    True
    """
    return sum(count for (name, _), count in _counts(family).items() if name == op)


def measured_operators_in(op: str, dtype: str, family: str) -> int:
    """Number of measured operators of a type in a precision on the chips of a family.

    fp16 and bf16 count for each other. For a vector operator, whose time depends on its bytes, all vector operators in
    any precision count.

    >>> measured_operators_in("Linear", "int8", "cann")
    0
    """
    counts = _counts(family)
    if operator_type(op).cost_class == "vector":
        return sum(count for (name, _), count in counts.items() if operator_type(name).cost_class == "vector")
    return sum(counts.get((op, name), 0) for name in (dtype, *_SIBLING.get(dtype, ())))


@lru_cache(maxsize=256)
def missing_registrations(op: str, chip: Chip) -> tuple[str, ...]:
    """ATen operators of a type that are registered neither natively nor as a composition on the chip's backend.

    Empty if all are registered or no registrations are known.

    >>> from hetbench.catalog.chips import chip
    >>> missing_registrations("Linear", chip("cann"))
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
    """(type, dtype) -> number of measured operators, counted once per chip of the family."""
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
