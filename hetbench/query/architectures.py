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
from functools import cached_property, lru_cache
from statistics import NormalDist
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hetbench.answers import Answer
from hetbench.catalog.chips import Chip
from hetbench.errors import InvalidInputError, RefusedError
from hetbench.graphs import TRACED_AS, OperatorTable, Setting
from hetbench.predict import models, operators, power
from hetbench.predict.intervals import pass_interval
from hetbench.predict.model_features import composition
from hetbench.query.latency import LAUNCH_BOUND, PROTOCOL, WHOLE, trained_stack, with_usable_stack
from hetbench.query.question import DEFAULT_STACK, Question
from hetbench.schema import itemsize
from hetbench.spaces import BlockSpace, ComposedGraph, operator_table
from hetbench.spaces.deploy import Deployment
from hetbench.spaces.quality import QUALITIES, capacity_proxy, loss_proxy
from hetbench.spaces.transformer import Transformer

__all__ = ["DERIVED", "CompiledSpace", "Latencies", "exact_metrics", "quality_answer", "query_deployments"]

Array = NDArray[np.float64]
DERIVED = ("memory", "params", "flops")
"""Metrics that need no chip; the quality measure of a space needs none either."""
_CHUNK = 8192  # architectures at a time: block counts stay in the cache
_LEVELS = "BCD"
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
        parts.append(np.column_stack((counts @ tables.work, np.where(counts > 0, tables.peak, 0).max(axis=1))))
    params, flops, moved, peak = np.concatenate(parts).T if parts else np.empty((4, 0))
    found = {"params": params, "flops": flops, "bytes": moved}
    found["memory"] = (params * itemsize(tables.setting.precision) + peak + tables.given) / 1e6
    if isinstance(space, Transformer) and space.quality == "loss_proxy":
        found["loss_proxy"] = loss_proxy(params - space.embedding_params(codes))
    elif space.quality == "capacity_proxy":
        found["capacity_proxy"] = capacity_proxy(params, flops / (tables.setting.batch or 1))
    return found


