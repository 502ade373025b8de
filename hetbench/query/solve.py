"""From one complete setting and one metric to one answer: the measured row, else the surrogates, else a refusal.

Latency is predicted by `hetbench.query.latency`; throughput follows from it, power and energy from it and the work;
flops, params, memory and coverage are exact arithmetic on the graph. A measured row answers only its own setting:
model, one chip, precision, batch, seq_len, image_size, phase and stack all equal. A row of another stack is mentioned
in the notes, never taken.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import lru_cache
from statistics import median
from typing import Any

from hetbench.answers import Answer, digits
from hetbench.catalog import evidence
from hetbench.catalog.chips import Chip
from hetbench.catalog.models import models
from hetbench.errors import RefusedError
from hetbench.graphs import Coverage, ModelGraph, operator_coverage
from hetbench.metrics import metric as metric_named
from hetbench.predict import power
from hetbench.predict.intervals import rescaled_bound
from hetbench.query.latency import latency, settled
from hetbench.query.question import DEFAULT_STACK, Question

__all__ = ["energy_of", "memory_bytes", "per_call", "predict", "solve"]


def solve(question: Question, graph: ModelGraph, metric: str, predictor: str = "auto") -> Answer:
    """The answer to one metric; `RefusedError` where nothing supports one."""
    question = _settled(question, metric, predictor)
    if predictor == "auto":
        found = _measured(question, metric)
        if found is not None:
            return found
    return _SOLVERS[metric](question, graph, predictor)


def predict(question: Question, graph: ModelGraph, metric: str, predictor: str) -> Answer:
    """The surrogates' answer, measured rows left aside: for ratios, in which the same biases cancel."""
    return _SOLVERS[metric](_settled(question, metric, predictor), graph, predictor)


def _settled(question: Question, metric: str, predictor: str) -> Question:
    if question.chip is None or metric not in ("latency", "throughput", "energy", "power"):
        return question
    return settled(question, question.chip, predictor)


def _latency(question: Question, graph: ModelGraph, predictor: str) -> Answer:
    """Kept, since throughput, power and energy ask for it too; what observed operators condition is not."""
    return (_kept_latency if question.operators is None else _fresh_latency)(question, graph, predictor)


def _fresh_latency(question: Question, graph: ModelGraph, predictor: str) -> Answer:
    chip = _chip_of(question, "latency")
    found = latency(question, chip, graph, predictor)
    if found is None:
        raise RefusedError(_no_stack(question, graph))
    question = replace(question, stack=found.stack)
    notes = (*question.notes, *_fits(question, graph, chip), *found.notes, *_elsewhere(question, "latency"))
    return Answer(
        found.value, "ms", found.lower, found.upper, question.confidence, "predicted", found.level, found.support,
        metric="latency", protocol=found.protocol, surrogate=found.surrogate, shares=found.shares,
        **_fields(question, notes),
    )  # fmt: skip


_kept_latency = lru_cache(maxsize=1024)(_fresh_latency)


def _power(question: Question, graph: ModelGraph, predictor: str) -> Answer:
    return _drawn("power", power.watts, question, graph, predictor)


def _energy(question: Question, graph: ModelGraph, predictor: str) -> Answer:
    return _drawn("energy", power.joules, question, graph, predictor)


def _drawn(
    metric: str, law: Callable[..., power.Estimate], question: Question, graph: ModelGraph, predictor: str
) -> Answer:
    """Board power of the predicted pass, or its energy; the weaker of the two levels."""
    return _of_pass(metric, law, question, graph, _latency(question, graph, predictor))


def energy_of(question: Question, graph: ModelGraph, passed: Answer) -> Answer:
    """Predicted energy of a call whose latency is known better than by the surrogates: corrected by a measurement.

    >>> from hetbench.catalog.chips import chip
    >>> from hetbench.graphs.model_graph import load
    >>> question = Question.build(load("gpt2"), chip("cuda"), {})
    >>> passed = solve(question, load("gpt2"), "latency")
    >>> energy_of(question, load("gpt2"), passed.scaled(2.0)).value > energy_of(question, load("gpt2"), passed).value
    True
    """
    return _of_pass("energy", power.joules, question, graph, passed)


