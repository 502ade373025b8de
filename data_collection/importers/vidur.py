"""Layer and collective profiles of Vidur: medians of a kernel trace in ms, resolution 1 us, fp16.

A line of mlp.csv times ten parts of one transformer layer for a number of tokens and a tensor-parallel degree; each
becomes a row with the dims of that part. The up projection is twice as wide if the MLP is gated.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from data_collection.importers._collectives import OPERATORS, statistics
from data_collection.upstream.files import Tree

__all__ = ["rows"]

_CHIPS = {"a100": "nvidia-a100-80gb", "a40": "nvidia-a40", "h100": "nvidia-h100-80gb"}
_NODES = {
    "a100_dgx": "nvidia-a100-80gb", "a100_pairwise_nvlink": "nvidia-a100-pcie-80gb",
    "a40_pairwise_nvlink": "nvidia-a40", "h100_dgx": "nvidia-h100-80gb", "h100_pairwise_nvlink": "nvidia-h100-nvl",
}  # fmt: skip
_SIZES = ("n_head", "n_kv_head", "n_embd", "n_expanded_embd", "vocab_size", "num_tokens", "num_tensor_parallel_workers")


def rows(tree: Tree) -> Iterator[dict[str, Any]]:
    for path in tree.paths("data/profiling/compute/*/*/*/mlp.csv"):
        yield from _layer(tree, path)
    for path in tree.paths("data/profiling/network/*/*.csv"):
        yield from _network(tree, path)


def _layer(tree: Tree, path: str) -> Iterator[dict[str, Any]]:
    folders = path.split("/")
    chip, model = tree.known(path, 1, _CHIPS, folders[3]), "/".join(folders[4:6])
    for line, cells in tree.records(path):
        sizes = {name: tree.whole(path, line, cells[name]) for name in _SIZES}
        gated = cells["use_gated_mlp"] == "True"
        for role, (op, dims) in _parts(sizes, gated).items():
            if not cells.get(f"time_stats.{role}.median"):
                tree.leave_out("a layer without this part")
                continue
            told = {
                name: tree.number(path, line, cells[f"time_stats.{role}.{name}"], above=-1e-12)
                for name in ("mean", "min", "max", "std")
            }
            yield {
                "ref": tree.ref(path, f"#L{line}"), "platform": "cuda", "chip": chip,
                "software": "pytorch+sarathi-serve kernels", "op": op, "dtype": "fp16", "phase": "fwd", "dims": dims,
                "latency_ms": tree.number(path, line, cells[f"time_stats.{role}.median"]), "stat": "median",
                "extra": {"role": role, "model": model, "tp": sizes["num_tensor_parallel_workers"],
                          **{f"{name}_ms": value for name, value in told.items()}},
            }  # fmt: skip


def _parts(sizes: dict[str, int], gated: bool) -> dict[str, tuple[str, dict[str, int]]]:
    """Part -> operator and dims, for the share of one worker."""
    tokens, width, workers = sizes["num_tokens"], sizes["n_embd"], sizes["num_tensor_parallel_workers"]
    heads, kv_heads = sizes["n_head"] // workers, max(1, sizes["n_kv_head"] // workers)
    head, inner = width // sizes["n_head"], sizes["n_expanded_embd"] // workers
    norm = "RMSNorm" if gated else "LayerNorm"
    vector = {"rows": tokens, "cols": width}
    return {
        "emb": ("Embedding", {"rows": tokens, "dim": width, "vocab": sizes["vocab_size"] // workers}),
        "input_layernorm": (norm, vector),
        "attn_pre_proj": ("Linear", {"m": tokens, "k": width, "n": (heads + 2 * kv_heads) * head}),
        "attn_rope": ("RoPE", {"tokens": tokens, "heads": heads, "kv_heads": kv_heads, "head_dim": head}),
        "attn_post_proj": ("Linear", {"m": tokens, "k": heads * head, "n": width}),
        "post_attention_layernorm": (norm, vector),
        "mlp_up_proj": ("Linear", {"m": tokens, "k": width, "n": inner * (2 if gated else 1)}),
        "mlp_act": ("SiLUAndMul" if gated else "GELU", {"rows": tokens, "cols": inner}),
        "mlp_down_proj": ("Linear", {"m": tokens, "k": inner, "n": width}),
        "add": ("Add", {"numel": tokens * width}),
    }


def _network(tree: Tree, path: str) -> Iterator[dict[str, Any]]:
    node = path.split("/")[3]
    chip = tree.known(path, 1, _NODES, node)
    for line, cells in tree.records(path):
        told = statistics(tree, path, line, cells)
        yield {
            "ref": tree.ref(path, f"#L{line}"), "platform": "cuda", "chip": chip, "software": "pytorch nccl",
            "op": OPERATORS[cells["collective"]], "dtype": "fp16", "phase": "fwd",
            "dims": {"n_chips": tree.whole(path, line, cells["num_workers"]),
                     "bytes": tree.whole(path, line, cells["size"])},
            "latency_ms": told["median"], "stat": "median",
            "extra": {
                "node": node, "devices_per_node": tree.whole(path, line, cells["devices_per_node"]),
                "rank": tree.whole(path, line, cells["rank"]), "mean_ms": told["mean"], "min_ms": told["min"],
            },
        }  # fmt: skip
