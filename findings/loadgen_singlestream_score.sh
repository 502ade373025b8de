#!/usr/bin/env bash
# mlcommons-loadgen 6.0.17: the first latency line of a SingleStream summary is not the score.
#
# Expected: "90.0th percentile latency (ns)", printed first and followed by "Result is : VALID", is the result of the run.
# Behaviour: since MLPerf Inference v2.0 the score is the early-stopping estimate further down, an upper bound that
#   discards only as many slow queries as the number of queries allows. With 1 query in 12 slow (8.3 %), the headline
#   percentile is that of a fast query and the score that of a slow one: many times as much.
# Seen (2 ms queries, every twelfth 40 ms, 6 s):
#   headline 2.76 ms, score 40.11 ms, VALID: True
# Whoever reads a results folder by its first line understates SingleStream latency.
set -euo pipefail
folder="$(mktemp -d)"
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet --disable-pip-version-check mlcommons-loadgen==6.0.17
"$folder/venv/bin/python" - "$folder" <<'PY'
import re
import sys
import time
from pathlib import Path

import mlperf_loadgen as loadgen

folder, count = sys.argv[1], [0]


def issue(samples):
    for sample in samples:
        count[0] += 1
        time.sleep(0.040 if count[0] % 12 == 0 else 0.002)
        loadgen.QuerySamplesComplete([loadgen.QuerySampleResponse(sample.id, 0, 0)])


settings = loadgen.TestSettings()
settings.scenario, settings.mode = loadgen.TestScenario.SingleStream, loadgen.TestMode.PerformanceOnly
settings.min_duration_ms, settings.min_query_count = 6000, 100
logs = loadgen.LogSettings()
logs.log_output.outdir, logs.log_output.copy_summary_to_stdout = folder, False
loadgen.StartTestWithLogSettings(
    loadgen.ConstructSUT(issue, lambda: None), loadgen.ConstructQSL(64, 64, lambda _: None, lambda _: None), settings, logs
)
summary = (Path(folder) / "mlperf_log_summary.txt").read_text()
headline = int(re.search(r"^90.0th percentile latency \(ns\) : (\d+)", summary, re.MULTILINE)[1])
score = int(re.search(r"Early stopping 90.0th percentile estimate: (\d+)", summary)[1])
print(f"headline {headline / 1e6:.2f} ms, score {score / 1e6:.2f} ms, VALID: {'Result is : VALID' in summary}")
sys.exit(0 if "Result is : VALID" in summary and score > 3 * headline else 1)
PY
