"""Read configs/sources.toml: repository, commits, paths, licence and citation of each published data set."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from hetbench.errors import InvalidInputError, UnknownNameError

__all__ = ["PINS", "Commit", "Pin", "not_imported", "pin", "pins"]

PINS = Path(__file__).resolve().parents[2] / "configs" / "sources.toml"
_KINDS = ("op", "model")
_WITHOUT = "not_imported"


@dataclass(frozen=True, slots=True)
class Commit:
    """One pinned commit and the files that are read (globs; `**` crosses folders)."""

    sha: str
    paths: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Pin:
    """Origin and licence of one table of the corpus."""

    name: str
    kind: str
    """op or model."""
    importer: str
    """Module of data_collection.importers that reads it."""
    dataset: str
    repository: str
    commits: tuple[Commit, ...]
    licence: str
    """SPDX, or the words of the licence file, or `none stated`."""
    citation: str
    restricted: bool = False
    """Whether it is built only on request: no licence stated, or one that restricts use."""
    cited: int = 10
    """Number of digits of the commit in a row's reference."""
    note: str = ""

    @property
    def table(self) -> str:
        """File of the table in a corpus."""
        return f"{self.kind}/{self.name if self.kind == 'op' else self.dataset}.parquet"


def pin(name: str) -> Pin:
    """One source; raises `UnknownNameError` with the nearest name."""
    known = pins()
    if name not in known:
        raise UnknownNameError("source", name, known)
    return known[name]


def pins(path: Path = PINS) -> dict[str, Pin]:
    """Every source by name, in the order of the file."""
    return dict(_read(path))


def not_imported(path: Path = PINS) -> dict[str, str]:
    """Tables of the corpus that no importer makes yet, with the reason."""
    return dict(tomllib.loads(path.read_text(encoding="utf-8")).get(_WITHOUT, {}))


@cache
def _read(path: Path) -> dict[str, Pin]:
    entries = tomllib.loads(path.read_text(encoding="utf-8"))
    return {name: _pin(path, name, entry) for name, entry in entries.items() if name != _WITHOUT}


def _pin(path: Path, name: str, entry: dict[str, Any]) -> Pin:
    facts = dict(entry)
    at = facts.pop("at", None) or [{"commit": facts.pop("commit", ""), "paths": facts.pop("paths", ())}]
    root = facts.pop("root", "")
    commits = tuple(Commit(each["commit"], tuple(root + path for path in each["paths"])) for each in at)
    facts = {"importer": name, "dataset": name, **facts}
    try:
        made = Pin(name=name, commits=commits, **facts)
    except TypeError as error:
        raise InvalidInputError(f"{path}: [{name}]: {error}") from None
    if made.kind not in _KINDS or not all(len(each.sha) == 40 and each.paths for each in commits):
        raise InvalidInputError(f"{path}: [{name}]: kind is op or model; each commit has 40 digits and paths.")
    if made.licence == "none stated" and not made.restricted:
        raise InvalidInputError(f"{path}: [{name}]: without a stated licence it must be restricted = true.")
    return made
