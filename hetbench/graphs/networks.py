"""Operator graphs of measured models beyond the catalogue: surrogates learn from their published latencies.

`catalog/auxiliary-*.zip` holds one compact graph a model (see `ModelGraph.compact`), made by `python -m
data_collection.auxiliary` from library definitions. `catalog/upstream_names_*.csv` says which graph a published
name means: `exact` (the measured network), `same-arch` (same operators and sizes, built or trained elsewhere) or
`near` (differs in a part that costs little). A name that leaves its variant open is not in it.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Mapping
from functools import lru_cache
from importlib.resources import files
from io import BytesIO
from types import MappingProxyType
from zipfile import ZipFile

from hetbench.catalog.models import models
from hetbench.errors import InvalidInputError, UnknownNameError
from hetbench.graphs import model_graph
from hetbench.graphs.model_graph import ModelGraph

__all__ = ["KINDS", "SURE", "find", "fused_variant", "load", "names", "resolve", "upstream"]

SURE = ("exact", "same-arch")
KINDS = (*SURE, "near")


def names() -> tuple[str, ...]:
    """Every auxiliary graph, sorted.

    >>> "tv-vgg16" in names(), "convnext_tiny" in names()
    (True, True)
    """
    return tuple(sorted(_members()))


@lru_cache(maxsize=256)
def load(name: str) -> ModelGraph:
    """The graph of this name: compact, or the catalogue's own where `resolve` names one of its models.

    Raises `UnknownNameError`, which names the nearest.

    >>> load("tv-vgg16").params
    138357544
    """
    archive = _members().get(name)
    if archive is None and name in models():
        return model_graph.load(name)
    if archive is None:
        raise UnknownNameError("auxiliary graph", name, names())
    return ModelGraph(json.loads(archive.read(f"{name}.json")))


@lru_cache(maxsize=4096)
def resolve(upstream_name: str, file: str | None = None) -> tuple[str, str]:
    """(graph, kind) of a model as a published table names it; `file` is the data set, needed where two disagree.

    timm's names are architectures, with a tag of the weights or without. Raises `UnknownNameError` for a name that
    nobody has mapped, `InvalidInputError` for one that means different graphs in different files.

    >>> resolve("convnext_tiny.fb_in22k", "timm")
    ('convnext_tiny', 'exact')
    """
    table = upstream()
    sets = {file} if file else {known for known, name in table if name == upstream_name}
    found = {table[known, upstream_name] for known in sets if (known, upstream_name) in table}
    if not found and file in (None, "timm"):
        bare = upstream_name.removeprefix("timm/").split(".")[0]
        own = table.get(("timm", bare)) or ((bare, "exact") if bare in _members() else None)
        found = {own} if own else set()
    if not found:
        raise UnknownNameError("measured model", upstream_name, (name for _, name in table))
    if len({name for name, _ in found}) > 1:
        meant = ", ".join(sorted({name for name, _ in found}))
        raise InvalidInputError(f"{upstream_name!r} means {meant}, by the data set: give file=.")
    return min(found, key=lambda entry: KINDS.index(entry[1]))


def find(name: str) -> ModelGraph | None:
    """The graph that a name surely means: an auxiliary graph's own name, or an upstream one, exact or same-arch.

    >>> find("llama-2-7b").params, find("convnext_tiny.fb_in22k").name, find("no-such-net")
    (6738415616, 'convnext_tiny', None)
    """
    if name in _members():
        return load(name)
    try:
        model_graph, kind = resolve(name)
    except (UnknownNameError, InvalidInputError):
        return None
    return load(model_graph) if kind in SURE else None


def fused_variant(name: str) -> str:
    """The graph of a network with its branches and norms folded into convolutions, where such a form was measured.

    timm measured it, in the tables of PyTorch 2.9.1, for the architectures that can be folded; elsewhere the full one.

    >>> fused_variant("repvgg_b0"), fused_variant("resnet18")
    ('repvgg_b0-fused', 'resnet18')
    """
    return f"{name}-fused" if f"{name}-fused" in _members() else name


@lru_cache(maxsize=1)
def upstream() -> Mapping[tuple[str, str], tuple[str, str]]:
    """The reviewed table of names: (data set, model as it names it) -> (graph, kind); read-only."""
    found: dict[tuple[str, str], tuple[str, str]] = {}
    for path in (files("hetbench") / "catalog").iterdir():
        if path.name.startswith("upstream_names_") and path.name.endswith(".csv"):
            for row in csv.DictReader(path.read_text(encoding="utf-8").splitlines()):
                found[row["file"], row["model"]] = (row["graph"], row["kind"])
    return MappingProxyType(found)


@lru_cache(maxsize=1)
def _members() -> Mapping[str, ZipFile]:
    """Archive of each graph, by name; members are read when asked for."""
    found: dict[str, ZipFile] = {}
    for path in sorted((files("hetbench") / "catalog").iterdir(), key=lambda path: path.name):
        if path.name.startswith("auxiliary-") and path.name.endswith(".zip"):
            archive = ZipFile(BytesIO(path.read_bytes()))
            found.update({name.removesuffix(".json"): archive for name in archive.namelist()})
    return MappingProxyType(found)
