"""Operators of a LLaMA-7B layer on an Ascend 910B3 through torch_npu: the vendor's column of candle's comparison.

Median of 50 host-timed calls after 10 warm-up calls, synchronised before and after, which includes 65 to 70 us of
overhead. The heading states batch, length and data type; widths are from upstream's script: hidden 4096, feed-forward
11008, 32 heads of 128, vocabulary 32000. RMSNorm and RoPE consist of several kernels.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from data_collection.importers._tables import tables
from data_collection.upstream.files import Tree

__all__ = ["rows"]

_HIDDEN, _INNER, _HEADS, _HEAD, _WORDS = 4096, 11008, 32, 128, 32000
_DTYPES = {"float16": "fp16", "bfloat16": "bf16", "float32": "fp32"}
_HEADING = re.compile(r"(?P<dtype>\w+) — (?P<scenario>\w+ \(batch=(?P<batch>\d+), seq=(?P<seq>\d+)\))")
_TIMING = "host perf_counter with npu.synchronize before and after, warm-up 10, 50 iterations"
_NOTES = {"rms_norm": "composite x*rsqrt(x.pow(2).mean(-1)+eps), several kernels, no weight",
          "rope": "composite x*cos+rotate_half(x)*sin"}  # fmt: skip


def rows(tree: Tree) -> Iterator[dict[str, Any]]:
    for path in tree.paths():
        for table in tables(tree.text(path)):
            found = _HEADING.fullmatch(table.headings[-1])
            if found is None or table.head[:3] != ["Op", "candle (ms)", "torch_npu (ms)"]:
                tree.leave_out("a table of something else than operators of both libraries")
                continue
            cases = _cases(int(found["batch"]), int(found["seq"]))
            for line, cells in table.body:
                op, dims = tree.known(path, line, cases, cells[0])
                note = {"note": _NOTES[cells[0]]} if cells[0] in _NOTES else {}
                yield {
                    "ref": tree.ref(path, f"#L{line}"), "platform": "cann", "chip": "huawei-ascend-910b3",
                    "software": "torch_npu; CANN 8.5.0", "op": op, "dims": dims, "phase": "fwd", "stat": "median",
                    "dtype": tree.known(path, line, _DTYPES, found["dtype"]),
                    "latency_ms": tree.number(path, line, cells[2]),
                    "extra": {"case": cells[0], "scenario": found["scenario"], "impl": "torch_npu (vendor)",
                              "timing": _TIMING} | note,
                }  # fmt: skip


def _cases(batch: int, seq: int) -> dict[str, tuple[str, dict[str, int]]]:
    tokens, pairs = batch * seq, batch * _HEADS
    numel = {"numel": tokens * _INNER}
    return {
        "matmul_qkv": ("Linear", {"m": tokens, "n": _HIDDEN, "k": _HIDDEN}),
        "matmul_ffn_up": ("Linear", {"m": tokens, "n": _INNER, "k": _HIDDEN}),
        "matmul_ffn_down": ("Linear", {"m": tokens, "n": _HIDDEN, "k": _INNER}),
        "bmm_attn_scores": ("BMM", {"b": pairs, "m": seq, "n": seq, "k": _HEAD}),
        "bmm_attn_output": ("BMM", {"b": pairs, "m": seq, "n": _HEAD, "k": seq}),
        "softmax": ("Softmax", {"rows": pairs * seq, "cols": seq}),
        "rms_norm": ("RMSNorm(composite)", {"rows": tokens, "cols": _HIDDEN}),
        "silu": ("SiLU", numel), "mul": ("Mul", numel), "add": ("Add", {"numel": tokens * _HIDDEN}),
        "rope": ("RoPE(composite)", {"batch": batch, "q_len": seq, "heads": _HEADS, "head_dim": _HEAD}),
        "cross_entropy": ("CrossEntropy", {"rows": tokens, "cols": _WORDS}),
        "embedding": ("Embedding", {"num_indices": tokens, "dim": _HIDDEN, "vocab": _WORDS}),
        "dropout": ("Dropout", {"numel": tokens * _HIDDEN}),
    }  # fmt: skip
