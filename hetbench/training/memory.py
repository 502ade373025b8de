"""Memory of a training step by arithmetic: weights, gradients, optimizer state, and what autograd keeps.

A tensor is kept once, however many operators need it again: products and convolutions need their inputs, normalisations
and most activations too, ReLU, softmax and fused attention their result, dropout a mask. The backward pass is walked in
reverse order: weight gradients grow while kept tensors go. In mixed precision weights, gradients and state are fp32,
autocast keeps half copies of the weights, and normalisations and sums with an fp32 term are fp32.

Not counted, as in `hetbench.graphs.memory`: scratch space of kernels and the framework's own memory.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hetbench.graphs import GraphNode, MemoryBreakdown, OperatorTable
from hetbench.training.optimizers import Optimizer

__all__ = ["IN_FULL", "MIXED", "TrainingMemory", "kept_of_rows", "memory_without_flow",
           "training_memory"]

MIXED = ("fp16", "bf16")
"""Precisions in which the products run under autocast, with weights in fp32."""
_FULL = 4  # bytes of weights, gradients and optimizer state
_KEEP_INPUTS = frozenset({
    "Linear", "MatMul", "BMM", "GroupedMatMul", "Conv1d", "Conv2d", "Conv3d", "ConvTranspose1d", "ConvTranspose2d",
    "ConvTranspose3d", "LayerNorm", "RMSNorm", "GroupNorm", "BatchNorm2d", "GELU", "SiLU", "ReLU6", "Hardswish",
    "Hardsigmoid", "LeakyReLU", "Clamp", "Mul", "Div", "Pow", "PowScalar", "Sin", "Cos", "Log", "Abs", "Attention",
    "SiLUAndMul", "GLU", "Addcmul", "Addcdiv",
})  # fmt: skip
_KEEP_RESULT = frozenset({
    "ReLU", "Sigmoid", "Tanh", "Softmax", "LogSoftmax", "Exp", "Sqrt", "Rsqrt", "Reciprocal", "Attention",
})  # fmt: skip
_PRODUCTS = frozenset({"Linear", "MatMul", "BMM", "GroupedMatMul", "Conv1d", "Conv2d", "Conv3d", "ConvTranspose1d",
                       "ConvTranspose2d", "ConvTranspose3d", "Attention"})  # fmt: skip
IN_FULL = frozenset({"LayerNorm", "RMSNorm", "GroupNorm", "Softmax", "LogSoftmax", "Embedding"})
"""What autocast computes in fp32, beside sums with an fp32 term."""


@dataclass(frozen=True, slots=True)
class TrainingMemory(MemoryBreakdown):
    """Memory of a training step, in bytes."""

    gradients_bytes: int
    """Of all parameters, fp32."""
    optimizer_bytes: int
    """State of the optimizer."""
    copies_bytes: int
    """Half copies of the weights under autocast."""
    peak_bytes: int
    """Most that is live at once: in the backward pass, or in the update after it."""

    @property
    def total_bytes(self) -> int:
        """Most that is live at once."""
        return self.peak_bytes


def training_memory(
    nodes: Sequence[GraphNode], elements: NDArray[np.int64], weights: NDArray[np.float64], params: int,
    precision: str, optimizer: Optimizer, given: int, scores: int = 0,
) -> TrainingMemory:  # fmt: skip
    """Memory of a step of a network with data flow.

    `elements` of the result of each node [nodes], of its parameters `weights` [nodes]; `given` elements of the inputs,
    `scores` of the loss over a vocabulary.
    """
    mixed = precision in MIXED
    width = _widths(nodes, mixed)
    kept: dict[int, int] = {}
    last: dict[int, int] = {}
    beside = np.zeros(len(nodes), dtype=np.int64)  # masks and half copies that one operator keeps
    for index, node in enumerate(nodes):
        needed = list(node.sources) if node.op in _KEEP_INPUTS else []
        needed += [index] if node.op in _KEEP_RESULT else []
        for each in needed:
            last.setdefault(each, index)  # the backward pass needs it until it reaches its first user
            kept[each] = int(elements[each]) * width[each]
        if mixed and node.op in _PRODUCTS:
            beside[index] += sum(2 * int(elements[s]) for s in set(node.sources) if width[s] == _FULL)
        if node.op == "Dropout":
            beside[index] += int(elements[index])
    first = given * (2 if mixed else _FULL)
    saved = first + sum(kept.values()) + int(beside.sum())
    loss = scores * _loss_bytes(mixed)
    ends: dict[int, int] = {}
    for each, index in last.items():
        ends[index] = ends.get(index, 0) + kept[each]
    peak = max(_walked(nodes, elements, width, weights, saved, ends, beside), saved + loss)
    return _joined(params, optimizer, saved, peak, mixed)


def _loss_bytes(mixed: bool) -> int:
    """Of each score at the start of the backward pass: itself, its log probability, and the gradients of both."""
    return 4 * _FULL + (2 if mixed else 0)


def _walked(
    nodes: Sequence[GraphNode], elements: NDArray[np.int64], width: Sequence[int], weights: NDArray[np.float64],
    saved: int, ends: Mapping[int, int], beside: NDArray[np.int64],
) -> int:  # fmt: skip
    """Most bytes of kept tensors, their gradients and weight gradients at once, in reverse order of the nodes."""
    live, peak = float(saved), float(saved)
    for index in range(len(nodes) - 1, -1, -1):
        flowing = int(elements[index]) * width[index]
        flowing += sum(int(elements[source]) * width[source] for source in nodes[index].sources)
        live += _FULL * float(weights[index])
        peak = max(peak, live + flowing)
        live -= ends.get(index, 0) + int(beside[index])
    return round(peak)


def _widths(nodes: Sequence[GraphNode], mixed: bool) -> list[int]:
    """Bytes of each element of each node's result."""
    width: list[int] = []
    for node in nodes:
        if not mixed or node.op in IN_FULL:
            width.append(_FULL)
        elif node.op in _PRODUCTS or not node.sources:
            width.append(2)
        else:
            width.append(max(width[source] for source in node.sources))
    return width


