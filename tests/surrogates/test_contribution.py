"""Contributed rows that cannot be meant: they are refused, and what the set knew of the chip stays as it was."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("autogluon.tabular")
import pandas as pd

from hetbench.errors import HetBenchError, InvalidInputError, RefusedError
from hetbench.predict.operators import OperatorSurrogate
from surrogates import contribution
from surrogates.add import main, read, teach
from surrogates.evaluate import served

ROOT = Path(__file__).resolve().parents[2]
SHIPPED = ROOT / "hetbench" / "catalog" / "surrogates"
CHIP = "amd-epyc-zen4-2vcpu-kvm"
MEASURED = pd.read_parquet(ROOT / "data_collection" / "measurements" / f"{CHIP}.parquet")
ROWS = MEASURED[MEASURED.kind == "operator"][["chip", "name", "dims", "precision", "protocol", "latency_ms"]]


@pytest.fixture(scope="module")
def shipped(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("surrogates")
    for path in SHIPPED.iterdir():
        shutil.copyfile(path, folder / path.name)
    return folder


def state(folder: Path) -> dict[str, tuple[int, int]]:
    return {path.name: (path.stat().st_size, path.stat().st_mtime_ns) for path in folder.iterdir()}


def refused(rows: pd.DataFrame, folder: Path, tmp_path: Path) -> str:
    """The message with which the command refuses these rows; the set must be untouched."""
    before = state(folder)
    rows.to_parquet(tmp_path / "rows.parquet")
    with pytest.raises(SystemExit) as stopped:
        main([str(tmp_path / "rows.parquet"), "--out", str(folder)])
    assert stopped.value.code in (2, 3)
    assert state(folder) == before
    return str(stopped.value.code)


@pytest.mark.parametrize(("rows", "said"), [
    (ROWS.assign(latency_ms=[float("inf"), *ROWS.latency_ms[1:]]), "must be above 0 and finite (1 rows, the first"),
    (ROWS.assign(latency_ms=[float("nan"), *ROWS.latency_ms[1:]]), "latency_ms=nan must be above 0"),
    (ROWS.assign(protocol=["clock", *ROWS.protocol[1:]]), "unknown protocol 'clock'"),
    (ROWS.assign(precision=["fp33", *ROWS.precision[1:]]), "unknown dtype 'fp33'"),
    (ROWS.assign(chip=[None, *ROWS.chip[1:]]), "row 1 has chip=None"),
    (ROWS.assign(dims=["{", *ROWS.dims[1:]]), "row 1 has dims"),
    (ROWS.assign(dims=["[1]", *ROWS.dims[1:]]), "must be a JSON object"),
    (ROWS.assign(dims=["[" * 10**5, *ROWS.dims[1:]]), "is not valid"),
    (ROWS.assign(dims=[None, *ROWS.dims[1:]]), "row 1 has dims=None"),
    (ROWS.assign(name=["Linaer", *ROWS.name[1:]]), "row 1: unknown operator 'Linaer'"),
    (ROWS.head(0), "holds no rows"), (ROWS.head(1), "too few rows"), (ROWS.head(5), "too few rows"),
    (ROWS.head(99), "too few rows"), (pd.concat([ROWS.head(1)] * 400), "too few rows"),
    (ROWS.assign(latency_ms=ROWS.latency_ms * 1e3), "seems to hold microseconds. Divide by 1000"),
    (ROWS.assign(latency_ms=ROWS.latency_ms * 1e-3), "seems to hold seconds"),
    (ROWS.assign(latency_ms=ROWS.latency_ms * 1e300), "seems to hold nanoseconds"),
    (ROWS.assign(latency_ms=[1e300, *ROWS.latency_ms[1:]]), "leave the row out"),
    (ROWS[ROWS.name == "GELU"], "knows amd-epyc-zen4-2vcpu-kvm from more rows"),
])  # fmt: skip
def test_rows_that_cannot_be_meant_are_refused_and_change_nothing(
    rows: pd.DataFrame, said: str, shipped: Path, tmp_path: Path, capsys: Any
):
    refused(rows, shipped, tmp_path)
    assert said in capsys.readouterr().err


def test_rows_that_the_set_answers_better_without_are_refused(shipped: Path):
    before = state(shipped)
    frames, record = read(ROOT / "data_collection" / "measurements" / f"{CHIP}.parquet")
    part = frames["gemm"].copy()
    with contribution.without_chip(shipped, record.name) as folder:
        part["latency_ms"] = served(part, OperatorSurrogate(folder), "auto").predicted
    with pytest.raises(RefusedError, match="the set is better without it"):
        teach({"gemm": part}, record, shipped, replace=True, implausible=True)
    assert state(shipped) == before


def test_a_file_that_is_no_table_is_a_message(tmp_path: Path):
    for name, data in (("a.parquet", b"PAR1"), ("b.csv", b"\xff\xfe\x00"), ("c.csv", b""), ("d.parquet", b"")):
        (tmp_path / name).write_bytes(data)
        with pytest.raises(InvalidInputError):
            read(tmp_path / name)
    with pytest.raises(HetBenchError):
        read(tmp_path)


def test_a_published_set_is_closed(tmp_path: Path):
    for name in ("operators.json", "manifest.json"):
        (tmp_path / name).write_text("{}")
    frames, record = read(ROOT / "data_collection" / "measurements" / f"{CHIP}.parquet")
    with pytest.raises(RefusedError, match=r"copy it without that file"):
        teach(frames, record, tmp_path)
