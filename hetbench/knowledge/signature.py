"""The signature of an operator instance (type, dims, dtype), its node name, and its features for similarity.

Two measurements with one signature are of the same operator. Optional dims take their defaults; `bias` and `vocab` are
left out, since published rows do not state them. The features are the canonical dims of the operator class in log2,
with FLOPs, bytes and itemsize (`hetbench.predict.features`, without the chip).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hetbench.errors import InvalidInputError
from hetbench.operators import operator_type
from hetbench.predict.canonical import canonical_dims
from hetbench.schema import STORAGE_BYTES, itemsize, precision

__all__ = ["COLUMNS", "UNSTATED", "columns", "dim_names", "dtype_named", "identifier", "parse", "sizes"]

UNSTATED = ("bias", "vocab", "v_dim", "area", "indices", "taps", "real", "extra")
_ATTENTION = ("batch", "q_len", "kv_len", "heads", "kv_heads", "head_dim", "causal", "window", "pairs")
COLUMNS: Mapping[str, tuple[str, ...]] = {
    "gemm": ("b", "m", "n", "k", "flops", "bytes"),
    "prefill": (*_ATTENTION, "flops", "bytes"),
    "decode": (*_ATTENTION, "flops", "bytes"),
    "conv": ("n", "c", "h", "w", "oc", "kh", "kw", "stride", "pad", "groups", "out_h", "out_w", "flops", "bytes"),
    "vector": ("rows", "cols", "touched", "work", "flops", "bytes"),
}
"""Canonical dims that are the features of a class; itemsize is one more column."""
_ID = re.compile(r"op:(\w+)\(([\w=,]*)\)@(\w+)")


def dim_names(op: str) -> tuple[str, ...]:
    """The names of the dims of a signature, sorted.

    >>> dim_names("Linear"), dim_names("Embedding")
    (('k', 'm', 'n'), ('dim', 'tokens'))
    """
    kind = operator_type(op)
    return tuple(sorted(name for name in (*kind.dims, *kind.optional) if name not in UNSTATED))


def sizes(op: str, dims: Mapping[str, Any]) -> dict[str, Any]:
    """The dims of a signature by name, sorted; integers, or arrays of shape [rows].

    Attention that computes the same gets the same dims: `causal` is 0 for a single query, which attends every key, and
    `window` is 0 where it is as long as the keys.

    >>> sizes("Attention", {"batch": 1, "q_len": 1, "kv_len": 8, "heads": 2, "kv_heads": 2, "head_dim": 4,
    ...                     "causal": 1, "window": 8})
    {'batch': 1, 'causal': 0, 'head_dim': 4, 'heads': 2, 'kv_heads': 2, 'kv_len': 8, 'q_len': 1, 'window': 0}
    """
    full = {**operator_type(op).optional, **dims}
    found = {name: full[name] for name in dim_names(op)}
    if op == "Attention":
        found["causal"] = found["causal"] * (found["q_len"] != 1)
        found["window"] = found["window"] * (found["window"] < found["kv_len"])
    return found


def dtype_named(name: str) -> str:
    """The canonical name of a dtype or precision.

    >>> dtype_named("float16"), dtype_named("int64")
    ('fp16', 'int64')
    """
    return name if isinstance(name, str) and name in STORAGE_BYTES else precision(name)


def identifier(op: str, dims: Mapping[str, int], dtype: str) -> str:
    """The node name of an operator instance.

    >>> identifier("Linear", {"m": 128, "n": 3072, "k": 768, "bias": 1}, "fp16")
    'op:Linear(k=768,m=128,n=3072)@fp16'
    """
    return f"op:{op}({','.join(f'{name}={size}' for name, size in sizes(op, dims).items())})@{dtype}"


def parse(node: str) -> tuple[str, dict[str, int], str]:
    """Operator type, dims and dtype of the node name of an operator instance.

    >>> parse("op:Linear(k=768,m=128,n=3072)@fp16")
    ('Linear', {'k': 768, 'm': 128, 'n': 3072}, 'fp16')
    """
    found = _ID.fullmatch(node)
    pairs = [pair.partition("=") for pair in found[2].split(",")] if found else []
    if found is None or not all(size.isdigit() for _, _, size in pairs):
        raise InvalidInputError(
            f"{node!r} is not the name of an operator instance; write it like op:Linear(k=768,m=128,n=3072)@fp16."
        )
    dims = operator_type(found[1]).check({name: int(size) for name, _, size in pairs})
    return found[1], sizes(found[1], dims), dtype_named(found[3])


def columns(cls: str, op: str, dims: Mapping[str, Any], dtype: str) -> NDArray[np.float64]:
    """Features of operators of one type in log2, [rows, columns]; a size of 0 counts as 1/2.

    >>> columns("gemm", "Linear", {"m": 8, "n": 4, "k": 2}, "fp16").tolist()
    [[0.0, 3.0, 2.0, 1.0, 7.0, 6.807354922057604, 1.0]]
    """
    size = itemsize(dtype)
    shared = canonical_dims(op, dims, size)
    named = [np.log2(np.maximum(shared[name], 0.5)) for name in COLUMNS[cls]]
    return np.stack([*named, np.full(len(named[0]), np.log2(size))], axis=1)
