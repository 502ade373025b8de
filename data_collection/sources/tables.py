"""Write the rows of importers as Parquet in the columns of the corpus, in batches so that memory stays bounded."""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Iterable, Iterator
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

import data_collection.importers
from data_collection.upstream.files import Tree
from data_collection.upstream.pins import Pin
from hetbench import plugins
from hetbench.artifacts import replacing
from hetbench.errors import InvalidInputError, RefusedError

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["COLUMNS", "imported", "importer_files", "left_out", "write"]

_COMMON = ("dataset", "ref", "licence", "platform", "chip", "software")
COLUMNS = {
    "op": (*_COMMON, "op", "dtype", "phase", "dims", "latency_ms", "stat", "extra", "split"),
    "model": (
        *_COMMON, "model", "precision", "batch", "seq_len", "image_size", "phase", "metric", "unit", "value",
        "n_chips", "extra",
    ),
}  # fmt: skip
_NUMBERS = {"latency_ms", "value", "batch", "seq_len", "n_chips"}
_FIGURE = {"op": "latency_ms", "model": "value"}
_NEVER_EMPTY = {
    "op": ("ref", "platform", "chip", "op", "dtype", "phase", "stat"),
    "model": ("ref", "platform", "chip", "model", "metric", "unit", "phase"),
}
_BATCH = 20_000


def imported(pin: Pin, trees: Iterable[Tree]) -> Iterator[dict[str, Any]]:
    """Every row of a source with all columns: facts of the pin filled in, dims and extra as JSON.

    Of rows with the same `once` of the importer only the first is kept, over all commits in the pin's order.
    """
    module = plugins.load(data_collection.importers, pin.importer)
    once = getattr(module, "once", None)
    seen = set()
    for tree in trees:
        for row in module.rows(tree):
            if once:
                if (told := once(row)) in seen:
                    tree.leave_out("the same row again")
                    continue
                seen.add(told)
            yield _complete(pin, row)


def _complete(pin: Pin, row: dict[str, Any]) -> dict[str, Any]:
    whole: dict[str, Any] = dict.fromkeys(COLUMNS[pin.kind])
    whole |= {"dataset": pin.dataset, "licence": pin.licence} | row
    for name in ("dims", "extra"):
        if isinstance(whole.get(name), dict):
            whole[name] = json.dumps(whole[name], separators=(",", ":"), ensure_ascii=False)
    if whole.get("image_size") is not None:
        whole["image_size"] = str(whole["image_size"])
    figure = whole[_FIGURE[pin.kind]]
    lacking = [name for name in _NEVER_EMPTY[pin.kind] if not whole[name]]
    unknown = set(whole) - set(COLUMNS[pin.kind])
    if lacking or unknown or not (isinstance(figure, int | float) and math.isfinite(figure) and figure >= 0):
        why = f"{_FIGURE[pin.kind]} {figure!r}, empty {lacking}, unknown columns {sorted(unknown)}"
        raise InvalidInputError(f"{whole['ref']}: {why}")
    return whole


def left_out(trees: Iterable[Tree]) -> dict[str, int]:
    """Reason -> number of entries of all trees that gave no row, most first."""
    return dict(sum((tree.left_out for tree in trees), Counter[str]()).most_common())


def write(pin: Pin, rows: Iterable[dict[str, Any]], path: Path) -> int:
    """Write a table and rename it into place when it is complete; returns the number of rows."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    schema = _schema(pin.kind)
    count = 0
    with replacing(path) as part:
        with pq.ParquetWriter(part, schema, compression="zstd") as writer:
            for batch in _batches(rows):
                writer.write_table(pa.Table.from_pylist(batch, schema=schema))
                count += len(batch)
        if not count:
            raise RefusedError(f"the files of {pin.name} gave no row: they are not what its importer reads.")
    return count


def importer_files(pin: Pin) -> list[Path]:
    """The code files that determine a table: the importer and the modules of its package that it imports."""
    modules = (import_module(f"data_collection.importers.{name}") for name in sorted(_closure(pin.importer)))
    return [Path(str(module.__file__)) for module in modules]


def _closure(name: str) -> set[str]:
    module = plugins.load(data_collection.importers, name)
    found = {name}
    for value in vars(module).values():
        owner = getattr(value, "__module__", "") or getattr(value, "__name__", "")
        if isinstance(owner, str) and owner.startswith("data_collection.importers."):
            found.add(owner.split(".")[2])
    return found


def _batches(rows: Iterable[dict[str, Any]]) -> Iterator[list[dict[str, Any]]]:
    batch: list[dict[str, Any]] = []
    for row in rows:
        batch.append(row)
        if len(batch) == _BATCH:
            yield batch
            batch = []
    yield batch


def _schema(kind: str) -> pa.Schema:
    import pyarrow as pa

    return pa.schema([(name, pa.float64() if name in _NUMBERS else pa.string()) for name in COLUMNS[kind]])
