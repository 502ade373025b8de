"""Compact graphs of measured text models outside the catalogue.

`text.toml` holds their records, in the format of `catalog/models.toml`. Most are deep stacks of equal layers: they are
traced with few layers and the count of every operator is extrapolated. With d the traced depth and p the period of the
stack, count(L) = count(d) + (L - d) / p * (count(d + p) - count(d)), which is exact if each period adds the same
operators. If an operator occurs at one depth only, `DepthError` is raised. DeciLM's layers differ in one
hyper-parameter; each kind of layer (`layers`) is extrapolated by itself.
"""

from __future__ import annotations

import tomllib
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from types import MappingProxyType, SimpleNamespace
from typing import Any

from data_collection.extract.assemble import extract
from data_collection.networks.archive import compact
from hetbench.catalog.models import Model, models
from hetbench.errors import HetBenchError, UnknownNameError

__all__ = ["DepthError", "Entry", "entries", "extend", "graph", "tables"]

ENTRIES = Path(__file__).with_name("text.toml")
Key = tuple[str, str, tuple[Any, ...]]
Counts = Counter[Key]
Step = tuple[Mapping[str, Any], Mapping[str, Any], int]  # shallower graph, deeper graph, factor


class DepthError(HetBenchError):
    """The layers of a network are not equal, so its operators cannot be extended from a shallow trace."""


@dataclass(frozen=True, slots=True)
class Entry:
    """A model to trace: its record, and the hyper-parameters that only count equal layers."""

    record: Model
    stack: tuple[str, ...]
    """Keys of the configuration that hold a number of layers; none: the whole network is traced."""
    period: int
    """Number of layers after which the stack repeats: 2 if two kinds of attention alternate."""
    layers: tuple[Mapping[str, int], ...]
    """Kinds of layer in one stack: `count` and the hyper-parameters that differ; usually empty."""
    published_params: int | None
    """Published exact parameter count of the class that is built; None if unknown."""


@lru_cache(maxsize=1)
def entries() -> Mapping[str, Entry]:
    """Every auxiliary text model by its graph's name; read-only."""
    found = {name: _entry(name, fields) for name, fields in tomllib.loads(ENTRIES.read_text("utf-8")).items()}
    shared = found.keys() & models().keys()
    if shared:
        raise HetBenchError(f"names of the catalogue's own models: {', '.join(sorted(shared))}")
    return MappingProxyType(found)


def _entry(name: str, fields: Mapping[str, Any]) -> Entry:
    """An entry of `text.toml`; missing fields follow from the category: decoders generate, others do not."""
    generates = fields["category"] == "llm"
    record = Model(
        name=name, title=fields["hf_id"], hf_id=fields["hf_id"], aliases=(), category=fields["category"],
        task="causal-lm" if generates else "encoder", architecture=fields["architecture"],
        config_class=fields["config_class"], config=MappingProxyType(fields["config"]),
        config_source=fields["config_source"], config_verified=fields["config_verified"],
        params=fields.get("params", 0), params_source=fields.get("params_source", ""),
        params_verified="params" in fields, licence="", licence_source="", licence_verified=False,
        phases=("inference", "prefill", "decode") if generates else ("inference",),
        inputs=fields.get("inputs", "text"), batch=1, seq_len=fields.get("seq_len", 512 if generates else 128),
        max_seq_len=fields.get("max_seq_len"), image_size=None, note=fields.get("note", ""),
    )  # fmt: skip
    stack, layers = tuple(fields.get("stack", ())), tuple(fields.get("layers", ()))
    return Entry(record, stack, fields.get("period", 1), layers, fields.get("params"))


def tables(names: Iterable[str] = (), say: Callable[[str], None] = lambda _: None) -> list[dict[str, Any]]:
    """Compact graphs of the named entries; all by default."""
    chosen = list(names) or list(entries())
    for name in chosen:
        if name not in entries():
            raise UnknownNameError("network", name, entries())
    made = []
    for place, name in enumerate(chosen, 1):
        made.append(graph(entries()[name]))
        say(f"[{place}/{len(chosen)}] {name}: {made[-1]['params']:,} parameters")
    return made


def graph(entry: Entry) -> dict[str, Any]:
    """The compact graph of one entry, traced in full or extrapolated from shallow traces."""
    table = _graph(entry)
    return {**table, "params": table["params"] + _untied(entry)}


def _untied(entry: Entry) -> int:
    """Parameters of T5 v1.1's output layer, which transformers 5 ties to the embedding in any configuration."""
    config = entry.record.config
    own = entry.record.config_class == "T5Config" and not config["tie_word_embeddings"]
    return int(config["vocab_size"] * config["d_model"]) if own else 0


