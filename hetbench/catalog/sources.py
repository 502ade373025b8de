"""The upstreams that the measurements, chip facts and operator registrations come from, with their licences.

A frozen record each, over `catalog/sources.toml`. Row counts are those read for training and evidence, before
cleaning; how many rows the evidence table keeps is counted from the table itself.
"""

from __future__ import annotations

import tomllib
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import files
from types import MappingProxyType
from typing import Any

from hetbench.catalog import evidence

__all__ = ["Source", "sources"]


@dataclass(frozen=True, slots=True)
class Source:
    """One upstream: what was read from it, where, and under which licence."""

    name: str
    title: str
    gives: str
    """What its figures are."""
    families: tuple[str, ...]
    """Chip families that it tells about; `other` is none of the five."""
    repository: str | None = None
    """owner/name; None for what lies in no repository."""
    commits: tuple[str, ...] = ()
    licence: str | None = None
    """Of the repository, as it was stated there; None: not known."""
    operator_rows: int = 0
    model_rows: int = 0
    registrations: int = 0
    """ATen operators that a back end registers, one row a platform."""
    chip_facts: int = 0
    """Chips that take facts from it."""

    @property
    def citation(self) -> str:
        """How to cite it.

        >>> sources()["vidur"].citation
        'Vidur: profiles of LLM layers and collectives. microsoft/vidur, commit 7d475133.'
        """
        where = f" {self.repository}" if self.repository else ""
        plural = "s" if len(self.commits) > 1 else ""
        at = f", commit{plural} {', '.join(self.commits)}" if self.commits else ""
        return f"{self.title}.{where}{at}{'.' if where else ''}"

    @property
    def evidence_rows(self) -> int:
        """Rows of the evidence table that are from here.

        >>> sources()["timm"].evidence_rows > 200
        True
        """
        return _evidence_rows()[self.repository or ""]


def sources() -> Mapping[str, Source]:
    """Every upstream by name, in the order of the table; read-only.

    >>> sources()["miopen"].licence, sources()["miopen"].families
    ('MIT', ('rocm',))
    """
    return _sources()


@lru_cache(maxsize=1)
def _sources() -> Mapping[str, Source]:
    text = (files("hetbench") / "catalog" / "sources.toml").read_text(encoding="utf-8")
    return MappingProxyType({name: _source(name, entry) for name, entry in tomllib.loads(text).items()})


def _source(name: str, entry: Mapping[str, Any]) -> Source:
    facts: dict[str, Any] = {key: tuple(fact) if isinstance(fact, list) else fact for key, fact in entry.items()}
    return Source(name=name, **facts)


@lru_cache(maxsize=1)
def _evidence_rows() -> Counter[str]:
    return Counter(row.ref.split("@")[0] for row in evidence.rows())
