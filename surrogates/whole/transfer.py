"""How much of a model's residual on the source chip it shows on the target: the exponent for `source_value`.

    python -m surrogates.whole.transfer --work runs/models --out hetbench/catalog/surrogates/transfer.json

Read from the hold-outs of `surrogates.whole`: models that the surrogate had never seen, measured at one batch and phase
on two chips. For each pair of families the exponent a that makes |log(measured / predicted) on the target - a times
that on the source| least is found, shrunk to that of its relation (same family or not). Every pair of chips and
network weighs alike. Errors are of networks whose exponent was found on other networks.
"""

from __future__ import annotations

import argparse
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from hetbench.errors import command
from surrogates.writing import write_json

_KEY = ["graph", "batch", "phase"]
_CELL = [*_KEY, "family", "chip", "stack", "precision"]
_SHRINK_NETWORKS = 10.0  # an exponent seen on this many networks counts half
_GRID = np.linspace(0, 1, 41)
_FOLDS = 5


def pairs(work: Path) -> pd.DataFrame:
    """Two chips that measured one model never seen, in one precision: log residual of each, and the pair's weight."""
    frame = pd.concat([pd.read_parquet(path) for path in sorted(work.glob("*.models.parquet"))])
    frame = frame.assign(residual=np.log(frame.ms / np.sqrt(frame.network * frame.trees)))
    cells = frame.groupby(_CELL).residual.median().reset_index()
    found = cells.merge(cells, on=[*_KEY, "precision"], suffixes=("_source", "_target"))
    found = found[found.chip_source != found.chip_target].reset_index(drop=True)
    found["relation"] = np.where(found.family_source == found.family_target, "same family", "other family")
    found["pair"] = found.family_source + ">" + found.family_target
    found["weight"] = 1 / found.groupby(["chip_source", "chip_target", "graph"]).residual_source.transform("size")
    found["fold"] = found.graph.map(lambda name: zlib.crc32(name.encode()) % _FOLDS)
    return found


def exponent(part: pd.DataFrame) -> float:
    """The share of the source's residual that leaves the least absolute residual on the target."""
    left = np.abs(part.residual_target.to_numpy()[:, None] - part.residual_source.to_numpy()[:, None] * _GRID)
    return float(_GRID[np.argmin((left * part.weight.to_numpy()[:, None]).sum(0))])


def exponents(found: pd.DataFrame) -> dict[str, float]:
    """By relation, and by pair of families shrunk to its relation."""
    table = {name: exponent(part) for name, part in found.groupby("relation")}
    for name, part in found.groupby("pair"):
        own, networks = exponent(part), part.graph.nunique()
        share = networks / (networks + _SHRINK_NETWORKS)
        table[name] = round(share * own + (1 - share) * table[part.relation.iloc[0]], 3)
    return table


def score(found: pd.DataFrame) -> list[dict[str, Any]]:
    """Median error in percent by pair of families: source ignored, in full, by an exponent found on other networks."""
    found = found.assign(exponent=0.0)
    for fold in range(_FOLDS):
        table = exponents(found[found.fold != fold])
        inside = found.fold == fold
        known = found[inside].pair.map(table)
        found.loc[inside, "exponent"] = known.fillna(found[inside].relation.map(table))
    errors = {"ignored": 0.0, "in full": 1.0, "by its exponent": found.exponent}
    for name, share in errors.items():
        found[name] = 100 * np.abs(np.expm1(share * found.residual_source - found.residual_target))
    lines = []
    for key in ("relation", "pair"):
        for name, part in found.groupby(key):
            medians = {label: round(float(_median(part[label], part.weight)), 1) for label in errors}
            lines.append({"pairs": name, "n": len(part), "networks": int(part.graph.nunique()), **medians})
    return lines


def _median(values: pd.Series, weight: pd.Series) -> float:
    order = np.argsort(values.to_numpy())
    total = np.cumsum(weight.to_numpy()[order])
    return float(values.to_numpy()[order][np.searchsorted(total, total[-1] / 2)])


@command("stopped")
def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, default=Path("runs/models"))
    parser.add_argument("--out", type=Path, default=Path("hetbench/catalog/surrogates/transfer.json"))
    options = parser.parse_args()
    found = pairs(options.work)
    lines = score(found)
    write_json(options.out, {"format": 1, "exponents": exponents(found), "scores": lines}, indent=1)
    print(pd.DataFrame(lines).to_string())


if __name__ == "__main__":
    main()
