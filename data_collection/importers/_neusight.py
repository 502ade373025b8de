"""NeuSight's measurements of whole models: facts in file names, and the nodes of one traced layer.

A trace has one line per node of the graph, timed by itself. The operator follows from the node's target: the name of a
function, or the last part of a module's name. Left out are nodes on integers, views except getitem, embeddings of
positions and token types, and dropout at inference, which does nothing. The backward pass of a node is a second row.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from math import prod
from typing import Any, NamedTuple

from data_collection.upstream.files import Tree

__all__ = ["CHIPS", "FASTEST", "LABELS", "Label", "label", "trace"]

LABELS = "scripts/asplos/label/"
FASTEST = "mean of fastest 5 of 25, device events"
CHIPS = {
    "Tesla P100-PCIE-16GB": "nvidia-p100-pcie-16gb", "Tesla P4": "nvidia-p4", "Tesla T4": "nvidia-t4",
    "Tesla V100-PCIE-32GB": "nvidia-v100-pcie-32gb", "NVIDIA A100-PCIE-40GB": "nvidia-a100-pcie-40gb",
    "NVIDIA A100 80GB PCIe": "nvidia-a100-pcie-80gb", "NVIDIA H100 80GB HBM3": "nvidia-h100-sxm5-80gb",
    "NVIDIA L4": "nvidia-l4", "NVIDIA A100-SXM4-40GB": "nvidia-a100-sxm4-40gb", "AMD Instinct MI100": "amd-mi100",
    "AMD Instinct MI210": "amd-mi210", "AMD Instinct MI250": "amd-mi250",
}  # fmt: skip
_FUNCTIONS = {
    "add": "Add", "mul": "Mul", "truediv": "Div", "pow": "Pow", "gelu": "GELU", "getitem": "GetItem", "addmm": "Linear",
    "bmm": "BMM", "matmul": "BMM", "cumsum": "CumSum", "where": "Where", "tanh": "Tanh", "relu": "ReLU",
    "dropout": "Dropout", "softmax": "Softmax",
}  # fmt: skip
_MODULES = {
    **dict.fromkeys(("classifier", "decoder", "dense", "fc1", "fc2", "k_proj", "key", "lm_head", "out_proj", "q_proj",
                     "query", "seq_relationship", "v_proj", "value"), "Linear"),
    **dict.fromkeys(("LayerNorm", "final_layer_norm", "ln_1", "ln_2", "ln_f", "self_attn_layer_norm"), "LayerNorm"),
    **dict.fromkeys(("embed_tokens", "word_embeddings", "wte"), "Embedding"),
    **dict.fromkeys(("attn_dropout", "drop", "dropout", "resid_dropout"), "Dropout"),
    "activation": "ReLU", "activation_fn": "ReLU",
}  # fmt: skip
_WITH_SCALAR = ("Add", "Mul", "Div", "Pow")
_FLAT = ("CumSum", "Dropout", "GetItem", "Where")  # the number of elements is the only dim
_HEADS = ("decoder", "lm_head")  # their output has one column per token of the vocabulary


class Label(NamedTuple):
    """Facts in the path of a measurement."""

    chip: str
    platform: str
    model: str
    mode: str
    """inf or train."""
    seq_len: int
    batch: int
    option: str
    """fusion, dp4, tp4, pp4_1 or nothing."""


def label(tree: Tree, path: str) -> Label:
    """`.../Tesla_T4/bert_large-inf-512-8.csv`."""
    device, name = path.removeprefix(LABELS).split("/")
    parts = name.rsplit(".", 1)[0].split("-")
    chip = tree.known(path, 0, CHIPS, device.replace("_", " "))
    sizes = [tree.whole(path, 0, part) for part in parts[2:4]]
    return Label(chip, "rocm" if chip.startswith("amd") else "cuda", *parts[:2], *sizes, "-".join(parts[4:]))


def trace(tree: Tree, path: str) -> Iterator[dict[str, Any]]:
    """Rows of the nodes of one file."""
    told = label(tree, path)
    nodes = list(tree.records(path))
    vocabulary = [_shape(cells["output_shape"])[-1] for _, cells in nodes if cells["target"].endswith(_HEADS)]
    for line, cells in nodes:
        into = [shape for shape in map(tuple, json.loads(cells["input_shapes"])) if shape]
        op = _operator(cells, into, told.mode)
        if op is None:
            tree.leave_out("a node of no operator type, on integers, or of dropout at inference")
            continue
        row = {
            "ref": tree.ref(path, f"#L{line}"), "platform": told.platform, "chip": told.chip, "op": op,
            "software": f"pytorch (version not recorded in file) {told.platform}", "dtype": "fp32", "stat": "mean",
            "split": "trace",
        }  # fmt: skip
        dims = _dims(op, into, _shape(cells["output_shape"]))
        if op == "Embedding" and told.mode == "train":
            dims["vocab"] = vocabulary[0]
        extra = {
            "source": "model graph node", "model": told.model, "mode": told.mode, "seq_len": told.seq_len,
            "batch": told.batch, "node": cells["Name"], "input_shapes": cells["input_shapes"],
            "output_shape": cells["output_shape"], "stat_detail": f"{FASTEST}; eager, single layer traced",
        }  # fmt: skip
        forward = tree.number(path, line, cells["fw_latency"])
        yield row | {"phase": "fwd", "dims": dims, "latency_ms": forward, "extra": extra}
        backward = tree.number(path, line, cells["bw_latency"], above=-1.0)
        if backward > 0:
            gradient = {"acc_grad_ms": tree.number(path, line, cells["acc_latency"], above=-1.0)}
            yield row | {"phase": "bwd", "dims": dims, "latency_ms": backward, "extra": extra | gradient}


def _operator(cells: dict[str, str], into: list[tuple[int, ...]], mode: str) -> str | None:
    target = cells["target"]
    if cells["op"] == "call_module":
        op = _MODULES.get(target.rsplit(".", 1)[-1])
    else:
        named = re.fullmatch(r"<(?:built-in )?(?:function|method) (\w+).*>", target)
        op = _FUNCTIONS.get(named[1]) if named else None
    if op == "Dropout" and mode == "inf":
        return None
    if op in _WITH_SCALAR:
        if max(map(prod, into), default=1) == 1:
            return None  # on integers
        return op if len(into) > 1 else f"{op}Scalar"
    return op


def _dims(op: str, into: list[tuple[int, ...]], out: tuple[int, ...]) -> dict[str, int]:
    if op == "Linear":
        return {"m": prod(out[:-1]), "n": out[-1], "k": into[1 if len(into) == 3 else 0][-1]}  # addmm: bias first
    if op == "BMM":
        return {"b": prod(out[:-2]), "m": out[-2], "n": out[-1], "k": into[0][-1]}
    if op == "Embedding":
        return {"tokens": prod(into[0]), "dim": out[-1]}
    if op in _FLAT:
        return {"numel": prod(out)}
    lines = {"rows": prod(out[:-1]), "cols": out[-1]}
    return lines if op in ("LayerNorm", "Softmax") else {"numel": prod(out), **lines}


def _shape(text: str) -> tuple[int, ...]:
    return tuple(int(size) for size in re.findall(r"\d+", text))
