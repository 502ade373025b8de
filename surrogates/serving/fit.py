"""Fit the effects: how much longer than at the datasheet's peak each part of an iteration takes.

Every effect is a factor in log space: a global one a term, and deviations of engine, chip generation, engine on chip
and weight format, each shrunk to zero by a normal prior; a model and an engine version have one factor each for decode
and for prompts. The fit maximises the posterior under errors of a Student t, so that a wrong row pulls little.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import pandas as pd
import torch

from hetbench.catalog.chips import chip as chip_named
from hetbench.serving.effects import COLUMNS, FLOORS, HOST, SCALED, SCALES
from hetbench.serving.levels import level_keys
from hetbench.serving.names import named
from hetbench.serving.physics import TERMS
from surrogates.serving.rows import Terms, terms

_USUAL = {
    "weights": 1.3, "kv": 1.5, "flops": 1.5, "attention": 2.0, "layers": 5.0, "experts": 10.0, "links": 1.0,
    "exchange": 1.0, "requests": 5.0, "iteration": 0.5, "prompt_flops": 1.8, "prompt_attention": 2.0,
    "expert_weights": 1.5, "latent": 5.0, "prompt_experts": 2.5, "activations": 1.5, "indexed": 2.0,
    "interleaved": 1.0, "queued": 0.5, "waited": 1.0, "fixed": 20.0, "crowd": 1.0, "first_wave": 0.1, "cold": 30.0,
}  # fmt: skip
START = {name: _USUAL[name] - floor for name, floor in zip(COLUMNS, FLOORS, strict=True)}
"""Centre of the priors of the global factors above their floors, wide enough (`GLOBAL_SD`) that the rows decide."""
LEVELS = {
    "engine": 0.5, "era": 0.5, "era_generation": 0.4, "era_chip": 0.4, "generation": 0.3, "die": 0.2,
    "engine_generation": 0.3, "engine_chip": 0.3, "format": 0.3, "model": 0.2, "release": 0.15, "version": 0.15,
}  # fmt: skip
"""Prior standard deviation of the deviations, in log units."""
OF_SCALES = torch.tensor([1.0, 1.0, 2.0, 2.0], dtype=torch.float64)
"""The same of single scales, relative to their level: versions differ most in scheduling and in the host's work."""
GLOBAL_SD = 1.0
METRICS = ("tpot", "ttft", "latency", "throughput")
NOISE, TAIL = 0.12, 4.0  # scale and degrees of freedom of the errors


def keys(frame: pd.DataFrame) -> pd.DataFrame:
    """What each level groups by."""
    chips = {name: chip_named(name) for name in frame.chip.unique()}
    shapes = {name: named(name).shape for name in frame.model.unique()}
    columns = zip(frame.engine, frame.chip, frame.weights, frame.model, frame.version, strict=True)
    return pd.DataFrame(
        [level_keys(e, chips[c], w, shapes[m], v) for e, c, w, m, v in columns], index=frame.index
    )  # fmt: skip


@dataclass
class Effects:
    """Fitted effects by level and key: arrays [columns], of `model` and `version` [scales]."""

    base: np.ndarray
    levels: dict[str, dict[str, np.ndarray]] = field(default_factory=dict)

    def logs(self, frame: pd.DataFrame) -> tuple[np.ndarray, np.ndarray]:
        """Log factors [rows, columns] and the scales [rows, scales] of every row; unknown keys deviate by zero."""
        made, scales = np.tile(self.base, (len(frame), 1)), np.zeros((len(frame), len(SCALES)))
        for level, names in keys(frame).items():
            known = self.levels.get(str(level), {})
            width = len(SCALES) if level in SCALED else len(COLUMNS)
            zero = np.zeros(width)
            found = np.array([known.get(name, zero) for name in names]).reshape(len(frame), width)
            if level in SCALED:
                scales += found
            else:
                made += found
        return made, scales


