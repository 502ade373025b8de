"""Read the clean operator rows of the corpus, and choose the operators that represent their neighbours."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import duckdb
import numpy as np
import pandas as pd

from hetbench.catalog.chips import chips
from hetbench.knowledge.signature import dim_names
from hetbench.operators import operator_type
from surrogates import corpus
from surrogates.knowledge.models import Signature


def cells(db: duckdb.DuckDBPyConnection) -> Iterator[tuple[str, pd.DataFrame]]:
    """(operator type, clean cells): dtype, dims of the signature, chip and timing protocol, one row per median.

    `chip` is the chip that the data set names, never a substitute. Rows without a required dim are left out.
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
    """(operator type, clean rows of exactly these operators), without aggregation; dims as in the signature."""
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
    """Register the table `catalogue`: name of a chip in the data -> catalogue name."""
    known = {alias: name for name, chip in chips().items() for alias in chip.aliases} | {name: name for name in chips()}
    db.register("catalogue", pd.DataFrame(sorted(known.items()), columns=["alias", "name"]))


def _canonical(name: str) -> str:
    """SQL for a dim of a row in the canonical form of `sizes`."""
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


def representatives(op: str, table: pd.DataFrame, instances: set[Signature]) -> pd.DataFrame:
    """Rows of the operator that most chips measured, for each grid cell and chip, and of the catalogue's own operators.

    A cell is operator type, dtype and the integer part of log2 of each dim; of equals the first operator is taken.
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
