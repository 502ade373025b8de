"""The shipped table of Hugging Face facts: defaults of each model type, and configurations of named checkpoints.

`catalog/huggingface.json.gz`, made by `python -m data_collection.checkpoints`, holds for each model type the defaults
of its class in transformers, whose version it states, and for each checkpoint what its configuration says beyond
those defaults, with the repository@commit:path where that was read.
"""

from __future__ import annotations

import gzip
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from importlib.resources import files
from types import MappingProxyType
from typing import Any

from hetbench.errors import ArtifactError

__all__ = ["FORMAT", "Checkpoint", "checkpoints", "transformers_version", "type_facts"]

FORMAT = 1
_NONE: Mapping[str, Any] = MappingProxyType({"defaults": {}, "aliases": {}})


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """One published network: its configuration and where that was read."""

    name: str
    """Repository on the Hugging Face hub."""
    config: Mapping[str, Any] = field(hash=False)
    ref: str
    """repository@commit:path, or the class of transformers whose defaults it is."""
    precision: str = ""
    """Format of the published weights where it is not that of the network, such as fp8."""


def type_facts(model_type: str) -> Mapping[str, Any]:
    """Defaults of a model type, and the other names that its hyper-parameters have; empty for an unknown type.

    >>> type_facts("gpt2")["aliases"]["hidden_size"], type_facts("gpt2")["defaults"]["n_embd"]
    ('n_embd', 768)
    """
    found: Mapping[str, Any] = _table()["types"].get(model_type, _NONE)
    return found


def transformers_version() -> str:
    """Version of transformers that the defaults are of."""
    return str(_table()["transformers"])


@lru_cache(maxsize=1)
def checkpoints() -> Mapping[str, Checkpoint]:
    """Every shipped checkpoint by name; read-only.

    >>> checkpoints()["Qwen/Qwen3-8B"].config["num_hidden_layers"]
    36
    """
    table = _table()
    return MappingProxyType({
        name: Checkpoint(
            name, MappingProxyType(entry["config"]), table["refs"][entry["ref"]], entry.get("precision", "")
        )
        for name, entry in table["checkpoints"].items()
    })  # fmt: skip


@lru_cache(maxsize=1)
def _table() -> Mapping[str, Any]:
    path = files("hetbench") / "catalog" / "huggingface.json.gz"
    try:
        table = json.loads(gzip.decompress(path.read_bytes()))
    except (OSError, ValueError) as error:
        raise ArtifactError(f"huggingface.json.gz cannot be read: {error}. Reinstall hetbench.") from None
    if table.get("format") != FORMAT:
        raise ArtifactError(f"huggingface.json.gz has format {table.get('format')!r}; this hetbench reads {FORMAT}.")
    return dict(table)