def kept_of_rows(table: OperatorTable, precision: str) -> int:
    """Bytes that autograd keeps of a network whose data flow is not known: the inputs of each operator that needs them.

    >>> from hetbench.graphs import load
    >>> kept_of_rows(load("resnet-50").operators(batch=1), "fp32") > 80e6
    True
    """
    width = 2 if precision in MIXED else _FULL
    total = 0
    for group in table.groups:
        if group.op in _KEEP_INPUTS and group.op not in ("ReLU6", "Clamp"):
            total += int((_input_elements(group.op, group.dims) * group.count).sum()) * width
    return total


def _input_elements(op: str, d: Mapping[str, NDArray[np.int64]]) -> NDArray[np.int64]:
    if op in ("Linear", "MatMul", "GroupedMatMul"):
        return d["m"] * d["k"] * (1 if op != "MatMul" else 2)
    if op == "BMM":
        return d["b"] * (d["m"] * d["k"] + d["k"] * d["n"])
    if op == "Attention":
        return d["batch"] * d["head_dim"] * 2 * (d["heads"] * d["q_len"] + d["kv_heads"] * d["kv_len"])
    if "rows" in d:
        return d["rows"] * d["cols"]
    if "numel" in d:
        return d["numel"] * (2 if op in ("Mul", "Div", "Pow") else 1)
    sides = [d[name] for name in ("d", "h", "w", "l") if name in d]
    return np.asarray(d["n"] * d["c"] * np.prod(np.stack(sides), axis=0))


def _joined(params: int, optimizer: Optimizer, saved: int, peak: int, mixed: bool) -> TrainingMemory:
    weights, gradients = _FULL * params, _FULL * params
    state, copies = optimizer.state_bytes * params, 2 * params if mixed else 0
    scratch = _FULL * params if optimizer.state_bytes == 8 else 0  # the root of the second moment, over all tensors
    most = weights + state + max(peak + copies, gradients + scratch)
    return TrainingMemory(weights, saved, 0, gradients, state, copies, most)


def memory_without_flow(
    table: OperatorTable, params: int, precision: str, optimizer: Optimizer, scores: int = 0
) -> TrainingMemory:
    """Memory of a step of a network of which only the operators are known: every gradient beside every kept tensor."""
    saved, mixed = kept_of_rows(table, precision), precision in MIXED
    return _joined(params, optimizer, saved, saved + max(_FULL * params, scores * _loss_bytes(mixed)), mixed)
