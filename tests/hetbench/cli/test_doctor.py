"""`hetbench doctor` says what works and what is missing."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from hetbench import __version__


def test_a_sound_installation_answers_from_the_surrogates_in_the_package(run: Any):
    code, out, _ = run("doctor", "--json")
    found = {row["check"]: row for row in json.loads(out)}
    assert code == 0
    assert found["hetbench"]["what"].startswith(__version__)
    assert found["surrogates in the package"]["state"] == "ok"
    assert found["extra test"]["state"] == "ok"


def test_a_selected_set_that_is_gone_fails_with_the_code_of_artefacts(
    run: Any, home: Path, monkeypatch: pytest.MonkeyPatch
):
    home.mkdir(parents=True)
    (home / "selected").write_text("lab@0123456789ab\n")
    code, out, _ = run("doctor", "--json")
    found = {row["check"]: row for row in json.loads(out)}
    assert (code, found["surrogates in use"]["state"]) == (4, "fails")


def test_a_data_folder_that_cannot_be_named_is_missing(run: Any, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("HETBENCH_HOME", "~nobody-of-this-name/x")
    code, out, _ = run("doctor", "--json")
    found = {row["check"]: row for row in json.loads(out)}
    assert (code, found["data folder"]["state"]) == (0, "missing")
