"""The wheel holds hetbench and nothing else, with its catalogue."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.slow
def test_the_wheel_holds_only_hetbench_with_its_catalogue(tmp_path: Path):
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", str(tmp_path), str(ROOT)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    (wheel,) = tmp_path.glob("*.whl")
    assert wheel.stat().st_size < 30e6
    names = zipfile.ZipFile(wheel).namelist()
    assert {name.split("/")[0] for name in names if ".dist-info/" not in name} == {"hetbench"}
    for part in ("models.toml", "chips.toml", "graphs/", "knowledge.npz", "surrogates/operators.json"):
        assert any(name.startswith(f"hetbench/catalog/{part}") for name in names), part
    assert "hetbench/py.typed" in names
    for page in ("vendor/plot.umd.min.js", "vendor/d3.LICENSE", "templates/explorer/main.js", "templates/tokens.css"):
        assert f"hetbench/pages/{page}" in names
