"""The card of an artefact: what it was trained on, what it scores on every hold-out, and what it refuses."""

from __future__ import annotations

import hashlib
import json
import platform
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pandas as pd

from surrogates.corpus import RULES
from surrogates.evaluate import table
from surrogates.intervals import check_groups, check_shapes
from surrogates.operators import blends, reproducibility
from surrogates.provenance import commit
from surrogates.writing import write_json

_PACKAGES = ("autogluon.tabular", "catboost", "torch", "numpy", "pandas", "duckdb")


def data_hash(frames: dict[str, pd.DataFrame]) -> str:
    """sha256 over the clean training tables."""
    digest = hashlib.sha256()
    for name in sorted(frames):
        digest.update(name.encode())
        digest.update(pd.util.hash_pandas_object(frames[name], index=False).to_numpy().tobytes())
    return digest.hexdigest()


def stated(
    rows: Mapping[str, int], data_sha256: str, corpus: Mapping[str, Any], shrink: float, seconds: float
) -> dict[str, Any]:
    """What a card says before its scores; `shrink` is the share of the training budget that was used."""
    return {
        "made_by": f"python -m surrogates.train --shrink {shrink:g}", "commit": commit(), "data_sha256": data_sha256,
        "corpus": corpus, "rows": rows, "rules": [[rule.name, rule.why] for rule in RULES],
        "versions": {"python": platform.python_version(), **{name: version(name) for name in _PACKAGES}},
        "seconds": round(seconds), "splits": {},
    }  # fmt: skip


def write(
    out: Path, frames: dict[str, pd.DataFrame], work: Path, seconds: float, corpus: Mapping[str, Any], shrink: float
) -> None:  # fmt: skip
    """card.json beside the arrays; `corpus` is what `surrogates.corpus.cited` says."""
    card = stated({name: len(frame) for name, frame in frames.items()}, data_hash(frames), corpus, shrink, seconds)
    specs = json.loads((out / "operators.json").read_text())["classes"]
    known = {name: blends.read(work, name).assign(cls=name) for name in specs}
    told = blends.told_by(known, {name: specs[name]["blend"] for name in known})
    told = blends.in_units(told, {name: specs[name]["slowness"] for name in known})
    for name, frame in frames.items():
        if (work / f"{name}.seen.parquet").exists():
            card["splits"][name] = {**_left_out(known[name], told, specs[name]), **_class_scores(name, work),
                                    "reproducibility": reproducibility.pairs(frame)}  # fmt: skip
    peer = work / "neusight.json"
    if peer.exists():
        card["neusight_protocol"] = json.loads(peer.read_text())
    write_json(out / "card.json", card, indent=1)


def _left_out(
    rows: pd.DataFrame, everything: pd.DataFrame, spec: Mapping[str, Any]
) -> dict[str, Any]:
    """Scores on sources and versions never seen, the split that foretells other people's measurements."""
    kinds = {"source": ("source",), "version": ("version",), "die_or_family": ("die", "family")}
    return {
        **{f"leave_{name}_out": blends.scores(rows, everything, spec, splits) for name, splits in kinds.items()},
        "each_source": blends.each_group(rows[rows.split == "source"], spec), "blend": spec.get("blend", {}),
    }  # fmt: skip


def _class_scores(name: str, work: Path) -> dict[str, Any]:
    seen = pd.read_parquet(work / f"{name}.seen.parquet")
    chips_out = pd.read_parquet(work / f"{name}.chips.parquet")
    families_out = pd.read_parquet(work / f"{name}.families.parquet")
    methods = ["surrogate", "constant", "roofline"]
    return {
        "unseen_shapes": table(seen, ["family", "dataset", "dtype"], ["predicted", "roofline"]),
        "unseen_shapes_by_family": table(seen, ["family"], ["predicted", "roofline"]),
        "unseen_shapes_by_operator": table(seen, ["family", "op"], ["predicted", "roofline"]),
        "interval_coverage_unseen_shapes": check_shapes(seen),
        "interval_coverage_leave_chip_out": check_groups(chips_out),
        "interval_coverage_leave_family_out": check_groups(families_out),
        "leave_chip_out": table(chips_out, ["family", "group"], methods),
        "leave_chip_out_by_family": table(chips_out, ["family"], methods),
        "leave_family_out": table(families_out, ["family"], methods),
    }