def predict(made: Terms, frame: pd.DataFrame, logs: torch.Tensor, scales: torch.Tensor) -> dict[str, torch.Tensor]:
    """TTFT, TPOT and the latency of a batch in seconds, output tokens per second; each [rows]."""
    factor, n = torch.exp(logs) + torch.tensor(FLOORS, dtype=torch.float64), len(TERMS)
    scale_step, scale_prompt, scale_queue, scale_host = torch.exp(scales).T
    timed = factor[:, :n] * torch.where(torch.tensor(HOST), scale_host[:, None], 1.0)

    def total(array: np.ndarray, scale: torch.Tensor) -> torch.Tensor:
        return (torch.as_tensor(array) * timed).sum(1) * scale

    step, prompt = total(made.step, scale_step), total(made.prompt, scale_prompt)
    packed = total(made.packed, scale_prompt)
    out_len, share = torch.as_tensor(frame.output_len.to_numpy()), torch.as_tensor(made.share)
    pp = torch.as_tensor(frame.pp.to_numpy())
    others = torch.clamp(share - 1, min=0.0) / pp
    steady = _as(frame.kind.isin(["serving", "burst"]))
    tpot = step + steady * factor[:, n] * others * packed / out_len
    queue, power = factor[:, n + 1] * scale_queue, factor[:, n + 4] / (1 + factor[:, n + 4])
    mean = _as((frame.statistic == "mean") & (frame.kind == "serving"))
    first = factor[:, n + 5] * mean  # share of the requests that all arrive at once
    ahead = torch.where(_as(frame.kind == "burst") > 0, others / 2, queue * others**power + first * others / 2)
    held = factor[:, n + 2] + torch.as_tensor(frame.held.to_numpy())  # steps before its prompt is looked at
    ttft = prompt + _as(frame.kind != "pass") * (
        (factor[:, n + 3] + factor[:, n + 6] * mean) * 1e-3 + ahead * packed + held * step
    )
    excess = torch.as_tensor(made.excess)
    ttft = ttft + (excess - 1) * (ttft + (out_len - 1) * tpot)
    batch = factor[:, n + 3] * 1e-3 + packed * share + (out_len - 1) * step
    load = torch.as_tensor(frame.concurrency.to_numpy()) * out_len
    return {"tpot": tpot, "ttft": ttft, "latency": batch, "throughput": load / (ttft + (out_len - 1) * tpot)}


def _as(true: pd.Series) -> torch.Tensor:
    return torch.as_tensor(true.to_numpy().astype(float))


def measured(frame: pd.DataFrame) -> np.ndarray:
    """Measured seconds, or tokens per second, of each row."""
    return frame.value.to_numpy() / np.where(frame.metric == "throughput", 1.0, 1e3)


def weights(frame: pd.DataFrame) -> np.ndarray:
    """Weight of each row: a group of n rows weighs as n ** 0.5."""
    group = frame.groupby(["source", "chip", "engine", "model", "weights", "metric"])["value"].transform("size")
    taught = (frame.metric != "throughput") | (frame.source == "vllm_ascend_ci")  # others state TTFT and TPOT as well
    return group.to_numpy(float) ** -0.5 * taught.to_numpy()


def fit(frame: pd.DataFrame, made: Terms, steps: int = 60) -> Effects:
    """The effects of largest posterior."""
    taught = weights(frame) > 0
    posterior = _Posterior(frame[taught].reset_index(drop=True), made.take(np.flatnonzero(taught)))
    free = [posterior.base, *posterior.devs]
    optimiser = torch.optim.LBFGS(free, max_iter=steps, history_size=20, line_search_fn="strong_wolfe")

    def closure() -> torch.Tensor:
        optimiser.zero_grad()
        value = posterior.loss()
        value.backward()
        return value

    optimiser.step(closure)
    return posterior.effects()


