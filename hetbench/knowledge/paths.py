"""Evidence for a model on a chip: published figures of the model, and for each heavy operator the strongest path.

From strongest to weakest: this operator was measured on the chip; a similar one was; the chip's back end registers the
operator type; only the datasheet is known.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

from hetbench.catalog.chips import Chip
from hetbench.catalog.chips import chip as chip_named
from hetbench.catalog.models import model as model_named
from hetbench.catalog.models import models
from hetbench.checks import whole_number
from hetbench.errors import InvalidInputError, shown
from hetbench.knowledge.signature import dtype_named, identifier, sizes
from hetbench.operators import operator_type
from hetbench.schema import itemsize

if TYPE_CHECKING:
    from hetbench.knowledge.graph import KnowledgeGraph

__all__ = ["BASES", "Hop", "Route", "Why", "why"]

BASES = ("measured", "similar", "registered", "datasheet")
"""Kinds of evidence at the end of a route, strongest first."""
_WORST_FIRST = ("absent", "fallback", "unknown", "composite", "native")
_SIMILAR = 0.5  # least cosine that counts: an operator of another type has at most 2/3, and only with like dims
_BACKWARDS = ("supports", "of-family")  # relations that a path follows against the direction of the edge
Row = Mapping[str, Any]
"""op, dims, dtype, count."""


@dataclass(frozen=True, slots=True)
class Hop:
    """One edge of a path, with a text for readers and its references."""

    source: str
    relation: str
    target: str
    detail: str
    refs: tuple[str, ...] = ()

    def __str__(self) -> str:
        arrow = f"<-{self.relation}-" if self.relation in _BACKWARDS else f"-{self.relation}->"
        return f"{arrow} {self.target}" + (f" ({self.detail})" if self.detail else "")


@dataclass(frozen=True, slots=True)
class Route:
    """The evidence for one operator."""

    operator: str
    share: float
    """Share of its type in the time; where no times are given, its own share of FLOPs and bytes."""
    basis: str
    """One of `BASES`."""
    hops: tuple[Hop, ...]


@dataclass(frozen=True, slots=True)
class Why:
    """The evidence for a model on a chip."""

    model: str
    chip: str
    rows: tuple[Hop, ...]
    """Published figures of the whole model on the chip; those that can answer a query come first."""
    count: int
    """Number of such figures, listed or not."""
    routes: tuple[Route, ...]
    """One for each of the heaviest operators, heaviest first."""
    source: Why | None = None
    """The same for the source chip."""

    def lines(self) -> list[str]:
        """As text: one path a line, numbered references at the end."""
        sides = [self] if self.source is None else [self, self.source]
        out: list[str] = []
        refs: dict[str, int] = {}
        for side in sides:
            out.append(f"{side.model} on {side.chip}: {side.count} published figures of the whole model")
            out += [f"  {_text(hop, refs)}" for hop in side.rows]
            for route in side.routes:
                hops = " ".join(_text(hop, refs) for hop in route.hops)
                out.append(f"  {route.basis}, {route.share:.0%}: model:{side.model} {hops}")
        return out + [f"  [{number}] {ref}" for ref, number in refs.items()]

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return asdict(self)


def _text(hop: Hop, refs: dict[str, int]) -> str:
    """The hop with its reference numbers, which are assigned in order of first use."""
    numbers = [str(refs.setdefault(ref, len(refs) + 1)) for ref in hop.refs]
    return f"{hop} [{', '.join(numbers)}]" if numbers else str(hop)


def why(
    graph: KnowledgeGraph, model: str, chip: Chip | str, source: Chip | str | None = None, *,
    operators: Iterable[Row] | None = None, shares: Mapping[str, float] | None = None, limit: int = 5,
) -> Why:  # fmt: skip
    """The evidence for a model on a chip: see `KnowledgeGraph.why`."""
    name = model_named(model).name if operators is None else model
    rows = _default(graph, name) if operators is None else _rows(operators)
    heavy = _heaviest(rows, _checked_shares(shares), whole_number("limit", limit, 0))
    found = _evidence_on(graph, name, _record(chip), heavy, limit)
    if source is None:
        return found
    return replace(found, source=_evidence_on(graph, name, _record(source), heavy, limit))


def _evidence_on(graph: KnowledgeGraph, model: str, chip: Chip, heavy: Sequence[tuple[Row, float]], limit: int) -> Why:
    """The evidence on one chip."""
    figures = []
    if model in models() and f"chip:{chip.name}" in graph.store.names:
        node = f"chip:{chip.name}"
        figures = [edge for edge in graph.neighbours(f"model:{model}", "performance") if edge.target == node]
    hops = []
    for edge in sorted(figures, key=lambda edge: edge.attributes["use"] != "answer")[:limit]:
        known = edge.attributes
        setting = (f"{key} {known[key]}" for key in ("precision", "batch", "seq_len", "image_size") if key in known)
        texts = [known["phase"], *setting, known.get("stack", "stack not stated")]
        detail = f"{known['metric']} {known['value']:.4g} {known['unit']}: {', '.join(texts)}"
        hops.append(Hop(edge.source, edge.relation, edge.target, detail, edge.refs))
    config = (models()[model].config_source,) if model in models() else ()
    routes = []
    for row, share in heavy:
        node = identifier(row["op"], row["dims"], row["dtype"])
        contains = Hop(f"model:{model}", "contains", node, f"{row['count']} x", config)
        basis, found = _strongest(graph, node, row, chip)
        routes.append(Route(node, share, basis, (contains, *found)))
    return Why(model, chip.name, tuple(hops), len(figures), tuple(routes))


def _strongest(graph: KnowledgeGraph, node: str, row: Row, chip: Chip) -> tuple[str, tuple[Hop, ...]]:
    """The strongest kind of evidence for one operator on a chip, and the path to it."""
    op, dims, dtype = row["op"], row["dims"], row["dtype"]
    if operator_type(op).cost_class != "free" and f"chip:{chip.name}" in graph.store.names:
        exact = _measured(graph, node, op, dims, dtype, chip)
        if exact is not None:
            return "measured", (exact,)
        near = next(iter(graph.nearest(op, dims, dtype, chip=chip.name, k=1)), None)
        if near is not None and near.similarity >= _SIMILAR:
            similar = Hop(node, "similarity", near.node, f"cosine {near.similarity:.6g}")
            last = _measured(graph, near.node, *graph.store.instance(graph.store.number(near.node) - graph.store.first),
                             chip)  # fmt: skip
            return "similar", (similar, *(() if last is None else (last,)))
    typed = Hop(node, "has-type", f"type:{op}", "")
    registered = _registered(graph, op, chip)
    facts = _datasheet(chip, dtype)
    return ("registered", (typed, registered, facts)) if registered is not None else ("datasheet", (typed, facts))


def _measured(
    graph: KnowledgeGraph, node: str, op: str, dims: Mapping[str, int], dtype: str, chip: Chip
) -> Hop | None:
    """The edge to the chip where it measured exactly this operator, with the median of most rows; else None."""
    found = [each for each in graph.measured_on(op, dims, dtype) if each.chip == chip.name]
    if not found:
        return None
    best = max(found, key=lambda each: each.rows or 0)
    if best.value is None:
        return Hop(node, "measured-on", f"chip:{chip.name}", "value in the data set only", best.refs)
    detail = f"{best.value:.4g} ms, protocol {best.protocol}, {best.library}, rows {best.rows}"
    return Hop(node, "performance", f"chip:{chip.name}", detail, best.refs)


def _registered(graph: KnowledgeGraph, op: str, chip: Chip) -> Hop | None:
    """The registrations of the ATen operators of this type in the chip's PyTorch back end; None where not known."""
    platforms = graph.store.meta["platforms"]
    own = [name for name, (family, kinds) in platforms.items() if family == chip.family
           and (chip.kind in kinds or sum(family == other for other, _ in platforms.values()) == 1)]  # fmt: skip
    edges = [e for e in graph.neighbours(f"type:{op}", "supports") if e.attributes["platform"] in own]
    if not edges:
        return None
    by_status = {status: [e for e in edges if e.attributes["status"] == status] for status in _WORST_FIRST}
    texts = [f"{status}: {', '.join(e.attributes['operator'] for e in found)}" for status, found in by_status.items()
             if found]  # fmt: skip
    refs = tuple(dict.fromkeys(ref for edge in edges for ref in edge.refs))
    return Hop(f"type:{op}", "supports", edges[0].source, f"{own[0]}, {'; '.join(texts)}", refs)


