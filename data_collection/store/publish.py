"""Publish a store as one compact Parquet file: the newest `ok` row of every key, and of a key without
one the newest noisy row, with `status`, `spread` and `weight`.

The file has quantiles, canary, run and environment id, but not the single repeats. The environments (processor,
libraries, versions) are JSON in the file's metadata, under `environments`.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from data_collection.store.read import NEWEST, WEIGHT, Contents, connect, why_empty
from data_collection.store.rows import IDENTITY, TIMED
from hetbench.artifacts import replacing
from hetbench.errors import InvalidInputError, RefusedError

__all__ = ["environments", "publish"]

_ROW_GROUP = 10_000


def publish(contents: Contents, out: Path) -> int:
    """Write the newest rows of a store to `out` and return their number. The file is complete or not there."""
    import pyarrow.parquet as pq

    if not (contents.rows or contents.parts):
        raise InvalidInputError("the store holds no rows to publish. Measure some: python -m data_collection.profile")
    connection = connect(contents)
    table: Any = connection.sql(
        f"""SELECT rows.* EXCLUDE (raw_ms, reason), {WEIGHT}
        FROM rows LEFT JOIN runs USING (run) WHERE status IN {TIMED}
        QUALIFY row_number() OVER (PARTITION BY {", ".join(IDENTITY)} ORDER BY status <> 'ok', {NEWEST}) = 1
        ORDER BY {", ".join(IDENTITY)}"""
    ).to_arrow_table()
    used = set(table.column("environment").to_pylist())
    known = {str(run["environment"].get("id")): run["environment"] for run in contents.runs}
    text = json.dumps({name: known[name] for name in sorted(used & set(known))}, sort_keys=True)
    table = table.replace_schema_metadata({b"environments": text.encode()})
    if not table.num_rows:
        said = "; ".join(f"{view}: {why}" for view, why in why_empty(connection).items())
        raise RefusedError(f"no row of the store has a latency, so there is nothing to publish. {said}")
    with replacing(out, "publish FILE") as partial:
        pq.write_table(table, partial, compression="zstd", row_group_size=_ROW_GROUP)
    return int(table.num_rows)


def environments(path: Path) -> dict[str, Any]:
    """Environment id -> environment of a published file."""
    import pyarrow.parquet as pq

    metadata = pq.read_schema(path).metadata or {}
    return dict(json.loads(metadata.get(b"environments", b"{}")))
