"""Fit one RGAT on episodes: of one chip some operators are observed, the others are asked, and only those count.

An observed performance edge is never a target of the same step. Seeded, checkpointed, resumable.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from hetbench.predict.features import CLASSES
from hetbench.predict.gaussian_process import CLIP_RESIDUAL
from hetbench.schema import PRECISIONS, PROTOCOLS
from surrogates.rgat.conditioning import Rows, posterior, surprise
from surrogates.rgat.data import Table
from surrogates.rgat.network import Graph, Rgat

OBSERVED = (0, 5, 20, 60, 100)
_LEAST_ROWS = 30  # of a chip and class, to make an episode


@dataclass(frozen=True)
class Effort:
    """How long a fit is."""

    steps: int = 2500
    chips: int = 4
    """Episodes a step."""
    rows: int = 400
    """Operators an episode."""
    rate: float = 2e-3
    seed: int = 0
    every: int = 250
    """Steps between checkpoints."""


def fit(
    table: Table, graph: Graph, away: np.ndarray, effort: Effort, *, checkpoint: Path | None = None,
    use_graph: bool = True, label: str = "",
) -> Rgat:  # fmt: skip
    """Train on the rows not `away`; continues from `checkpoint` where it exists."""
    torch.manual_seed(effort.seed)
    network = Rgat(graph, len(CLASSES), len(PRECISIONS), len(PROTOCOLS), use_graph=use_graph)
    optimiser = torch.optim.AdamW(network.parameters(), lr=effort.rate, weight_decay=1e-2)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, effort.rate, total_steps=effort.steps, pct_start=0.1)
    first = 0
    if checkpoint and checkpoint.exists():
        state = torch.load(checkpoint, weights_only=True)
        for name, part in (("network", network), ("optimiser", optimiser), ("schedule", schedule)):
            part.load_state_dict(state[name])
        first = state["step"]
    by_chip = _episodes(table, away)
    began = time.time()
    network.train()
    for step in range(first, effort.steps):
        torch.manual_seed(effort.seed * 1_000_003 + step)
        loss = _loss(network, table, graph, by_chip, effort, np.random.default_rng((effort.seed, step)))
        optimiser.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimiser.step()
        schedule.step()
        if (step + 1) % effort.every == 0:
            left = (time.time() - began) / (step + 1 - first) * (effort.steps - step - 1)
            print(f"{label} step {step + 1}/{effort.steps}, loss {loss.item():.3f}, {left:.0f} s to go", flush=True)
            if checkpoint:
                parts = {"network": network, "optimiser": optimiser, "schedule": schedule}
                torch.save({k: p.state_dict() for k, p in parts.items()} | {"step": step + 1}, checkpoint)
    return network.eval()


def _episodes(table: Table, away: np.ndarray) -> list[list[np.ndarray]]:
    """For each chip the rows of each class that may be drawn."""
    known = table.frame[~away]
    by_chip: dict[str, list[np.ndarray]] = {}
    for (chip, _), rows in known.groupby(["chip", "cls"]).groups.items():
        if len(rows) >= _LEAST_ROWS:
            by_chip.setdefault(chip, []).append(rows.to_numpy())
    return list(by_chip.values())


def _loss(
    network: Rgat, table: Table, graph: Graph, by_chip: list[list[np.ndarray]], effort: Effort,
    random: np.random.Generator,
) -> Tensor:  # fmt: skip
    """Mean surprise of the asked operators of several chips, each given some observed ones."""
    drawn = []
    for chip in random.choice(len(by_chip), min(effort.chips, len(by_chip)), replace=False):
        each = effort.rows // len(by_chip[chip])
        rows = np.concatenate([random.choice(r, min(each, len(r)), replace=False) for r in by_chip[chip]])
        drawn.append(random.permutation(rows))
    rows = np.concatenate(drawn)
    mean, noise, coordinates = network(graph, *table.inputs(rows))
    residual = table.target[rows] - mean
    seen = Rows(table.cls[rows], table.cell[rows], coordinates, noise)
    losses, start = [], 0
    for episode in drawn:
        observed = min(int(random.choice(OBSERVED)), len(episode) // 2)
        given, asked = slice(start, start + observed), slice(start + observed, start + len(episode))
        start += len(episode)
        offset, variance = posterior(
            network.scale, seen.take(given), residual[given].clamp(-CLIP_RESIDUAL, CLIP_RESIDUAL), seen.take(asked)
        )
        losses.append(surprise(residual[asked] - offset, variance).mean())
    return torch.stack(losses).mean()


@torch.no_grad()
def outputs(network: Rgat, table: Table, graph: Graph, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Mean, noise and coordinates of some rows."""
    parts = [network(graph, *table.inputs(part)) for part in np.array_split(rows, max(1, len(rows) // 20_000))]
    mean, noise, coordinates = (torch.cat(each).numpy() for each in zip(*parts, strict=True))
    return mean, noise, coordinates
