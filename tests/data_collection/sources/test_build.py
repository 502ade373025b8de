"""A build is whole, incremental and licensed; the command line reports errors."""

from __future__ import annotations

import dataclasses
import shutil
from pathlib import Path

import pytest

from data_collection.sources import build
from data_collection.sources.__main__ import main
from data_collection.upstream.pins import pin
from hetbench.artifacts import sha256_of
from hetbench.errors import InvalidInputError


def test_a_build_writes_tables_and_a_manifest_and_reads_nothing_twice(upstream: Path, tmp_path: Path):
    chosen = [pin("pipeweave"), pin("timm")]
    said: list[str] = []
    place = build.Place(root=upstream, offline=True)
    assert build.build(chosen, tmp_path, place, jobs=2, say=said.append) == {}
    entries = build.manifest(tmp_path)
    assert {name: entry["rows"] for name, entry in entries.items()} == {"pipeweave": 2, "timm": 4}
    for entry in entries.values():
        assert entry["sha256"] == sha256_of(tmp_path / entry["table"])
    before = (tmp_path / "op/pipeweave.parquet").stat().st_mtime_ns
    said.clear()
    build.build(chosen, tmp_path, place, say=said.append)
    assert all("unchanged" in line for line in said)
    assert (tmp_path / "op/pipeweave.parquet").stat().st_mtime_ns == before
    assert not list(tmp_path.rglob("*.part"))


def test_a_changed_upstream_file_or_a_damaged_table_is_built_again(upstream: Path, tmp_path: Path):
    shutil.copytree(upstream / "pipeweave", tmp_path / "in" / "pipeweave")
    place, out = build.Place(root=tmp_path / "in", offline=True), tmp_path / "out"
    build.build([pin("pipeweave")], out, place, say=lambda line: None)
    file = tmp_path / "in/pipeweave/dataset/gemm_fp8_train.csv"
    file.write_text(file.read_text() + file.read_text().splitlines()[1] + "\n")
    build.build([pin("pipeweave")], out, place, say=lambda line: None)
    assert build.manifest(out)["pipeweave"]["rows"] == 3
    (out / "op/pipeweave.parquet").write_bytes(b"damaged")
    build.build([pin("pipeweave")], out, place, say=lambda line: None)
    assert sha256_of(out / "op/pipeweave.parquet") == build.manifest(out)["pipeweave"]["sha256"]


def test_a_source_that_fails_is_named_and_leaves_the_others_whole(upstream: Path, tmp_path: Path):
    shutil.copytree(upstream / "timm", tmp_path / "in" / "timm")
    failed = build.build(
        [pin("pipeweave"), pin("timm")], tmp_path / "out", build.Place(root=tmp_path / "in", offline=True),
        say=lambda line: None,
    )  # fmt: skip
    assert list(failed) == ["pipeweave"]
    assert "--offline" in str(failed["pipeweave"])
    assert list(build.manifest(tmp_path / "out")) == ["timm"]


def test_what_is_built_equals_what_is_checked(upstream: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    build.build([pin("vidur")], tmp_path, build.Place(root=upstream, offline=True), say=lambda line: None)
    assert main(["check", "vidur", "--from", str(upstream / "vidur"), "--corpus", str(tmp_path)]) == 0
    assert capsys.readouterr().out == "vidur: 11 equal (11 with equal extra), 0 only here, 0 only there\n"


def test_a_restricted_source_needs_the_flag():
    source = dataclasses.replace(pin("timm"), restricted=True, licence="none stated")
    assert build.chosen([source], (), False) == ([], [source])
    assert build.chosen([source], (), True) == ([source], [])


def test_naming_a_restricted_source_without_the_flag_is_an_error(monkeypatch: pytest.MonkeyPatch):
    source = dataclasses.replace(pin("timm"), restricted=True)
    monkeypatch.setattr(build, "pin", lambda name: source)
    with pytest.raises(InvalidInputError, match="--include-restricted"):
        build.chosen([source], ["timm"], False)


def test_the_shell_answers_2_with_the_error_on_stderr(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    assert main(["import", "timm", "--from", str(tmp_path / "no"), "--out", str(tmp_path / "t.parquet")]) == 2
    assert "--from takes a clone" in capsys.readouterr().err
    assert main(["list"]) == 0
    assert "miopen" in capsys.readouterr().out