def _datasheet(chip: Chip, dtype: str) -> Hop:
    peak, bandwidth = chip.peak_flops(dtype), chip.bandwidth
    peaks = f"{dtype} {peak / 1e12:g} TFLOPS" if peak else f"{dtype} peak not stated"
    memory = f"{bandwidth / 1e9:g} GB/s" if bandwidth else "bandwidth not stated"
    sure = f", confidence {chip.confidence}" if chip.confidence else ""
    refs = (chip.source,) if chip.source else ()
    return Hop(f"family:{chip.family}", "of-family", f"chip:{chip.name}", f"datasheet: {peaks}, {memory}{sure}", refs)


def _default(graph: KnowledgeGraph, model: str) -> list[Row]:
    """The operators of the model's first phase in fp16, at its default sizes."""
    phase = models()[model].phases[0]
    rows: list[Row] = []
    for edge in graph.neighbours(f"model:{model}", "contains"):
        known = edge.attributes
        if (known["phase"], known["precision"]) == (phase, "fp16"):
            op, dims, dtype = graph.store.instance(graph.store.number(edge.target) - graph.store.first)
            rows.append({"op": op, "dims": dims, "dtype": dtype, "count": known["count"]})
    return rows


def _heaviest(rows: Sequence[Row], shares: Mapping[str, float] | None, limit: int) -> list[tuple[Row, float]]:
    """The heaviest operators with the share of each, largest first; with `shares` one of each operator type."""
    work, traffic = [], []
    for row in rows:
        kind, dims = operator_type(row["op"]), {**sizes(row["op"], row["dims"]), **row["dims"]}
        free = kind.cost_class == "free"
        work.append(0 if free else row["count"] * int(kind.flops(dims)))
        traffic.append(0 if free else row["count"] * int(kind.bytes_moved(dims, itemsize(row["dtype"]))))
    total = max(sum(work), 1), max(sum(traffic), 1)
    weights = [(flops / total[0] + moved / total[1]) / 2 for flops, moved in zip(work, traffic, strict=True)]
    ranked = sorted(zip(rows, weights, strict=True), key=lambda pair: -pair[1])
    if shares:
        first: dict[str, Row] = {}
        for row, _ in ranked:
            first.setdefault(row["op"], row)
        whole = sum(shares.values())
        ranked = [(first[op], shares[op] / whole) for op in sorted(shares, key=lambda op: -shares[op]) if op in first]
    return [pair for pair in ranked if pair[1] > 0][:limit]


