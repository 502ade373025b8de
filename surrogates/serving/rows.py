"""Clean serving rows with their datasheet terms: what the effects are fitted on.

Rows are grouped by model, chip and formats, for which the physics is computed in one call. Rows of one setting are
replaced by their median. What cannot be physical is dropped and counted: a step faster than 0.9 x its weights and KV
cache over the datasheet's bandwidth.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from hetbench.catalog.chips import chip as chip_named
from hetbench.errors import HetBenchError, InvalidInputError
from hetbench.serving.engines import chunk_of
from hetbench.serving.formats import weight_format
from hetbench.serving.memory import USABLE, memory
from hetbench.serving.names import named
from hetbench.serving.physics import TERMS, decode_terms, prefill_terms
from hetbench.serving.plan import Plan
from hetbench.serving.settings import Floats, Settings, Stage
from surrogates.reading import read_table

SETTING = ["model", "chip", "engine", "version", "weights", "kv", "tp", "dp", "ep", "pp", "input_len", "output_len",
           "concurrency", "kind", "statistic", "held", "chunk",
           "metric"]  # fmt: skip
STAGE = ["model", "chip", "weights", "kv"]
_FASTEST = 0.9


@dataclass
class Terms:
    """Datasheet terms of every row, [rows, terms]."""

    step: Floats
    """One decode step."""
    prompt: Floats
    """Prefill of one prompt."""
    packed: Floats
    """Prefill of one prompt among all that wait, [rows, terms]: a share of the pass that takes them together."""
    share: Floats
    """Requests of one copy that run, [rows]."""
    excess: Floats
    """Requests in flight over those that run, [rows]."""
    fill: Floats
    """Requests in flight over those whose cache fits, [rows]."""

    def take(self, where: Floats) -> Terms:
        return Terms(
            self.step[where],
            self.prompt[where],
            self.packed[where],
            self.share[where],
            self.excess[where],
            self.fill[where],
        )


def read(path: Path) -> pd.DataFrame:
    """The rows that no rule dropped and whose metric the fit uses, one a setting."""
    needed = (*SETTING, "drop", "value", "source", "ref", "chips")
    frame = read_table(path, needed, "python -m data_collection.tables.serving_rows")
    rates = (frame.metric == "throughput") & (frame.kind == "serving")
    frame = frame[(frame["drop"] == "") & (frame.metric.isin(["ttft", "tpot", "latency", "power"]) | rates)]
    frame = frame[~((frame.kind == "serving") & (frame.metric == "latency"))]  # TTFT and TPOT say the same
    frame = frame[~((frame.kind == "batch") & (frame.metric == "ttft"))]
    first = dict.fromkeys(("source", "ref", "chips"), "first")
    out = frame.groupby(SETTING, dropna=False, as_index=False).agg({"value": "median", **first})
    return out.reset_index(drop=True)


def usable(frame: pd.DataFrame) -> tuple[pd.DataFrame, Counter[str]]:
    """The rows whose physics can be computed, and how many were dropped by reason."""
    why: Counter[str] = Counter()
    keep = np.zeros(len(frame), bool)
    for key, part in frame.groupby(STAGE):
        try:
            stage = stage_of(*key)
            _ = stage.bandwidth, stage.flops, stage.plain_flops  # raise where the datasheet is silent
        except HetBenchError as error:
            why[str(error)[:90]] += len(part)
            continue
        for plan, rows in part.groupby(["tp", "dp", "ep", "pp"]):
            try:
                held = memory(stage, settings(stage, rows))
                if (held.weights > held.capacity / USABLE).any():
                    raise InvalidInputError("weights that do not fit: another format than stated")
            except HetBenchError as error:
                why[f"{plan}: {error}"[:90]] += len(rows)
                continue
            keep[rows.index] = True
    return frame[keep].reset_index(drop=True), why


def stage_of(model: str, chip: str, weights: str, kv: str) -> Stage:
    return Stage(named(model), chip_named(chip), weight_format(weights), kv)


def settings(stage: Stage, rows: pd.DataFrame) -> Settings:
    plans = [Plan(int(r.tp), int(r.dp), int(r.pp), int(r.ep)) for r in rows.itertuples()]
    return Settings.of(stage.chip, plans, rows.input_len, rows.output_len, rows.concurrency)


def terms(frame: pd.DataFrame, busy: Floats | None = None) -> Terms:
    """The terms of every row; `busy` is the share of its life that a request decodes, [rows]."""
    busy = np.ones(len(frame)) if busy is None else busy
    made = Terms(*(np.zeros((len(frame), len(TERMS))) for _ in range(3)), *(np.zeros(len(frame)) for _ in range(3)))
    for key, part in frame.groupby(STAGE):
        stage, at = stage_of(*key), part.index.to_numpy()
        s = settings(stage, part)
        one = np.ones(len(at))
        chunk = np.where(part.chunk > 0, part.chunk, [chunk_of(engine) for engine in part.engine])
        made.prompt[at] = prefill_terms(stage, s, s.input_len, one, chunk)
        made.fill[at] = s.share / memory(stage, s).running
        running = np.fmin(s.share, memory(stage, s).running)
        running = np.where(part.kind == "batch", s.share, running)
        made.step[at] = decode_terms(stage, s, np.maximum(running * busy[at], 1.0), s.input_len + s.output_len / 2)
        made.packed[at] = prefill_terms(stage, s, s.input_len, running, chunk) / running[:, None]
        made.share[at], made.excess[at] = running, s.share / running
    return made


def physical(frame: pd.DataFrame, made: Terms) -> Floats:
    """Which rows are slower than the datasheet's bandwidth allows."""
    floor = made.step[:, [0, 1, 12]].sum(1)
    steps = np.where(frame.kind == "batch", frame.output_len - 1, 1)
    timed = frame.metric.isin(["tpot", "latency"]).to_numpy()
    return ~timed | (frame.value.to_numpy() / 1e3 >= _FASTEST * floor * steps)
