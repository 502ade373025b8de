"""Many architectures of a search space at once: products of matrices instead of one query each.

Latency, FLOPs, bytes and parameters add up over the blocks of an architecture. Every block of the space is predicted
once for a setting and a chip; then thousands of architectures cost one product of their block counts with that table.
What does not add up (the trees of the whole-model surrogate, the peak of the activations) is computed from such sums.
The figures equal those of `HetBench.query` on the same architecture.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import lru_cache
from statistics import NormalDist
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hetbench.answers import Answer
from hetbench.catalog.chips import Chip
from hetbench.errors import InvalidInputError, RefusedError
from hetbench.graphs import TRACED_AS, OperatorTable, Setting
from hetbench.predict import power
from hetbench.predict.products import product
from hetbench.query.estimate import WHOLE, Estimator
from hetbench.query.latency import with_usable_stack
from hetbench.query.model_offsets import corrected
from hetbench.query.parts import Part
from hetbench.query.pieces import terms_of
from hetbench.query.question import Question
from hetbench.query.stacks import DEFAULT_STACK, source
from hetbench.schema import itemsize
from hetbench.spaces import BlockSpace, ComposedGraph, operator_table
from hetbench.spaces.deploy import Deployment
from hetbench.spaces.perplexity import PERPLEXITY, perplexity, surrogate_of
from hetbench.spaces.quality import QUALITIES, capacity_proxy, loss_proxy
from hetbench.spaces.transformer import Transformer

__all__ = [
    "DERIVED", "CompiledSpace", "Latencies", "chipless_metric", "exact_metrics", "quality_answer", "query_deployments",
]  # fmt: skip

Array = NDArray[np.float64]
DERIVED = ("memory", "params", "flops")
"""Metrics that need no chip; the quality measure of a space needs none either."""
_CHUNK = 8192  # architectures at a time: block counts stay in the cache
_BOUNDS = ("value", "lower", "upper")


@dataclass(frozen=True, slots=True)
class Latencies:
    """Predicted latency of many architectures, ms, [n] each."""

    value: Array
    lower: Array
    upper: Array
    level: NDArray[np.str_]

    def draws(self, count: int, seed: int, confidence: float) -> Array:
        """Draws from the predictive distribution, [n, count].

        Log-normal with median `value`, and on either side the spread that puts the bound at its quantile.
        """
        z = np.random.default_rng(seed).standard_normal((len(self.value), count))
        unit = NormalDist().inv_cdf((1 + confidence) / 2)
        below, above = np.log(self.value / self.lower)[:, None], np.log(self.upper / self.value)[:, None]
        out: Array = self.value[:, None] * np.exp(z / unit * np.where(z < 0, below, above))
        return out


class _BlockTables:
    """Operators, work and peak memory of every block of a space at one setting."""

    def __init__(self, space: BlockSpace, setting: Setting) -> None:
        blocks = [space.block(index, setting) for index in range(space.vocabulary)]
        self.setting = setting
        self.operators: list[OperatorTable] = [
            operator_table(((step, 1) for step in block.steps), setting.precision) for block in blocks
        ]
        work = [(block.params, table.flops, table.bytes) for block, table in zip(blocks, self.operators, strict=True)]
        self.work = np.array(work, dtype=np.float64)  # [blocks, 3]: params, flops, bytes
        width = itemsize(TRACED_AS[setting.precision] if setting.precision != "fp64" else "fp64")
        self.peak = np.array([width * block.peak() for block in blocks], dtype=np.float64)
        self.given = sum(size * (width if kind == "data" else itemsize(kind)) for size, kind in space.inputs(setting))


@lru_cache(maxsize=64)
def _tables(space: BlockSpace, setting: Setting) -> _BlockTables:
    return _BlockTables(space, setting)


def exact_metrics(space: BlockSpace, codes: Any, setting: Setting) -> dict[str, Array]:
    """Params, FLOPs, bytes moved, memory in MB and the quality measure of architectures, float64 [n] each.

    `codes` are int codes of shape [n, parameters].

    >>> from hetbench.spaces import space
    >>> s = space("gpt-s")
    >>> codes = s.sample_codes(2, seed=0)
    >>> sorted(exact_metrics(s, codes, Setting(1, 128, None, "fp16", "inference")))
    ['bytes', 'flops', 'loss_proxy', 'memory', 'params']
    """
    tables, parts = _tables(space, setting), []
    for start in range(0, len(codes), _CHUNK):
        counts = space.counts(codes[start : start + _CHUNK])
        parts.append(np.column_stack((product(counts, tables.work), np.where(counts > 0, tables.peak, 0).max(axis=1))))
    params, flops, moved, peak = np.concatenate(parts).T if parts else np.empty((4, 0))
    found = {"params": params, "flops": flops, "bytes": moved}
    found["memory"] = (params * itemsize(tables.setting.precision) + peak + tables.given) / 1e6
    if isinstance(space, Transformer) and space.quality == "loss_proxy":
        found["loss_proxy"] = loss_proxy(params - space.embedding_params(codes))
    elif space.quality == "capacity_proxy":
        found["capacity_proxy"] = capacity_proxy(params, flops / (tables.setting.batch or 1))
    return found


def chipless_metric(space: BlockSpace, name: str, codes: Any, setting: Setting) -> Array:
    """A metric that needs no chip, float64 [n]: one of `DERIVED`, or a quality measure of the space.

    `codes` are int codes of shape [n, parameters].

    Raises `RefusedError` for perplexity where its surrogates were not fetched.

    >>> from hetbench.spaces import space
    >>> s = space("bert")
    >>> chipless_metric(s, "params", s.codes([s.sample(0)]), Setting(1, 128, None, "fp16", "inference")).shape
    (1,)
    """
    if name == PERPLEXITY:
        return perplexity(space, codes)
    return exact_metrics(space, codes, setting)[name]


class CompiledSpace:
    """A space with every block predicted on one chip at one setting, ready for many architectures.

    Raises `RefusedError` where `query` would.
    """

    def __init__(self, space: BlockSpace, question: Question, chip: Chip, predictor: str = "auto") -> None:
        self.space, self.chip, self.predictor = space, chip, predictor
        setting, self.question = Setting(*question.sizes), with_usable_stack(question, chip, predictor)
        asked = self.question.stack, self.question.precision
        known = predictor in WHOLE and source(self.question.whole, chip, self.question.taught_phase, *asked) is not None
        if not known and self.question.stack != DEFAULT_STACK:
            raise RefusedError(
                f"stack {self.question.stack!r} in {self.question.precision} cannot be predicted on {chip.name}: that "
                f"needs measured rows of it on a chip of the kind, and predictor auto or autogluon. Leave stack= out."
            )
        self.tables = _tables(space, setting)
        self._each: dict[Part, Array] = {}

    def answer(self, metric: str, codes: Any, intervals: bool, sample: int | None, seed: int) -> Any:
        """One metric of architectures, as `HetBench.query_batch` documents it: [n], [3, n] or [n, sample]."""
        if not intervals and sample is None:
            return self.metric(metric, codes)
        found = self.latency(codes)
        if intervals:
            if metric != "latency":
                raise InvalidInputError(f"intervals=True goes with metric='latency'; given: {metric!r}.")
            return np.stack((found.value, found.lower, found.upper))
        return self.metric(metric, codes, found.draws(sample or 0, seed, self.question.confidence))

    def latency(self, codes: Any) -> Latencies:
        """Predicted latency of architectures, [n]."""
        parts = [self._latency(codes[start : start + _CHUNK]) for start in range(0, max(len(codes), 1), _CHUNK)]
        value, lower, upper = (np.concatenate([getattr(part, name) for part in parts]) for name in _BOUNDS)
        return Latencies(value, lower, upper, np.concatenate([part.level for part in parts]))

    def metric(self, name: str, codes: Any, latency_ms: Array | None = None) -> Array:
        """A metric or the quality measure in its own unit, [n]; for given latencies [n, ...], of their shape."""
        if name in (*DERIVED, *self.space.qualities):
            return chipless_metric(self.space, name, codes, self.tables.setting)
        ms = self.latency(codes).value if latency_ms is None else latency_ms
        if name == "latency":
            return ms
        if name == "throughput":
            return 1e3 * (self.question.batch or 1) / ms
        work = exact_metrics(self.space, codes, self.tables.setting)
        shape = (slice(None), *[None] * (ms.ndim - 1))
        flops, moved = work["flops"][shape], work["bytes"][shape]
        watts = power.board_watts(flops, moved, ms, self.chip, self.question.precision, self.question.power)
        return watts if name == "power" else watts * ms / 1e3

    def _pieces(self, part: Part) -> Array:
        """The additive terms of every block, [blocks, terms]."""
        if part not in self._each:
            tables = _tables(self.space, replace(
                self.tables.setting, batch=part.batch, seq_len=part.seq_len, image_size=part.image_size,
                precision=part.dtype or part.precision,
            ))  # fmt: skip
            self._each[part] = np.array([
                terms_of(part, table, params, self.question, self.chip, self.predictor).values
                for table, params in zip(tables.operators, tables.work[:, 0].tolist(), strict=True)
            ])  # fmt: skip
        return self._each[part]

    def _latency(self, codes: Any) -> Latencies:
        counts = self.space.counts(codes)
        longest = (self.space.limits.get("seq_len") or (None, None))[1]
        made = Estimator(
            self.question, self.chip, self.predictor, lambda part: product(counts, self._pieces(part)).T, longest,
            "decode" in self.space.phases,
        )  # fmt: skip
        found = corrected(made.latency(), self.question, self.chip, made.floor())
        return Latencies(found.value, found.lower, found.upper, found.level)


def quality_answer(graph: ComposedGraph, metric: str, options: Mapping[str, Any]) -> Answer:
    """A quality measure of one architecture; the formula, fit or published surrogate that gives it is in `refs`."""
    known, space = QUALITIES[metric], graph.space
    value = float(chipless_metric(space, metric, space.codes([graph.arch]), graph.setting_of(options))[0])
    if metric == PERPLEXITY:
        return Answer(
            value, known.unit, kind="predicted", metric=metric, model=graph.name, refs=(surrogate_of(space), known.ref),
            surrogate="HW-GPT-Bench", notes=(
                f"{known.meaning}; HW-GPT-Bench's surrogate, which states no interval: this architecture was not "
                "trained by itself",
            ),
        )  # fmt: skip
    only = "a function of the number of parameters; " if metric == "loss_proxy" else ""
    return Answer(
        value, known.unit, kind="derived", metric=metric, model=graph.name, refs=(known.ref,),
        notes=(f"{known.meaning}: {only}an estimate, this architecture was not trained",),
    )  # fmt: skip


def query_deployments(space: Deployment, codes: Any, metric: str, query: Callable[..., Answer]) -> Array:
    """A metric of entries of the deployment space, [n]; each distinct entry is queried once, NaN where refused."""
    rows, back = np.unique(codes, axis=0, return_inverse=True)
    values = np.full(len(rows), np.nan)
    for index, arch in enumerate(space.archs(rows)):
        with suppress(RefusedError, InvalidInputError):
            values[index] = query(**space.query(arch), metric=metric).value
    return values[back.ravel()]