def _record(chip: Chip | str) -> Chip:
    return chip if isinstance(chip, Chip) else chip_named(chip)


def _rows(operators: object) -> list[Row]:
    """Rows of operators, each checked; `InvalidInputError` for anything else."""
    if not isinstance(operators, Iterable) or isinstance(operators, str | bytes | Mapping):
        raise InvalidInputError(f"operators are rows of op, dims, dtype and count; given: {shown(operators)}.")
    rows: list[Row] = []
    try:
        given = list(operators)
    except TypeError:  # an array without axes
        given = [operators]
    for row in given:
        if not isinstance(row, Mapping) or not {"op", "dims", "dtype", "count"} <= row.keys():
            raise InvalidInputError(f"operators are rows of op, dims, dtype and count; given: {shown(row)}.")
        dims, count = operator_type(row["op"]).check(row["dims"]), whole_number("count", row["count"], 0)
        rows.append({"op": row["op"], "dims": dims, "dtype": dtype_named(row["dtype"]), "count": count})
    return rows


def _checked_shares(shares: Mapping[str, float] | None) -> Mapping[str, float] | None:
    if shares is None:
        return None
    times = list(shares.values()) if isinstance(shares, Mapping) else [-1.0]
    if not all(isinstance(each, int | float) and 0 <= each < float("inf") for each in times):
        raise InvalidInputError(f"shares map operator types to times of 0 or more; given: {shown(shares)}.")
    return shares if sum(shares.values()) > 0 else None
