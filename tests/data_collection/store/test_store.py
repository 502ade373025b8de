"""The store: what is appended is read back, whatever is killed, damaged, full or at work beside it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import textwrap
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("pyarrow")
pytest.importorskip("duckdb")

import pyarrow.parquet as pq

from data_collection.store import Row, check, connect, key, open_run, read, recover
from data_collection.store.__main__ import main
from data_collection.store.merge import merge
from data_collection.store.publish import environments, publish
from hetbench.errors import InvalidInputError, RefusedError, UnknownNameError

ROOT = Path(__file__).resolve().parents[3]
ENVIRONMENT = {"id": "0123456789ab", "device": "a test"}
OK = Row(
    kind="operator", name="Linear", dims='{"k": 8, "m": 2, "n": 4}', precision="fp32", phase="fwd", stack="eager",
    protocol="wall", threads=2, family="oneapi", chip="amd-epyc-zen4-2vcpu-kvm", software="torch 2.13.0", library="MKL",
    status="ok", latency_ms=0.5, min_ms=0.4, repeats=3, calls_per_repeat=1, raw_ms=(0.4, 0.5, 0.6),
    environment="0123456789ab", run="", started="2026-11-25T00:00:00+00:00",
)  # fmt: skip
MODEL = replace(OK, kind="model", name="gpt2", dims=None, batch=1, seq_len=128, phase="prefill")


def write(store: Path, *rows: Row) -> str:
    with open_run(store, ENVIRONMENT, ["test"]) as run:
        for row in rows:
            run.append(replace(row, run=run.name))
    return run.name


def sql(store: Path, query: str) -> list[Any]:
    return list(connect(read(store)).execute(query).fetchall())


def python(code: str, *arguments: object) -> subprocess.CompletedProcess[str]:
    """A real process that has `OK`, `write`, `open_run` and its arguments as `args`."""
    head = f"""
        import json, os, sys
        from dataclasses import replace
        from pathlib import Path
        from data_collection.store import Row, open_run
        store, *args = Path(sys.argv[1]), *sys.argv[2:]
        values = json.loads({json.dumps(json.dumps(asdict(OK)))})
        OK = Row(**values | {{"raw_ms": tuple(values["raw_ms"])}})
    """
    text = textwrap.dedent(head) + textwrap.dedent(code)
    return subprocess.run([sys.executable, "-c", text, *map(str, arguments)], capture_output=True, text=True, cwd=ROOT)


def test_a_row_comes_back_as_it_was_written(tmp_path: Path):
    run = write(tmp_path, OK)
    columns = ", ".join(asdict(OK))
    (values,) = sql(tmp_path, f"SELECT {columns} FROM rows")
    assert [list(v) if isinstance(v, tuple) else v for v in asdict(replace(OK, run=run)).values()] == list(values)


def test_the_views_carry_the_columns_of_the_corpus_and_the_reference_of_the_run(tmp_path: Path):
    run = write(tmp_path, OK, MODEL)
    assert sql(tmp_path, "SELECT ref, platform, op, dtype, phase, latency_ms, stat FROM operators") == [
        (f"hetbench:{run}", "oneapi", "Linear", "fp32", "fwd", 0.5, "median")
    ]
    assert sql(tmp_path, "SELECT dataset, model, seq_len, phase, metric, unit, value, n_chips FROM models") == [
        ("hetbench", "gpt2", 128, "prefill", "latency_ms", "ms/batch", 0.5, 1)
    ]


def test_a_row_can_be_read_before_its_run_has_ended(tmp_path: Path):
    with open_run(tmp_path, ENVIRONMENT) as run:
        run.append(replace(OK, run=run.name))
        assert sql(tmp_path, "SELECT count(*) FROM rows") == [(1,)]
        assert recover(tmp_path) == {}  # the journal is held


def test_a_key_counts_once_a_run_and_the_settled_row_wins(tmp_path: Path):
    disturbed = replace(OK, status="disturbed", latency_ms=None, reason="others")
    write(tmp_path, disturbed, OK, disturbed)
    write(tmp_path, OK)
    assert sql(tmp_path, "SELECT status, count(*) FROM rows GROUP BY ALL") == [("ok", 2)]


def test_rows_that_were_disturbed_are_in_no_view_of_figures(tmp_path: Path):
    write(tmp_path, replace(OK, status="disturbed", latency_ms=None, reason="others"))
    assert sql(tmp_path, "SELECT count(*) FROM operators") == [(0,)]


def test_a_noisy_row_is_a_figure_of_less_weight_until_a_quiet_one_of_its_key_is_there(tmp_path: Path):
    noisy = replace(OK, status="noisy", latency_ms=0.4, spread=0.1, reason="others")
    write(tmp_path, noisy)
    assert sql(tmp_path, "SELECT latency_ms, status, weight FROM operators") == [(0.4, "noisy", 0.2)]  # 1 / (1 + 2**2)
    write(tmp_path, OK)
    out = tmp_path / "rows.parquet"
    assert publish(read(tmp_path), out) == 1
    assert pq.read_table(out, columns=["latency_ms", "status", "weight"]).to_pylist() == [
        {"latency_ms": 0.5, "status": "ok", "weight": 1.0}
    ]


def test_merged_stores_hold_every_run_once_and_the_newest_row_is_the_newest_of_both(tmp_path: Path):
    here, there = tmp_path / "here", tmp_path / "there"
    write(there, OK)
    run = write(there, MODEL)
    for path in [*there.rglob(f"{run}*")]:  # a run of an earlier day
        path.rename(path.with_name(path.name.replace(run, f"20200101T000000Z{run[16:]}")))
    manifest = next((there / "runs").glob("2020*"))
    manifest.write_text(manifest.read_text().replace(run, manifest.stem))
    write(here, replace(MODEL, latency_ms=0.25))
    assert merge(here, there) == (2, 2)
    assert merge(here, there) == (0, 0)
    assert sql(here, "SELECT count(*) FROM rows") == [(3,)]
    assert not read(here).skipped
    assert publish(read(here), tmp_path / "rows.parquet") == 2
    kept = pq.read_table(tmp_path / "rows.parquet", columns=["kind", "latency_ms"]).to_pylist()
    assert {row["kind"]: row["latency_ms"] for row in kept} == {"operator": 0.5, "model": 0.25}
    with pytest.raises(InvalidInputError, match="cannot be merged with itself"):
        merge(here, here)


def test_a_damaged_store_is_not_merged(tmp_path: Path):
    here, there = tmp_path / "here", tmp_path / "there"
    write(there, OK)
    next((there / "parts").glob("*")).write_bytes(b"PAR1")
    with pytest.raises(InvalidInputError, match=r"truncated or changed.* Run: python -m .* check"):
        merge(here, there)
    assert not here.exists()


def test_an_empty_view_says_why(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    write(tmp_path, replace(OK, status="disturbed", latency_ms=None, reason="others"))
    for query, said in (("operators", "none of its rows has a latency: 1 disturbed. Other work ran on the machine"),
                        ("models", "the store has no row of any model. Measure: python -m")):  # fmt: skip
        assert main(["sql", f"SELECT * FROM {query}", "--store", str(tmp_path)]) == 0
        err = capsys.readouterr().err
        assert f"{query} is empty: {said}" in err
        assert err.count("is empty") == 1
    with pytest.raises(RefusedError, match=r"1 disturbed\. Other work ran .* --keep-noisy"):
        publish(read(tmp_path), tmp_path / "rows.parquet")


def test_the_key_follows_the_setting_and_not_the_result():
    assert key(OK) == key(replace(OK, latency_ms=9.0, run="other", started="later"))
    settings: list[dict[str, Any]] = [{}, {"threads": 1}, {"cache": "cold"}, {"software": "torch 2.14.0"}]
    assert len({key(replace(OK, **setting)) for setting in settings}) == 4


@pytest.mark.parametrize(("change", "message"), [
    ({"latency_ms": None}, "status 'ok' cannot have latency_ms=None"),
    ({"latency_ms": 0.0}, "cannot have latency_ms=0.0"),
    ({"latency_ms": float("nan")}, "must be a finite number"),
    ({"status": "oom"}, "status 'oom' cannot have latency_ms=0.5"),
    ({"status": "failed"}, "unknown status 'failed'"),
    ({"precision": "fp33"}, "unknown precision 'fp33'. Did you mean"),
    ({"dims": '{"m": 2, "n": 4}'}, "Linear needs k"),
    ({"name": "Linaer"}, "Did you mean 'Linear'"),
    ({"threads": 1.5}, "threads=1.5 of a row must be"),
    ({"threads": True}, "threads=True of a row must be"),
])  # fmt: skip
def test_a_row_that_cannot_be_meant_is_refused(change: dict[str, Any], message: str):
    with pytest.raises((InvalidInputError, UnknownNameError), match=message.replace("(", r"\(")):
        check(replace(OK, **change))


@pytest.mark.parametrize(("damage", "said"), [
    (lambda data: data[:-20], "truncated or changed"),
    (lambda data: data[:50] + bytes([data[50] ^ 1]) + data[51:], "sha256 is not the manifest's"),
    (lambda _: None, "cannot be read"),
])  # fmt: skip
def test_a_damaged_part_is_named_and_the_others_are_read(tmp_path: Path, damage: Any, said: str):
    first = write(tmp_path, OK)
    second = write(tmp_path, OK, MODEL)
    part = tmp_path / "parts" / f"{first}-0000.parquet"
    data = damage(part.read_bytes())
    part.unlink() if data is None else part.write_bytes(data)
    (fault,) = read(tmp_path).skipped
    assert fault.startswith(f"{part.name}: ")
    assert said in fault
    assert "its 1 rows are left out" in fault
    assert sql(tmp_path, "SELECT DISTINCT run FROM rows") == [(second,)]


def test_a_part_that_no_manifest_names_is_not_trusted(tmp_path: Path):
    run = write(tmp_path, OK)
    (tmp_path / "runs" / f"{run}.json").write_text("{")
    assert [line.split(":")[0] for line in read(tmp_path).skipped] == [f"{run}.json", f"{run}-0000.parquet"]


def test_a_killed_run_loses_the_row_in_progress_at_most(tmp_path: Path):
    killed = python("""
        with open_run(store, {"id": "0123456789ab"}) as run:
            for m in range(1, 6):
                run.append(replace(OK, run=run.name, dims=json.dumps({"m": m, "n": 4, "k": 8})))
            os.write(run.journal.fileno(), b'{"kind": "operator", "na')
            os.kill(os.getpid(), 9)
    """, tmp_path)  # fmt: skip
    assert killed.returncode == -signal.SIGKILL
    (fault,) = read(tmp_path).skipped
    assert "line 6 is left out" in fault
    assert list(recover(tmp_path).values()) == [5]
    assert read(tmp_path).skipped == []
    assert sql(tmp_path, "SELECT count(*) FROM rows") == [(5,)]
    assert not list((tmp_path / "journals").iterdir())


def test_a_run_killed_between_part_and_manifest_is_recovered_whole(tmp_path: Path):
    with open_run(tmp_path, ENVIRONMENT) as run:
        run.append(replace(OK, run=run.name))
        journal = (tmp_path / "journals" / f"{run.name}.jsonl").read_bytes()
        manifest = (tmp_path / "runs" / f"{run.name}.json").read_bytes()
    (tmp_path / "journals" / f"{run.name}.jsonl").write_bytes(journal)
    (tmp_path / "runs" / f"{run.name}.json").write_bytes(manifest)
    assert sql(tmp_path, "SELECT count(*) FROM rows") == [(1,)]
    assert recover(tmp_path) == {run.name: 1}
    assert sql(tmp_path, "SELECT count(*) FROM rows") == [(1,)]


def test_several_writers_at_once_lose_nothing(tmp_path: Path):
    code = """
        with open_run(store, {"id": "0123456789ab"}) as run:
            for m in range(1, 21):
                run.append(replace(OK, run=run.name, dims=json.dumps({"m": m, "n": 4, "k": 8})))
    """
    with ThreadPoolExecutor(3) as pool:
        done = list(pool.map(lambda _: python(code, tmp_path), range(3)))
    assert [each.returncode for each in done] == [0, 0, 0], done[0].stderr
    assert sql(tmp_path, "SELECT count(DISTINCT run), count(*) FROM rows") == [(3, 60)]
    assert read(tmp_path).skipped == []


def test_a_full_disk_is_said_and_the_rows_before_are_safe(tmp_path: Path):
    full = python("""
        import resource
        from hetbench.errors import InvalidInputError
        resource.setrlimit(resource.RLIMIT_FSIZE, (4000, 4000))  # no file may grow beyond
        try:
            with open_run(store, {"id": "0123456789ab"}) as run:
                for m in range(1, 100):
                    run.append(replace(OK, run=run.name, dims=json.dumps({"m": m, "n": 4, "k": 8})))
        except InvalidInputError as error:
            print(m, error)
    """, tmp_path)  # fmt: skip
    failed_at, message = full.stdout.split(" ", 1)
    assert "File too large. The rows before it are safe; make room, then run the same command again" in message
    recover(tmp_path)
    assert read(tmp_path).skipped == []
    assert sql(tmp_path, "SELECT count(*) FROM rows") == [(int(failed_at) - 1,)]


def test_a_place_that_cannot_be_written_is_said(tmp_path: Path):
    (tmp_path / "file").write_text("")
    with pytest.raises(InvalidInputError, match="Name a writable directory with room: --store DIR"):
        write(tmp_path / "file" / "store", OK)


def test_the_environment_stands_once_in_the_manifest_of_the_run(tmp_path: Path):
    run = write(tmp_path, OK, MODEL)
    manifest = json.loads((tmp_path / "runs" / f"{run}.json").read_text())
    assert manifest["environment"] == ENVIRONMENT
    assert [part["rows"] for part in manifest["parts"]] == [2]
    assert sql(tmp_path, "SELECT rows, json_extract_string(environment, 'device') FROM runs") == [(2, "a test")]


def test_sql_from_the_shell_prints_a_table_or_json_and_explains_what_is_wrong(tmp_path: Path, capsys: Any):
    write(tmp_path, OK)
    query = "SELECT op, latency_ms, cpu_fallback FROM operators"
    assert main(["sql", query, "--store", str(tmp_path)]) == 0
    assert capsys.readouterr().out == "op\tlatency_ms\tcpu_fallback\nLinear\t0.5\t\n"
    assert main(["sql", query, "--store", str(tmp_path), "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {"op": "Linear", "latency_ms": 0.5, "cpu_fallback": None}
    assert main(["sql", "SELECT x FROM operators", "--store", str(tmp_path)]) == 2
    assert "Views: rows, operators, models, runs" in capsys.readouterr().err
    assert main(["sql", query, "--store", str(tmp_path / "none")]) == 2
    assert "is no store" in capsys.readouterr().err


def test_check_from_the_shell_fails_where_something_is_damaged(tmp_path: Path, capsys: Any):
    run = write(tmp_path, OK)
    assert main(["check", "--store", str(tmp_path)]) == 0
    os.truncate(tmp_path / "parts" / f"{run}-0000.parquet", 10)
    assert main(["check", "--store", str(tmp_path)]) == 1
    assert f"skipped: {run}-0000.parquet: truncated" in capsys.readouterr().err


def test_what_is_published_is_the_newest_ok_row_of_every_key_with_its_environment(tmp_path):
    store, out = tmp_path / "store", tmp_path / "figures.parquet"
    write(store, OK, MODEL, replace(OK, name="MatMul", status="disturbed", latency_ms=None, min_ms=None))
    newest = write(store, replace(OK, latency_ms=0.45, started="2026-11-26T00:00:00+00:00"))
    assert main(["publish", str(out), "--store", str(store)]) == 0
    from pyarrow.parquet import read_table

    rows = read_table(out).to_pylist()
    assert [(row["name"], row["latency_ms"]) for row in rows] == [("gpt2", 0.5), ("Linear", 0.45)]
    assert rows[1]["run"] == newest
    assert "raw_ms" not in rows[0]
    assert environments(out) == {ENVIRONMENT["id"]: ENVIRONMENT}


def test_publishing_to_where_nothing_can_be_written_says_so_and_leaves_nothing(tmp_path):
    store = tmp_path / "store"
    write(store, OK)
    (tmp_path / "file").write_text("")
    with pytest.raises(InvalidInputError, match=r"cannot write .*figures\.parquet"):
        publish(read(store), tmp_path / "file" / "figures.parquet")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "store"]