def _of_pass(
    metric: str, law: Callable[..., power.Estimate], question: Question, graph: ModelGraph, passed: Answer
) -> Answer:
    chip, table = _chip_of(question, metric), graph.operators(*question.sizes)
    between = None if passed.lower is None or passed.upper is None else (passed.lower, passed.upper)
    known = question.power
    found = law(
        table.flops, table.bytes, passed.value, chip, question.precision, between_ms=between, surrogate=known
    )  # fmt: skip
    lower, upper = (
        rescaled_bound(found.value, bound, known.interval_level, question.confidence)
        for bound in (found.lower, found.upper)
    )
    return replace(
        passed, metric=metric, unit=metric_named(metric).unit, value=found.value, lower=lower, upper=upper,
        level=max(passed.level or "D", found.level), support=found.support, protocol=None, shares={},
        surrogate=f"{known.id} x {passed.surrogate}", notes=(*passed.notes, found.note, *_elsewhere(question, metric)),
    )  # fmt: skip


def _throughput(question: Question, graph: ModelGraph, predictor: str) -> Answer:
    latency = _latency(question, graph, predictor)
    done, what = per_call(question)
    return replace(
        latency, metric="throughput", unit="1/s", value=1e3 * done / latency.value,
        lower=None if latency.upper is None else 1e3 * done / latency.upper,
        upper=None if latency.lower is None else 1e3 * done / latency.lower,
        notes=(*latency.notes, *_elsewhere(question, "throughput"), f"{done} {what} a call / latency"),
    )  # fmt: skip


def per_call(question: Question) -> tuple[int, str]:
    """How many of what one call completes."""
    if not question.batch:
        return 1, "run of the example inputs"
    if question.phase == "inference":
        return question.batch, "samples"
    return question.batch * ((question.seq_len or 1) if question.phase == "prefill" else 1), "tokens"


def _flops(question: Question, graph: ModelGraph, predictor: str) -> Answer:
    return _derived("flops", float(graph.operators(*question.sizes).flops), question)


def _params(question: Question, graph: ModelGraph, predictor: str) -> Answer:
    return _derived("params", float(graph.params), question)


def _memory(question: Question, graph: ModelGraph, predictor: str) -> Answer:
    parts = graph.memory(*question.sizes)
    sizes = parts.weights_bytes, parts.activations_peak_bytes, parts.kv_cache_bytes
    named = zip(("weights", "activations", "KV cache"), sizes, strict=True)
    notes = (", ".join(f"{name} {size / 1e6:,.1f} MB" for name, size in named),)
    return _derived("memory", parts.total_bytes / 1e6, question, (*notes, *_fits(question, graph, question.chip)))


def _coverage(question: Question, graph: ModelGraph, predictor: str) -> Answer:
    """Percent of the operator calls of one eager pass that the back end registers or composes of registered ones."""
    chip = _chip_of(question, "coverage")
    if question.stack != DEFAULT_STACK and not question.usual_stack:
        raise RefusedError(
            f"coverage is of eager PyTorch, whose registrations were read; what stack {question.stack!r} compiles "
            f"was not. Leave stack= out."
        )
    batch, seq_len, image_size, precision, phase = question.sizes
    found = operator_coverage(
        graph, chip, precision=precision, phase=phase, batch=batch, seq_len=seq_len, image_size=image_size
    )  # fmt: skip
    return _derived("coverage", found.share, question, _covered(found), found.refs)


def _covered(found: Coverage) -> tuple[str, ...]:
    """How the share comes about, and the operators that are not registered as they are."""
    shares = ", ".join(f"{status} {digits(share)} %" for status, share in found.shares().items() if share)
    notes = [
        f"of {sum(found.calls.values()):,} eager operator calls, views left out: {shares}; native and composite count",
        f"of {len(found.operators)} distinct operators {digits(found.distinct_share)} % covered ({found.title})",
    ]
    if found.composite:
        names = [f"{each.operator} x {found.calls[each.operator]}" for each in found.composite]
        notes.append(f"composite, made of registered operators: {', '.join(names)}")
    means = {
        "fallback": "handed to the CPU", "absent": "not registered", "unknown": "nothing read tells, not counted as run"
    }  # fmt: skip
    for status, meaning in means.items():
        for each in found.by_status(status):
            lacks = f", lacks {', '.join(each.via)}" if each.via else ""
            notes.append(f"{status}: {each.operator} x {found.calls[each.operator]}, {meaning}{lacks}")
    return tuple(notes)


_SOLVERS: dict[str, Callable[[Question, ModelGraph, str], Answer]] = {
    "latency": _latency, "throughput": _throughput, "flops": _flops, "params": _params, "memory": _memory,
    "coverage": _coverage, "energy": _energy, "power": _power,
}  # fmt: skip


def _derived(
    metric: str, value: float, question: Question, notes: tuple[str, ...] = (), refs: tuple[str, ...] = ()
) -> Answer:
    return Answer(
        value, metric_named(metric).unit, kind="derived", refs=refs, metric=metric,
        **_fields(question, (*question.notes, *notes)),
    )  # fmt: skip


