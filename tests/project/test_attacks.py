"""A few cases of the fuzzer and a few kills, as CI runs them; more by hand, see `tests/README.md`."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("duckdb")
pytest.importorskip("pandas")

ROOT = Path(__file__).resolve().parents[2]


def _run(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-m", *words], cwd=ROOT, capture_output=True, text=True, timeout=300)


def test_hostile_cases_are_answered_or_refused():
    done = _run("tests.fuzz", "--seed", "0", "--cases", "60", "--minutes", "4")
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-1000:]
    assert re.search(r"60 cases: .* 0 silent, 0 raw, 0 hang, 0 lost", done.stdout)


@pytest.mark.skipif(sys.platform == "win32", reason="kill -9 of a group is POSIX")
def test_kills_lose_no_row_and_leave_no_torn_file():
    done = _run("tests.benchmarks.kills", "--count", "2", "--kind", "store", "publish rows")
    assert done.returncode == 0, done.stdout + done.stderr[-1000:]
    assert [line.split()[-3:] for line in done.stdout.splitlines()[-2:]] == [["0", "0", "0"]] * 2
