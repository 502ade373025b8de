"""The JSON of the catalogue's tables says what the TOML says, and a changed TOML counts at once."""

from __future__ import annotations

import json
import shutil
import tomllib
from pathlib import Path

import pytest

from hetbench.catalog import toml_tables
from hetbench.catalog.toml_tables import TABLES, packed_table, read_table

FOLDER = Path(toml_tables.__file__).parent


@pytest.mark.parametrize("name", TABLES)
def test_the_json_is_of_the_toml_beside_it(name: str):
    made = (FOLDER / f"{name}.json").read_text(encoding="utf-8")
    assert made == packed_table(name), "run: python -m data_collection.tables.catalogue"
    assert read_table(name) == tomllib.loads((FOLDER / f"{name}.toml").read_text(encoding="utf-8"))


@pytest.mark.parametrize("twin", ['{"of": 1, "table": {}}', "{", "[]"])
def test_json_of_another_toml_is_not_read(twin: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(toml_tables, "_FOLDER", tmp_path)
    shutil.copy(FOLDER / "sources.toml", tmp_path)
    with (tmp_path / "sources.toml").open("a", encoding="utf-8") as file:
        file.write('\n[new]\ntitle = "added"\n')
    (tmp_path / "sources.json").write_text(twin, encoding="utf-8")
    assert read_table("sources")["new"] == {"title": "added"}
    assert json.loads(packed_table("sources"))["table"]["new"] == {"title": "added"}
