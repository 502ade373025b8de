"""Train, score and export the whole-model surrogates, one group at a time; resumes after the last finished group.

    python -m data_collection.tables.model_rows --corpus ../shared/corpus --out runs/models/rows.parquet
    python -m surrogates.whole --rows runs/models/rows.parquet --out hetbench/catalog/surrogates --work runs/models

Writes whole-<group>.npz, whole.json (what hetbench reads) and whole_card.json: scores on unseen models, unseen families
of architectures and unseen chips, next to the chip + stack constant and the roofline, and interval coverage.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import shutil
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from hetbench.errors import command
from hetbench.predict.models import FORMAT, RICH
from surrogates.evaluate import score
from surrogates.splits import balanced_folds, die
from surrogates.threads import one_thread
from surrogates.whole.bands import (
    calibration_half,
    coverage,
    coverage_of_chips,
    of_one_more,
    residual_tables,
    variance_among,
)
from surrogates.whole.fitting import fit_group, labels_of, predict
from surrogates.whole.network import Size
from surrogates.whole.rows import WholeRows, add_rows, read
from surrogates.writing import joining, write_arrays, write_json, write_table

SIZES = {
    "pass-gpu": Size(64, 24, 384, 1000, 8e-3, 0.08), "pass-oneapi": Size(64, 40, 64, 1500),
    "pass-cann": Size(32, 80, 32), "pass-mlu": Size(32, 80, 32), "generation": Size(64, 60, 64),
}  # fmt: skip
FOLDS = {"pass-gpu": (3, 2), "pass-oneapi": (5, 2)}  # of models and of architectures; of the others 5
SEEDS = 2
SHARES = (0.0, 0.25, 0.5, 0.75, 1.0)  # of the network in the blend of rich cells
THIN_SHARE = 0.5  # of the network in thin cells: a few networks do not tell which of the two errs less
_SMALL = 1000  # rows: hold-outs of smaller groups take as many seeds as the final fit
SAMPLE, _LARGE = 400, 10_000  # rows of a cell, rows of a group
_CHIP_ROWS = 60  # a die with fewer rows is not left out
METHODS = ("surrogate", "network", "trees", "constant", "roofline")


def held_out(rows: WholeRows, groups: pd.Series, size: Size, most: int) -> pd.DataFrame:
    """Every fold of whole groups predicted by a fit of the others; `most` folds."""
    fold = balanced_folds(groups, most)
    return _folds(rows, fold, np.ones(len(rows), dtype=bool), size)


def _folds(rows: WholeRows, fold: np.ndarray, kept: np.ndarray, size: Size) -> pd.DataFrame:
    parts = []
    for k in sorted(set(fold)):
        fitted = fit_group(rows, np.flatnonzero((fold != k) & kept), size, SEEDS if len(rows) < _SMALL else 1)
        parts.append(predict(fitted, rows, np.flatnonzero((fold == k) & kept)))
    return pd.concat(parts).sort_values("row").reset_index(drop=True)


def sampled(rows: WholeRows, size: Size) -> tuple[np.ndarray, Size]:
    """Which rows take part in the hold-outs of architectures and dies, at most `SAMPLE` of a cell where a group is
    large, and the size of fit that makes as many steps on them."""
    if len(rows) < _LARGE:
        return np.ones(len(rows), dtype=bool), size
    order = np.random.default_rng(0).permutation(len(rows))
    cell = labels_of(rows.frame)[1].iloc[order]
    kept = np.zeros(len(rows), dtype=bool)
    kept[order[(cell.groupby(cell).cumcount() < SAMPLE).to_numpy()]] = True
    return kept, replace(size, batch=size.batch // 3)


def architectures_out(rows: WholeRows, size: Size, most: int) -> pd.DataFrame:
    """Every fold of families of architectures predicted by a fit of the others."""
    kept, size = sampled(rows, size)
    return _folds(rows, balanced_folds(rows.frame.architecture, most), kept, size)


def chips_out(rows: WholeRows, size: Size) -> pd.DataFrame:
    """Every die with enough rows predicted by a fit of the others, under the stacks that others ran too.

    Where a group has chips of one die only, its chips leave one by one: the card names them as twins.
    """
    group, (stack, _) = die(rows.frame), labels_of(rows.frame)
    kept, size = sampled(rows, size)
    epochs = max(size.epochs // 2, 15) if kept.all() else size.epochs
    if (group.value_counts() >= _CHIP_ROWS).sum() < 2:
        group = rows.frame.chip
    parts = []
    for name, count in group.value_counts().sort_index().items():
        away = (group == name).to_numpy()
        shared = away & stack.isin(set(stack[~away])).to_numpy()
        if count >= _CHIP_ROWS and shared.sum() >= _CHIP_ROWS // 3 and (~away).sum() >= _CHIP_ROWS:
            fitted = fit_group(rows, np.flatnonzero(~away & kept), replace(size, epochs=epochs), 1)
            parts.append(predict(fitted, rows, np.flatnonzero(shared & kept)).assign(away=name))
    return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame()


def blended(frame: pd.DataFrame, rich: float) -> pd.DataFrame:
    """The surrogate: network and trees, averaged in log ms; `rich` is the network's share in rich cells."""
    share = np.where(frame.networks >= RICH, rich, THIN_SHARE)
    return frame.assign(surrogate=np.exp(share * np.log(frame.network) + (1 - share) * np.log(frame.trees)))


