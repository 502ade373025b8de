#!/usr/bin/env bash
# aisimulate 0.13.0.dev202610270000000085 (operator tables of the Arc Pro B60): two versions of one engine are timed in two ways.
#
# Expected: the tables of vLLM 0.26.0 and 0.28.0, of equal columns and kernel names, differ by what the engine became faster.
# Behaviour: the least products and decoding attentions take 17 and 58 us under 0.26.0, which is a launch each, and 2 and
#   6 us under 0.28.0, which no launch from the host allows: these were replayed. Attention over a prompt is launched
#   one by one under both. No column and no metadata file says which: small products seem to have become 2.5 to 9 times faster.
# Seen:
#   gemm: least of 0.26.0 17.3 us, of 0.28.0 1.9 us; median ratio of equal shapes 0.84, of those below 30 us 0.40
#   generation_attention: least of 0.26.0 57.6 us, of 0.28.0 6.5 us
#   context_attention: least of 0.26.0 58.5 us, of 0.28.0 67.4 us
# Whoever learns the effect of an engine's version from these tables learns that of the harness.
set -euo pipefail
folder="$(mktemp -d)"
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet --disable-pip-version-check pandas==2.3.3 pyarrow==22.0.0
"$folder/venv/bin/python" -m pip download --quiet --disable-pip-version-check --no-deps --only-binary :all: --dest "$folder" \
    aisimulate==0.13.0.dev202610270000000085
"$folder/venv/bin/python" - "$folder" <<'PY'
import sys
import zipfile
from io import BytesIO
from pathlib import Path

import pandas as pd

wheel = zipfile.ZipFile(next(Path(sys.argv[1]).glob("aisimulate*.whl")))


def table(kind, version, name):
    path = f"aisimulate_core/systems/data/b60/{kind}/vllm/{version}/{name}_perf.parquet"
    return pd.read_parquet(BytesIO(wheel.read(path)))


least = {}
for kind, name in (("gemm", "gemm"), ("attention", "generation_attention"), ("attention", "context_attention")):
    older, newer = table(kind, "0.26.0", name), table(kind, "0.28.0", name)
    least[name] = 1e3 * older.latency.min(), 1e3 * newer.latency.min()
    text = f"{name}: least of 0.26.0 {least[name][0]:.1f} us, of 0.28.0 {least[name][1]:.1f} us"
    if name == "gemm":
        both = older.merge(newer, on=["gemm_dtype", "m", "n", "k"], suffixes=("_older", "_newer"))
        ratio = both.latency_newer / both.latency_older
        small = ratio[both.latency_older < 0.03].median()
        text += f"; median ratio of equal shapes {ratio.median():.2f}, of those below 30 us {small:.2f}"
    print(text)
replayed = all(least[name][1] < 0.2 * least[name][0] for name in ("gemm", "generation_attention"))
sys.exit(0 if replayed and least["context_attention"][1] > 30 else 1)
PY
