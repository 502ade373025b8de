"""Memory of a deployment on each chip: weights, KV cache, activations; whether it fits, and how many requests do.

Weights and cache are exact. Activations are those of the widest layer for one chunk of prompts, and the scores of one
token of each request in fp32. An engine may use 0.9 of the memory (default of vLLM's `gpu_memory_utilization` and of
TensorRT-LLM's `free_gpu_memory_fraction`). Memory of a chip is `mem_gb` x 2**30 bytes: stacks of HBM and GDDR have
binary sizes, and an "80 GB" H100 reports 79.6 GiB.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from hetbench.errors import RefusedError
from hetbench.serving.links import link_of
from hetbench.serving.plan import Plan
from hetbench.serving.settings import CHUNK, Floats, Settings, Stage

__all__ = ["USABLE", "Memory", "memory"]

USABLE = 0.9


@dataclass(frozen=True, slots=True)
class Memory:
    """Bytes on each chip, every array [points]."""

    weights: Floats
    request: Floats
    """KV cache of one request of full length, on each chip that holds a part of it."""
    halfway: Floats
    """KV cache of one request that has generated half of its tokens: what requests take on average."""
    cache: Floats
    """KV cache of all requests in flight at full length."""
    activations: Floats
    capacity: float
    """Bytes of a chip that an engine may use; NaN where the datasheet does not state its memory."""
    copies: Floats
    """Data-parallel copies, which share the requests."""

    @property
    def total(self) -> Floats:
        """Bytes used."""
        return self.weights + self.cache + self.activations

    @property
    def fits(self) -> np.ndarray[tuple[int, ...], np.dtype[np.bool_]]:
        """Whether weights, activations and the cache of all requests fit; True where the memory is not known."""
        return ~(self.total > self.capacity)

    @property
    def running(self) -> Floats:
        """Requests of one copy that run at a time where more are in flight, at least one: those whose cache fits on
        average. NaN where the memory is not known."""
        return np.maximum(np.floor(self._room / self.halfway), 1.0)

    @property
    def _room(self) -> Floats:
        return np.maximum(self.capacity - self.weights - self.activations, 0)

    @property
    def most(self) -> Floats:
        """Requests of full length whose cache fits, over all copies; below 1 where not even the weights do."""
        return np.floor(self._room / self.request) * self.copies


def memory(stage: Stage, s: Settings) -> Memory:
    """Memory on each chip of the deployments.

    >>> from hetbench.catalog.chips import chip
    >>> from hetbench.serving import Plan, named, weight_format
    >>> stage = Stage(named("meta-llama/Llama-3.1-8B"), chip("nvidia-h100-sxm5-80gb"), weight_format("bf16"), "bf16")
    >>> found = memory(stage, Settings.of(stage.chip, [Plan()], [1024], [1024], [8]))
    >>> float(found.cache[0]) == 8 * 2048 * 32 * 2 * 8 * 128 * 2  # requests, tokens, layers, keys and values ...
    True
    """
    model = stage.model
    split = s.tp * s.pp
    dense = model.dense_weights * stage.dense_bytes / split
    embedding = model.head * 2.0 * (1 if model.tied else 2) / split
    experts = model.expert_weights * stage.form.weight_bytes / (s.spread * s.pp)
    request = _cache(stage, s, s.input_len + s.output_len)
    halfway = _cache(stage, s, s.input_len + s.output_len / 2)
    chip_bytes = stage.chip.mem_gb * 2**30 * USABLE if stage.chip.mem_gb else float("nan")
    return Memory(
        dense + embedding + experts, request, halfway, request * s.share, _activations(stage, s), chip_bytes, s.dp
    )  # fmt: skip


def _cache(stage: Stage, s: Settings, length: Floats) -> Floats:
    """Bytes of the cache of one request of `length` tokens on a chip, [points]."""
    total = np.zeros_like(length)
    for m in stage.model.mixings:
        kept = np.minimum(length, m.window) if m.windowed_cache else length
        total = total + m.times * m.cached * kept * stage.kv_bytes / np.minimum(s.tp, m.shards) / s.pp
    return total


def _activations(stage: Stage, s: Settings) -> Floats:
    """Bytes of a chunk in the widest layer: input and residual, and twice the inner width; scores of each request."""
    model = stage.model
    inner = max(
        max(f.dense, f.chosen * f.expert) / (3 * model.hidden) for f in model.feeds
    )  # fmt: skip
    tokens = np.minimum(s.input_len * s.share, CHUNK)
    return tokens * (2 * model.hidden + 2 * inner / s.tp) * 2.0 + s.share * model.vocab / s.tp * 4.0


def check_fits(stage: Stage, found: Memory) -> None:
    """Raise `RefusedError` where the weights alone exceed the memory of a chip (one point)."""
    needed = float(found.weights[0])
    if needed > found.capacity:
        raise RefusedError(
            f"{stage.model.name} in {stage.form.name} needs {needed / 1e9:,.0f} GB of weights on each chip, and an "
            f"engine may use {found.capacity / 1e9:,.0f} GB of {stage.chip.name}. {_least_chips(stage, found.capacity)}"
        )


def _least_chips(stage: Stage, capacity: float) -> str:
    """How many chips of one copy the weights need, as advice."""
    whole = float(memory(stage, Settings.of(stage.chip, [Plan()], [1], [1], [1])).weights[0])
    least = 2 ** math.ceil(math.log2(whole / capacity))
    if not stage.chip.interconnect_gbs:
        return (f"Its weights need {least} chips, and the catalogue states no link between chips of "
                f"{stage.chip.name}. Take a smaller weight format (precision=) or another chip.")  # fmt: skip
    node = link_of(stage.chip, 1).chips
    if least <= node:
        return f"Its weights fit on {least} chips: chips={least}; or take a smaller weight format (precision=)."
    return (f"Its weights need {least} chips, and a node has {node}, beyond which no plan is predicted. Take a "
            "smaller weight format (precision=) or a chip with more memory.")  # fmt: skip