def rich_share(frames: list[pd.DataFrame]) -> float:
    """The network's share in rich cells with the least median error over the held-out frames."""
    kept = [frame[frame.networks >= RICH] for frame in frames]

    def error(share: float) -> float:
        parts = [part for frame in kept for _, part in blended(frame, share).groupby("phase")]
        return float(np.mean([np.log(np.median(np.abs(part.surrogate / part.ms - 1))) for part in parts] or [0.0]))

    return min(SHARES, key=error)


def blend_all(out: dict[str, pd.DataFrame]) -> tuple[dict[str, pd.DataFrame], float]:
    """Hold-outs with `surrogate`, and the network's share in rich cells over all of them.

    Each half of the networks is blended by the share of the other half, so that no network chose its own.
    """
    fitted = [out["models"], out["architectures"]]
    made = {}
    for kind, frame in out.items():
        parts = []
        if len(frame):
            half = calibration_half(frame.graph)
            for side in (half, ~half):
                names = set(frame.graph[side])
                parts.append(blended(frame[side], rich_share([each[~each.graph.isin(names)] for each in fitted])))
        made[kind] = pd.concat(parts).sort_index() if parts else frame
    return made, rich_share(fitted)


def scores(frame: pd.DataFrame, by: list[str]) -> list[dict[str, Any]]:
    """Scores of every method by group."""
    rows = []
    for names, part in frame.groupby(by, sort=True):
        measured = part.ms.to_numpy()
        rows.append({**dict(zip(by, names, strict=True)), "models": part.graph.nunique(),
                     **{m: score(measured, part[m].to_numpy()) for m in METHODS}})  # fmt: skip
    return rows


def hold_outs(name: str, rows: WholeRows, work: Path) -> dict[str, pd.DataFrame]:
    """Predictions of unseen models, unseen families of architectures and unseen chips; kept in the work folder."""
    size, (models, architectures) = SIZES[name], FOLDS.get(name, (5, 5))
    made: dict[str, Callable[[], pd.DataFrame]] = {
        "models": lambda: held_out(rows, rows.frame.graph, size, models),
        "architectures": lambda: architectures_out(rows, size, architectures),
        "chips": lambda: chips_out(rows, size),
    }  # fmt: skip
    found = {}
    for kind, make in made.items():
        path = work / f"{name}.{kind}.parquet"
        if not path.exists():
            write_table(path, make())
        found[kind] = pd.read_parquet(path)
    return found


def final_fit(name: str, rows: WholeRows, work: Path) -> dict[str, Any]:
    """Fit on every row; writes the arrays into the work folder and returns what whole.json says of the labels."""
    path = work / f"{name}.fit.json"
    if not path.exists():
        fitted = fit_group(rows, np.arange(len(rows)), SIZES[name], SEEDS)
        arrays = {f"{name}.{key.removeprefix('fit.')}": value for key, value in fitted.arrays.items()}
        write_arrays(work / f"whole-{name}.npz", arrays)
        write_json(path, fitted.group.spec)
    found: dict[str, Any] = json.loads(path.read_text())
    return found


