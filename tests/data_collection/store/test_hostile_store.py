"""The store against what is damaged, unknown, hostile or set back: nothing is lost in silence, nothing locks it."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("pyarrow")
pytest.importorskip("duckdb")

from data_collection.store import Row, check, connect, open_run, read, recover
from data_collection.store.__main__ import main
from data_collection.store.publish import publish
from data_collection.suite.compare import compare
from hetbench.errors import HetBenchError, RefusedError

ENVIRONMENT = {"id": "0123456789ab"}
OK = Row(
    kind="operator", name="Linear", dims='{"k": 8, "m": 2, "n": 4}', precision="fp32", phase="fwd", stack="eager",
    protocol="wall", threads=2, family="oneapi", chip="amd-epyc-zen4-2vcpu-kvm", software="torch 2.13.0",
    status="ok", latency_ms=0.5, raw_ms=(0.49, 0.5, 0.51), environment="0123456789ab", run="",
    started="2026-11-25T00:00:00+00:00",
)  # fmt: skip


def write(store: Path, *rows: Row) -> str:
    with open_run(store, ENVIRONMENT, ["test"]) as run:
        for row in rows:
            run.append(replace(row, run=run.name))
    return run.name


def count(store: Path) -> int:
    return int(connect(read(store)).execute("SELECT count(*) FROM rows").fetchone()[0])


def killed(store: Path, *lines: str | bytes) -> Path:
    """A store with the journal of a killed run that holds these lines."""
    name = write(store, replace(OK, threads=99))
    path = store / "journals" / f"{name}.jsonl"
    path.write_bytes(b"".join((line if isinstance(line, bytes) else line.encode()) + b"\n" for line in lines))
    return path


def line(**changes: Any) -> str:
    return json.dumps(asdict(OK) | {"raw_ms": [0.5]} | changes)


@pytest.mark.parametrize("broken", [
    line(kind="model", name="gpt-99"), line(name="Linaer"), line(precision="fp5"), line(dims="[1]"), line(dims="{"),
    line(batch=10**30), line(raw_ms=["a"]), line(raw_ms=3), line(latency_ms="fast"), line(started="yesterday"),
    line(started="2026-11-25"), line(software="\ud800"), line(spread=1e400),
    "[" * 100_000, "null", '{"kind": 1}', b"\xff\xfe",
    line(dims='{"m": ' + "9" * 400 + ', "n": 1, "k": 1}'), line(family=[]), line(reason={}),
])  # fmt: skip
def test_a_journal_line_that_is_no_row_is_kept_in_quarantine_and_named(tmp_path: Path, broken: str | bytes):
    journal = killed(tmp_path, line(threads=1), broken, line(threads=3))
    (said,) = read(tmp_path).skipped
    assert said.startswith(f"{journal.name}: line 2 is left out: ")
    assert recover(tmp_path) == {journal.stem: 2}
    (kept,) = (tmp_path / "quarantine").iterdir()
    assert kept.read_bytes() == (broken if isinstance(broken, bytes) else broken.encode()) + b"\n"
    assert count(tmp_path) == 3
    (said,) = read(tmp_path).skipped
    assert said.startswith(f"quarantine/{kept.name}: line 1 is left out: ")
    write(tmp_path, replace(OK, threads=4))  # new runs are not locked out
    assert count(tmp_path) == 4


@pytest.mark.parametrize("manifest", [
    "[]", "null", '{"format": 1}', '{"format": 2}', "{", "[" * 100_000, '{"format": 1, "run": "x", "parts": 3}', "\0",
])  # fmt: skip
def test_a_manifest_that_is_none_is_named_and_the_rows_of_its_journal_stay(tmp_path: Path, manifest: str):
    journal = killed(tmp_path, line(threads=1))
    (tmp_path / "runs" / f"{journal.stem}.json").write_text(manifest)
    said = read(tmp_path).skipped
    assert any(each.startswith(f"{journal.stem}.json: ") for each in said)
    assert recover(tmp_path) == {}
    assert journal.exists()
    assert count(tmp_path) == 1


def test_a_part_is_a_file_of_the_store_and_nothing_elsewhere(tmp_path: Path):
    name = write(tmp_path, OK)
    path = tmp_path / "runs" / f"{name}.json"
    manifest = json.loads(path.read_text())
    manifest["parts"][0]["file"] = f"../parts/{manifest['parts'][0]['file']}"
    path.write_text(json.dumps(manifest))
    assert "is no file name of a part" in read(tmp_path).skipped[0]


def test_a_journal_that_became_a_part_already_is_not_counted_twice(tmp_path: Path):
    with open_run(tmp_path, ENVIRONMENT) as run:
        run.append(replace(OK, run=run.name))
        journal = (tmp_path / "journals" / f"{run.name}.jsonl").read_bytes()
    (tmp_path / "journals" / f"{run.name}.jsonl").write_bytes(journal)  # killed before it was deleted
    recover(tmp_path)
    assert connect(read(tmp_path)).execute("SELECT count(*) FROM every_row").fetchone() == (1,)


def test_a_store_whose_name_has_glob_characters_is_read_and_not_the_one_beside_it(tmp_path: Path):
    write(tmp_path / "s1", replace(OK, latency_ms=111.0))
    write(tmp_path / "s[12]", OK)
    found = connect(read(tmp_path / "s[12]")).execute("SELECT latency_ms FROM rows").fetchall()
    assert found == [(0.5,)]


@pytest.mark.parametrize("query", [
    "COPY (SELECT 1) TO '{file}'", "COPY rows TO '{part}' (FORMAT parquet)", "ATTACH '{file}.db' AS other",
    "SELECT * FROM read_csv('{secret}')", "SELECT * FROM '{secret}'", "SELECT * FROM read_text('{secret}')",
    "EXPORT DATABASE '{file}'", "INSTALL httpfs", "LOAD httpfs", "SET enable_external_access = true",
    "RESET enable_external_access", "SELECT * FROM glob('{file}*')", "CREATE SECRET (TYPE s3)",
    "SELECT * FROM contents", "COPY (SELECT 1) TO '/dev/stdout'", "PRAGMA database_list; ATTACH '{file}.db'",
])  # fmt: skip
def test_a_query_reaches_the_views_and_no_file(tmp_path: Path, query: str, capsys: Any):
    store, file, secret = tmp_path / "store", tmp_path / "file", tmp_path / "secret.csv"
    name = write(store, OK)
    secret.write_text("a\n1\n")
    part = store / "parts" / f"{name}-0000.parquet"
    before = part.read_bytes()
    assert main(["sql", query.format(file=file, part=part, secret=secret), "--store", str(store)]) == 2
    assert "Views: rows" in capsys.readouterr().err
    assert sorted(path.name for path in tmp_path.iterdir()) == ["secret.csv", "store"]
    assert part.read_bytes() == before


def test_a_query_may_read_and_write_files_where_that_is_asked_for(tmp_path: Path, capsys: Any):
    write(tmp_path / "store", OK)
    query = f"COPY (SELECT latency_ms FROM rows) TO '{tmp_path / 'out.csv'}'"
    assert main(["sql", query, "--store", str(tmp_path / "store")]) == 2
    assert "--unsafe lets it read and write files" in capsys.readouterr().err
    assert main(["sql", query, "--store", str(tmp_path / "store"), "--unsafe"]) == 0
    assert (tmp_path / "out.csv").read_text().split() == ["latency_ms", "0.5"]


def test_control_characters_of_a_cell_do_not_reach_the_terminal(tmp_path: Path, capsys: Any):
    write(tmp_path, replace(OK, software="torch\x1b[31m\n2"))
    assert main(["sql", "SELECT software FROM rows", "--store", str(tmp_path)]) == 0
    assert capsys.readouterr().out == "software\ntorch\\x1b[31m\\n2\n"


@pytest.mark.parametrize("query", ["", ";", "-- nothing", "SELECT \ud800", "SELECT 1 FROM", "SELECT 10**400"])
def test_a_query_that_cannot_be_answered_is_a_message(tmp_path: Path, query: str, capsys: Any):
    write(tmp_path, OK)
    assert main(["sql", query, "--store", str(tmp_path)]) in (0, 2)
    capsys.readouterr()


def test_runs_are_ordered_by_their_count_where_the_clock_was_set_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    slow = replace(OK, latency_ms=1.0, raw_ms=tuple(0.99 + 0.001 * n for n in range(20)))
    fast = replace(OK, latency_ms=0.5, raw_ms=tuple(0.49 + 0.001 * n for n in range(20)))
    write(tmp_path, replace(fast, started="2026-11-25T12:00:00+00:00"))
    import time

    then = time.gmtime(time.time() - 10**7)
    monkeypatch.setattr(time, "gmtime", lambda *_: then)
    write(tmp_path, replace(slow, started="2026-08-01T12:00:00+00:00"))
    (change,) = compare(tmp_path, "previous", "latest")
    assert (change.verdict, change.ratio) == ("slower", 2.0)
    publish(read(tmp_path), tmp_path / "out.parquet")
    from pyarrow.parquet import read_table

    assert read_table(tmp_path / "out.parquet").column("latency_ms").to_pylist() == [1.0]


def test_nothing_that_is_ok_is_nothing_to_publish(tmp_path: Path):
    write(tmp_path, replace(OK, status="disturbed", latency_ms=None, reason="others"))
    with pytest.raises(RefusedError, match="nothing to publish"):
        publish(read(tmp_path), tmp_path / "out.parquet")
    assert not (tmp_path / "out.parquet").exists()


def test_publishing_onto_a_link_writes_its_target_and_onto_a_device_is_refused(tmp_path: Path):
    write(tmp_path / "store", OK)
    (tmp_path / "real.parquet").write_bytes(b"old")
    (tmp_path / "link.parquet").symlink_to(tmp_path / "real.parquet")
    assert publish(read(tmp_path / "store"), tmp_path / "link.parquet") == 1
    assert (tmp_path / "link.parquet").is_symlink()
    assert (tmp_path / "real.parquet").read_bytes()[:4] == b"PAR1"
    with pytest.raises(HetBenchError, match="not a plain file"):
        publish(read(tmp_path / "store"), Path("/dev/null"))


@pytest.mark.parametrize("change", [
    {"canary_ms": float("nan")}, {"others_cores": float("inf")}, {"raw_ms": (float("nan"),)}, {"threads": 2**63},
    {"started": ""}, {"dims": "null"},
])  # fmt: skip
def test_a_row_that_a_part_cannot_hold_is_refused_before_it_is_written(change: dict[str, Any]):
    with pytest.raises(HetBenchError):
        check(replace(OK, **change))


def test_without_file_locks_reading_works_and_measuring_says_what_it_needs(tmp_path: Path, monkeypatch: Any):
    write(tmp_path, OK)
    monkeypatch.setitem(__import__("sys").modules, "fcntl", None)
    assert count(tmp_path) == 1
    with pytest.raises(RefusedError, match="POSIX file locks"):
        write(tmp_path, OK)
