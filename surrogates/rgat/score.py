"""Score the RGAT on what it never saw, tune the kernel's amplitudes on those rows, and publish arrays and card.

Every figure is of a die (or family, or operator type) that neither the RGAT nor the ratio head had seen. Amplitudes
and shares that score a fold are set on the other folds; those that are shipped are set on all of them.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch

from hetbench.operators import operator_types
from hetbench.predict import gaussian_process
from hetbench.predict.features import CLASSES
from hetbench.predict.rgat import FORMAT
from hetbench.predict.selection import STAND_INS
from surrogates.intervals import INTERVAL_LEVEL
from surrogates.operators.dataset import Effects, matrix
from surrogates.operators.holdout import cell_weight
from surrogates.operators.tabular import RATIO_BUDGETS, fit_ratio, ratio_columns
from surrogates.provenance import commit
from surrogates.rgat import data
from surrogates.rgat.conditioning import Rows, posterior, surprise
from surrogates.rgat.fit import CLIP_RESIDUAL, OBSERVED
from surrogates.rgat.splits import FAMILIES, FITS, FOLDS, UNSEEN_TYPES, held_out
from surrogates.writing import joining, write_arrays, write_json

SHARES = (0.0, 0.25, 0.5, 0.75, 1.0)
CURVE = (0, 5, 20, 100)
DRAWS = 5
_ASKED = 1500
_LEAST = 130  # rows of a die and class whose curve reaches 100 observed


@dataclass(frozen=True)
class Unseen:
    """Rows that a fit had not seen, and what it said of them."""

    frame: pd.DataFrame  # family, die, chip, cls, op, latency_ms, roofline, fold, and the prediction columns
    rows: gaussian_process.OperatorRows
    target: np.ndarray  # log(latency / base)
    ratio_head: np.ndarray
    mean: np.ndarray

    def blended(self, share: np.ndarray) -> np.ndarray:
        """log(latency / base) by both surrogates; `share` of the RGAT by class, [classes]."""
        part = share[self.rows.cls]
        return (1 - part) * self.ratio_head + part * self.mean

    def groups(self, least: int = 1) -> dict[tuple[str, str, int], np.ndarray]:
        """(family, die, class) -> row numbers."""
        found = self.frame.groupby(["family", "die", "cls"], sort=True).indices
        return {key: rows for key, rows in found.items() if len(rows) >= least}


def gather(work: Path, fits: list[str], kind: str, held: Any) -> Unseen:
    """The held-out rows of several fits; `held(fit, frame)` says which they are."""
    names = data.node_names()
    table, _ = data.load(work, kind, names)
    parts = []
    for index, name in enumerate(fits):
        stored = np.load(work / "rgat" / f"{name}.npz")
        rows = np.flatnonzero(held(name, table.frame))
        parts.append((rows, np.full(len(rows), index), *(stored[k] for k in ("mean_", "noise_", "coordinates_"))))
    rows, fold, mean, noise, coordinates = (np.concatenate(each) for each in zip(*parts, strict=True))
    part = table.take(rows)
    noise, coordinates, mean = (each.astype(np.float64) for each in (noise, coordinates, mean))
    seen = gaussian_process.OperatorRows(part.cls.numpy(), part.cell.numpy(), coordinates, noise, np.ones(len(rows)))
    return Unseen(part.frame.assign(fold=fold), seen, part.target.numpy(), part.ratio_head.numpy(), mean)


def shares(unseen: Unseen, folds: np.ndarray) -> np.ndarray:
    """By class the share of the RGAT with the least error, [classes]: the mean over dies of their median error.

    A die weighs by the root of its rows.
    """
    best = np.zeros(len(CLASSES))
    inside = np.isin(unseen.frame.fold.to_numpy(), folds)
    for cls in range(len(CLASSES)):
        groups = [rows[inside[rows]] for (*_, c), rows in unseen.groups().items() if c == cls]
        groups = [rows for rows in groups if len(rows)]
        errors = []
        for share in SHARES:
            log_ratio = unseen.blended(np.full(len(CLASSES), share)) - unseen.target
            medians = [np.median(np.abs(np.expm1(log_ratio[rows]))) for rows in groups]
            errors.append(np.average(medians, weights=[np.sqrt(len(rows)) for rows in groups]))
        best[cls] = SHARES[int(np.argmin(errors))]
    return best


@dataclass(frozen=True)
class Kernel:
    """What conditioning needs beside the coordinates."""

    scale: np.ndarray  # log amplitudes, [classes, 3 + smooth]
    noise: np.ndarray  # factor on the network's noise, [classes]

    def rows(self, rows: gaussian_process.OperatorRows) -> gaussian_process.OperatorRows:
        """The rows with their noise."""
        return replace(rows, noise=rows.noise * self.noise[rows.cls])


def tuned(unseen: Unseen, share: np.ndarray, folds: np.ndarray, start: np.ndarray, steps: int = 300) -> Kernel:
    """Amplitudes and noise of the kernel, fitted on the folds' residuals of the blend."""
    inside = np.isin(unseen.frame.fold.to_numpy(), folds)
    by_chip: dict[str, list[np.ndarray]] = {}
    for (chip, _), rows in unseen.frame.groupby(["chip", "cls"], sort=True).indices.items():
        if inside[rows[0]] and len(rows) >= 30:
            by_chip.setdefault(chip, []).append(rows)
    residual = torch.from_numpy(unseen.target - unseen.blended(share)).float()
    tensors = Rows(*(torch.from_numpy(np.asarray(getattr(unseen.rows, name))) for name in
                     ("cls", "cell", "coordinates", "noise")))  # fmt: skip
    tensors = Rows(tensors.cls, tensors.cell, tensors.coordinates.float(), tensors.noise.float())
    scale, noise = torch.tensor(start, requires_grad=True), torch.zeros(len(CLASSES), requires_grad=True)
    optimiser = torch.optim.Adam([scale, noise], lr=0.02)
    random = np.random.default_rng(0)
    chips = list(by_chip)
    for _ in range(steps):
        losses = []
        scaled = replace(tensors, noise=tensors.noise * noise.exp()[tensors.cls])
        for index in random.choice(len(chips), min(4, len(chips)), replace=False):
            each = 300 // len(by_chip[chips[index]])
            drawn = [random.choice(rows, min(each, len(rows)), replace=False) for rows in by_chip[chips[index]]]
            episode = torch.from_numpy(random.permutation(np.concatenate(drawn)))
            observed = min(int(random.choice(OBSERVED)), len(episode) // 2)
            given, asked = episode[:observed], episode[observed:]
            held = residual[given].clamp(-CLIP_RESIDUAL, CLIP_RESIDUAL)
            offset, variance = posterior(scale, scaled.take(given), held, scaled.take(asked))
            losses.append(surprise(residual[asked] - offset, variance).mean())
        optimiser.zero_grad()
        torch.stack(losses).mean().backward()
        optimiser.step()
    return Kernel(*(each.detach().numpy().astype(np.float64) for each in (scale, noise.exp())))


def curve(
    unseen: Unseen, share: np.ndarray, kernels: dict[int, Kernel], *, smooth: bool = True
) -> tuple[list[dict[str, Any]], pd.DataFrame]:
    """Median error by die, class and number of observed operators of that class; and the normalised residuals.

    `kernels` holds what each fold is scored with. With `smooth` false only the offsets are conditioned.
    """
    found, residuals = [], []
    base = unseen.blended(share)
    for (family, die, cls), rows in unseen.groups().items():
        kernel = kernels[int(unseen.frame.fold.to_numpy()[rows[0]])]
        amplitude = kernel.scale.copy()
        if not smooth:
            amplitude[:, 3:] = -20.0
        part = unseen.frame.iloc[rows]
        bare = 100 * float((part.roofline / part.latency_ms - 1).abs().median())
        line: dict[str, Any] = {
            "family": family, "die": die, "class": CLASSES[cls], "n": len(rows), "roofline": round(bare, 1)
        }  # fmt: skip
        for observed in CURVE:
            least = _LEAST if observed == 100 else observed + 10
            if len(rows) < least:
                continue
            errors = []
            for draw in range(DRAWS if observed else 1):
                order = np.random.default_rng(draw).permutation(rows)
                given = order[:observed]
                asked = order[min(100, len(rows) // 2) :][:_ASKED] if observed else order
                offset, variance = 0.0, gaussian_process.prior_variance(amplitude, kernel.rows(unseen.rows.take(asked)))
                if observed:
                    seen = kernel.rows(unseen.rows.take(given))
                    known = gaussian_process.Posterior(amplitude, seen, (unseen.target - base)[given])
                    offset, variance = known.mean_and_variance(kernel.rows(unseen.rows.take(asked)))
                left = base[asked] + offset - unseen.target[asked]
                errors.append(100 * np.median(np.abs(np.expm1(left))))
                residuals.append(pd.DataFrame({
                    "family": family, "die": die, "cls": cls, "observed": observed, "z": -left / np.sqrt(variance)
                }))  # fmt: skip
            line[f"at_{observed}"] = round(float(np.mean(errors)), 1)
        found.append(line)
    return found, pd.concat(residuals, ignore_index=True)


def means(lines: list[dict[str, Any]], keys: list[str]) -> list[dict[str, Any]]:
    """Mean over dies of the curves, by family and class."""
    table = pd.DataFrame(lines)
    columns = ["roofline", *(name for name in table if name.startswith("at_"))]
    found = table.groupby(keys)[columns].mean().round(1)
    found.insert(0, "dies", table.groupby(keys).size())
    return found.reset_index().astype(object).where(lambda cells: cells.notna(), None).to_dict("records")


def widths(residuals: pd.DataFrame) -> dict[str, float]:
    """By class: standard deviations that hold `INTERVAL_LEVEL` of the asked operators once some were observed."""
    seen = residuals[residuals.observed > 0]
    return {CLASSES[cls]: float(np.quantile(part.z.abs(), INTERVAL_LEVEL)) for cls, part in seen.groupby("cls")}


def coverage(residuals: pd.DataFrame) -> list[dict[str, Any]]:
    """Share of each family's asked operators inside the band that the other dies' residuals set, by observed."""
    lines = []
    for (family, observed, cls), part in residuals[residuals.observed > 0].groupby(["family", "observed", "cls"]):
        held = []
        for die, own in part.groupby("die"):
            others = residuals[(residuals.die != die) & (residuals.cls == cls) & (residuals.observed > 0)]
            if len(others):
                held.append(float((own.z.abs() <= others.z.abs().quantile(INTERVAL_LEVEL)).mean()))
        if held:
            lines.append({"family": family, "observed": int(observed), "class": CLASSES[cls], "dies": len(held),
                          "inside": round(100 * float(np.mean(held)), 1)})  # fmt: skip
    return lines


def unseen_types(work: Path) -> list[dict[str, Any]]:
    """Median error on operator types that nothing was trained on, on chips that were: each surrogate, and no graph."""
    parts = {name: gather(work, [f"{name}-types"], "chips", held_out) for name in ("no", "flat")}
    frame = parts["no"].frame
    everything, _ = data.load(work, "chips", data.node_names())
    base = frame.base_ms.to_numpy()
    logs = {"roofline": np.log(frame.roofline / base), "ratio_head": np.full(len(frame), np.nan)}
    for cls in sorted(set(frame.cls)):
        asked = (frame.cls == cls).to_numpy()
        known = everything.frame[(everything.frame.cls == cls) & ~everything.frame.op.isin(UNSEEN_TYPES)]
        known, unknown = (part.reset_index(drop=True) for part in (known, frame[asked]))
        logs["ratio_head"][asked] = _ratio_without(work, known, unknown)
    logs |= {"rgat": parts["no"].mean, "rgat_without_graph": parts["flat"].mean}
    errors = {name: 100 * np.abs(np.expm1(values - parts["no"].target)) for name, values in logs.items()}
    table = pd.DataFrame({"op": frame.op, **errors})
    found = table.groupby("op").median().round(1)
    found.insert(0, "n", table.groupby("op").size())
    return found.reset_index().to_dict("records")


def _ratio_without(work: Path, known: pd.DataFrame, asked: pd.DataFrame) -> np.ndarray:
    """log(latency / base) of operator types that the ratio head was not fitted on; a stand-in lends its effect."""
    floor = json.loads((work / "artefact" / "operators.json").read_text())["floors"]
    made = matrix(known, floor)
    effects = Effects.fit(known, made.target)
    head = fit_ratio(ratio_columns(made, known, effects), made.target, cell_weight(known), RATIO_BUDGETS)
    measured = set(known.op)
    lent = {op: next((name for name in STAND_INS.get(op, ()) if name in measured), op) for op in set(asked.op)}
    return head.predict(ratio_columns(matrix(asked, floor), asked.assign(op=asked.op.map(lent)), effects))


def seen_amplitude(work: Path, unseen: Unseen, share: np.ndarray) -> dict[str, float]:
    """By class how large residuals are on unseen shapes of measured cells, next to those on unseen dies."""
    away = np.abs(unseen.target - unseen.blended(share))
    found = {}
    for index, cls in enumerate(CLASSES):
        seen = pd.read_parquet(work / f"{cls}.seen.parquet")
        own = np.abs(np.log(seen.latency_ms / seen.predicted))[seen.level == "B"]
        found[cls] = float(np.median(own) / np.median(away[unseen.rows.cls == index]))
    return found


def publish(work: Path, out: Path) -> None:
    """Score, tune, and write rgat.npz, rgat.json and rgat_card.json."""
    folds = np.arange(FOLDS)
    dies = gather(work, [f"fold{index}" for index in folds], "chips", held_out)
    families = gather(work, [f"no-{name}" for name in FAMILIES], "families", held_out)
    stored = {name: np.load(work / "rgat" / f"{name}.npz") for name in FITS}
    start = np.mean([stored[f"fold{index}"]["scale"] for index in folds], axis=0)
    share = shares(dies, folds)
    by_fold = {int(f): tuned(dies, share, folds[folds != f], start) for f in folds}
    final = tuned(dies, share, folds, start)
    curves, residuals = curve(dies, share, by_fold)
    zero, one = np.zeros(len(CLASSES)), np.ones(len(CLASSES))
    variants = {
        "ratio head and its observed rows": curve(dies, zero, by_fold)[0],
        "RGAT and its observed rows": curve(dies, one, by_fold)[0],
        "offsets only, no coordinates of the RGAT": curve(dies, share, by_fold, smooth=False)[0],
    }
    of_families, _ = curve(families, zero, {0: final, 1: final})
    spec = {
        "format": FORMAT, "id": f"rgat-{json.loads((work / 'artefact' / 'operators.json').read_text())['id'][-12:]}",
        "types": list(operator_types()), "layers": 3, "interval_level": INTERVAL_LEVEL,
        "share": dict(zip(CLASSES, share.tolist(), strict=True)), "width": widths(residuals),
        "seen_amplitude": seen_amplitude(work, dies, share),
    }  # fmt: skip
    skip = ("scale", "mean_", "noise_", "coordinates_")
    arrays = {name: array.astype(np.float16 if array.ndim > 1 else np.float32)
              for name, array in stored["all"].items() if name not in skip}  # fmt: skip
    arrays |= {name: stored["all"][name].astype(np.float32) for name in ("mean", "deviation")}
    arrays |= {"scale": final.scale.astype(np.float32), "noise": final.noise.astype(np.float32)}
    scores = {
        "made_by": "python -m surrogates.rgat", "commit": commit(), "data": spec["id"],
        "observed": list(CURVE), "draws": DRAWS,
        "share_of_rgat": spec["share"], "leave_die_out": means(curves, ["family", "class"]), "dies": curves,
        "ablations": {name: means(lines, ["family", "class"]) for name, lines in variants.items()},
        "leave_family_out": means(of_families, ["family", "class"]), "unseen_types": unseen_types(work),
        "interval_coverage": coverage(residuals),
    }  # fmt: skip
    with joining(out, ["rgat.json", "rgat.npz", "rgat_card.json"]) as made:
        write_arrays(made / "rgat.npz", arrays)
        write_json(made / "rgat.json", spec)
        write_json(made / "rgat_card.json", scores, indent=1)
    print(pd.DataFrame(scores["leave_die_out"]).to_string())
