"""Train, export and score the operator surrogates, one class at a time; resumes after the last finished step.

    python -m surrogates.train --corpus corpus/ --out hetbench/catalog/surrogates --work runs/operators
    python -m surrogates.train --add my_rows.parquet

Writes <class>.npz, operators.json (what hetbench reads) and card.json (scores, versions, and the manifest and pins of
the corpus). Intervals, blends and fall-backs are set on sources, dies and families left out, never on the shapes of a
source that trained. With --add only the rows of one more chip are learned, as `python -m surrogates.add` does.
"""

from __future__ import annotations

import argparse
import json
import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from hetbench.errors import command
from hetbench.predict.operators import FORMAT, OperatorSurrogate
from surrogates import add
from surrogates.corpus import cited, load
from surrogates.evaluate import served
from surrogates.intervals import INTERVAL_LEVEL
from surrogates.operators import blends, card, holdout, sources
from surrogates.operators.classes import check_agreement, fit_class
from surrogates.operators.dataset import complete, floors, matrix, with_roofline
from surrogates.operators.tabular import BUDGETS, HOLD_OUT_BUDGETS, sample
from surrogates.splits import TEST, die, shape_fold
from surrogates.threads import one_thread
from surrogates.writing import joining, write_json, write_table

_POOL_ROWS = 250_000  # rows of a class that dies and families are left out of
_SCORED_SHAPES = 20_000  # rows of unseen shapes that are scored


@dataclass(frozen=True)
class Run:
    """One training run: its tables, folds and folders."""

    frames: dict[str, pd.DataFrame]
    folds: dict[str, np.ndarray]
    floor: dict[str, dict[str, float]]
    stage: Path
    work: Path
    shrink: float

    @classmethod
    def start(cls, corpus: Path, work: Path, shrink: float) -> Run:
        """Read the corpus, set the folds and the launch floors."""
        frames = {name: with_roofline(complete(frame)) for name, frame in load(corpus, work).items()}
        folds = {name: shape_fold(frame) for name, frame in frames.items()}
        floor = floors([frame[folds[name] != TEST] for name, frame in frames.items()])
        stage = work / "artefact"
        stage.mkdir(exist_ok=True)
        return cls(frames, folds, floor, stage, work, shrink)

    def publish(self, specs: dict[str, Any]) -> None:
        """Write operators.json of the stage."""
        identity = f"operators-{card.data_hash(self.frames)[:12]}"
        index = {"format": FORMAT, "id": identity, "interval_level": INTERVAL_LEVEL, "floors": self.floor}
        write_json(self.stage / "operators.json", {**index, "classes": specs})

    def once(self, step: str, name: str, make: Callable[[str], dict[str, Any]]) -> dict[str, Any]:
        """The result of one step of a class, from its checkpoint when there is one."""
        done = self.work / f"{name}.{step}.json"
        if not done.exists():
            start = time.time()
            write_json(done, make(name))
            taken = round(time.time() - start)
            write_json(self.times, {**self.seconds, f"{name}: {step}": taken})
            print(f"{name}: {step} took {taken} s", flush=True)
        return json.loads(done.read_text())

    @property
    def times(self) -> Path:
        """Where the seconds of every step stand, those of earlier calls included."""
        return self.work / "seconds.json"

    @property
    def seconds(self) -> dict[str, int]:
        return json.loads(self.times.read_text()) if self.times.exists() else {}

    def fit(self, name: str) -> dict[str, Any]:
        """Fit both heads of a class; what operators.json says of it."""
        fitted = fit_class(name, self.frames[name], self.folds[name], self.floor, self.stage, self.work, self.shrink)
        self.publish({name: fitted.spec})
        check_agreement(name, OperatorSurrogate(self.stage), self.floor, fitted)
        return fitted.spec

    def leave_out(self, name: str) -> dict[str, Any]:
        """Write the answers for rows of every source, version, die and family of a class that was left out."""
        frame, known = self.frames[name], list(self.frames.values())
        frame = frame.iloc[sample(frame, _POOL_ROWS)].reset_index(drop=True)
        left_out = sources.leave_sources_out(name, self.frames, self.work)
        write_table(self.work / f"{name}.sources.parquet", left_out)
        chips_out = holdout.leave_groups_out(frame, die(frame), HOLD_OUT_BUDGETS, known)
        write_table(self.work / f"{name}.chips.parquet", chips_out)
        families_out = holdout.leave_groups_out(frame, frame.family, HOLD_OUT_BUDGETS, known, least=30)
        write_table(self.work / f"{name}.families.parquet", families_out)
        return {"rows": len(left_out) + len(chips_out) + len(families_out)}

    def score_shapes(self, name: str) -> dict[str, Any]:
        """Write what the artefact says of shapes never seen, of the sources that trained it."""
        test = self.frames[name][self.folds[name] == TEST].reset_index(drop=True)
        test = test.iloc[sample(test, _SCORED_SHAPES)].reset_index(drop=True)
        made = matrix(test, self.floor)
        seen = served(test, OperatorSurrogate(self.stage))
        seen = seen.assign(base_ms=made.base_ms, roofline=made.roofline_ms + made.floor_ms)
        write_table(self.work / f"{name}.seen.parquet", seen)
        return {"rows": len(seen)}


@command("stopped")
def main() -> None:
    options = _options()
    if options.add:
        add.main([str(options.add), "--out", str(options.out)])
        return
    options.out.mkdir(parents=True, exist_ok=True)
    options.work.mkdir(parents=True, exist_ok=True)
    one_thread()
    began = time.time()
    run = Run.start(options.corpus, options.work, options.shrink)
    specs: dict[str, Any] = {}
    for name in options.classes:
        specs[name] = run.once("fit", name, run.fit)
        run.publish(specs)
    for name in options.classes:
        run.once("left_out", name, run.leave_out)
    found = blends.calibrated({name: blends.read(run.work, name) for name in options.classes})
    specs = blends.lent({name: {**specs[name], **found[name]} for name in options.classes})
    run.publish(specs)
    for name in options.classes:
        run.once("shapes", name, run.score_shapes)
    card.write(run.stage, run.frames, run.work, sum(run.seconds.values()), cited(options.corpus), options.shrink)
    made = sorted(path.name for path in run.stage.iterdir() if path.name != "operators.json")
    with joining(options.out, ["operators.json", *made]) as folder:
        for name in ("operators.json", *made):
            shutil.copyfile(run.stage / name, folder / name)
    size = sum(path.stat().st_size for path in run.stage.iterdir()) / 1e6
    print(f"{options.out}: {size:.1f} MB after {time.time() - began:.0f} s")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    data = parser.add_mutually_exclusive_group(required=True)
    data.add_argument("--corpus", type=Path, help="folder of `python -m data_collection.sources build`")
    data.add_argument("--add", type=Path, metavar="ROWS", help="Parquet or CSV file of rows of one chip")
    parser.add_argument("--out", type=Path, default=Path("hetbench/catalog/surrogates"))
    parser.add_argument(
        "--work", type=Path, default=Path("runs/operators"), help="cache, checkpoints and hold-out scores"
    )
    parser.add_argument("--classes", nargs="*", default=list(BUDGETS))
    parser.add_argument("--shrink", type=float, default=1.0, help="share of the budget, for a quick look")
    return parser.parse_args()


if __name__ == "__main__":
    main()