def scored(rows: WholeRows, out: dict[str, pd.DataFrame], shares: list[float]) -> dict[str, Any]:
    """The card of one group but for its intervals."""
    models, families, chips = out["models"], out["architectures"], out["chips"]
    by_set = ["family", "file", "precision"]
    return {
        "rows": len(rows), "graphs": rows.frame.graph.nunique(), "network_share": shares,
        "unseen_models": scores(models, ["family"]), "unseen_models_by_set": scores(models, by_set),
        "unseen_models_by_cell": scores(models, ["family", "chip", "stack", "precision"]),
        "unseen_architectures": scores(families, ["family"]),
        "unseen_architectures_by_set": scores(families, by_set),
        "unseen_chips": scores(chips, ["family", "away"]) if len(chips) else [], "worst": worst(models),
    }  # fmt: skip


def with_bands(specs: dict[str, Any], cards: dict[str, Any], out: dict[str, dict[str, pd.DataFrame]]) -> None:
    """Add the tables of residuals to the specs and what they hold to the cards; dies of all groups count at level D."""
    chips = {name: frames["chips"] for name, frames in out.items()}
    prior = variance_among(chips.values(), "away")
    anywhere = of_one_more(pd.concat(chips.values()), "away", prior)
    for name, frames in out.items():
        kind, others = "phase" if name == "generation" else "stack", [chips[each] for each in chips if each != name]
        tables = residual_tables(frames["models"], chips[name], kind, prior)
        specs[name]["residuals"] = {"D": anywhere} | tables  # where no chip could be left out, those of everywhere
        cards[name] |= {
            "interval_coverage_unseen_models": coverage(frames["models"], kind),
            "interval_coverage_unseen_chips": coverage_of_chips(frames["models"], chips[name], others, kind),
        }  # fmt: skip


def worst(frame: pd.DataFrame, most: int = 4) -> list[dict[str, Any]]:
    """The unseen models missed by most: the median of measured over predicted by model, chip, stack and precision."""
    keys = ["graph", "chip", "stack", "precision", "file"]
    ratio = (frame.ms / frame.surrogate).groupby([frame[key] for key in keys]).agg(["median", "size"])
    order = np.log(ratio["median"]).abs().sort_values(ascending=False).index[:most]
    return [
        {**dict(zip(keys, key, strict=True)), "measured_over_predicted": round(float(ratio.loc[key, "median"]), 2),
         "rows": int(ratio.loc[key, "size"])}
        for key in order
    ]  # fmt: skip


@command("stopped")
def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_rows(parser)
    parser.add_argument("--out", type=Path, default=Path("hetbench/catalog/surrogates"))
    parser.add_argument("--work", type=Path, default=Path("runs/models"), help="checkpoints and hold-out predictions")
    parser.add_argument("--groups", nargs="*", default=list(SIZES), choices=list(SIZES), help="compute these only")
    options = parser.parse_args()
    for folder in (options.work, options.out):
        folder.mkdir(parents=True, exist_ok=True)
    one_thread()
    tables = read(options.rows, options.own)
    specs, cards, held = {}, {}, {}
    for name in options.groups:
        began = time.time()
        spec, out = final_fit(name, tables[name], options.work), hold_outs(name, tables[name], options.work)
        out, rich = blend_all(out)
        shares = [rich, THIN_SHARE]
        cards[name] = scored(tables[name], out, shares)
        specs[name] = {**spec, "network_share": shares}
        held[name] = out
        print(f"{name}: {cards[name]['rows']} rows, {time.time() - began:.0f} s", flush=True)
    if set(options.groups) != set(SIZES):
        print("not written: an artefact needs every group")
        return
    with_bands(specs, cards, held)
    digest = hashlib.sha256(b"".join(rows.frame.ms.to_numpy().tobytes() for _, rows in sorted(tables.items())))
    index = {"format": FORMAT, "id": f"whole-{digest.hexdigest()[:12]}", "groups": specs}
    card = {"made_by": "python -m surrogates.whole", "data_sha256": digest.hexdigest(), "groups": cards}
    arrays = [f"whole-{name}.npz" for name in specs]
    with joining(options.out, ["whole.json", *arrays, "whole_card.json"]) as made:
        for name in arrays:
            shutil.copyfile(options.work / name, made / name)
        write_json(made / "whole.json", index)
        write_json(made / "whole_card.json", card, indent=1)


if __name__ == "__main__":
    main()
