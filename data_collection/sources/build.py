"""Build a corpus: one Parquet file per source, and manifest.json with rows, hashes, licence and commits of each.

A source is rebuilt only if its pinned files, its pin or its importer changed since the manifest was written. Tables are
put in place by rename and the manifest is updated after each, so that an interrupted build resumes.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import asdict, dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from data_collection.sources.tables import imported, importer_files, left_out, write
from data_collection.upstream import download
from data_collection.upstream.files import Tree, UpstreamError, open_trees
from data_collection.upstream.pins import Pin, pin
from hetbench.artifacts import sha256_of, write_whole
from hetbench.errors import HetBenchError, InvalidInputError

__all__ = ["FORMAT", "MANIFEST", "Place", "build", "chosen", "manifest"]

FORMAT = 1
MANIFEST = "manifest.json"


@dataclass(frozen=True, slots=True)
class Place:
    """Where upstream files come from: local folders, or a host to fetch from."""

    root: Path | None = None
    """Folder of clones or unpacked archives; sources missing in it are fetched."""
    cache: Path = Path.home() / ".cache" / "hetbench" / "upstream"
    via: str = "git"
    host: str | None = None
    offline: bool = False

    def trees(self, source: Pin) -> list[Tree]:
        """The pinned files of a source."""
        here = download.found(source, self.root) if self.root else None
        if here is not None:
            return open_trees(source, here)
        if self.offline:
            where = f"{self.root} has no {source.name} ({source.repository})"
            raise UpstreamError(f"{where}; leave out --offline to fetch it.")
        if self.via == "archive":
            return download.by_archive(source, self.cache, self.host or download.ARCHIVES)
        return download.by_git(source, self.cache, self.host or download.HOST)


def chosen(pins: Iterable[Pin], only: Sequence[str], include_restricted: bool) -> tuple[list[Pin], list[Pin]]:
    """The sources to build, and those left out for their licence; naming one of the latter is an error."""
    wanted = [pin(name) for name in only] if only else list(pins)
    left = [each for each in wanted if each.restricted and not include_restricted]
    if only and left:
        raise InvalidInputError(
            f"{left[0].name} is restricted (licence: {left[0].licence}); build it with --include-restricted "
            "if its terms allow your use."
        )
    return [each for each in wanted if each not in left], left


def build(sources: Sequence[Pin], out: Path, place: Place, *, jobs: int = 1,
          say: Callable[[str], None] = print) -> dict[str, HetBenchError]:  # fmt: skip
    """Bring `out` up to date for these sources; returns the errors by source."""
    out.mkdir(parents=True, exist_ok=True)
    known = manifest(out)
    failed: dict[str, HetBenchError] = {}
    with ProcessPoolExecutor(max_workers=max(1, jobs), mp_context=get_context("spawn")) as pool:
        work = {pool.submit(_one, each, out, place, known.get(each.name)): each for each in sources}
        for done, future in enumerate(as_completed(work), start=1):
            source = work[future]
            head = f"[{done}/{len(work)}] {source.name}"
            try:
                entry = future.result()
            except HetBenchError as error:
                failed[source.name] = error
                say(f"{head}: FAILED: {error}")
                continue
            fresh = entry != known.get(source.name)
            known[source.name] = entry
            _save(out, known)
            drops = sum(entry.get("left_out", {}).values())
            told = f", {drops:,} entries left out" if drops else ""
            say(f"{head}: {entry['rows']:,} rows{told}{'' if fresh else ', unchanged'} ({source.licence})")
    return failed


def manifest(out: Path) -> dict[str, dict[str, Any]]:
    """Source -> entry of a corpus' manifest; empty if there is none."""
    path = out / MANIFEST
    if not path.exists():
        return {}
    try:
        told = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise InvalidInputError(f"{path} is not JSON: {error}; remove it to rebuild.") from None
    if told.get("format") != FORMAT:
        raise InvalidInputError(f"{path} has format {told.get('format')!r}, this version reads {FORMAT}.")
    return dict(told["sources"])


def _one(source: Pin, out: Path, place: Place, before: dict[str, Any] | None) -> dict[str, Any]:
    """Build one table unless its inputs are unchanged; returns its manifest entry."""
    trees = place.trees(source)
    inputs = _inputs(source, trees)
    path = out / source.table
    if before and before["inputs"] == inputs and path.exists() and sha256_of(path) == before["sha256"]:
        return before
    rows = write(source, imported(source, trees), path)
    return {
        "table": source.table, "rows": rows, "sha256": sha256_of(path), "bytes": path.stat().st_size,
        "dataset": source.dataset, "repository": source.repository,
        "commits": {tree.commit.sha: len(tree.listing()) for tree in trees}, "licence": source.licence,
        "restricted": source.restricted, "citation": source.citation, "inputs": inputs, "left_out": left_out(trees),
    }  # fmt: skip


def _inputs(source: Pin, trees: Sequence[Tree]) -> str:
    """Digest of everything that determines the table: files, pin, importer."""
    listed = [[tree.commit.sha, tree.listing()] for tree in trees]
    code = [[file.name, sha256_of(file)] for file in importer_files(source)]
    told = json.dumps([listed, asdict(source), code], sort_keys=True, default=str)
    return hashlib.sha256(told.encode()).hexdigest()


def _save(out: Path, known: dict[str, dict[str, Any]]) -> None:
    rows = sum(each["rows"] for each in known.values())
    told = {"format": FORMAT, "rows": rows, "sources": dict(sorted(known.items()))}
    write_whole(out / MANIFEST, json.dumps(told, indent=1) + "\n", "--out DIR")
