"""What whole passes take over the sum of their operators: the interval of every answer that is such a sum.

    python -m surrogates.whole.sums --rows runs/models/rows.parquet --work runs/models

Sums the operators of every measured eager pass as a query would, and takes the ratio measured / sum. No pass teaches
the operator surrogates, so all of them are held out. What passes usually take over their sums is a factor on every
answer, one for each family and kind of chip. Dies count the same, and the table of the interval is that of one more die
(`surrogates.whole.bands`). Beside the hold-outs of `surrogates.whole` in the work folder the sums also say how much
whole models count in an answer that has both, by how many networks of the die teach them; without hold-outs the shares
of the sums.json that is there stay. Writes sums.json, with what factor and intervals do on each die by the others.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from hetbench.artifacts import FORMATS
from hetbench.catalog.chips import chips
from hetbench.errors import command
from hetbench.graphs import networks
from hetbench.predict.operators import load
from hetbench.query.latency import PROTOCOL
from surrogates.splits import die
from surrogates.whole.bands import of_one_more, variance_among
from surrogates.whole.rows import add_rows, calls_of, read
from surrogates.writing import write_json

FORMAT = FORMATS["sums.json"]
STACKS = ("eager", "eager-amp")
MOST = 150  # passes of one chip, stack and precision
EVIDENCE = (30, 1, 0)  # networks of a die: many, some, none
_DIES_HALF = 2.0
_GRID = tuple(np.linspace(0, 1, 21).round(2).tolist())


@command("stopped")
def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_rows(parser)
    parser.add_argument("--out", type=Path, default=Path("hetbench/catalog/surrogates"))
    parser.add_argument("--work", type=Path, default=Path("runs/models"), help="hold-outs of surrogates.whole")
    options = parser.parse_args()
    stays = json.loads((options.out / "sums.json").read_text()) if (options.out / "sums.json").exists() else {}
    tables = {name: rows.frame for name, rows in read(options.rows, options.own).items() if name != "generation"}
    frame = pd.concat([frame.assign(group=name, row=range(len(frame))) for name, frame in tables.items()])
    plain = summed(frame[frame["stack"].isin(STACKS)])
    passes, held = calibrated(plain, factors(plain)), coverage(plain)
    if any(options.work.glob("*.models.parquet")):
        found = beside(passes, options.work)
        blend = {"blend": shares(found), "blend_errors": errors(found)}
    else:
        blend = {key: stays[key] for key in ("blend", "blend_errors")}
        print(f"no hold-outs in {options.work}: the shares of whole models stay as they are")
    card = {
        "format": FORMAT, "made_by": "python -m surrogates.whole.sums", "operators": load().id,
        "rows": len(passes), "dies": held, **blend, "factor": factors(plain),
        "log_ratio": of_one_more(passes, "away", variance_among([passes], "away")),
    }  # fmt: skip
    write_json(options.out / "sums.json", card)
    print(pd.DataFrame(held).to_string(index=False))
    print(pd.DataFrame(held)[["plain_error", "error", "operators_inside", "inside"]].mean().round(1).to_string())
    print(card["blend"], pd.DataFrame(card["blend_errors"]).to_string(index=False), sep="\n")


def summed(frame: pd.DataFrame) -> pd.DataFrame:
    """Passes with `surrogate`, the predicted sum in ms, its bounds `lower` and `upper`, and `away`, their die."""
    keys = ["chip", "stack", "precision"]
    some = frame.assign(away=die(frame)).groupby(keys).sample(frac=1, random_state=0).groupby(keys).head(MOST)
    sums = []
    for row in some.itertuples():
        parts = [
            (calls, load().predict_model(table, chips()[row.chip], protocol=PROTOCOL))
            for calls, table in calls_of(networks.load(row.graph), row)
        ]
        sums.append([sum(calls * getattr(part, name) for calls, part in parts) for name in ("value", "lower", "upper")])
    return some.assign(**dict(zip(("surrogate", "lower", "upper"), np.transpose(sums), strict=True)))


def kind_of(passes: pd.DataFrame) -> pd.Series:
    """Family and kind of each pass's chip, as `hetbench.predict.intervals.pass_factor` writes them."""
    return passes.chip.map({name: f"{chip.family}/{chip.kind}" for name, chip in chips().items()})


