"""The knowledge graph of `hetbench.knowledge.graph`, from the catalogue and the corpus; the same input gives the same
bytes.

What of the corpus goes into it: the medians of the catalogue's own operators at the models' default settings, where
the data set's licence is open, and of all other operators only which chips measured them, one operator for every cell
of a log2 grid of dims and chip.

    python -m surrogates.knowledge --corpus ../shared/corpus --out hetbench/catalog/knowledge.npz
"""

from __future__ import annotations

import argparse
import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pandas as pd

from hetbench.catalog import support
from hetbench.catalog.chips import chips
from hetbench.catalog.models import models
from hetbench.errors import RefusedError, UnknownNameError
from hetbench.graphs import model_graph
from hetbench.knowledge import KnowledgeGraph
from hetbench.knowledge.signature import dim_names, sizes
from hetbench.knowledge.store import FORMAT, Store
from hetbench.operators import operator_type
from hetbench.predict.features import CLASSES
from surrogates import corpus
from surrogates.knowledge.full import write_full

PRECISIONS = ("fp32", "fp16")
OPEN = ("Apache-2.0", "BSD-3-Clause", "MIT")
"""Licences under which values are copied."""
SIMILAR = 5  # similarity edges of each of the catalogue's instances
_SHOWN_REFS = 3  # an edge with more names the repositories alone

Signature = tuple[str, str, tuple[int, ...]]
"""Operator type, dtype, dims in the order of `dim_names`."""


@dataclass
class Catalogue:
    """What the models' graphs say."""

    contains: Counter[tuple[str, str, str, Signature]] = field(default_factory=Counter)
    """(model, phase, precision, instance) -> calls."""
    sequence: Counter[tuple[str, str, str, Signature, Signature]] = field(default_factory=Counter)
    """(model, phase, precision, instance, instance that reads its result) -> times."""
    aten: dict[str, set[str]] = field(default_factory=lambda: defaultdict(set))
    """Operator type -> ATen operators that the graphs call for it."""

    @property
    def instances(self) -> set[Signature]:
        return {signature for *_, signature in self.contains}


def catalogue(names: Iterable[str]) -> Catalogue:
    """The operator instances of models at their default settings, in each phase and in full and half precision."""
    found = Catalogue()
    for name in names:
        model = model_graph.load(name)
        for phase in model.phases:
            for precision in PRECISIONS:
                nodes = model.nodes(precision=precision, phase=phase)
                own = [(n.op, n.dtype, tuple(sizes(n.op, n.dims).values())) for n in nodes]
                found.contains.update((name, phase, precision, signature) for signature in own)
                for node, signature in zip(nodes, own, strict=True):
                    found.sequence.update((name, phase, precision, own[at], signature) for at in node.sources)
                variant = model.variant(model.setting(precision=precision, phase=phase))
                for op, _, _, _, aten in variant.table["templates"]:
                    found.aten[op].update(aten)
    return found


