"""Write the knowledge graph with every clean row of the corpus as an edge, as two Parquet files.

`nodes.parquet`: id, kind, attributes (JSON). `edges.parquet`: source, relation, target, value and unit of performance
edges, attributes (JSON), refs. Operator types are written one after the other to bound the use of memory.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from hetbench.knowledge.graph import KnowledgeGraph
from hetbench.knowledge.signature import dim_names, identifier

_CHUNK = 200_000
NODES = pa.schema([("id", pa.string()), ("kind", pa.string()), ("attributes", pa.string())])
EDGES = pa.schema([
    ("source", pa.string()), ("relation", pa.string()), ("target", pa.string()), ("value", pa.float64()),
    ("unit", pa.string()), ("attributes", pa.string()), ("refs", pa.list_(pa.string())),
])  # fmt: skip


def write_full(
    graph: KnowledgeGraph, tables: Iterable[tuple[str, pd.DataFrame]], upstreams: Mapping[str, Sequence[str]], out: Path
) -> None:  # fmt: skip
    """Write both files into the folder `out`; `tables` has clean cells with canonical dims by operator type."""
    out.mkdir(parents=True, exist_ok=True)
    made = pq.ParquetWriter(out / "nodes.parquet", NODES), pq.ParquetWriter(out / "edges.parquet", EDGES)
    with made[0] as nodes, made[1] as edges:
        _copy(nodes, NODES, ((node.id, node.kind, json.dumps(dict(node.attributes))) for node in graph.nodes()))
        _copy(edges, EDGES, (
            (e.source, e.relation, e.target, e.attributes.get("value"), e.attributes.get("unit"),
             json.dumps({k: v for k, v in e.attributes.items() if k not in ("value", "unit")}), list(e.refs))
            for e in graph.edges() if e.relation != "measured-on" and not _timed(e.relation, e.source)
        ))  # fmt: skip
        for op, table in tables:
            names = list(dim_names(op))
            key = ["dtype", *names]
            distinct = table[key].drop_duplicates().to_dict("records")
            ids = [identifier(op, row, row["dtype"]) for row in distinct]
            new = [at for at, row in enumerate(distinct) if graph.store.find(op, row, row["dtype"]) is None]
            facts = (json.dumps({"op": op, **distinct[at]}) for at in new)
            _copy(nodes, NODES, zip((ids[at] for at in new), ("op" for _ in new), facts, strict=True))
            _copy(edges, EDGES, ((ids[at], "has-type", f"type:{op}", None, None, "{}", []) for at in new))
            _copy(edges, EDGES, _rows(op, table, dict(zip(map(_key, distinct), ids, strict=True)), upstreams))


def _rows(
    op: str, table: pd.DataFrame, ids: Mapping[tuple[Any, ...], str], upstreams: Mapping[str, Sequence[str]]
) -> Iterable[tuple[Any, ...]]:  # fmt: skip
    """One performance edge per clean cell."""
    columns = ["dtype", *dim_names(op), "chip", "latency_ms", "protocol", "library", "layout", "repeats", "dataset"]
    for *signature, chip, value, protocol, library, layout, repeats, dataset in table[columns].itertuples(
        index=False, name=None
    ):
        known = json.dumps({"protocol": protocol, "library": library, "layout": layout, "rows": int(repeats)})
        refs = list(upstreams[dataset])
        yield ids[tuple(signature)], "performance", f"chip:{chip}", value, "ms", known, refs


def _timed(relation: str, source: str) -> bool:
    return relation == "performance" and source.startswith("op:")


def _key(row: Mapping[str, Any]) -> tuple[Any, ...]:
    return tuple(row.values())


def _copy(writer: pq.ParquetWriter, schema: pa.Schema, rows: Iterable[tuple[Any, ...]]) -> None:
    pending = iter(rows)
    while chunk := list(islice(pending, _CHUNK)):
        columns = zip(zip(*chunk, strict=True), schema, strict=True)
        writer.write_table(pa.table([pa.array(column, field.type) for column, field in columns], schema=schema))
