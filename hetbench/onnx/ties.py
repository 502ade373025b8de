"""Tables that a file stores twice: exporters write the output layer beside the embedding that it shares."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

__all__ = ["tied_tables"]

_MOST_BYTES = 2**30
"""Largest table whose elements are compared."""


def tied_tables(graph: Any) -> dict[str, str]:
    """Weight -> the table of an embedding whose elements it has, as they stand or transposed."""
    looked_up = {node.input[0] for node in graph.node if node.op_type == "Gather" and node.input}
    tables = [each for each in graph.initializer if each.name in looked_up and len(each.dims) == 2]
    found: dict[str, str] = {}
    for table in tables:
        for other in graph.initializer:
            alike = other.name != table.name and other.name not in looked_up and other.data_type == table.data_type
            if alike and sorted(other.dims) == sorted(table.dims) and _same(table, other):
                found[other.name] = table.name
    return found


def _same(table: Any, other: Any) -> bool:
    """Whether two stored tensors hold the same elements."""
    placed = [tuple(_place(each)) for each in (table, other)]
    if any(placed):
        return placed[0] == placed[1] and list(table.dims) == list(other.dims)
    if len(table.raw_data) != len(other.raw_data) or not 0 < len(table.raw_data) <= _MOST_BYTES:
        return False
    if list(table.dims) == list(other.dims) and table.raw_data == other.raw_data:
        return True
    from onnx import numpy_helper

    one, turned = numpy_helper.to_array(table), numpy_helper.to_array(other).T
    return one.shape == turned.shape and bool((one[:1] == turned[:1]).all() and (one == turned).all())


def _place(tensor: Any) -> Iterator[tuple[str, str]]:
    """Where external data lies; nothing for data in the file."""
    if tensor.data_location == 1:
        for entry in tensor.external_data:
            if entry.key in ("location", "offset", "length"):
                yield entry.key, entry.value
