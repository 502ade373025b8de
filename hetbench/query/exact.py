"""Metrics that need no surrogate: FLOPs, parameters and memory of the operator graph, and operator coverage of a chip.

Their answers have kind `derived`: exact arithmetic on the graph, or calls counted against the operators that a chip's
PyTorch back end registers.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from hetbench.answers import Answer, percent
from hetbench.catalog.chips import Chip
from hetbench.errors import InvalidInputError, RefusedError
from hetbench.graphs import Coverage, ModelGraph, operator_coverage
from hetbench.metrics import metric as metric_named
from hetbench.query.question import DEFAULT_STACK, Question

__all__ = ["coverage", "flops", "memory", "memory_bytes", "memory_shortfall", "params", "refuse_similar"]


def flops(question: Question, graph: ModelGraph, predictor: str) -> Answer:
    """Floating-point operations of one call; a multiply-add counts as two."""
    return _derived("flops", float(graph.operators(*question.sizes).flops), question)


def params(question: Question, graph: ModelGraph, predictor: str) -> Answer:
    """Parameters of the model; `RefusedError` where its name means only a network with the same layers."""
    refuse_similar("params", graph)
    return _derived("params", float(graph.params), question)


def memory(question: Question, graph: ModelGraph, predictor: str) -> Answer:
    """Memory in MB (1e6 bytes): weights, peak of the activations and KV cache. See `params` for what is refused."""
    refuse_similar("memory", graph)
    parts = graph.memory(*question.sizes)
    sizes = parts.weights_bytes, parts.activations_peak_bytes, parts.kv_cache_bytes
    named = zip(("weights", "activations", "KV cache"), sizes, strict=True)
    notes: tuple[str, ...] = (", ".join(f"{name} {size / 1e6:,.1f} MB" for name, size in named),)
    notes += memory_shortfall(question, graph, question.chip)
    return _derived("memory", parts.total_bytes / 1e6, question, notes)


def refuse_similar(metric: str, graph: ModelGraph) -> None:
    """`RefusedError` where the name of a network means only one with the same layers."""
    if not graph.exact:
        raise RefusedError(
            f"{metric} is exact arithmetic, but {'; '.join(graph.notes)}. Ask for the network by its config.json."
        )


def coverage(question: Question, graph: ModelGraph, predictor: str) -> Answer:
    """Percent of the operator calls of one eager pass that the back end registers or composes of registered ones."""
    chip = question.require_chip("coverage")
    if question.stack != DEFAULT_STACK and not question.usual_stack:
        raise RefusedError(
            f"coverage is known for eager PyTorch, whose operator registrations were read, and not for stack "
            f"{question.stack!r}. Leave stack= out."
        )
    batch, seq_len, image_size, precision, phase = question.sizes
    found = operator_coverage(
        graph, chip, precision=precision, phase=phase, batch=batch, seq_len=seq_len, image_size=image_size
    )  # fmt: skip
    return _derived("coverage", found.share, question, _coverage_notes(found), found.refs)


def _coverage_notes(found: Coverage) -> tuple[str, ...]:
    """Notes: how the share is counted, and the operators that are not native."""
    shares = ", ".join(f"{status} {percent(share)}" for status, share in found.shares().items() if share)
    notes = [
        f"{sum(found.calls.values()):,} eager operator calls without views: {shares}; native and composite are covered",
        f"{percent(found.distinct_share)} of {len(found.operators)} distinct operators covered ({found.title})",
    ]
    if found.composite:
        names = [f"{each.operator} x {found.calls[each.operator]}" for each in found.composite]
        notes.append(f"composite, made of registered operators: {', '.join(names)}")
    means = {
        "fallback": "runs on the CPU", "absent": "not registered", "unknown": "no source tells, counted as not covered"
    }  # fmt: skip
    for status, meaning in means.items():
        for each in found.by_status(status):
            lacks = f", lacks {', '.join(each.via)}" if each.via else ""
            notes.append(f"{status}: {each.operator} x {found.calls[each.operator]}, {meaning}{lacks}")
    return tuple(notes)


def _derived(
    metric: str, value: float, question: Question, notes: tuple[str, ...] = (), refs: tuple[str, ...] = ()
) -> Answer:
    return Answer(
        value, metric_named(metric).unit, kind="derived", refs=refs, metric=metric,
        **question.answer_fields((*question.notes, *notes)),
    )  # fmt: skip


def memory_shortfall(question: Question, graph: ModelGraph, chip: Chip | None) -> tuple[str, ...]:
    """A note where the model needs more memory than the chip has; none where either is not known."""
    if chip is None or chip.memory_bytes is None or not graph.has_memory:
        return ()
    batch, *others = question.sizes
    try:
        if batch and memory_bytes(graph, (1 << (batch - 1).bit_length(), *others)) <= chip.memory_bytes:
            return ()  # more samples would fit: many questions look at powers of two
    except InvalidInputError:  # no model takes so many
        pass
    needed = memory_bytes(graph, question.sizes)
    if needed <= chip.memory_bytes:
        return ()
    return (f"does not fit: needs {needed / 1e9:.1f} GB of {chip.memory_bytes / 1e9:g} GB",)


@lru_cache(maxsize=4096)
def memory_bytes(graph: ModelGraph, key: tuple[Any, ...]) -> int:
    """Bytes that a model needs at one setting (`Question.sizes`); cached, since it is the same for every chip."""
    return int(graph.memory(*key).total_bytes)
