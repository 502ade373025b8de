"""Operators that torch_mlu registers, from codegen/mlu_functions.yaml of Cambricon/torch_mlu."""

from __future__ import annotations

from collections.abc import Iterator

from data_collection.sources.registration_rows import Row, parsed

__all__ = ["BACKEND", "REPOSITORY", "rows"]

BACKEND, REPOSITORY = "mlu", "Cambricon/torch_mlu"


def rows(text: str, torch: str) -> Iterator[Row]:
    """Every operator once; the file is for one PyTorch version, which it does not state."""
    for namespace, entries in parsed(text).items():
        prefix = "" if namespace == "aten" else f"{namespace}::"
        for name in dict.fromkeys(entry["func"].split("(")[0] for entry in entries):
            yield Row(BACKEND, prefix + name, "native")
