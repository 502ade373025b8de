"""Upstream projects that measurements, chip facts and operator registrations come from, with their licences.

Read from `catalog/sources.toml`. Row counts are of the rows read for training and evidence, before cleaning; the number
of rows in the evidence table is counted from the table.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from hetbench.catalog import evidence
from hetbench.catalog.toml_tables import read_table
from hetbench.loading import load_once
from hetbench.mappings import ReadOnly

__all__ = ["Source", "sources"]


@dataclass(frozen=True, slots=True)
class Source:
    """One upstream project: what was read from it, at which commits, and its licence."""

    name: str
    title: str
    gives: str
    """What it provides."""
    families: tuple[str, ...]
    """Chip families of its data; `other` is none of the five."""
    repository: str | None = None
    """owner/name; None where it is not in a repository."""
    commits: tuple[str, ...] = ()
    licence: str | None = None
    """Licence as stated in the repository; None where unknown."""
    operator_rows: int = 0
    model_rows: int = 0
    registrations: int = 0
    """Number of ATen operators that its backends register, per platform."""
    chip_facts: int = 0
    """Number of chips with facts from it."""

    @property
    def citation(self) -> str:
        """Citation as one line of text.

        >>> sources()["vidur"].citation
        'Vidur: profiles of LLM layers and collectives. microsoft/vidur, commit 7d475133.'
        """
        where = f" {self.repository}" if self.repository else ""
        plural = "s" if len(self.commits) > 1 else ""
        at = f", commit{plural} {', '.join(self.commits)}" if self.commits else ""
        return f"{self.title}.{where}{at}{'.' if where else ''}"

    @property
    def evidence_rows(self) -> int:
        """Number of rows in the evidence table that are from this project.

        >>> sources()["timm"].evidence_rows > 200
        True
        """
        return _evidence_rows()[self.repository or ""]


def sources() -> Mapping[str, Source]:
    """All upstream projects by name, in the order of the table; read-only.

    >>> sources()["miopen"].licence, sources()["miopen"].families
    ('MIT', ('rocm',))
    """
    return _sources()


@load_once()
def _sources() -> Mapping[str, Source]:
    return ReadOnly({name: _source(name, entry) for name, entry in read_table("sources").items()})


def _source(name: str, entry: Mapping[str, Any]) -> Source:
    facts: dict[str, Any] = {key: tuple(fact) if isinstance(fact, list) else fact for key, fact in entry.items()}
    return Source(name=name, **facts)


@load_once()
def _evidence_rows() -> Counter[str]:
    return Counter(row.ref.split("@")[0] for row in evidence.rows())
