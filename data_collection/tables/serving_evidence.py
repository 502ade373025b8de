"""The compact table of published deployments that answer a question of exactly their setting.

    python -m data_collection.tables.serving_evidence --rows runs/serving/rows.parquet

Writes `hetbench/catalog/serving_evidence.json.gz`: closed-loop rows with every setting stated, of each setting those of
the newest version of the engine. `hetbench.serving.published` reads it.
"""

from __future__ import annotations

import argparse
import gzip
import json
import re
from pathlib import Path
from typing import Any

from hetbench.artifacts import replacing
from hetbench.errors import HetBenchError, command
from hetbench.serving.names import named
from hetbench.serving.published import FORMAT, SETTING

OUT = Path(__file__).resolve().parents[2] / "hetbench" / "catalog" / "serving_evidence.json.gz"
METRICS = ("ttft", "tpot", "latency", "throughput", "total_throughput")


def table(rows: Any) -> dict[str, Any]:
    """Settings -> figures by metric, version and reference; rows is a data frame."""
    kept = rows[(rows["drop"] == "") & (rows.kind == "serving") & rows.metric.isin(METRICS)]
    kept = kept[kept.source != "vllm_ascend_ci"]  # gates of a test, not runs
    refs, versions, found = [], [], {}
    keys = ["model", "chip", "engine", "weights", "tp", "dp", "pp", "ep", "input_len", "output_len", "concurrency"]
    for key, part in kept.groupby(keys):
        try:
            setting = (named(key[0]).shape, *key[1:4], *(int(each) for each in key[4:]))
        except HetBenchError:
            continue
        newest = part[part.version == max(part.version, key=recency)]
        figures = {m: round(float(p.value.median()), 3) for m, p in newest.groupby("metric")}
        at = [_index(refs, newest.ref.iloc[0]), _index(versions, newest.version.iloc[0])]
        found.setdefault(" ".join(map(str, setting)), [figures, *at, len(newest), newest.statistic.iloc[0]])
    return {"format": FORMAT, "setting": list(SETTING), "refs": refs, "versions": versions, "rows": found}


def recency(version: str) -> tuple[str, str]:
    """A key that sorts versions by the month that they state, then by name.

    >>> max("ATOM-vLLM 2026-04", "ATOM 2026-08, ROCm unknown", key=recency)
    'ATOM 2026-08, ROCm unknown'
    """
    month = re.search(r"20\d\d-\d\d", version)
    return (month[0] if month else "", version)


def _index(known: list[str], text: str) -> int:
    if text not in known:
        known.append(text)
    return known.index(text)


@command("stopped")
def main() -> int:
    import pandas as pd

    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rows", type=Path, default=Path("runs/serving/rows.parquet"))
    parser.add_argument("--out", type=Path, default=OUT)
    arguments = parser.parse_args()
    made = table(pd.read_parquet(arguments.rows))
    text = json.dumps(made, separators=(",", ":"), sort_keys=True).encode()
    with replacing(arguments.out) as partial:
        partial.write_bytes(gzip.compress(text, 9, mtime=0))
    print(f"{len(made['rows']):,} settings, {arguments.out.stat().st_size:,} bytes: {arguments.out}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
