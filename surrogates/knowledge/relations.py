"""Compute the edges of operator support (from registration lists) and of performance (medians of measured rows)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import numpy as np
import pandas as pd

from hetbench.catalog import support
from hetbench.catalog.chips import chips
from hetbench.errors import RefusedError, UnknownNameError
from hetbench.knowledge.signature import dim_names
from surrogates.knowledge.models import Signature

OPEN = ("Apache-2.0", "BSD-3-Clause", "MIT")
"""Licences of data sets whose values are copied into the graph."""
_SHOWN_REFS = 3  # with more references an edge names only the repositories


def supports(aten: Mapping[str, Iterable[str]]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Edges from family to operator type, one per platform and ATen operator that the models' graphs call."""
    for op in sorted(aten):
        for name in sorted(aten[op]):
            for platform, (family, _) in platforms().items():
                try:
                    found = support.support(platform, name)
                except UnknownNameError:  # in no registration list
                    found = support.Support(name, platform, "unknown")
                known = {"operator": name, "platform": platform, "status": found.status, "via": ", ".join(found.via)}
                yield f"family:{family}", f"type:{op}", {**known, "refs": found.refs}


def platforms() -> dict[str, tuple[str, list[str]]]:
    """Platform of operator registrations -> its family and the kinds of chip that it covers."""
    found: dict[str, tuple[str, list[str]]] = {}
    for chip in chips().values():
        try:
            _, kinds = found.setdefault(support.platform_of(chip), (chip.family, []))
        except RefusedError:
            continue
        if chip.kind and chip.kind not in kinds:
            kinds.append(chip.kind)
    return {name: (found[name][0], sorted(found[name][1])) for name in support.platforms()}


def performance(timed: Iterable[tuple[str, pd.DataFrame]]) -> Iterator[tuple[Signature, str, dict[str, Any]]]:
    """Edges from operator instance to chip: a median per protocol and library, over rows under an open licence."""
    found: dict[tuple[Any, ...], tuple[list[float], set[str]]] = {}
    for op, table in timed:
        for row in table[table.licence.isin(OPEN)].to_dict("records"):
            signature = (op, row["dtype"], tuple(int(row[name]) for name in dim_names(op)))
            key = (signature, row["chip"], row["published_as"], row["protocol"], row["library"].rstrip("/"))
            values, refs = found.setdefault(key, ([], set()))
            values.append(row["latency_ms"])
            refs.add(row["ref"])
    for (signature, chip, published, protocol, library), (values, refs) in sorted(found.items()):
        shown = refs if len(refs) <= _SHOWN_REFS else {ref.partition(":")[0] for ref in refs}
        known = {"value": float(np.median(values)), "unit": "ms", "protocol": protocol, "library": library}
        known["published_as"] = published
        yield signature, f"chip:{chip}", {**known, "rows": len(values), "refs": tuple(sorted(shown))}