def _graph(entry: Entry) -> dict[str, Any]:
    """The graph of the network as transformers builds it.

    Stacks of equal depth (T5: encoder and decoder) are extended together; others (a distilled decoder) separately.
    """
    config = entry.record.config
    if not entry.stack:
        return compact(extract(entry.record))
    start = 2 * entry.period  # the first and the last layer of a stack may differ from the others
    flat = dict.fromkeys(entry.stack, start)
    if entry.layers:
        return _mixed(entry, flat)
    base = _traced(entry, flat)
    steps = []
    for depth in sorted({int(config[key]) for key in entry.stack}):
        grown = {key: start + entry.period * (config[key] == depth) for key in entry.stack}
        repeats, rest = divmod(depth - start, entry.period)
        if rest:
            raise DepthError(f"{entry.record.name}: {depth} layers are not a multiple of the period, {entry.period}.")
        steps.append((base, _traced(entry, grown), repeats))
    return extend(base, steps)


def _mixed(entry: Entry, flat: Mapping[str, int]) -> dict[str, Any]:
    """A stack of several kinds of layer: two layers of the first kind, plus the operators that each kind adds."""
    steps, base = [], None
    grown = {key: depth + 1 for key, depth in flat.items()}
    for kind in entry.layers:
        differs = {key: value for key, value in kind.items() if key != "count"}
        shallow = _traced(entry, {**flat, **differs})
        steps.append((shallow, _traced(entry, {**grown, **differs}), kind["count"] - (0 if base else 2)))
        base = base or shallow
    assert base is not None
    return extend(base, steps)


def _traced(entry: Entry, changes: Mapping[str, int]) -> dict[str, Any]:
    config = MappingProxyType({**entry.record.config, **changes})
    with _all_finite():
        return compact(extract(replace(entry.record, config=config)))


@contextmanager
def _all_finite() -> Iterator[None]:
    """Let BART and Pegasus assume that no fp16 layer overflowed: their check depends on values, which a trace has not.

    The two small operators of the check, once per encoder layer, are therefore missing in their fp16 graphs.
    """
    import torch

    asked = torch.isfinite
    torch.isfinite = lambda _: SimpleNamespace(all=lambda: True)
    try:
        yield
    finally:
        torch.isfinite = asked


def extend(base: Mapping[str, Any], steps: Iterable[Step]) -> dict[str, Any]:
    """`base` plus the difference of each deeper and shallower graph, times its factor; all are compact graphs."""
    steps = list(steps)
    added = sum(repeats * (deep["params"] - shallow["params"]) for shallow, deep, repeats in steps)
    variants: list[dict[str, Any]] = []
    known: dict[tuple[int, ...], int] = {}
    phases: dict[str, Any] = {}
    for phase, by_precision in base["phases"].items():
        phases[phase] = {}
        for precision, rules in by_precision.items():
            others = [graph["phases"][phase][precision] for step in steps for graph in step[:2]]
            phases[phase][precision] = made = []
            for place, (conditions, index) in enumerate(rules):
                if any(len(each) != len(rules) or each[place][0] != conditions for each in others):
                    raise DepthError(f"{base['name']}: {phase} in {precision}: structures depend on the depth.")
                indices = (index, *(each[place][1] for each in others))
                if indices not in known:
                    known[indices] = len(variants)
                    variants.append(_variant(_extended(base, steps, indices)))
                made.append([conditions, known[indices]])
    return {**base, "params": base["params"] + added, "phases": phases, "variants": variants}


def _extended(base: Mapping[str, Any], steps: Iterable[Step], indices: tuple[int, ...]) -> Counts:
    """Operators of one variant; `indices` are its positions in base and in the two graphs of each step."""
    total = _counts(base["variants"][indices[0]])
    for (shallow, deep, repeats), first, second in zip(steps, indices[1::2], indices[2::2], strict=True):
        few, more = _counts(shallow["variants"][first]), _counts(deep["variants"][second])
        if few.keys() != more.keys():
            odd = next(iter(few.keys() ^ more.keys()))
            raise DepthError(f"{base['name']}: only one depth has {odd[0]} with {odd[2]}.")
        for key in more:
            total[key] += repeats * (more[key] - few[key])
    return +total


def _counts(variant: Mapping[str, Any]) -> Counts:
    """Number of calls of each operator, with its sizes as polynomials, which are the same at every depth."""
    monomials = [tuple(tuple(f) if isinstance(f, list) else f for f in factors) for factors in variant["monomials"]]
    sizes = [tuple(sorted((monomials[place], factor) for place, factor in terms)) for terms in variant["sizes"]]
    found: Counts = Counter()
    for (op, dtype, dims), count in zip(variant["templates"], variant["counts"], strict=True):
        found[op, dtype, tuple((name, sizes[size]) for name, size in sorted(dims.items()))] += count
    return found


def _variant(counts: Counts) -> dict[str, Any]:
    """A compact variant from operators with sizes as polynomials."""
    monomials: dict[Any, int] = {}
    sizes: dict[Any, int] = {}
    templates = []
    for op, dtype, dims in counts:
        for _, terms in dims:
            for factors, _ in terms:
                monomials.setdefault(factors, len(monomials))
            sizes.setdefault(terms, len(sizes))
        templates.append([op, dtype, {name: sizes[terms] for name, terms in dims}])
    return {
        "monomials": [[list(f) if isinstance(f, tuple) else f for f in factors] for factors in monomials],
        "templates": templates, "counts": list(counts.values()),
        "sizes": [[[monomials[factors], factor] for factors, factor in terms] for terms in sizes],
    }  # fmt: skip
