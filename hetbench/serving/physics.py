"""Datasheet times of the parts of one engine iteration of a sharded model.

An iteration reads the weights and the KV cache, multiplies, attends, launches the kernels of every layer, exchanges
activations between chips and handles every request on the host. Each part is given in seconds at the datasheet's peak,
or as a count times a unit (1 us, 1 ms) where no datasheet knows it; how much longer each takes is learned
(`hetbench.serving.effects`). A mixture of experts reads the experts expected to have work: E (1 - (1 - k/E)^T) of E
experts when each of T tokens takes k at random.
"""

from __future__ import annotations

import numpy as np

from hetbench.serving.collectives import wire
from hetbench.serving.settings import CHUNK, Floats, Settings, Stage

__all__ = ["TERMS", "decode_terms", "prefill_terms"]

TERMS = ("weights", "kv", "flops", "attention", "layers", "experts", "links", "exchange", "requests", "iteration",
         "prompt_flops", "prompt_attention", "expert_weights", "latent", "prompt_experts", "activations",
         "indexed")  # fmt: skip
"""Columns of the arrays [points, terms]. `layers`, `experts`, `latent` are counts x 1 us; `requests` x 1 us;
`iteration` 1 ms; `links` the latencies of collectives and `exchange` what they send, by the laws of
`hetbench.serving.collectives`."""
_US = 1e-6


def decode_terms(stage: Stage, s: Settings, batch: Floats, context: Floats) -> Floats:
    """Parts of one step that adds a token to each of `batch` requests of a copy, of `context` tokens on average.

    Args:
        stage: model, chip and formats.
        s: plans, [points].
        batch: requests that decode in one copy [points]; the stages of a pipeline work on equal parts of them.
        context: tokens in the cache of each, on average [points].

    Returns:
        Seconds [points, terms].
    """
    micro = batch / s.pp  # requests that one pass of a stage takes
    out = _passes(stage, s, micro, micro)
    kv = attended = indexed = np.zeros_like(batch)
    for m in stage.model.mixings:
        seen = np.minimum(context, m.window) if m.window else context
        read = (m.cached - m.indexed) * seen + m.indexed * context
        kv = kv + m.times * read / np.minimum(s.tp, m.shards)
        attended = attended + m.times * m.decode_width * seen / s.tp
        indexed = indexed + m.times * m.index_width * context / s.tp
    out[:, 1] = micro * kv * stage.kv_bytes / stage.bandwidth
    out[:, 3] = micro * 2 * attended / stage.plain_flops
    out[:, 16] = micro * 2 * indexed / stage.plain_flops
    return out


def prefill_terms(stage: Stage, s: Settings, tokens: Floats, prompts: Floats, chunk: float | Floats = CHUNK) -> Floats:
    """Parts of the prefill of `prompts` prompts of `tokens` tokens each, packed into chunks of at most `chunk`
    tokens.

    All are [points]; returns seconds [points, terms].
    """
    chunks = np.ceil(tokens * prompts / chunk)
    out = _passes(stage, s, tokens * prompts / chunks, prompts / chunks) * chunks[:, None]
    pairs = indexed = np.zeros_like(tokens)
    for m in stage.model.mixings:
        width = np.minimum(tokens, m.window) if m.window else tokens
        pairs = pairs + m.times * m.query_width * (width * tokens - width**2 / 2) / s.tp
        indexed = indexed + m.times * m.index_width * tokens**2 / 2 / s.tp
    out[:, 14] = _routed(stage, s, tokens * prompts)
    out[:, 10], out[:, 2] = out[:, 2] - out[:, 14], 0.0
    out[:, 11] = 2 * prompts * pairs / stage.plain_flops
    out[:, 16] = 2 * prompts * indexed / stage.plain_flops
    out[:, 15] = tokens * prompts * _moved(stage, s) / stage.bandwidth
    return out


def _routed(stage: Stage, s: Settings, tokens: Floats) -> Floats:
    """Seconds of the products of the experts of all layers, [points]."""
    everywhere = tokens * np.where(s.ep > 1, s.dp, 1.0)
    chosen = sum(f.times * f.chosen * f.expert for f in stage.model.feeds if f.experts)
    return 2 * chosen * everywhere / s.spread / stage.flops


def _moved(stage: Stage, s: Settings) -> Floats:
    """Bytes of activations that one token reads and writes in 16 bit, on one chip, [points].

    Of each layer the residual, norms and inputs of products, ten hidden widths (arXiv 2205.05198 counts them for
    training), and for every chosen expert its input, output and three inner widths.
    """
    model, moved = stage.model, np.zeros_like(s.tp)
    for f in model.feeds:
        inner = f.dense / 3 / model.hidden / s.tp
        routed = f.chosen * (2 * model.hidden + f.expert / model.hidden) / s.spread if f.experts else 0.0
        moved = moved + f.times * (10 * model.hidden + 3 * inner + routed)
    return 2 * moved


def _passes(stage: Stage, s: Settings, tokens: Floats, scored: Floats) -> Floats:
    """What one pass of `tokens` tokens through all stages costs without attention; `scored` of them reach the head."""
    model, out = stage.model, np.zeros((len(tokens), len(TERMS)))
    everywhere = tokens * np.where(s.ep > 1, s.dp, 1.0)  # tokens that the experts of one layer see
    read = model.dense_weights * stage.dense_bytes / s.tp + model.head * 2.0 / s.tp
    flops = 2 * (model.dense_weights * tokens + model.head * scored) / s.tp / stage.dense_flops
    routed_bytes = np.zeros_like(tokens)
    for f in model.feeds:
        if f.experts:
            busy = f.experts * (1 - (1 - f.chosen / f.experts) ** np.maximum(everywhere, 1.0))
            busy = np.maximum(busy, np.minimum(f.chosen * everywhere, f.chosen))
            routed_bytes = routed_bytes + f.times * busy * f.expert * stage.form.weight_bytes / s.spread
            flops = flops + 2 * f.times * f.chosen * f.expert * everywhere / s.spread / stage.flops
    out[:, 0] = read / stage.bandwidth
    out[:, 12] = routed_bytes / stage.bandwidth
    out[:, 13] = sum(m.times for m in model.mixings if m.latent) * _US
    out[:, 2] = flops
    out[:, 4] = model.layers * _US
    out[:, 5] = model.expert_layers * _US
    reduced = s.reduce, 2.0 * model.layers, tokens * model.hidden * 2 * wire("AllReduce", s.tp)
    chosen = sum(f.times * min(f.chosen, 8) for f in model.feeds if f.experts) / max(model.expert_layers, 1)
    sent = tokens * model.hidden * np.minimum(chosen, s.ep) * 1.5  # 8-bit out, 16-bit back
    routed = s.route, 2.0 * model.expert_layers, sent * wire("AllToAll", s.ep)
    for law, times, size in (reduced, routed):  # rows of a law are zeros where a plan exchanges nothing
        x = size / s.link / _US
        out[:, 6] += times * law[:, 0] * _US
        out[:, 7] += times * (law[:, 1] * np.sqrt(x) + law[:, 2] * x) * _US
    out[:, 8] = scored * _US
    out[:, 9] = 1e-3
    return out
