"""Compare a graph file with fresh traces at settings that were never used for fitting: node by node, exactly."""

from __future__ import annotations

from collections.abc import Iterable

from data_collection.extract.assemble import fit_points, image_multiple
from data_collection.extract.build import Point, build, native_size, phases, trace_point
from hetbench.graph import GraphNode, ModelGraph, load
from hetbench.models import Model
from hetbench.tracing import Trace

__all__ = ["check", "compare", "unseen_points"]


def unseen_points(record: Model) -> list[Point]:
    """Settings that no graph was fitted to: defaults, a large one, one of batch 1, odd sizes, around the trained size."""
    longest = min(record.max_seq_len or 1500, 1500)
    lengths: list[int | None] = [record.seq_len, longest, 1, min(77, longest), 3, 2]
    step, native = image_multiple(record), native_size(record) or 301
    images: list[int | None] = [record.image_size, 511, 97, native, native + 5, native + 5]
    if step > 1:
        images = [record.image_size, 6 * step, 2 * step, native, native, 5 * step]
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
    """What differs between the stored graph and fresh traces; empty if nothing does."""
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
    """The first difference between a graph and a trace of the same setting, or nothing."""
    sizes = (point.batch, point.seq_len, point.image_size, precision, phase)
    nodes = graph.nodes(*sizes)
    fresh = [GraphNode(n.op, n.dims, n.dtype, n.path, n.sources) for n in trace.nodes]
    if len(nodes) != len(fresh):
        return f"{len(nodes)} operators, the trace has {len(fresh)}"
    for index, (stored, seen) in enumerate(zip(nodes, fresh, strict=True)):
        if stored != seen:
            return f"operator {index} is {stored}, the trace has {seen}"
    if graph.params != trace.parameter_count:
        return f"{graph.params} parameters, the network has {trace.parameter_count}"
    table = graph.operators(*sizes)
    counted = sum(int(group.count.sum()) for group in table.groups)
    return "" if counted == len(fresh) else f"the table counts {counted} operators, the trace {len(fresh)}"
