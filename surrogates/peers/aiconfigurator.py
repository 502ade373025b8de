"""AIConfigurator's predictions beside those of hetbench on the same measured deployments.

    python -m surrogates.peers.aiconfigurator --predictions peer.jsonl --held held.parquet

`--predictions` holds one JSON object a line with the setting (model, chip, engine, tp, dp, ep, input_len, output_len,
concurrency) and `ttft`, `tpot` in ms, as AIConfigurator 0.12 (PyPI) estimates them for an aggregated deployment with
its default database of each system and back end, batch size as the table of measurements states it. `--held` is what
`python -m surrogates.serving --held` keeps. Rows that AIConfigurator refuses are counted, and left out for both.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import pandas as pd

from hetbench.errors import command

KEYS = ["model", "chip", "engine", "tp", "dp", "ep", "input_len", "output_len", "concurrency"]


def compare(peer: pd.DataFrame, held: pd.DataFrame) -> pd.DataFrame:
    """Median APE in % of both, by split and metric, on the settings that both answered."""
    silicon = held[held.source == "aiconfigurator_silicon"]
    long = peer.melt(id_vars=KEYS, value_vars=["ttft", "tpot"], var_name="metric", value_name="peer").dropna()
    long = long.groupby([*KEYS, "metric"], as_index=False).peer.median()
    both = silicon.merge(long, on=[*KEYS, "metric"])
    both = both.assign(ours=100 * abs(both.ratio - 1), theirs=100 * abs(both.peer / both.value - 1))
    return both.groupby(["split", "metric"]).agg(
        rows=("ours", "size"), hetbench=("ours", "median"), aiconfigurator=("theirs", "median")
    ).round(1)  # fmt: skip


@command("stopped")
def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--predictions", type=Path, required=True)
    parser.add_argument("--held", type=Path, required=True)
    arguments = parser.parse_args()
    peer = pd.read_json(arguments.predictions, lines=True)
    print(f"{len(peer)} settings, {int(peer.tpot.isna().sum())} refused by AIConfigurator")
    print(compare(peer, pd.read_parquet(arguments.held)).to_string())
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
