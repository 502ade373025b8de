"""The `rgat` surrogate's network: relational graph attention over the MOH-KG, and a decoder that numpy can serve.

The encoder reads operator types, families, models and the relations between them (what contains what, what runs where)
and gives every operator type a vector; a type never measured gets one from its arithmetic and its edges. The decoder
turns that vector, the physics features of an operator on a chip, its dtype and protocol into the mean, the noise and
the kernel coordinates of log(latency / base). Observed operators condition it (`surrogates.rgat.conditioning`). A chip
has no vector of its own: learned ones, from its datasheet or from its neighbours, made unseen chips worse.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch_geometric.nn.inits import glorot
from torch_geometric.utils import softmax

from hetbench.predict.rgat import COLUMNS, NOISE_FLOOR

HIDDEN, HEADS, KERNELS, COORDINATES = 128, 4, 4, 16
_ID_DROPOUT = 0.3  # share of nodes whose own learned vector is left out of a step: new nodes have none


@dataclass(frozen=True)
class Graph:
    """The nodes and edges that the encoder reads."""

    features: Tensor  # [nodes, features]
    known: Tensor  # [nodes]: 1 where the node has a learned vector of its own
    edges: Tensor  # [2, edges]: source, target
    relation: Tensor  # [edges]
    relations: int


class RelationalAttention(nn.Module):
    """`torch_geometric.nn.RGATConv` (additive attention, softmax across relations), fused: a projection per relation.

    RGATConv gathers one weight matrix for every edge; this projects the nodes once for every relation and gathers
    their vectors. The tests hold both equal.
    """

    def __init__(self, inputs: int, outputs: int, relations: int, heads: int) -> None:
        super().__init__()
        self.heads, self.outputs = heads, outputs
        self.weight = nn.Parameter(torch.empty(relations, inputs, heads * outputs))
        self.query = nn.Parameter(torch.empty(heads * outputs, heads))
        self.key = nn.Parameter(torch.empty(heads * outputs, heads))
        self.bias = nn.Parameter(torch.zeros(heads * outputs))
        for parameter in (self.weight, self.query, self.key):
            glorot(parameter)

    def forward(self, nodes: Tensor, edges: Tensor, relation: Tensor) -> Tensor:
        """[nodes, inputs] -> [nodes, heads * outputs]."""
        projected = torch.einsum("ni,rio->rno", nodes, self.weight)  # [relations, nodes, heads * outputs]
        query, key = projected @ self.query, projected @ self.key  # [relations, nodes, heads]
        source, target = edges[0], edges[1]
        score = functional.leaky_relu(query[relation, target] + key[relation, source], 0.2)  # [edges, heads]
        share = softmax(score, target, num_nodes=nodes.shape[0])
        message = projected[relation, source].view(-1, self.heads, self.outputs) * share[:, :, None]
        out = nodes.new_zeros(nodes.shape[0], self.heads * self.outputs)
        return out.index_add(0, target, message.flatten(1)) + self.bias


class Encoder(nn.Module):
    """Two rounds of attention over the graph: a vector for every node."""

    def __init__(self, features: int, nodes: int, relations: int, layers: int = 2) -> None:
        super().__init__()
        self.own = nn.Parameter(torch.randn(nodes, HIDDEN) * 0.1)
        self.features = nn.Linear(features, HIDDEN)
        self.layers = nn.ModuleList(
            RelationalAttention(HIDDEN, HIDDEN // HEADS, relations, HEADS) for _ in range(layers)
        )

    def forward(self, features: Tensor, known: Tensor, edges: Tensor, relation: Tensor) -> Tensor:
        """[nodes, features] and `known` [nodes] -> [nodes, HIDDEN]."""
        hidden = self.features(features) + self.own * known[:, None]
        for layer in self.layers:
            hidden = hidden + functional.silu(layer(hidden, edges, relation))
        return hidden


class Rgat(nn.Module):
    """Encoder and decoder together, as they are trained."""

    def __init__(self, graph: Graph, classes: int, dtypes: int, protocols: int, *, use_graph: bool = True) -> None:
        super().__init__()
        self.encoder = Encoder(graph.features.shape[1], len(graph.features), graph.relations, 2 if use_graph else 0)
        self.into = nn.Parameter(torch.randn(classes, COLUMNS, HIDDEN) * COLUMNS**-0.5)
        self.of_type = nn.Linear(HIDDEN, HIDDEN, bias=False)
        self.of_dtype, self.of_protocol = nn.Embedding(dtypes, HIDDEN), nn.Embedding(protocols, HIDDEN)
        self.hidden = nn.ModuleList(nn.Linear(HIDDEN, HIDDEN) for _ in range(3))
        self.out = nn.Linear(HIDDEN, 2 + COORDINATES)
        self.dropout = nn.Dropout(0.1)
        self.scale = nn.Parameter(torch.tensor([-1.5, -2.0, -2.0] + [-2.0] * KERNELS).repeat(classes, 1))
        """log of the kernel's amplitudes: chip, class, cell, and one for each smooth kernel, [classes, 3 + KERNELS]."""
        for module in (self.of_dtype, self.of_protocol):
            nn.init.normal_(module.weight, 0, 0.05)

    def encode(self, graph: Graph) -> Tensor:
        """What each node, taken as an operator type, adds to the decoder's first layer, [nodes, HIDDEN]."""
        known = graph.known
        if self.training:
            known = known * (torch.rand(len(known)) > _ID_DROPOUT)
        return self.of_type(self.encoder(graph.features, known, graph.edges, graph.relation))

    def forward(
        self, graph: Graph, columns: Tensor, cls: Tensor, type_: Tensor, dtype: Tensor, protocol: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Mean [rows], noise [rows] and kernel coordinates [rows, COORDINATES] of log(latency / base)."""
        hidden = self.encode(graph)[type_] + self.of_dtype(dtype) + self.of_protocol(protocol)
        for index in range(len(self.into)):
            rows = (cls == index).nonzero()[:, 0]
            hidden = hidden.index_add(0, rows, columns[rows] @ self.into[index])
        hidden = functional.silu(hidden)
        for layer in self.hidden:
            hidden = hidden + functional.silu(layer(self.dropout(hidden)))
        out = self.out(hidden)
        return out[:, 0], functional.softplus(out[:, 1] - 2) + NOISE_FLOOR, out[:, 2:]