def factors(passes: pd.DataFrame) -> dict[str, float]:
    """What a pass usually takes over its sum: the mean die's, by family and kind, drawn to that of all dies ("").

    A kind of so many dies as `_DIES_HALF` counts half.
    """
    ratio = np.log(passes.ms / passes.surrogate)
    dies = ratio.groupby([kind_of(passes), passes.away]).median()
    overall = float(dies.mean())
    found = {"": overall}
    for kind, part in dies.groupby(level=0):
        found[str(kind)] = overall + len(part) / (len(part) + _DIES_HALF) * (float(part.mean()) - overall)
    return {kind: round(float(np.exp(value)), 4) for kind, value in found.items()}


def calibrated(passes: pd.DataFrame, table: dict[str, float]) -> pd.DataFrame:
    """The passes with sum and bounds times the factor of their kind."""
    factor = kind_of(passes).map(table).fillna(table[""]).to_numpy()
    return passes.assign(**{name: passes[name] * factor for name in ("surrogate", "lower", "upper")})


def beside(passes: pd.DataFrame, work: Path) -> pd.DataFrame:
    """Sums beside what whole models predict of the same pass: `whole` in ms and `evidence`, networks of its die.

    Where the model was left out the other networks of the die taught; where the die was, none.
    """
    parts = []
    keys = [passes.away, passes["stack"], passes.precision]
    networks = passes.graph.groupby(keys).transform("nunique") - 1
    for kind, evidence in (("models", networks), ("chips", networks * 0)):
        for name, part in passes.assign(evidence=evidence).groupby("group"):
            held = pd.read_parquet(work / f"{name}.{kind}.parquet")
            if len(held):
                held = held.assign(whole=np.sqrt(held.network * held.trees))[["row", "whole"]]
                parts.append(part.merge(held, on="row"))
    found = pd.concat(parts, ignore_index=True)
    return found.assign(least=[next(least for least in EVIDENCE if n >= least) for n in found.evidence])


def shares(found: pd.DataFrame) -> list[list[float]]:
    """Networks from which on, and the share of whole models with the least median error; every die weighs alike."""
    table = [[least, _best(found[found.least == least])] for least in EVIDENCE]
    for wider, narrower in zip(table[::-1], table[-2::-1], strict=False):  # more evidence never counts less
        narrower[1] = max(narrower[1], wider[1])
    return table


def _best(part: pd.DataFrame) -> float:
    return min(_GRID, key=lambda share: _error(part, share)) if len(part) else 0.0


def _error(part: pd.DataFrame, share: float) -> float:
    """Mean over dies of the median |log(measured / blend)|."""
    log = share * np.log(part.whole) + (1 - share) * np.log(part.surrogate)
    return float((np.log(part.ms) - log).abs().groupby(part.away).median().mean())


def errors(found: pd.DataFrame) -> list[dict[str, Any]]:
    """Median errors in percent by evidence and die: of the sum, of whole models, and of both by their shares."""
    share = found.least.map(dict(map(tuple, shares(found))))
    blend = np.exp(share * np.log(found.whole) + (1 - share) * np.log(found.surrogate))
    each = {"sum": found.surrogate, "whole": found.whole, "blend": blend}
    lines = []
    for (least, name), part in found.groupby(["least", "away"]):
        medians = {key: 100 * float((value[part.index] / part.ms - 1).abs().median()) for key, value in each.items()}
        line = {"networks": int(least), "die": name, "n": len(part)}
        lines.append(line | {key: round(value, 1) for key, value in medians.items()})
    return lines


def coverage(passes: pd.DataFrame) -> list[dict[str, Any]]:
    """Of each die: its median measured / sum; the median error of the sum and of its answer by the factor of the other
    dies; and percent inside 90 % intervals, of operators alone and as answered."""
    found = []
    for name, plain in passes.groupby("away"):
        others = passes[passes.away != name]
        table = factors(others)
        others, part = calibrated(others, table), calibrated(plain, table)
        low, high = np.exp(of_one_more(others, "away", variance_among([others], "away"), (0.05, 0.95)))
        lower, upper = np.minimum(part.lower, part.surrogate * low), np.maximum(part.upper, part.surrogate * high)
        found.append({
            "die": name, "n": len(part), "ratio": round(float((plain.ms / plain.surrogate).median()), 2),
            "plain_error": _percent(plain), "error": _percent(part),
            "operators_inside": round(100 * float(plain.ms.between(plain.lower, plain.upper).mean()), 1),
            "inside": round(100 * float(part.ms.between(lower, upper).mean()), 1),
            "width": round(float((upper / lower).median()), 2),
        })  # fmt: skip
    return found


def _percent(part: pd.DataFrame) -> float:
    return round(100 * float((part.surrogate / part.ms - 1).abs().median()), 1)


if __name__ == "__main__":
    main()
