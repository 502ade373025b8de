"""Settings of many deployments of one model on one chip in one format, as arrays: what the physics is computed on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hetbench.catalog.chips import Chip
from hetbench.errors import RefusedError
from hetbench.serving.collectives import law_of
from hetbench.serving.formats import KV_BYTES, WeightFormat, compute_flops, weight_format
from hetbench.serving.language import LanguageModel
from hetbench.serving.links import link_of
from hetbench.serving.plan import Plan

__all__ = ["CHUNK", "Floats", "Settings", "Stage"]

Floats = NDArray[np.float64]
CHUNK = 8192
"""Tokens of prompts that one iteration takes at most (vLLM `max_num_batched_tokens`, 8192 for online serving on large
GPUs; SGLang `chunked_prefill_size`, 8192 for chips of 60 GB and more)."""


@dataclass(frozen=True, slots=True)
class Stage:
    """What the physics needs of model, chip and formats: constant over the points."""

    model: LanguageModel
    chip: Chip
    form: WeightFormat
    kv: str

    @property
    def bandwidth(self) -> float:
        """Memory bandwidth in bytes/s; `RefusedError` where the datasheet states none."""
        if not self.chip.bandwidth:
            raise RefusedError(f"the catalogue states no memory bandwidth of {self.chip.name}.")
        return self.chip.bandwidth

    @property
    def flops(self) -> float:
        """Peak in FLOP/s of the products with weights."""
        return compute_flops(self.chip, self.form)[0]

    @property
    def plain_flops(self) -> float:
        """Peak in FLOP/s in bf16, for attention and for what is not quantised."""
        return compute_flops(self.chip, weight_format("bf16"))[0]

    @property
    def kv_bytes(self) -> float:
        """Bytes of one cached element."""
        return KV_BYTES[self.kv]

    @property
    def dense_bytes(self) -> float:
        """Bytes of one element outside the experts."""
        return 2.0 if self.form.experts_only and self.model.expert_weights else self.form.weight_bytes

    @property
    def dense_flops(self) -> float:
        """Peak in FLOP/s of the products outside the experts."""
        return self.plain_flops if self.form.experts_only and self.model.expert_weights else self.flops


@dataclass(frozen=True, slots=True)
class Settings:
    """Plans and loads; every array is [points]."""

    tp: Floats
    dp: Floats
    pp: Floats
    ep: Floats
    link: Floats
    """Bytes/s in one direction; 1 where one chip needs none."""
    reduce: Floats
    """Latency in us, spread and slope of an AllReduce over the tp chips of a copy, [points, 3]: see `collectives`."""
    route: Floats
    """The same of an AllToAll over the ep chips that share experts."""
    input_len: Floats
    output_len: Floats
    concurrency: Floats

    @classmethod
    def of(
        cls, chip: Chip, plans: Sequence[Plan], input_len: Sequence[float], output_len: Sequence[float],
        concurrency: Sequence[float],
    ) -> Settings:  # fmt: skip
        """Settings of equal length; raises as `link_of` for a plan that no link supports."""
        each = {plan: _exchange(chip, plan) for plan in dict.fromkeys(plans)}
        link, reduce, route = (np.array([each[plan][n] for plan in plans], float) for n in range(3))
        sizes = (np.array([getattr(plan, name) for plan in plans], float) for name in ("tp", "dp", "pp", "ep"))
        loads = (np.asarray(values, float) for values in (input_len, output_len, concurrency))
        tp, dp, pp, ep = sizes
        return cls(tp, dp, pp, ep, link, reduce, route, *loads)

    @property
    def chips(self) -> Floats:
        """Chips of each deployment."""
        return self.tp * self.dp * self.pp

    @property
    def share(self) -> Floats:
        """Requests in flight of one data-parallel copy, at least one."""
        return np.maximum(self.concurrency / self.dp, 1.0)

    @property
    def spread(self) -> Floats:
        """Chips that the experts of one layer are divided over."""
        return np.maximum(self.tp, self.ep)


def _exchange(chip: Chip, plan: Plan) -> tuple[float, list[float], list[float]]:
    """Rate of the link, and the laws of AllReduce and AllToAll of a plan; zeros where it needs none."""
    rate = link_of(chip, plan.joined).rate or 1.0
    laws = [[0.0] * 3, [0.0] * 3]
    for n, (op, chips) in enumerate((("AllReduce", plan.tp), ("AllToAll", plan.ep))):
        if chips > 1:
            law = law_of(op, chip, chips, "engine")
            laws[n] = [law.latency, law.spread, law.slope]
    return rate, laws[0], laws[1]