def build(
    names: Sequence[str], measured: Iterable[tuple[str, pd.DataFrame]], timed: Iterable[tuple[str, pd.DataFrame]],
    upstreams: Mapping[str, Sequence[str]],
) -> dict[str, np.ndarray]:  # fmt: skip
    """The arrays of the graph of these models.

    `measured` are clean cells by operator type (`cells`), `timed` the single rows of the catalogue's operators
    (`timed_rows`); `upstreams` says of each data set the repository@commit that its rows are from.
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
    write = _Relations(arrays, meta["tables"], {name: at for at, name in enumerate(ends)}, table.index)
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
    arrays["meta"] = _packed(meta)
    store = Store(arrays)
    meta["scales"] = store.meta["scales"] = scales(store)
    write.relation("similarity", [
        (signature, index, {"cosine": cosine})
        for signature in sorted(known.instances)
        for index, cosine in store.similarity.nearest(*_named(signature), k=SIMILAR, itself=False)
    ])  # fmt: skip
    arrays["meta"] = _packed(meta)
    return dict(sorted(arrays.items()))


def representatives(op: str, table: pd.DataFrame, instances: set[Signature]) -> pd.DataFrame:
    """Of each grid cell and chip the operator that most chips measured, the first of equals; the catalogue's own too.

    A cell is operator type, dtype and the whole part of log2 of each dim.
    """
    names = list(dim_names(op))
    key = ["dtype", *names]
    table = table[[*key, "chip", "dataset"]].drop_duplicates()
    table = table.sort_values([*key, "chip", "dataset"], ignore_index=True)
    own = table.groupby(key, sort=True).ngroup().rename("own")
    grid = np.floor(np.log2(np.maximum(table[names].to_numpy(float), 0.5))).astype(int)
    cell = pd.DataFrame(grid, columns=names).assign(dtype=table.dtype).groupby(key, sort=True).ngroup()
    pairs = pd.DataFrame({"cell": cell, "own": own, "chip": table.chip}).drop_duplicates()
    spread = -pairs.groupby("own").chip.transform("size")
    first = pairs.assign(spread=spread).sort_values(["cell", "chip", "spread", "own"]).drop_duplicates(["cell", "chip"])
    mine = {(dtype, *dims) for kind, dtype, dims in instances if kind == op}
    listed = pd.Series([tuple(row) in mine for row in table[key].itertuples(index=False)])
    return table[own.isin(first.own) | listed].reset_index(drop=True)


@dataclass(frozen=True)
class Table:
    """The operator instances in their order: by type, dtype and dims; and the chips that measured each."""

    index: Mapping[Signature, int]
    operators: list[tuple[str, int]]
    dtypes: list[str]
    chips: list[str]
    arrays: Mapping[str, np.ndarray]

    @classmethod
    def of(cls, instances: set[Signature], kept: Sequence[tuple[str, pd.DataFrame]], datasets: Sequence[str]) -> Table:
        """`kept` are the rows of `representatives` with their operator type."""
        names = sorted({chip for _, table in kept for chip in table.chip})
        pairs: dict[Signature, list[tuple[int, int]]] = {signature: [] for signature in instances}
        for op, table in kept:
            codes = zip(table.chip.map(names.index), table.dataset.map(list(datasets).index), strict=True)
            dims = table[list(dim_names(op))].itertuples(index=False, name=None)
            for dtype, size, pair in zip(table.dtype, dims, codes, strict=True):
                pairs.setdefault((op, dtype, tuple(map(int, size))), []).append(pair)
        order = sorted(pairs)
        dtypes = sorted({dtype for _, dtype, _ in order})
        operators = sorted(Counter(op for op, _, _ in order).items())
        sets = {tuple(sorted(pairs[signature])) for signature in order} - {()}
        codes = {each: at for at, each in enumerate(sorted(sets))}
        arrays = {
            "dtype": _small([dtypes.index(dtype) for _, dtype, _ in order]),
            "measured": _small([codes.get(tuple(sorted(pairs[signature])), -1) for signature in order]),
            "sets/start": _small(np.cumsum([0, *map(len, codes)])),
            "sets/chip": _small([chip for each in codes for chip, _ in each]),
            "sets/refs": _small([dataset for each in codes for _, dataset in each]),
        }
        start = 0
        for op, rows in operators:
            dims = _small([dims for _, _, dims in order[start : start + rows]])
            arrays[f"dims/{op}"] = np.asfortranarray(dims)  # a dim at a time packs better
            start += rows
        return cls({signature: at for at, signature in enumerate(order)}, operators, dtypes, names, arrays)


@dataclass
class _Relations:
    """Writes edges as columns; numbers are those of the file: names first, then the instances."""

    arrays: dict[str, np.ndarray]
    tables: dict[str, Any]
    names: Mapping[str, int]
    index: Mapping[Signature, int]

    def relation(self, relation: str, edges: Sequence[tuple[Any, Any, Mapping[str, Any]]]) -> None:
        for at, end in enumerate(("source", "target")):
            self.arrays[f"{relation}/{end}"] = _small([self._number(edge[at]) for edge in edges])
        self.tables[relation] = {}
        for name in edges[0][2] if edges else ():
            values = [edge[2][name] for edge in edges]
            table = None if isinstance(values[0], int | float) else sorted({_hashable(value) for value in values})
            codes = {} if table is None else {value: at for at, value in enumerate(table)}
            column = values if table is None else [codes[_hashable(value)] for value in values]
            self.tables[relation][name] = table
            self.arrays[f"{relation}/{name}"] = _small(column)

    def _number(self, end: Any) -> int:
        if isinstance(end, str):
            return self.names[end]
        return len(self.names) + (self.index[end] if isinstance(end, tuple) else end)


def supports(aten: Mapping[str, Iterable[str]]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Family -> operator type, one edge for each ATen operator that the graphs call for it and each platform."""
    for op in sorted(aten):
        for name in sorted(aten[op]):
            for platform, (family, _) in platforms().items():
                try:
                    found = support.support(platform, name)
                except UnknownNameError:  # no registration list names it
                    found = support.Support(name, platform, "unknown")
                known = {"operator": name, "platform": platform, "status": found.status, "via": ", ".join(found.via)}
                yield f"family:{family}", f"type:{op}", {**known, "refs": found.refs}


def platforms() -> dict[str, tuple[str, list[str]]]:
    """Platform of operator registrations -> its family and the kinds of chip that it is for."""
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
    """Operator instance -> chip: one median for each protocol and library, of rows under an open licence."""
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


def scales(store: Store) -> dict[str, tuple[list[float], list[float]]]:
    """Mean and standard deviation of each feature over the measured operators of each class; 1 where all are equal."""
    found = {}
    for cls in CLASSES:
        parts = [made for op in store.spans for _, made in store.similarity.raw(cls, op, store.measured(op))]
        if parts:
            made = np.concatenate(parts)
            deviation = made.std(axis=0)
            deviation[deviation < 1e-9] = 1.0
            found[cls] = made.mean(axis=0).round(9).tolist(), deviation.round(9).tolist()
    return found


