"""Exact arithmetic on the graph: flops beside torch's counter, weights, memory and the cache of keys and values."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from hetbench.errors import HetBenchError
from hetbench.graphs import model_graph
from hetbench.graphs.model_graph import OperatorTable
from hetbench.operators import operator_type
from tests.benchmarks.physics.asking import API, GENERATING, ITEM_BYTES, MODELS
from tests.benchmarks.physics.flop_counts import COUNTED
from tests.benchmarks.physics.record import Record


def scan(record: Record) -> None:
    """All of it."""
    flops(record)
    _memory(record)
    for model in GENERATING:
        _cache(record, model, MODELS[model].config)


def flops(record: Record, names: Iterable[str] = tuple(COUNTED)) -> None:
    """Flops beside those that torch counts."""
    for model, rows in ((name, COUNTED[name]) for name in names):
        for batch, seq_len, image_size, phase, gflop in rows:
            try:
                table = model_graph.load(model).operators(batch, seq_len, image_size, "fp32", phase)
            except HetBenchError:
                continue
            own, where = _matrix_gflop(table), (model, batch, seq_len, image_size, phase)
            record.check(
                "derived: matrix flops are those of torch's FlopCounterMode (0.5 %)",
                abs(own / gflop - 1) < 0.005 + 0.0006 / gflop,
                1,
                *where,
                own,
                gflop,
            )
            every = (
                API.query(
                    model,
                    metric="flops",
                    batch=batch,
                    seq_len=seq_len,
                    image_size=image_size,
                    phase=phase,
                    precision="fp32",
                ).value
                / 1e9
            )
            record.check(
                "derived: the flops metric is within 15 % of it", 0.85 < every / gflop < 1.15, 1, *where, every
            )


def _matrix_gflop(table: OperatorTable) -> float:
    """As torch counts: matrix products alone, without bias, and whole attention matrices."""
    own = 0
    for group in table.groups:
        kind, dims = operator_type(group.op), dict(group.dims)
        if kind.cost_class in ("gemm", "conv", "attention"):
            dims |= {name: 0 * dims[name] for name in ("bias", "causal") if name in dims}
            own += int((kind.flops(dims) * group.count).sum())
    return own / 1e9


def _memory(record: Record) -> None:
    for model in MODELS:
        params = API.query(model, metric="params").value
        for precision in ("fp32", "fp16", "bf16", "fp8", "int8", "tf32"):
            made = model_graph.load(model).memory(precision=precision)
            record.check(
                "derived: weights = params x bytes",
                made.weights_bytes == params * ITEM_BYTES[precision],
                1,
                model,
                precision,
                made.weights_bytes,
            )
            total = API.query(model, metric="memory", precision=precision).value
            record.check(
                "derived: memory = weights + activations + cache",
                abs(total * 1e6 / made.total_bytes - 1) < 1e-9,
                1,
                model,
                precision,
            )
        grown = [API.query(model, metric="memory", batch=batch, precision="fp16").value for batch in (1, 2, 16, 64)]
        record.check("derived: memory grows with the batch", grown == sorted(grown), 1, model, grown)


def _cache(record: Record, model: str, config: Any) -> None:
    layers = config.get("num_hidden_layers", config.get("n_layer", config.get("num_layers")))
    heads = config.get("num_attention_heads", config.get("n_head", config.get("num_heads")))
    kv_heads = config.get("num_key_value_heads") or heads
    if "falcon" in model and config.get("multi_query", True):
        kv_heads = 1
    hidden = config.get("hidden_size", config.get("n_embd"))
    if "gpt-neo" in model:  # half of its layers attend within a window only
        return
    for batch, seq_len in ((1, 512), (3, 700), (16, 1000)):
        made = model_graph.load(model).memory(batch, seq_len, None, "fp16", "prefill")
        expected = 2 * 2 * layers * kv_heads * (hidden // heads) * batch * seq_len
        record.check(
            "derived: KV cache = 2 x layers x kv heads x head_dim x tokens x bytes",
            made.kv_cache_bytes == expected,
            1,
            model,
            batch,
            seq_len,
            made.kv_cache_bytes,
            expected,
        )
        table = model_graph.load(model).operators(batch, seq_len, None, "fp16", "decode")
        weights = API.query(model, metric="params").value - 2 * config.get("vocab_size", 0) * hidden
        record.check(
            "derived: a decode step reads weights and cache",
            table.bytes >= expected + 0.8 * 2 * weights,
            1,
            model,
            batch,
            seq_len,
            table.bytes,
        )
