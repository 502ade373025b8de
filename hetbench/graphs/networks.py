"""Auxiliary graphs: measured models outside the catalogue, whose published latencies train the surrogates.

`catalog/auxiliary-*.zip` holds one compact graph per model (see `ModelGraph.compact`), made from library definitions by
`python -m data_collection.networks`. `catalog/upstream_names_*.csv` maps the names of published tables to graphs, as
`exact` (the measured network), `same-arch` (same operators and sizes, other library or weights) or `near` (differs in a
part of little cost). Ambiguous names are not mapped.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Mapping
from functools import lru_cache
from importlib.resources import files
from io import BytesIO
from zipfile import ZipFile

from hetbench.catalog.models import models
from hetbench.errors import InvalidInputError, UnknownNameError, shown
from hetbench.graphs import model_graph
from hetbench.graphs.model_graph import ModelGraph
from hetbench.graphs.resized import ResizableGraph
from hetbench.loading import load_once
from hetbench.mappings import ReadOnly

__all__ = ["KINDS", "SURE", "find", "fused_variant", "load", "names", "resolve", "upstream"]

SURE = ("exact", "same-arch")
KINDS = (*SURE, "near")


def names() -> tuple[str, ...]:
    """Names of all auxiliary graphs, sorted.

    >>> "tv-vgg16" in names(), "convnext_tiny" in names()
    (True, True)
    """
    return tuple(sorted(_members()))


def load(name: str) -> ModelGraph:
    """The auxiliary graph `name`, or that of the catalogue model with this name.

    Raises `UnknownNameError` for any other name, `InvalidInputError` for what is none.

    >>> load("tv-vgg16").params
    138357544
    """
    if not isinstance(name, str):
        raise InvalidInputError(f"the name of an auxiliary graph must be a text; given: {shown(name)}.")
    return _load(name)


@load_once(maxsize=256)
def _load(name: str) -> ModelGraph:
    archive = _members().get(name)
    if archive is None and name in models():
        return model_graph.load(name)
    if archive is None:
        raise UnknownNameError("auxiliary graph", name, names())
    return ResizableGraph(json.loads(archive.read(f"{name}.json")))


def resolve(upstream_name: str, file: str | None = None) -> tuple[str, str]:
    """(graph, kind) of a model name in a published table; `file` is the data set, needed where two disagree.

    Names of timm may have a tag of the weights after a dot. Raises `UnknownNameError` for a name that is not mapped,
    `InvalidInputError` for one that means different graphs in different data sets.

    >>> resolve("convnext_tiny.fb_in22k", "timm")
    ('convnext_tiny', 'exact')
    """
    if not isinstance(upstream_name, str):
        raise InvalidInputError(f"the name of a measured model must be a text; given: {shown(upstream_name)}.")
    if file is not None and not isinstance(file, str):
        raise InvalidInputError(f"file= is the name of a data set; given: {shown(file)}.")
    return _resolve(upstream_name, file)


@lru_cache(maxsize=4096)
def _resolve(upstream_name: str, file: str | None) -> tuple[str, str]:
    table = upstream()
    sets = {file} if file else {known for known, name in table if name == upstream_name}
    found = {table[known, upstream_name] for known in sets if (known, upstream_name) in table}
    if not found and file in (None, "timm"):
        bare = upstream_name.removeprefix("timm/").split(".")[0]
        own = table.get(("timm", bare)) or ((bare, "exact") if bare in _members("vision") else None)
        found = {own} if own else set()
    if not found:
        raise UnknownNameError("measured model", upstream_name, (name for _, name in table))
    if len({name for name, _ in found}) > 1:
        meant = ", ".join(sorted({name for name, _ in found}))
        raise InvalidInputError(f"{upstream_name!r} means {meant}, depending on the data set: give file=.")
    return min(found, key=lambda entry: KINDS.index(entry[1]))


def find(name: str) -> ModelGraph | None:
    """The graph of an auxiliary or upstream name that is mapped as `exact` or `same-arch`; None for other names.

    >>> find("llama-2-7b").params, find("convnext_tiny.fb_in22k").name, find("no-such-net")
    (6738415616, 'convnext_tiny', None)
    """
    if not isinstance(name, str):
        return None
    if name in _members():
        return load(name)
    try:
        model_graph, kind = resolve(name)
    except (UnknownNameError, InvalidInputError):
        return None
    return load(model_graph) if kind in SURE else None


def fused_variant(name: str) -> str:
    """Name of the variant with norms and branches fused into convolutions; `name` itself where there is none.

    timm measures fused variants of the architectures that allow it, in its tables of PyTorch 2.9.1.

    >>> fused_variant("repvgg_b0"), fused_variant("resnet18")
    ('repvgg_b0-fused', 'resnet18')
    """
    return f"{name}-fused" if f"{name}-fused" in _members() else name


@load_once()
def upstream() -> Mapping[tuple[str, str], tuple[str, str]]:
    """The reviewed table of names, read-only: (data set, model name there) -> (graph, kind)."""
    found: dict[tuple[str, str], tuple[str, str]] = {}
    for path in (files("hetbench") / "catalog").iterdir():
        if path.name.startswith("upstream_names_") and path.name.endswith(".csv"):
            for row in csv.DictReader(path.read_text(encoding="utf-8").splitlines()):
                found[row["file"], row["model"]] = (row["graph"], row["kind"])
    return ReadOnly(found)


@load_once(maxsize=2)
def _members(kind: str = "") -> Mapping[str, ZipFile]:
    """Graph name -> archive that holds it; of the archives of one kind, `vision` or `text`, or of all."""
    found: dict[str, ZipFile] = {}
    for path in sorted((files("hetbench") / "catalog").iterdir(), key=lambda path: path.name):
        if path.name.startswith(f"auxiliary-{kind}") and path.name.endswith(".zip"):
            archive = ZipFile(BytesIO(path.read_bytes()))
            found.update({name.removesuffix(".json"): archive for name in archive.namelist()})
    return ReadOnly(found)
