"""Compare a graph file with fresh traces at settings not used for fitting: nodes, flops, memory and ATen operators."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import asdict, replace
from typing import Any

from data_collection.extract.assemble import fit_points, image_multiple
from data_collection.extract.build import Point, build, native_size, phases, trace_point
from hetbench.catalog.models import Model
from hetbench.graphs import FORMAT, TRACED_AS, GraphNode, ModelGraph, load
from hetbench.tracing import Trace
from hetbench.tracing.document import constant, variant_table

__all__ = ["check", "compare", "unseen_points"]


def unseen_points(record: Model) -> list[Point]:
    """Settings not used for fitting: defaults, large ones, batch 1, odd sizes, just above the trained size."""
    longest = min(record.max_seq_len or 1500, 1500)
    lengths: list[int | None] = [record.seq_len, longest, 1, min(77, longest), 3, 2]
    step, native = image_multiple(record), native_size(record) or 301
    images: list[int | None] = [record.image_size, 511, 97, native, native + 5, native + 5]
    if step > 1:
        images = [record.image_size, 8 * step, 2 * step, native, native, 5 * step]
    batches = (4, 1, 8, 13, 1, 6)
    if record.image_size is None:
        batches, images = batches[:4], [None] * 4
    if record.seq_len is None:
        lengths = [None] * 6
    seen = fit_points(record)
    points = [Point(*sizes) for sizes in zip(batches, lengths, images, strict=False)]
    return [point for point in points if point not in seen]


def check(record: Model, points: Iterable[Point] | None = None, precisions: Iterable[str] = ("fp32", "fp16", "bf16"),
          only: Iterable[str] | None = None) -> list[str]:
    """Differences between the stored graph and fresh traces; empty if there are none."""
    graph, network, found = load(record.name), build(record), []
    for phase in only or phases(record):
        for precision in precisions:
            for point in points or unseen_points(record):
                trace = trace_point(record, network, point, precision, phase)
                difference = compare(graph, trace, point, precision, phase)
                if difference:
                    found.append(f"{phase} {precision} {point}: {difference}")
    return found


def compare(graph: ModelGraph, trace: Trace, point: Point, precision: str, phase: str) -> str:
    """The first difference between a graph and a trace of the same setting; empty if there is none."""
    traced: dict[str, Any] = {"precision": precision, "phase": phase}
    asked: dict[str, Any] = {**asdict(point), **traced}
    nodes = [_unmasked(node) for node in graph.nodes(**asked)]
    fresh = [_unmasked(GraphNode(n.op, n.dims, n.dtype, n.path, n.sources)) for n in trace.nodes]
    if len(nodes) != len(fresh):
        return f"{len(nodes)} operators, the trace has {len(fresh)}"
    for index, (stored, seen) in enumerate(zip(nodes, fresh, strict=True)):
        if stored != seen:
            return f"operator {index} is {stored}, the trace has {seen}"
    alone, table = _alone(trace, precision, phase), graph.operators(**asked)
    totals = [
        ("parameters", graph.params, alone.params),
        ("operators", sum(int(group.count.sum()) for group in table.groups), len(fresh)),
        ("flops", table.flops, alone.operators(**traced).flops),
        ("memory", graph.memory(**asked), alone.memory(**traced)),
    ]
    if 1 not in asked.values():  # along an axis of size 1 a reshape that would copy is a view
        totals.append(("ATen operators", _work(graph, **asked), _work(alone, **traced)))
    for name, said, seen_total in totals:
        if said != seen_total:
            return f"{name}: {said}, of the trace {seen_total}"
    return ""


def _work(graph: ModelGraph, **asked: Any) -> Counter[str]:
    """ATen calls on data; calls on positions and masks are left out, as networks cache some of their results."""
    aside = graph.variant(graph.setting(**asked)).table["bookkeeping"]
    return Counter(graph.aten_ops(**asked)) - Counter(aside)


def _unmasked(node: GraphNode) -> GraphNode:
    """Ignore whether attention of one query to one key is causal: there is nothing to mask."""
    if node.op == "Attention" and node.dims["q_len"] == node.dims["kv_len"] == 1:
        return replace(node, dims={**node.dims, "causal": 0})
    return node


def _alone(trace: Trace, precision: str, phase: str) -> ModelGraph:
    """The graph of one trace, valid for that setting only."""
    structure = {TRACED_AS[precision]: [[[], 0]]}
    return ModelGraph({
        "format": FORMAT, "name": "trace", "params": trace.parameter_count, "limits": {"fixed": True},
        "phases": {phase: structure}, "variants": [variant_table([trace], [()], constant, precision)],
    })  # fmt: skip
