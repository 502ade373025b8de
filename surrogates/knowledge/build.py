"""Build the knowledge graph that `hetbench.knowledge.graph` reads; the same input gives the same bytes.

    python -m surrogates.knowledge --corpus ../shared/corpus --out hetbench/catalog/knowledge.npz

Of the corpus the graph holds median latencies only for the operators of the catalogue's models at their default
settings, and only of data sets under an open licence. Of all other operators it holds which chips measured them, one
operator for every cell of a log2 grid of dims and every chip.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from hetbench.catalog.chips import chips
from hetbench.catalog.models import models
from hetbench.errors import command
from hetbench.knowledge import KnowledgeGraph
from hetbench.knowledge.signature import dim_names
from hetbench.knowledge.store import FORMAT, Store
from hetbench.predict.features import CLASSES
from surrogates import corpus
from surrogates.knowledge.arrays import Relations, Table, packed
from surrogates.knowledge.measured import cells, representatives, timed_rows, upstreams
from surrogates.knowledge.models import Signature, catalogue
from surrogates.knowledge.parquet import write_full
from surrogates.knowledge.relations import performance, platforms, supports
from surrogates.writing import write_arrays

SIMILAR = 5  # similarity edges per operator instance of the catalogue's models


def build(
    names: Sequence[str], measured: Iterable[tuple[str, pd.DataFrame]], timed: Iterable[tuple[str, pd.DataFrame]],
    upstreams: Mapping[str, Sequence[str]],
) -> dict[str, np.ndarray]:  # fmt: skip
    """The arrays of the graph of these models.

    `measured` has the clean cells by operator type (`cells`), `timed` the single rows of the models' own operators
    (`timed_rows`); `upstreams` maps a data set to the repository@commit of its rows.
    """
    known = catalogue(names)
    kept = [(op, representatives(op, part, known.instances)) for op, part in measured]
    table = Table.of(known.instances, kept, sorted(upstreams))
    arrays: dict[str, np.ndarray] = dict(table.arrays)
    meta: dict[str, Any] = {
        "format": FORMAT, "operators": table.operators, "dtypes": table.dtypes, "chips": table.chips, "scales": {},
        "upstreams": [list(upstreams[name]) for name in sorted(upstreams)], "platforms": platforms(), "tables": {},
    }  # fmt: skip
    ends = [f"model:{name}" for name in names] + [f"chip:{name}" for name in chips()]
    ends += [f"type:{op}" for op in sorted(known.aten)] + [f"family:{name}" for name in _families()]
    meta["names"] = ends
    write = Relations(arrays, meta["tables"], {name: at for at, name in enumerate(ends)}, table.index)
    write.relation("contains", [
        (f"model:{name}", signature, {"phase": phase, "precision": precision, "count": count})
        for (name, phase, precision, signature), count in sorted(known.contains.items())
    ])  # fmt: skip
    write.relation("sequence", [
        (before, after, {"model": name, "phase": phase, "precision": precision, "count": count})
        for (name, phase, precision, before, after), count in sorted(known.sequence.items())
    ])  # fmt: skip
    write.relation("supports", list(supports(known.aten)))
    write.relation("performance", list(performance(timed)))
    arrays["meta"] = packed(meta)
    store = Store(arrays)
    meta["scales"] = store.meta["scales"] = scales(store)
    write.relation("similarity", [
        (signature, index, {"cosine": cosine})
        for signature in sorted(known.instances)
        for index, cosine in store.similarity.nearest(*_named(signature), k=SIMILAR, itself=False)
    ])  # fmt: skip
    arrays["meta"] = packed(meta)
    return dict(sorted(arrays.items()))


def scales(store: Store) -> dict[str, tuple[list[float], list[float]]]:
    """Mean and standard deviation of each feature over the measured operators of each class; 1 if all are equal."""
    found = {}
    for cls in CLASSES:
        parts = [made for op in store.spans for _, made in store.similarity.raw(cls, op, store.measured(op))]
        if parts:
            made = np.concatenate(parts)
            deviation = made.std(axis=0)
            deviation[deviation < 1e-9] = 1.0
            found[cls] = made.mean(axis=0).round(9).tolist(), deviation.round(9).tolist()
    return found


def _families() -> list[str]:
    return list(dict.fromkeys(chip.family for chip in chips().values()))


def _named(signature: Signature) -> tuple[str, dict[str, int], str]:
    op, dtype, dims = signature
    return op, dict(zip(dim_names(op), dims, strict=True)), dtype


@command("stopped")
def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--corpus", type=Path, default=Path("../shared/corpus"))
    parser.add_argument("--out", type=Path, default=Path("hetbench/catalog/knowledge.npz"))
    parser.add_argument("--full", type=Path, help="write --out with every clean row as Parquet to this folder")
    given = parser.parse_args()
    names, db = list(models()), corpus.clean(given.corpus)
    if given.full:
        write_full(KnowledgeGraph(np.load(given.out)), cells(db), upstreams(given.corpus), given.full)
        return
    arrays = build(names, cells(db), timed_rows(db, catalogue(names).instances), upstreams(given.corpus))
    write_arrays(given.out, arrays)
    print(f"{given.out}: {given.out.stat().st_size / 1e6:.2f} MB")
    print(json.dumps(KnowledgeGraph(arrays).counts(), indent=1))
