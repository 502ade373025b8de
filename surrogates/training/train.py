"""Fit what measured training steps take over composed ones, score it on what was left out, and export it.

    python -m surrogates.training --corpus ../shared/corpus --rows runs/models/rows.parquet

Writes training.json, which hetbench reads, and training_card.json. Left out: networks of a measured die and stack
(level C), whole dies (level D), whole sources. Beside the surrogate, on the same rows: the roofline of the step's
operators, constant efficiency (the median share of the peak that other networks reach on the chip), and NeuSight as
published.
"""

from __future__ import annotations

import argparse
import hashlib
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from hetbench.catalog.chips import chip as chip_named
from hetbench.errors import command
from hetbench.training.surrogate import FORMAT, RICH
from surrogates.training.compose import composed, with_memory
from surrogates.training.fit import best_share, effects, held_out, labelled, median_error
from surrogates.training.peers import neusight
from surrogates.training.rows import read, read_memory
from surrogates.whole.bands import of_one_more, quantiles, variance_among
from surrogates.whole.rows import add_rows
from surrogates.writing import write_json

SHARES = (0.0, 0.25, 0.5, 0.75, 1.0)
AT = tuple(np.linspace(0, 1, 41).round(4).tolist())
_ADDED_MB = tuple(float(each) for each in range(0, 4001, 50))
_OWN_BAND = 30  # rows that a stack needs for a band of its own


@command("stopped")
def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--corpus", type=Path, required=True)
    add_rows(parser)
    parser.add_argument("--out", type=Path, default=Path("hetbench/catalog/surrogates"))
    given = parser.parse_args()
    frame = labelled(composed(read(given.rows, given.corpus, given.own)))
    memory = with_memory(read_memory(given.rows))
    artefact, card = train(frame, memory)
    card["neusight"] = neusight(given.corpus, frame, artefact["share"])
    write_json(given.out / "training.json", artefact, indent=1)
    write_json(given.out / "training_card.json", card, indent=1)
    for name in ("networks_left_out", "dies_left_out", "sources_left_out", "memory", "neusight"):
        print(f"\n{name}\n{pd.DataFrame(card[name]).to_string(index=False)}")
    print(f"wrote {given.out / 'training.json'} and training_card.json")


def train(frame: pd.DataFrame, memory: pd.DataFrame) -> tuple[dict[str, Any], dict[str, Any]]:
    """The artefact and its card."""
    frame = frame.assign(networks=frame.groupby("cell").graph.transform("nunique"))
    share, errors = best_share(frame, SHARES)
    models, dies, sources = (held_out(frame, share, by) for by in ("fold", "die", "source"))
    seen = models[models.known > 0]
    cells = frame.groupby("cell").agg(rows=("ms", "size"), networks=("graph", "nunique"))
    artefact = {
        "format": FORMAT, "id": "training-1", "made_by": "python -m surrogates.training", "share": share,
        "effects": {name: round(value, 4) for name, value in effects(frame, share).items()},
        "cells": {str(cell): [int(row.rows), int(row.networks)] for cell, row in cells.iterrows()},
        "quantiles": list(AT), "bands": bands(seen, dies), "memory": fitted_memory(memory),
    }  # fmt: skip
    card = {
        "id": "training-1", "made_by": "python -m surrogates.training", "data_sha256": _sha(frame), "rows": len(frame),
        "share_errors": {str(each): round(value, 4) for each, value in errors.items()},
        "networks_left_out": scores(seen, "fold"), "dies_left_out": scores(dies, "die"),
        "sources_left_out": scores(sources, "source"), "memory": memory_scores(memory),
    }  # fmt: skip
    return artefact, card


def bands(seen: pd.DataFrame, dies: pd.DataFrame) -> dict[str, list[float]]:
    """Quantiles of log(measured / predicted) by level, and of a stack with enough rows of its own."""
    return {**_seen_bands(seen), "D": _dies(dies)}


def _seen_bands(seen: pd.DataFrame) -> dict[str, list[float]]:
    """Of networks left out: in rich cells (C), where every cell counts the same, and in thin ones (T), where the table
    is that of one more network."""
    rich = seen.networks >= RICH
    found = {}
    for name, part, made in (("C", seen[rich], _networks), ("T", seen[~rich], _one_more_network)):
        found[name] = made(part)
        for stack, own in part.groupby("stack"):
            if len(own) >= _OWN_BAND:
                found[f"{name} {stack}"] = made(own)
    return found


def _networks(part: pd.DataFrame) -> list[float]:
    return quantiles(part.assign(away=part.cell), AT)


def _one_more_network(part: pd.DataFrame) -> list[float]:
    return of_one_more(part, "graph", variance_among([part], "graph"), AT)


