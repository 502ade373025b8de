"""Publish a store as one compact Parquet file: the newest `ok` row of every key.

The file has quantiles, canary, run and environment id, but not the single repeats. The environments (processor,
libraries, versions) are JSON in the file's metadata, under `environments`.
"""

from __future__ import annotations

import json
import os
from contextlib import suppress
from pathlib import Path
from typing import Any

from data_collection.store.read import Contents, connect
from data_collection.store.rows import IDENTITY
from hetbench.errors import InvalidInputError

__all__ = ["environments", "publish"]

_ROW_GROUP = 10_000


def publish(contents: Contents, out: Path) -> int:
    """Write the newest rows of a store to `out` and return their number. The file is complete or not there."""
    import pyarrow.parquet as pq

    if not (contents.rows or contents.parts):
        raise InvalidInputError("the store holds no rows to publish. Measure some: python -m data_collection.profile")
    table: Any = connect(contents).sql(
        f"""SELECT * EXCLUDE (raw_ms, status, reason) FROM rows WHERE status = 'ok'
        QUALIFY row_number() OVER (PARTITION BY {", ".join(IDENTITY)} ORDER BY started DESC, run DESC) = 1
        ORDER BY {", ".join(IDENTITY)}"""
    ).to_arrow_table()
    used = set(table.column("environment").to_pylist())
    known = {run["environment"]["id"]: run["environment"] for run in contents.runs}
    text = json.dumps({name: known[name] for name in sorted(used & set(known))}, sort_keys=True)
    table = table.replace_schema_metadata({b"environments": text.encode()})
    partial = out.with_name(f".{out.name}.{os.getpid()}")
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        pq.write_table(table, partial, compression="zstd", row_group_size=_ROW_GROUP)
        partial.replace(out)
    except OSError as error:
        with suppress(OSError):
            partial.unlink()
        raise InvalidInputError(f"{out} cannot be written: {error.strerror or error}.") from None
    return int(table.num_rows)


def environments(path: Path) -> dict[str, Any]:
    """Environment id -> environment of a published file."""
    import pyarrow.parquet as pq

    metadata = pq.read_schema(path).metadata or {}
    return dict(json.loads(metadata.get(b"environments", b"{}")))
