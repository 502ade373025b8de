"""The form of the tables and arrays of a set: that of the packaged set, whose formats this hetbench reads.

A table must have the keys of the packaged one where keys are fixed, and values of the same types everywhere; numbers
are finite, and those of `_NOT_NEGATIVE` at least 0. Arrays are numeric and finite, and each forest or network is whole.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hetbench.artifacts.file_types import BROKEN
from hetbench.artifacts.manifest import read_json
from hetbench.errors import ArtifactError

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["Form", "check_arrays", "check_lengths", "check_table", "form_of"]

_RECORDS_BELOW = ("classes", "groups", "chips", "ratio", "*")
"""Keys whose entries have fixed keys, like the top of a table; the keys of other mappings are names of any number."""
_OPTIONAL = ("made_by", "seconds", "data_sha256", "sha256", "end_to_end", "dies", "scores", "held")
"""Keys that no answer needs, except the scores of `transfer.json`."""
_NOT_NEGATIVE = ("floors", "factor", "rows", "share", "width", "network_share", "seeds", "layers", "interval_level",
                 "members", "law", "seen_amplitude")  # fmt: skip
_RESIDUALS = ("beside",)
"""Key of `serving.json` whose `rows` hold weights of measured rows, of either sign."""
_PAIR = 16
"""Lists that are all of one length up to this many in the packaged set have that length."""
_BY_CLASS = ("share", "width", "seen_amplitude")
"""Tables of `rgat.json` with an entry for every class of operators."""
_FOREST = ("columns", "borders", "border_counts", "split_column", "split_rank", "leaves", "bias")


@dataclass(slots=True)
class Form:
    """The form of a JSON value, from the values that the packaged set has in its place."""

    kinds: frozenset[str] = frozenset()
    length: int | None = None
    """Length of a list, where it is fixed."""
    items: Form | None = None
    keys: Mapping[str, Form] | None = None
    """Form of each key of a mapping with fixed keys."""
    values: Form | None = None
    """Form of all values of a mapping with other keys."""
    required: frozenset[str] = field(default=frozenset())


def _kind(value: Any) -> str:
    names = {dict: "mapping", list: "list", str: "text", bool: "truth", type(None): "nothing"}
    return names.get(type(value), "number")


def form_of(values: Sequence[Any], path: tuple[str, ...] = ()) -> Form:
    """The form that all of these values have; `path` are the keys that lead to them.

    >>> sorted(form_of([{"a": 1}, {"a": "x"}]).keys["a"].kinds)
    ['number', 'text']
    """
    found = Form(frozenset(map(_kind, values)))
    lists = [value for value in values if isinstance(value, list)]
    if lists:
        lengths = {len(value) for value in lists}
        found.length = min(lengths) if len(lengths) == 1 and len(lists) > 1 and max(lengths) <= _PAIR else None
        items = [item for value in lists for item in value]
        found.items = form_of(items, (*path, "*")) if items else None
    tables = [value for value in values if isinstance(value, dict)]
    if tables and (not path or path == ("law",) or path[-1] == "*" or (path[-2:-1] and path[-2] in _RECORDS_BELOW)):
        common = frozenset.intersection(*(frozenset(table) for table in tables))
        found.required = common - (set(_OPTIONAL) if path else set(_OPTIONAL) - {"scores"})
        found.keys = {key: form_of([table[key] for table in tables if key in table], (*path, key))
                      for key in frozenset().union(*tables)}  # fmt: skip
    elif tables:
        inner = [value for table in tables for value in table.values()]
        found.values = form_of(inner, (*path, "")) if inner else None
        found.required = frozenset({""} if all("" in table for table in tables) else ())  # what counts for all names
    return found


def check_table(path: Path, data: Mapping[str, Any], packaged: Path) -> None:
    """Raise `ArtifactError` where a JSON file of a set does not have the form of the packaged one."""
    known = sorted(packaged.glob("chip-*.json")) if path.name.startswith("chip-") else [packaged / path.name]
    if not known or not all(each.exists() for each in known):
        return
    _check(data, _packaged_form(tuple(known)), path.name, ())
    parts = ("classes", "groups", *(_BY_CLASS if path.name == "rgat.json" else ()))
    for key in parts:  # whose names each set has
        lacking = set(read_json(known[0]).get(key, ())) - set(data.get(key, ()))
        if lacking and not path.name.startswith("chip-"):
            raise ArtifactError(f"{path.name}: {key} lacks {', '.join(sorted(lacking))}.")


@lru_cache(maxsize=32)
def _packaged_form(paths: tuple[Path, ...]) -> Form:
    return form_of([read_json(path) for path in paths])


def _check(value: Any, form: Form, name: str, path: tuple[str, ...]) -> None:
    where = f"{name}: {'.'.join(path)}"
    if _kind(value) not in form.kinds:
        raise ArtifactError(f"{where} is {_kind(value)}; expected {' or '.join(sorted(form.kinds))}.")
    if _kind(value) == "number":
        if not -1e300 < value < 1e300:
            raise ArtifactError(f"{where} is {value!r:.40}, which is not a finite number.")
        if value < 0 and path[:1] != _RESIDUALS and not set(_NOT_NEGATIVE).isdisjoint(path):
            raise ArtifactError(f"{where} is {value!r}; it must be 0 or more.")
    elif isinstance(value, list):
        if form.length is not None and len(value) != form.length:
            raise ArtifactError(f"{where} has {len(value)} entries; expected {form.length}.")
        for number, item in enumerate(value):
            if form.items is not None:
                _check(item, form.items, name, (*path, str(number)))
    elif isinstance(value, dict):
        lacking = sorted(form.required - set(value))
        if lacking:
            raise ArtifactError(f"{where.rstrip(': ')} lacks {', '.join(map(repr, lacking))}.")
        for key, item in value.items():
            inner = form.values if form.keys is None else form.keys.get(key)
            if inner is not None:
                _check(item, inner, name, (*path, key))


def check_lengths(path: Path, data: Mapping[str, Any], known: Mapping[str, Any]) -> None:
    """Raise `ArtifactError` where a list of effects of serving has another length than in the packaged table."""
    for key in ("columns", "quantiles"):
        if data[key] != known[key]:
            raise ArtifactError(f"{path.name}: {key} are not those that this hetbench reads.")
    wanted = {"base": len(known["base"]), "bands": len(known["quantiles"])}
    wanted |= {level: len(next(iter(lists.values()))) for level, lists in known["levels"].items() if lists}
    found = {"base": {"": data["base"]}, "bands": data["bands"], **data["levels"]}
    for key in sorted(wanted):
        for name, values in found.get(key, {}).items():
            if not isinstance(values, list) or len(values) != wanted[key]:
                raise ArtifactError(f"{path.name}: {key} {name!r:.60} must hold {wanted[key]} numbers.")
    lacking = set(known["levels"]) - set(data["levels"]) or set(known["bands"]) - set(data["bands"])
    if lacking:
        raise ArtifactError(f"{path.name} lacks {', '.join(sorted(lacking))[:200]}.")


def check_arrays(path: Path, data: Mapping[str, Any], packaged: Path) -> None:
    """Raise `ArtifactError` where the arrays of an npz file are not those that its table describes.

    `data` is the entry of its table: of the class, of the group, of the chip, or the whole of `rgat.json`.
    """
    arrays, known = _arrays(path), _arrays(packaged / path.name) if (packaged / path.name).exists() else {}
    gaps = {name.rpartition(".")[2] for name, array in known.items() if not _finite(array)}  # NaN stands for unknown
    for name, array in arrays.items():
        if array.dtype.kind not in "fiub":
            raise ArtifactError(f"{path.name}: {name} has type {array.dtype}; arrays hold numbers.")
        if name.rpartition(".")[2] not in gaps and not _finite(array):
            raise ArtifactError(f"{path.name}: {name} holds a value that is not finite.")
    prefixes = {name.rpartition(".")[0] for name in arrays}
    needed = _needed(path, data)
    for prefix in sorted(needed - prefixes):
        raise ArtifactError(f"{path.name} lacks the arrays of {prefix or 'its table'}.")
    usual = _usual(path, known, packaged)
    for prefix in sorted(prefixes):
        own = {name.rpartition(".")[2]: array for name, array in arrays.items() if name.rpartition(".")[0] == prefix}
        if "split_column" in own or prefix.rpartition(".")[2].startswith(("forest", "ratio_")):
            _check_forest(f"{path.name}: {prefix}", own)
            _check_columns(f"{path.name}: {prefix}", own, usual, prefix)
        _check_layers(f"{path.name}: {prefix}", own)
        if path.name.startswith("whole-") and "operator" in own:
            _check_labels(f"{path.name}: {prefix}", own, data)
    cells, effects = data.get("cells"), arrays.get("cell_effects")
    if isinstance(cells, list) and effects is not None and len(effects) != len(cells):
        raise ArtifactError(f"{path.name}: cell_effects has {len(effects)} rows for {len(cells)} cells.")
    _check_like(path, arrays, known)
    if path.stem == "rgat":
        _check_widths(path, arrays, known, {"types": len(data.get("types", ())) + 1})


def _finite(array: NDArray[Any]) -> bool:
    return array.dtype.kind != "f" or math.isfinite(float(abs(array).max(initial=0.0)))


def _arrays(path: Path) -> dict[str, NDArray[Any]]:
    import numpy as np

    try:
        with np.load(path, allow_pickle=False) as stored:
            return {name: stored[name] for name in stored.files}
    except (OSError, *BROKEN) as error:
        raise ArtifactError(f"{path.name} cannot be read: {error}.") from None


def _needed(path: Path, data: Mapping[str, Any]) -> set[str]:
    """Prefixes of the forests and networks that the table of an npz names."""
    if path.name.startswith("chip-"):
        return {f"{cls}.forest" for cls in data.get("classes", ())}
    if path.name.startswith("whole-"):
        name = path.stem.removeprefix("whole-")
        return {f"{name}.forest"} | {f"{name}.network{seed}" for seed in range(min(int(data.get("seeds", 0)), 100))}
    return set(data.get("members", ())) | {f"ratio_{group}" for group in data.get("ratio", ())}


def _check_forest(where: str, own: Mapping[str, NDArray[Any]]) -> None:
    lacking = [name for name in _FOREST if name not in own]
    if lacking:
        raise ArtifactError(f"{where} lacks {', '.join(lacking)}.")
    split, columns = own["split_column"], own["columns"]
    fine = split.ndim == 2 and columns.ndim == own["border_counts"].ndim == own["borders"].ndim == 1
    fine = fine and own["bias"].size == 1 and split.shape == own["split_rank"].shape and split.shape[0] <= 16
    fine = fine and len(columns) == len(own["border_counts"]) > 0 and split.size > 0 and int(split.max()) < len(columns)
    counted = (split, columns, own["border_counts"], own["split_rank"])
    fine = fine and all(each.dtype.kind in "iu" and int(each.min()) >= 0 for each in counted)
    if not fine or own["border_counts"].sum(dtype="int64") != len(own["borders"]):
        raise ArtifactError(f"{where} is not a forest: its splits, columns and borders do not fit together.")
    if own["leaves"].size != split.shape[1] << split.shape[0]:
        depth, trees = split.shape
        raise ArtifactError(f"{where} has {own['leaves'].size} leaves for {trees} trees of depth {depth}.")


def _usual(path: Path, known: Mapping[str, NDArray[Any]], packaged: Path) -> Mapping[str, NDArray[Any]]:
    """The packaged arrays that a file is like: of its name, else, for one more chip, of the first packaged chip."""
    chips = sorted(packaged.glob("chip-*.npz")) if path.name.startswith("chip-") and not known else []
    return _arrays(chips[0]) if chips else known


def _check_columns(
    where: str, own: Mapping[str, NDArray[Any]], packaged: Mapping[str, NDArray[Any]], prefix: str
) -> None:
    """A forest reads no column beyond those that the packaged ones of its kind read: they read the last one too."""
    ratio = prefix.startswith("ratio_")
    alike = [array for name, array in packaged.items() if name.endswith(".columns")
             and (name.startswith("ratio_") if ratio else name == f"{prefix}.columns")]  # fmt: skip
    most = max((int(array.max()) for array in alike), default=None)
    if most is not None and int(own["columns"].max()) > most:
        raise ArtifactError(f"{where} reads column {own['columns'].max()} of features; the last one is {most}.")


def _check_layers(where: str, own: Mapping[str, NDArray[Any]]) -> None:
    """The layers of a network follow one another: each is as wide as its bias and as what the next one reads."""
    for weight, bias in (("weight", "bias"), ("w", "b")):
        layers = [own[f"{weight}{at}"] for at in range(len(own)) if f"{weight}{at}" in own]
        if any(each.ndim != 2 for each in layers):
            raise ArtifactError(f"{where}: a layer of a network has two axes.")
        named = own["layers"] if weight == "weight" and "layers" in own else len(layers)
        wide = int(named) == len(layers) and all(one.shape[1] == other.shape[0] for one, other in pairwise(layers))
        beside = [own[name] for name in ("cells", "operator", "context0", "context1", "context2") if name in own]
        wide = wide and all(each.shape[-1] == layers[0].shape[1] for each in beside if layers)
        for at, layer in enumerate(layers):
            beyond = own.get(f"{bias}{at}")
            wide = wide and (beyond is None or beyond.shape == layer.shape[1:])
        if not wide:
            raise ArtifactError(f"{where}: the layers of the network do not fit together.")


def _check_labels(where: str, own: Mapping[str, NDArray[Any]], data: Mapping[str, Any]) -> None:
    """A network has a row for what it never saw and one for every label of its table."""
    tables = ("stacks", "dies", "cells")
    rows = {"operator": "operators"} | {f"{name}{at}": table for name in ("context", "scalars")
                                        for at, table in enumerate(tables)}  # fmt: skip
    for name, table in rows.items():
        wanted = len(data.get(table, ())) + 1
        if name not in own or len(own[name]) != wanted:
            raise ArtifactError(f"{where}: {name} must have {wanted} rows, one for each of {table}.")
    if any(own[f"scalars{at}"].shape[1:] != (3,) for at in range(len(tables))):
        raise ArtifactError(f"{where}: scalars must have 3 columns.")


def _check_like(path: Path, arrays: Mapping[str, NDArray[Any]], packaged: Mapping[str, NDArray[Any]]) -> None:
    """Compare with the packaged file of that name: arrays of one part have as many axes, and input widths agree."""
    for name, known in packaged.items():
        prefix, _, last = name.rpartition(".")
        found = arrays.get(name)
        if found is None:
            if any(other.startswith(f"{prefix}.") for other in arrays) or not prefix:
                raise ArtifactError(f"{path.name} lacks the array {name}.")
            continue
        if known.dtype.kind in "iu" and found.dtype.kind not in "iu":
            raise ArtifactError(f"{path.name}: {name} has type {found.dtype}; it holds whole numbers.")
        if found.ndim != known.ndim:
            raise ArtifactError(f"{path.name}: {name} has {found.ndim} axes; expected {known.ndim}.")
        if last in ("mean", "scale", "deviation") and found.shape != known.shape:
            raise ArtifactError(f"{path.name}: {name} has shape {found.shape}; expected {known.shape}.")


def _check_widths(
    path: Path, arrays: Mapping[str, NDArray[Any]], packaged: Mapping[str, NDArray[Any]], rows: Mapping[str, int]
) -> None:
    """The arrays of one network fit together: they have the packaged shapes, but for one width of its layers; `rows`
    has the rows of arrays that are as long as a list of the table."""
    usual, width = packaged["into"].shape[-1], arrays["into"].shape[-1]
    for name, known in packaged.items():
        wanted = tuple(width if size == usual else size for size in known.shape)
        wanted = (rows[name], *wanted[1:]) if name in rows else wanted
        if arrays[name].shape != wanted:
            raise ArtifactError(f"{path.name}: {name} has shape {arrays[name].shape}; expected {wanted}.")
