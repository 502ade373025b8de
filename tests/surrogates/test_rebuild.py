"""The one command that rebuilds everything."""

from __future__ import annotations

import json
from importlib.util import find_spec
from pathlib import Path

import pytest

pytest.importorskip("pandas")

from surrogates import rebuild


def test_every_step_is_a_module_that_is_there(tmp_path: Path):
    found = rebuild.steps(tmp_path / "corpus", tmp_path, [])
    assert found[0] == ("data_collection.sources", ["build", "--out", str(tmp_path / "corpus")])
    assert [module for module, _ in found if find_spec(module) is None] == []


def test_a_corpus_that_is_there_is_not_built(tmp_path: Path):
    assert "data_collection.sources" not in dict(rebuild.steps(tmp_path, tmp_path, None))


def test_steps_that_are_done_are_not_run_again_and_a_failure_stops_with_its_words(tmp_path: Path, capsys):
    good, bad = ("json.tool", ["--help"]), ("json.tool", [str(tmp_path / "none.json")])
    assert rebuild.run([good, bad], tmp_path) == 2
    said = capsys.readouterr().out
    assert "none.json" in said
    assert "the whole log is" in said
    assert list(json.loads((tmp_path / "rebuild.json").read_text())) == ["python -m json.tool --help"]
    assert rebuild.run([good], tmp_path) == 0
    assert "[1/1] python -m json.tool --help: done in" in capsys.readouterr().out