class _Posterior:
    """Minus the log posterior of the effects, given the rows.

    The deviations of all levels are rows of one matrix, which a sparse one sums for every row of the table: tenfold
    faster than to gather each level.
    """

    def __init__(self, frame: pd.DataFrame, made: Terms) -> None:
        self.frame, self.made = frame, made
        columns = keys(frame)
        whole = [name for name in LEVELS if name not in SCALED]
        self.groups = [_Group(columns, whole), _Group(columns, list(SCALED))]
        self.start = torch.log(torch.tensor([START[name] for name in COLUMNS], dtype=torch.float64))
        self.base = self.start.clone().requires_grad_()
        self.devs = [
            torch.zeros(len(group.names), width, dtype=torch.float64, requires_grad=True)
            for group, width in zip(self.groups, (len(COLUMNS), len(SCALES)), strict=True)
        ]  # fmt: skip
        weight = torch.as_tensor(weights(frame))
        self.weight = weight * (len(weight) / weight.sum()) ** 0.5  # groups count, rows do not
        self.target = torch.as_tensor(np.log(measured(frame)))
        metric = frame.metric.to_numpy()
        self.at = {name: torch.as_tensor(np.flatnonzero(metric == name)) for name in METRICS}

    def loss(self) -> torch.Tensor:
        deviation, scales = (torch.sparse.mm(g.of, dev) for g, dev in zip(self.groups, self.devs, strict=True))
        found = predict(self.made, self.frame, self.base + deviation, scales)
        total = (((self.base - self.start) / GLOBAL_SD) ** 2).sum() / 2
        for name, rows in self.at.items():
            error = (torch.log(found[name][rows]) - self.target[rows]) / NOISE
            total = total + (self.weight[rows] * (TAIL + 1) / 2 * torch.log1p(error**2 / TAIL)).sum()
        for group, values, width in zip(self.groups, self.devs, (torch.ones(()), OF_SCALES), strict=True):
            total = total + ((values / (group.width[:, None] * width)) ** 2).sum() / 2
        return total

    def effects(self) -> Effects:
        levels: dict[str, dict[str, np.ndarray]] = {level: {} for level in LEVELS}
        for group, values in zip(self.groups, self.devs, strict=True):
            for (level, name), own in zip(group.names, values.detach().numpy(), strict=True):
                levels[level][name] = own
        return Effects(self.base.detach().numpy(), levels)


class _Group:
    """Levels whose deviations have one width: names of their keys, and which of them each row of the table has."""

    def __init__(self, columns: pd.DataFrame, levels: list[str]) -> None:
        self.names: list[tuple[str, str]] = []
        rows, at = [], []
        for level in levels:
            codes, found = pd.factorize(columns[level].where(columns[level] != ""))  # an empty key deviates by zero
            known = np.flatnonzero(codes >= 0)
            rows.append(known)
            at.append(codes[known] + len(self.names))
            self.names += [(level, str(name)) for name in found]
        index = torch.as_tensor(np.array([np.concatenate(rows), np.concatenate(at)]))
        ones = torch.ones(index.shape[1], dtype=torch.float64)
        size = len(columns), len(self.names)
        self.of = torch.sparse_coo_tensor(index, ones, size, check_invariants=True).coalesce()
        self.width = torch.tensor([LEVELS[level] for level, _ in self.names], dtype=torch.float64)


def settled(frame: pd.DataFrame, rounds: int = 2) -> tuple[Effects, Terms]:
    """Effects and terms that agree on how long each request decodes."""
    made = terms(frame)
    effects = fit(frame, made)
    for _ in range(rounds - 1):
        made = terms(frame, busy(effects, frame, made))
        effects = fit(frame, made)
    return effects, made


def busy(effects: Effects, frame: pd.DataFrame, made: Terms) -> np.ndarray:
    """Share of its life that a request decodes, [rows]; 1 in a batch."""
    found = answers(effects, frame, made)
    waiting = (made.excess - 1) / made.excess * (found["ttft"] + found["tpot"] * (frame.output_len.to_numpy() - 1))
    generating = found["tpot"] * (frame.output_len.to_numpy() - 1)
    share = generating / np.maximum(found["ttft"] - waiting + generating, 1e-9)
    return np.where(frame.kind == "serving", np.clip(share, 0.05, 1.0), 1.0)


def answers(effects: Effects, frame: pd.DataFrame, made: Terms) -> dict[str, np.ndarray]:
    """Predicted seconds [rows] by metric."""
    logs, scales = effects.logs(frame)
    with torch.no_grad():
        found = predict(made, frame, torch.as_tensor(logs), torch.as_tensor(scales))
    return {name: values.numpy() for name, values in found.items()}