class CompiledSpace:
    """A space with every block predicted on one chip at one setting, ready for many architectures.

    Raises `RefusedError` where `query` would.
    """

    def __init__(self, space: BlockSpace, question: Question, chip: Chip, predictor: str = "auto") -> None:
        self.space, self.chip, self.predictor = space, chip, predictor
        setting, question = Setting(*question.sizes), with_usable_stack(question, chip, predictor)
        self.stack = trained_stack(question, chip) if predictor in WHOLE else None
        """Stack of the rows from which the whole-model surrogate answers; None: the sum over operators answers."""
        if self.stack is None and question.stack != DEFAULT_STACK:
            raise RefusedError(
                f"stack {question.stack!r} in {question.precision} cannot be predicted on {chip.name}: that needs "
                f"measured rows of it on a chip of the family, and predictor auto or autogluon. Leave stack= out."
            )
        self.question = question
        self.tables = _tables(space, setting)
        self._each = self._terms(self.tables)

    @cached_property
    def _alone(self) -> Array | None:
        """The table of blocks at batch 1, whose latency is the lower bound of every batch; None at batch 1."""
        if (self.question.batch or 1) == 1:
            return None
        return self._terms(_tables(self.space, replace(self.tables.setting, batch=1)))

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
        if name in (*DERIVED, self.space.quality):
            return exact_metrics(self.space, codes, self.tables.setting)[name]
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

    def _terms(self, tables: _BlockTables) -> Array:
        """The additive terms of every block, [blocks, terms]."""
        return np.stack([self._whole_terms(tables, table) if self.stack else self._sum_terms(table)
                         for table in tables.operators])  # fmt: skip

    def _sum_terms(self, table: OperatorTable) -> Array:
        """Of the sum over operators: value, lower, upper and launch floors in ms, and ms at each evidence level."""
        surrogate = self.question.surrogate
        found = surrogate.predict_model(table, self.chip, protocol=PROTOCOL, predictor=self.predictor)
        levels = [found.by_level.get(level, 0.0) for level in _LEVELS]
        return np.array([found.value, found.lower, found.upper, found.launch_ms, *levels])

    def _whole_terms(self, tables: _BlockTables, table: OperatorTable) -> Array:
        """Of the whole-model surrogate: the additive part of each network, and the sums of the composition."""
        made = composition([(1.0, table)], self.chip)
        pieces = self._group.operator_ms(made, tables.setting.batch or 1, self._labels)
        return np.concatenate((pieces.sum(axis=1), made.sums()))

    @cached_property
    def _group(self) -> models.Group:
        return self.question.whole.group(models.group_of(self.chip.family, self.question.phase))

    @cached_property
    def _labels(self) -> tuple[str, str]:
        return self._group.labels(self.chip.name, str(self.stack), self.question.precision)

    def _latency(self, codes: Any) -> Latencies:
        counts = self.space.counts(codes)
        find = self._whole if self.stack else self._summed
        found = find(counts @ self._each, self.question.batch or 1)
        if self._alone is None:
            return found
        alone = find(counts @ self._alone, 1)
        slower = alone.value > found.value
        if not self.stack:
            slower &= found.value < LAUNCH_BOUND * (counts @ self._each[:, 3])
        both = ((getattr(alone, name), getattr(found, name)) for name in ("value", "lower", "upper", "level"))
        return Latencies(*(np.where(slower, *pair) for pair in both))

    def _summed(self, totals: Array, batch: int) -> Latencies:
        value, lower, upper, _, *by_level = totals.T
        covered = np.cumsum(np.stack(by_level), axis=0) >= operators.COVERED * value
        level = np.array(list(_LEVELS))[covered.argmax(axis=0)]
        low, high = pass_interval(self.question.surrogate, value, lower, upper, self.question.confidence)
        return Latencies(value, low, high, level)

    def _whole(self, totals: Array, batch: int) -> Latencies:
        group, labels = self._group, self._labels
        networks = len(group.networks)
        pieces, sums = totals[:, :networks].T, totals[:, networks:]
        value = np.maximum(np.exp(group.log_ms(pieces, sums, batch, labels)), sums[:, 0])
        far = group.out_of_range(sums[:, 1], labels[0])
        known = self.question.whole.level(self.chip, self.question.phase, str(self.stack), self.question.precision)
        level = np.where(far, "D", str(known))
        ends = np.empty((2, len(value)))
        kind = self.question.phase if self.question.phase in models.GENERATION else str(self.stack)
        for each in np.unique(level):
            band = self.question.whole.band(group.spec, str(each), self.chip.family, kind, self.question.confidence)
            ends[:, level == each] = np.array(band)[:, None]
        return Latencies(value, value * np.exp(ends[0]), value * np.exp(ends[1]), level)


def quality_answer(graph: ComposedGraph, options: Mapping[str, Any]) -> Answer:
    """The quality measure of one architecture, a formula or fit whose source is in `refs`."""
    known = QUALITIES[str(graph.space.quality)]
    found = exact_metrics(graph.space, graph.space.codes([graph.arch]), graph.setting_of(options))
    return Answer(
        float(found[known.name][0]), known.unit, kind="derived", metric=known.name, model=graph.name, refs=(known.ref,),
        notes=(f"{known.meaning}; an estimate, this architecture was not trained",),
    )  # fmt: skip


def query_deployments(space: Deployment, codes: Any, metric: str, query: Callable[..., Answer]) -> Array:
    """A metric of entries of the deployment space, [n]; each distinct entry is queried once, NaN where refused."""
    rows, back = np.unique(codes, axis=0, return_inverse=True)
    values = np.full(len(rows), np.nan)
    for index, arch in enumerate(space.archs(rows)):
        with suppress(RefusedError, InvalidInputError):
            values[index] = query(**space.query(arch), metric=metric).value
    return values[back.ravel()]
