"""Configuration files that change, are missing or broken, and sizes that no network has."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from hetbench import HetBench, InvalidInputError

LLAMA = {"model_type": "llama", "hidden_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4,
         "num_key_value_heads": 2, "intermediate_size": 128, "vocab_size": 100}  # fmt: skip


def _write(folder: Path, **facts: Any) -> None:
    folder.mkdir(exist_ok=True)
    (folder / "config.json").write_text(json.dumps(LLAMA | facts))
    os.utime(folder / "config.json", (1, 1))


def _params(model: str) -> float:
    return HetBench().query(model, metric="params").value


def test_a_file_that_changes_is_read_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    api = HetBench()
    _write(tmp_path / "net")
    first = [api.query(name, metric="params").value for name in ("./net", "net/config.json")]
    _write(tmp_path / "net", num_hidden_layers=12)
    later = [api.query(name, metric="params").value for name in ("./net", "net/config.json")]
    assert first[0] == first[1] < later[0] == later[1]


def test_a_name_means_the_file_of_the_working_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    found = []
    for folder, layers in (("a", 2), ("b", 12)):
        _write(tmp_path / folder, num_hidden_layers=layers)
        monkeypatch.chdir(tmp_path / folder)
        found.append(_params("./config.json"))
    assert found[0] < found[1]


@pytest.mark.parametrize("content", [None, "", "[1]", "{", "[" * 100_000, '{"model_type": 3}', "\ufeff{}", '{"a": 1}'])
def test_a_file_that_is_no_configuration_is_refused_by_name(
    content: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.chdir(tmp_path)
    if content is not None:
        (tmp_path / "x.json").write_text(content)
    with pytest.raises(InvalidInputError, match=r"x\.json|model_type"):
        _params("x.json")


@pytest.mark.parametrize(("facts", "said"), [
    ({"hidden_size": 2**31}, "beyond any that exists"), ({"num_hidden_layers": 10**6}, "beyond any that exists"),
    ({"num_attention_heads": 10**400}, "a positive whole number"), ({"tie_word_embeddings": "no"}, "true or false"),
    ({"hidden_act": 5}, "must be a word"), ({"hidden_size": [64, [64]]}, "a positive whole number"),
])  # fmt: skip
def test_a_fact_that_cannot_be_meant_is_named(facts: dict[str, Any], said: str):
    with pytest.raises(InvalidInputError, match=said):
        HetBench().query(LLAMA | facts, metric="params")
