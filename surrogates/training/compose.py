"""Measured steps beside what they are composed of: passes and operators, roofline, and work."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd

from hetbench.catalog.chips import chip as chip_named
from hetbench.errors import HetBenchError
from hetbench.query.question import Question
from hetbench.query.training import step_parts
from hetbench.training import TRAINING, TrainingGraph, optimizer
from surrogates.training.rows import graph_of

__all__ = ["CEILING", "asked", "composed", "with_memory"]

CEILING = 0.95  # a step faster than this share of the time at the peak has a wrong unit, precision or network


def asked(row: Any) -> tuple[Question, TrainingGraph]:
    """The question that a row answers."""
    graph = TrainingGraph(graph_of(row.graph), optimizer(row.optimizer))
    sizes = {name: None if pd.isna(getattr(row, name)) else int(getattr(row, name))
             for name in ("batch", "seq_len", "image_size")}  # fmt: skip
    options = {**sizes, "precision": row.precision, "phase": TRAINING, "stack": row.stack}
    return Question.build(graph, chip_named(row.chip), options), graph


def composed(frame: pd.DataFrame, say: Callable[[str], None] = print) -> pd.DataFrame:
    """The rows with `passes`, the step from whole passes, `sums`, from operators alone, `roofline`, all in ms,
    and `peak_ms`, the time at the chip's peak. Rows whose network has no such setting, or faster than the peak, are
    left out."""
    made, lacking = [], Counter[str]()
    for row in frame.itertuples():
        try:
            question, graph = asked(row)
            chip = question.require_chip("a step")
            parts, plain = step_parts(question, chip, graph), step_parts(question, chip, graph, "roofline")
        except HetBenchError as why:
            lacking[str(why).partition(" was traced")[2][:40] or str(why)[:60]] += 1
            continue
        flops = graph.operators(question.batch, question.seq_len, question.image_size, question.precision).flops
        peak = chip.peak_flops(question.precision) or np.nan
        made.append({"row": row.Index, "passes": parts.total, "sums": parts.summed, "roofline": plain.summed,
                     "peak_ms": 1e3 * flops / peak})  # fmt: skip
    say(f"{sum(lacking.values()):6d} steps without a graph of their setting: {dict(lacking.most_common(2))}")
    found = frame.join(pd.DataFrame(made).set_index("row"), how="inner")
    fast = found.ms < CEILING * found.peak_ms
    say(f"{int(fast.sum()):6d} steps faster than the peak allows: {found[fast].groupby('source').size().to_dict()}")
    return found[~fast].reset_index(drop=True)


def with_memory(frame: pd.DataFrame) -> pd.DataFrame:
    """Rows of peak memory with `derived_mb`, the arithmetic of `hetbench.training.memory`."""
    sizes = []
    for row in frame.itertuples():
        question, graph = asked(row)
        need = graph.memory(question.batch, question.seq_len, question.image_size, row.precision)
        sizes.append(need.total_bytes / 1e6)
    return frame.assign(derived_mb=sizes)
