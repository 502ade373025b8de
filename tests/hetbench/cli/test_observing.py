"""`hetbench observe` keeps timings between runs, and `hetbench forget` drops them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

ASKED = ("query", "resnet-50", "--target", "nvidia-t4", "--metric", "latency", "--stack", "tensorrt", "--precision",
         "fp16", "--batch", "8", "--json")  # fmt: skip
HEAD = "model,chip,stack,precision,batch,metric,value,unit\n"


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HETBENCH_HOME", str(tmp_path))
    return tmp_path


def value(run: Any) -> float:
    return float(json.loads(run(*ASKED)[1])["value"])


def test_rows_correct_later_runs_until_they_are_forgotten(run: Any, home: Path):
    before = value(run)
    rows = home / "rows.csv"
    rows.write_text(f"{HEAD}resnet-50,nvidia-t4,tensorrt,fp16,8,latency,{2 * before / 1e3},s\n"
                    "resnet-50,nvidia-t4,tensorrt,fp16,8,latency,-1,\n")  # fmt: skip
    code, out, _ = run("observe", str(rows))
    assert (code, "positive number" in out) == (0, True)
    assert value(run) > 1.1 * before
    assert "nvidia-t4" in run("observe")[1]
    assert run("forget", "nvidia-t4")[1] == "1 rows dropped\n"
    assert value(run) == before


def test_a_file_without_a_usable_row_is_an_error_and_keeps_nothing(run: Any, home: Path):
    rows = home / "rows.csv"
    rows.write_text(f"{HEAD}resnet-50,nvidia-t4,tensorrt,fp16,8,latency,0,\n")
    assert run("observe", str(rows))[0] == 2
    rows.write_text("")
    code, _, err = run("observe", str(rows))
    assert (code, "holds no rows" in err) == (2, True)
    assert not (home / "observations.json").exists()
