"""Compact graphs of the text models that published measurements name beyond the catalogue's own.

`text.toml` holds their records, as `catalog/models.toml` holds the catalogue's. Most are deep stacks of equal layers,
so they are traced with few layers and the count of every operator is extended: with d the traced depth and p the
period of the stack, count(L) = count(d) + (L - d) / p * (count(d + p) - count(d)), which is exact as long as each
period adds the same operators. A stack that does not is refused where it shows: operators that only one depth has.
DeciLM's layers differ in one hyper-parameter; each kind of layer (`layers`) is then extended by itself.
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
from hetbench.errors import HetBenchError

__all__ = ["DepthError", "Entry", "entries", "extend", "graph", "tables"]

ENTRIES = Path(__file__).with_name("text.toml")
Key = tuple[str, str, tuple[Any, ...]]
Counts = Counter[Key]
Step = tuple[Mapping[str, Any], Mapping[str, Any], int]  # shallower, deeper, how often their difference is added


class DepthError(HetBenchError):
    """The layers of a network are not equal, so its operators cannot be extended from a shallow trace."""


@dataclass(frozen=True, slots=True)
class Entry:
    """A model to trace: its record, and the hyper-parameters that only count equal layers."""

    record: Model
    stack: tuple[str, ...]
    """Keys of the configuration that hold a number of layers; none: the whole network is traced."""
    period: int
    """Layers after which the stack repeats: 2 where two kinds of attention take turns."""
    layers: tuple[Mapping[str, int], ...]
    """Kinds of layer in one stack: `count`, and the hyper-parameters in which the kind differs; mostly none."""
    published_params: int | None
    """Exact count that somebody publishes, for the class that is built; None where nobody does."""


@lru_cache(maxsize=1)
def entries() -> Mapping[str, Entry]:
    """Every auxiliary text model by its graph's name; read-only."""
    found = {name: _entry(name, fields) for name, fields in tomllib.loads(ENTRIES.read_text("utf-8")).items()}
    shared = found.keys() & models().keys()
    if shared:
        raise HetBenchError(f"names of the catalogue's own models: {', '.join(sorted(shared))}")
    return MappingProxyType(found)


def _entry(name: str, fields: Mapping[str, Any]) -> Entry:
    """Fields left out follow from the category: a decoder generates, all else is one forward pass."""
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
    """Compact graphs of the named entries, all by default."""
    chosen = list(names) or list(entries())
    made = []
    for place, name in enumerate(chosen, 1):
        made.append(graph(entries()[name]))
        say(f"[{place}/{len(chosen)}] {name}: {made[-1]['params']:,} parameters")
    return made


def graph(entry: Entry) -> dict[str, Any]:
    """The compact graph of one entry, traced whole or extended from shallow traces."""
    table = _graph(entry)
    return {**table, "params": table["params"] + _untied(entry)}


def _untied(entry: Entry) -> int:
    """Parameters of T5 v1.1's own output layer, which transformers 5 ties whatever the configuration says."""
    config = entry.record.config
    own = entry.record.config_class == "T5Config" and not config["tie_word_embeddings"]
    return int(config["vocab_size"] * config["d_model"]) if own else 0


def _graph(entry: Entry) -> dict[str, Any]:
    """The graph as transformers builds the network.

    Stacks of one depth (T5: encoder and decoder) grow together; others (a distilled decoder) one after the other.
    """
    config = entry.record.config
    if not entry.stack:
        return compact(extract(entry.record))
    start = 2 * entry.period  # the first and the last layer of a stack may differ from those between
    flat = dict.fromkeys(entry.stack, start)
    if entry.layers:
        return _mixed(entry, flat)
    base = _traced(entry, flat)
    steps = []
    for depth in sorted({int(config[key]) for key in entry.stack}):
        grown = {key: start + entry.period * (config[key] == depth) for key in entry.stack}
        repeats, rest = divmod(depth - start, entry.period)
        if rest:
            raise DepthError(f"{entry.record.name}: {depth} layers are no whole number of periods of {entry.period}.")
        steps.append((base, _traced(entry, grown), repeats))
    return extend(base, steps)


def _mixed(entry: Entry, flat: Mapping[str, int]) -> dict[str, Any]:
    """A stack of several kinds of layer: two of the first kind, and each kind's own addition for all others."""
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
    """Answer BART's and Pegasus's question whether an fp16 layer overflowed, which no trace can know: it did not.

    The two small operators that ask, once a layer of the encoder, are therefore not in their fp16 graphs.
    """
    import torch

    asked = torch.isfinite
    torch.isfinite = lambda _: SimpleNamespace(all=lambda: True)
    try:
        yield
    finally:
        torch.isfinite = asked


def extend(base: Mapping[str, Any], steps: Iterable[Step]) -> dict[str, Any]:
    """`base` with what each deeper graph adds to its shallower one, that many times over; all are compact graphs."""
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
                    raise DepthError(f"{base['name']}: {phase} in {precision} has other structures when deeper.")
                indices = (index, *(each[place][1] for each in others))
                if indices not in known:
                    known[indices] = len(variants)
                    variants.append(_variant(_extended(base, steps, indices)))
                made.append([conditions, known[indices]])
    return {**base, "params": base["params"] + added, "phases": phases, "variants": variants}


def _extended(base: Mapping[str, Any], steps: Iterable[Step], indices: tuple[int, ...]) -> Counts:
    """Operators of one variant; `indices` are its places in base, and in the two graphs of each step."""
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
    """How often each operator runs, its sizes spelled out as polynomials: the same at every depth."""
    monomials = [tuple(tuple(f) if isinstance(f, list) else f for f in factors) for factors in variant["monomials"]]
    sizes = [tuple(sorted((monomials[place], factor) for place, factor in terms)) for terms in variant["sizes"]]
    found: Counts = Counter()
    for (op, dtype, dims), count in zip(variant["templates"], variant["counts"], strict=True):
        found[op, dtype, tuple((name, sizes[size]) for name, size in sorted(dims.items()))] += count
    return found


def _variant(counts: Counts) -> dict[str, Any]:
    """A compact variant from operators with spelled-out sizes."""
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