def _dies(part: pd.DataFrame) -> list[float]:
    return of_one_more(part, "die", variance_among([part], "die"), AT)


def scores(held: pd.DataFrame, by: str) -> list[dict[str, Any]]:
    """Median errors by source and over all, beside the rivals; what share is inside the band of the others."""
    held = held.assign(constant=_constant(held), inside=_inside(held, by))
    parts = [*((str(name), part) for name, part in held.groupby("source")), ("all", held)]
    return [{
        "source": name, "n": len(part), "networks": part.graph.nunique(), "dies": part.die.nunique(),
        **{column: round(median_error(part, column), 1) for column in ("surrogate", "roofline", "constant")},
        "inside": round(100 * float(part.inside.mean()), 1),
    } for name, part in parts]  # fmt: skip


def _constant(frame: pd.DataFrame) -> pd.Series:
    """ms at the median share of the peak that the other networks of the chip and precision reach; 40 % without any."""
    reached = frame.peak_ms / frame.ms
    out = []
    for row in frame.itertuples():
        others = (frame.chip == row.chip) & (frame.precision == row.precision) & (frame.graph != row.graph)
        out.append(row.peak_ms / (reached[others].median() if others.any() else 0.4))
    return pd.Series(out, index=frame.index)


def _inside(held: pd.DataFrame, by: str) -> np.ndarray:
    """Whether each step lies in the 90 % interval that the other groups give."""
    log, inside = np.log(held.ms / held.surrogate).to_numpy(), np.zeros(len(held), dtype=bool)
    stacks = held["stack"].to_numpy()
    kinds = np.where(held.networks >= RICH, "C", "T") if by == "fold" else np.full(len(held), "D")
    for group in held[by].unique():
        own, others = (held[by] == group).to_numpy(), held[held[by] != group]
        tables = _seen_bands(others) if by == "fold" else {"D": _dies(others)}
        for kind, stack in set(zip(kinds[own], stacks[own], strict=True)):
            low, high = np.interp([0.05, 0.95], AT, tables.get(f"{kind} {stack}", tables[kind]))
            chosen = own & (stacks == stack) & (kinds == kind)
            inside[chosen] = (log[chosen] >= min(low, 0.0)) & (log[chosen] <= max(high, 0.0))
    return inside


def fitted_memory(memory: pd.DataFrame) -> dict[str, dict[str, list[float]]]:
    """By family and over all: `_fitted`."""
    families = memory.chip.map(lambda name: chip_named(name).family)
    return {"": _fitted(memory)} | {str(name): _fitted(part) for name, part in memory.groupby(families)}


def _fitted(memory: pd.DataFrame) -> dict[str, list[float]]:
    """Memory that a framework adds to the tensors, and the quantiles of what is left."""
    add = _added(memory)
    left = memory.assign(ms=memory.memory_mb, surrogate=memory.derived_mb + add, away=memory.graph)
    return {"add": [round(add, 1)], "log_ratio": quantiles(left, AT)}


def _added(memory: pd.DataFrame) -> float:
    """The constant of least log error of the median network: where kernels took scratch space no constant helps, and
    such networks do not pull it up."""
    def error(add: float) -> float:
        log = np.log(memory.memory_mb / (memory.derived_mb + add)).abs()
        return float(log.groupby(memory.graph).median().median())

    return min(_ADDED_MB, key=error)


def memory_scores(memory: pd.DataFrame) -> list[dict[str, Any]]:
    """Median errors of peak memory by network and vendor, each network left out of its vendor's fit in turn."""
    found = []
    amd_chips = memory.chip.str.startswith("amd")
    for (graph, amd), part in memory.groupby(["graph", amd_chips]):
        others = memory[(memory.graph != graph) & (amd_chips == amd)]
        value = part.derived_mb + _added(others)
        log = np.log(part.memory_mb / value)
        low, high = np.interp([0.05, 0.95], AT, _fitted(others)["log_ratio"])
        found.append({
            "network": graph, "chips": "amd" if amd else "nvidia", "n": len(part),
            "derived_error": round(float(100 * (part.derived_mb / part.memory_mb - 1).abs().median()), 1),
            "error": round(float(100 * (value / part.memory_mb - 1).abs().median()), 1),
            "inside": round(100 * float(log.between(min(low, 0), max(high, 0)).mean()), 1),
        })  # fmt: skip
    return found


def _sha(frame: pd.DataFrame) -> str:
    text = frame[["source", "chip", "model", "precision", "batch", "ms"]].to_csv(index=False)
    return hashlib.sha256(text.encode()).hexdigest()