def _fields(question: Question, notes: tuple[str, ...]) -> dict[str, Any]:
    chip = question.chip
    return {
        "model": question.model, "chip": chip.name if chip else None, "family": chip.family if chip else None,
        "precision": question.precision, "batch": question.batch, "seq_len": question.seq_len,
        "image_size": question.image_size, "phase": question.phase, "stack": question.stack, "notes": notes,
    }  # fmt: skip


def _measured(question: Question, metric: str) -> Answer | None:
    """The published row of exactly this question, if there is one; throughput also as batch / measured latency."""
    if question.chip is None or not question.batch:
        return None
    found = evidence.find(_setting(question), question.stack, metric)
    if found:
        return _of_rows(question, metric, found, [row.value for row in found])
    found = evidence.find(_setting(question), question.stack, "latency") if metric == "throughput" else ()
    if not found:
        return None
    done, what = per_call(question)
    values = [1e3 * done / row.value for row in found]
    return _of_rows(question, metric, found, values, f"{done} {what} a call / measured latency")


def _of_rows(
    question: Question, metric: str, found: Sequence[evidence.Row], values: Sequence[float], *notes: str
) -> Answer:
    """One answer from the rows of one setting: their median, with the spread in the notes."""
    unit = metric_named(metric).unit
    if len(found) > 1:
        notes += (f"median of {len(found)} rows, {min(values):.4g} to {max(values):.4g} {unit}",)
    software = sorted({row.software for row in found if row.software})
    if software:
        notes += (f"measured with {', '.join(software)}",)
    notes += tuple(dict.fromkeys(f"as published: {row.note}" for row in found if row.note))
    return Answer(
        median(values), unit, kind="measured", level="A", support=len(found), metric=metric,
        refs=tuple(dict.fromkeys(row.ref for row in found)), **_fields(question, (*question.notes, *notes)),
    )  # fmt: skip


def _elsewhere(question: Question, metric: str) -> tuple[str, ...]:
    """Notes on what was measured at this very setting under other stacks."""
    if question.chip is None or not question.batch:
        return ()
    return tuple(
        f"measured under stack {stack!r}: {median(row.value for row in found):.4g} {found[0].unit} ({found[0].ref})"
        for stack, found in sorted(evidence.stacks(_setting(question), metric).items()) if stack != question.stack
    )  # fmt: skip


def _setting(question: Question) -> evidence.Setting:
    name = question.chip.name if question.chip else ""
    return (
        question.model, name, question.precision, question.batch, question.seq_len, question.image_size, question.phase
    )  # fmt: skip


def _rows_of(question: Question) -> tuple[evidence.Row, ...]:
    """Every row of the model, at any setting; none for a traced module."""
    return evidence.rows(model=question.model) if question.batch and question.model in models() else ()


def _no_stack(question: Question, graph: ModelGraph) -> str:
    chip = _chip_of(question, "latency")
    known = [row for row in _rows_of(question) if row.use == "answer" and row.stack is not None]
    taught = question.whole.stacks(chip, question.phase)
    text = (
        f"stack {question.stack!r} in {question.precision} is answered only where somebody measured it, and no row "
        f"teaches it for {question.phase} on {chip.family}. Predicted there: {', '.join((DEFAULT_STACK, *taught))}."
    )
    exact = {row.stack for row in known if row.setting == _setting(question)}
    here = {row.stack for row in known if row.chip == chip.name}
    for stacks, where in ((exact, "at this setting"), (here, f"of {question.model} there, at other settings")):
        if stacks:
            return f"{text} Measured {where}: {', '.join(sorted(map(str, stacks)))}."
    return text


def _chip_of(question: Question, metric: str) -> Chip:
    if question.chip is None:
        raise RefusedError(f"{metric} is that of a chip: name one with device=, a chip or a family such as cuda.")
    return question.chip


def _fits(question: Question, graph: ModelGraph, chip: Chip | None) -> tuple[str, ...]:
    """A note where the model needs more memory than the chip has."""
    if chip is None or chip.memory_bytes is None or graph.compact:  # of a compact graph the activations are not known
        return ()
    needed = memory_bytes(graph, question.sizes)
    if needed <= chip.memory_bytes:
        return ()
    return (f"does not fit: needs {needed / 1e9:.1f} GB of {chip.memory_bytes / 1e9:g} GB",)


@lru_cache(maxsize=4096)
def memory_bytes(graph: ModelGraph, key: tuple[Any, ...]) -> int:
    """Bytes that a model needs at one setting; the same for every chip, hence kept."""
    return int(graph.memory(*key).total_bytes)