def cells(db: duckdb.DuckDBPyConnection) -> Iterator[tuple[str, pd.DataFrame]]:
    """(operator type, its clean cells: dtype, dims of the signature, chip and how it was timed, one row a median).

    `chip` is the one that the data set names, never one that stands in for it. Rows that lack a required dim are left
    out.
    """
    _name_chips(db)
    for (op,) in db.execute("select distinct op from staged order by op").fetchall():
        names, kind = dim_names(op), operator_type(op)
        if not set(names) <= set(corpus.DIMS):
            continue
        known = " and ".join(f's."{name}" > 0' for name in kind.dims if name != "pad")
        keys = f"dtype, {', '.join(_canonical(name) for name in names)}, c.name, dataset, protocol, library, layout"
        table = db.execute(
            f"select {keys}, median(latency_ms), count(*) from staged s join catalogue c on s.chip = c.alias "
            f"where op = '{op}' and {known} group by all order by all"
        ).fetchnumpy()
        columns = ["dtype", *names, "chip", "dataset", "protocol", "library", "layout", "latency_ms", "repeats"]
        frame = pd.DataFrame(dict(zip(columns, table.values(), strict=True)))
        if len(frame):
            yield op, frame


def timed_rows(db: duckdb.DuckDBPyConnection, instances: set[Signature]) -> Iterator[tuple[str, pd.DataFrame]]:
    """(operator type, the clean rows of exactly these operators, one by one); dims as of the signature."""
    _name_chips(db)
    for op in sorted({op for op, _, _ in instances}):
        names = dim_names(op)
        if not set(names) <= set(corpus.DIMS):
            continue
        wanted = pd.DataFrame([(dtype, *dims) for kind, dtype, dims in instances if kind == op])
        wanted.columns = ["dtype", *names]
        db.register("wanted", wanted)
        same = " and ".join(f'w."{name}" = {_canonical(name)}' for name in names)
        yield op, db.execute(
            "select c.name chip, s.chip published_as, s.protocol, s.library, s.latency_ms, s.ref, s.licence, w.* "
            f"from staged s join catalogue c on s.chip = c.alias join wanted w on s.dtype = w.dtype and {same} "
            f"where s.op = '{op}' order by all"
        ).df()


def _name_chips(db: duckdb.DuckDBPyConnection) -> None:
    """Table `catalogue`: the chip that each name in the data means."""
    known = {alias: name for name, chip in chips().items() for alias in chip.aliases} | {name: name for name in chips()}
    db.register("catalogue", pd.DataFrame(sorted(known.items()), columns=["alias", "name"]))


def _canonical(name: str) -> str:
    """A dim of a row as `sizes` has it."""
    return {
        "causal": "if(s.q_len = 1, 0, s.causal)", "window": 'if(s."window" < s.kv_len, s."window", 0)',
    }.get(name, f's."{name}"')  # fmt: skip


def upstreams(root: Path) -> dict[str, list[str]]:
    """Data set -> the repository@commit of its rows."""
    files = f"read_parquet('{root}/op/*.parquet', union_by_name = true)"
    found = duckdb.sql(f"select distinct dataset, split_part(ref, ':', 1) from {files} order by all").fetchall()
    listed: dict[str, list[str]] = {}
    for dataset, commit in found:
        listed.setdefault(dataset, []).append(commit)
    return listed


def _families() -> list[str]:
    return list(dict.fromkeys(chip.family for chip in chips().values()))


def _named(signature: Signature) -> tuple[str, dict[str, int], str]:
    op, dtype, dims = signature
    return op, dict(zip(dim_names(op), dims, strict=True)), dtype


def _hashable(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


def _packed(meta: Mapping[str, Any]) -> np.ndarray:
    return np.frombuffer(json.dumps(meta, separators=(",", ":")).encode(), dtype=np.uint8)


def _small(values: Any) -> np.ndarray:
    """The array in the narrowest signed integer type that holds it."""
    array = np.asarray(values)
    if array.dtype.kind not in "iu":
        return array
    widths = (np.int8, np.int16, np.int32, np.int64)
    top = max(int(array.max(initial=0)), -int(array.min(initial=0)))
    return array.astype(next(width for width in widths if top <= np.iinfo(width).max))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--corpus", type=Path, default=Path("../shared/corpus"))
    parser.add_argument("--out", type=Path, default=Path("hetbench/catalog/knowledge.npz"))
    parser.add_argument("--full", type=Path, help="instead write --out and every clean row as Parquet into this folder")
    given = parser.parse_args()
    names, db = list(models()), corpus.clean(given.corpus)
    if given.full:
        write_full(KnowledgeGraph(np.load(given.out)), cells(db), upstreams(given.corpus), given.full)
        return
    arrays = build(names, cells(db), timed_rows(db, catalogue(names).instances), upstreams(given.corpus))
    np.savez_compressed(given.out, **arrays)
    print(f"{given.out}: {given.out.stat().st_size / 1e6:.2f} MB")
    print(json.dumps(KnowledgeGraph(arrays).counts(), indent=1))


if __name__ == "__main__":
    main()
