"""What the RGAT learns from: hold-out rows of the operator surrogates as arrays, and the knowledge graph as tensors.

The rows are those that `surrogates.train` predicted with their die, or their family, left out: each has its features
and what the ratio head said of a chip it had never seen, so that both surrogates and their blend meet on equal terms.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from hetbench.catalog.models import models
from hetbench.knowledge.graph import knowledge_graph
from hetbench.operators import operator_type, operator_types
from hetbench.predict.features import CLASSES
from hetbench.predict.rgat import CLIP, COLUMNS
from hetbench.schema import FAMILIES, PRECISIONS, PROTOCOLS
from surrogates.operators.dataset import matrix
from surrogates.rgat.network import Graph
from surrogates.splits import die

CELL = ["op", "dtype", "protocol", "library", "layout"]
RELATIONS = ("supports", "lacks", "run-by", "contains", "part-of")
_COVERED = ("native", "composite")
_COST_CLASSES = ("gemm", "attention", "conv", "vector", "free")
_PROBE = {
    "kh": 3, "kw": 3, "stride": 1, "pad": 1, "groups": 1, "causal": 0, "window": 0, "v_dim": 0, "area": 0, "indices": 0,
    "real": 0, "extra": 0, "taps": 16,
}  # fmt: skip
"""Sizes of the problem whose arithmetic intensity describes an operator type; every other dim is 64."""


@dataclass(frozen=True)
class Table:
    """Rows of every class: what they are, and what the network reads of them."""

    frame: pd.DataFrame
    columns: torch.Tensor  # [rows, COLUMNS], standardised within the class
    cls: torch.Tensor
    type: torch.Tensor
    dtype: torch.Tensor
    protocol: torch.Tensor
    cell: torch.Tensor
    target: torch.Tensor  # log(latency / base), [rows]
    ratio_head: torch.Tensor  # what the ratio head says, without the row's die or family, [rows]

    def inputs(self, rows: np.ndarray) -> tuple[torch.Tensor, ...]:
        """The network's arguments after the graph."""
        return tuple(each[rows] for each in (self.columns, self.cls, self.type, self.dtype, self.protocol))

    def take(self, rows: np.ndarray) -> Table:
        """Some of the rows."""
        index = torch.as_tensor(rows)
        return Table(self.frame.iloc[rows].reset_index(drop=True), *(
            getattr(self, field.name)[index] for field in fields(self)[1:]
        ))  # fmt: skip


@dataclass(frozen=True)
class Moments:
    """Mean and deviation of the physics features of each class, [classes, COLUMNS]."""

    mean: np.ndarray
    deviation: np.ndarray


def node_names() -> dict[str, int]:
    """Number of every node that the encoder reads, by its name in the knowledge graph."""
    listed = {"family": (*FAMILIES, "other"), "type": operator_types(), "model": models()}
    return {name: at for at, name in enumerate(f"{kind}:{each}" for kind, names in listed.items() for each in names)}


def node_features(names: dict[str, int]) -> np.ndarray:
    """[nodes, features]: which kind of node it is, and the arithmetic of an operator type."""
    empty = [0.0] * len(type_features("Add"))
    rows = []
    for name in names:
        kind, _, label = name.partition(":")
        of_type = type_features(label) if kind == "type" else empty
        rows.append([*(float(kind == each) for each in ("family", "type", "model")), *of_type])
    return np.array(rows, dtype=np.float32)


def type_features(op: str) -> list[float]:
    """An operator type as numbers: its cost class, and log2 of FLOP a byte of a small problem."""
    kind = operator_type(op)
    sizes = {name: np.array([_PROBE.get(name, 64)]) for name in (*kind.dims, *kind.optional)}
    work, moved = float(np.sum(kind.flops(sizes))), float(np.sum(kind.bytes_moved(sizes, 2)))
    intensity = np.log2(max(work, 1.0) / moved) if moved else 0.0
    return [*(float(kind.cost_class == name) for name in _COST_CLASSES), float(intensity) / 4]


def graph(names: dict[str, int]) -> Graph:
    """The encoder's part of the knowledge graph: which operator types run where, and which models contain them."""
    found: set[tuple[str, str, str]] = set()
    known = knowledge_graph()
    for edge in known.edges("supports"):
        relation = "supports" if edge.attributes["status"] in _COVERED else "lacks"
        found |= {(edge.source, relation, edge.target), (edge.target, "run-by", edge.source)}
    for edge in known.edges("contains"):
        kind = "type:" + edge.target.removeprefix("op:").partition("(")[0]
        found |= {(edge.source, "contains", kind), (kind, "part-of", edge.source)}
    numbered = sorted((RELATIONS.index(relation), names[a], names[b]) for a, relation, b in found)
    relation, source, target = (torch.tensor(each) for each in zip(*numbered, strict=True))
    features = torch.from_numpy(node_features(names))
    return Graph(features, torch.ones(len(names)), torch.stack((source, target)), relation, len(RELATIONS))


def load(work: Path, kind: str, names: dict[str, int], moments: Moments | None = None) -> tuple[Table, Moments]:
    """The hold-out predictions of `kind` ("chips" or "families") that `surrogates.train` left in `work`.

    Families too small to leave a die out have their rows in both.
    """
    floor = json.loads((work / "artefact" / "operators.json").read_text())["floors"]
    frames, blocks = [], []
    for index, cls in enumerate(CLASSES):
        frame = pd.read_parquet(work / f"{cls}.{kind}.parquet")
        if kind == "chips":
            extra = pd.read_parquet(work / f"{cls}.families.parquet")
            frame = pd.concat([frame, extra[~extra.family.isin(frame.family)]], ignore_index=True)
        blocks.append(np.nan_to_num(matrix(frame, floor).ratio))
        frames.append(frame.assign(cls=index, die=die(frame)))
    if moments is None:
        moments = _moments(blocks)
    columns = np.concatenate([standardised(block, index, moments) for index, block in enumerate(blocks)])
    return _table(pd.concat(frames, ignore_index=True), columns, names), moments


def _moments(blocks: list[np.ndarray]) -> Moments:
    mean, deviation = np.zeros((2, len(blocks), COLUMNS), dtype=np.float32)
    deviation += 1
    for index, block in enumerate(blocks):
        mean[index, : block.shape[1]] = block.mean(0)
        deviation[index, : block.shape[1]] = block.std(0) + 1e-6
    return Moments(mean, deviation)


def standardised(block: np.ndarray, cls: int, moments: Moments) -> np.ndarray:
    """Physics features of one class as the network reads them, [rows, COLUMNS]."""
    width = block.shape[1]
    out = np.zeros((len(block), COLUMNS), dtype=np.float32)
    out[:, :width] = (block - moments.mean[cls, :width]) / moments.deviation[cls, :width]
    return np.clip(out, -CLIP, CLIP)


def _table(frame: pd.DataFrame, columns: np.ndarray, names: dict[str, int]) -> Table:
    def numbers(values: pd.Series) -> torch.Tensor:
        return torch.from_numpy(values.to_numpy(np.int64))

    return Table(
        frame, torch.from_numpy(columns), numbers(frame.cls), numbers(("type:" + frame.op).map(names)),
        numbers(frame.dtype.map(PRECISIONS.index)), numbers(frame.protocol.map(PROTOCOLS.index)),
        numbers(frame[CELL].agg("|".join, axis=1).astype("category").cat.codes),
        torch.from_numpy(np.log(frame.latency_ms / frame.base_ms).to_numpy(np.float32)),
        torch.from_numpy(np.log(frame.surrogate / frame.base_ms).to_numpy(np.float32)),
    )  # fmt: skip
