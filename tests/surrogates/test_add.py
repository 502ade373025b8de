"""A chip taught from rows measured on it: what its own head answers, how wide, and what a bad file says."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("autogluon.tabular")
import pandas as pd

from hetbench.catalog.chips import chip
from hetbench.errors import InvalidInputError, RefusedError
from hetbench.predict.operators import OperatorSurrogate
from surrogates import train
from surrogates.add import main, read, read_all, teach

ROOT = Path(__file__).resolve().parents[2]
SHIPPED = ROOT / "hetbench" / "catalog" / "surrogates"
ROWS = ROOT / "data_collection" / "measurements" / "amd-epyc-zen4-2vcpu-kvm.parquet"
CHIP = "amd-epyc-zen4-2vcpu-kvm"


@pytest.fixture(scope="module")
def taught(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the shipped surrogates, taught the vector operators of one chip anew."""
    folder = tmp_path_factory.mktemp("surrogates")
    for path in SHIPPED.iterdir():
        shutil.copyfile(path, folder / path.name)
    frames, record = read(ROWS)
    rows = frames["vector"].sample(400, random_state=0).reset_index(drop=True)
    teach({"vector": rows}, record, folder, replace=True)
    return folder


def test_a_taught_chip_is_answered_by_its_own_head_at_level_b(taught: Path):
    surrogate = OperatorSurrogate(taught)
    found = surrogate.predict("Add", "fp32", {"numel": 401408}, chip(CHIP), protocol="wall")
    assert (found.head, found.level) == ("chip", "B")
    assert "head of amd-epyc-zen4-2vcpu-kvm alone, 400 rows" in found.source
    assert found.lower[0] < found.value[0] < found.upper[0]


def test_its_own_head_errs_less_on_shapes_left_out_than_what_answered_before(taught: Path):
    spec = json.loads((taught / f"chip-{CHIP}.json").read_text())["classes"]["vector"]
    scores = {name: each["median_ape"] for name, each in spec["scores"].items()}
    assert scores["own head"] < 0.5 * min(scores["before"], scores["roofline"])
    assert spec["held"]["inside"] > 80


def test_an_operator_without_rows_is_left_to_the_others(taught: Path):
    surrogate = OperatorSurrogate(taught)
    found = surrogate.predict("Linear", "fp32", {"m": 64, "n": 64, "k": 64}, chip(CHIP), protocol="wall")
    assert found.head != "chip"


def test_other_chips_of_the_kind_are_answered_as_before_but_no_narrower(taught: Path, tmp_path: Path):
    for path in taught.iterdir():
        if not path.name.startswith("chip-"):
            shutil.copyfile(path, tmp_path / path.name)
    known, unknown = OperatorSurrogate(taught), OperatorSurrogate(tmp_path)
    for name in ("amd-epyc-7r32", "nvidia-t4"):
        answers = [s.predict("Add", "fp32", {"numel": 10**6}, chip(name), protocol="wall") for s in (known, unknown)]
        assert answers[0].value == answers[1].value
        assert answers[0].lower <= answers[1].lower
        assert answers[0].upper >= answers[1].upper


def test_teaching_twice_gives_the_same_files(taught: Path):
    before = (taught / f"chip-{CHIP}.json").read_bytes()
    frames, record = read(ROWS)
    teach({"vector": frames["vector"].sample(400, random_state=0).reset_index(drop=True)}, record, taught)
    assert (taught / f"chip-{CHIP}.json").read_bytes() == before


def test_teaching_joins_classes_keeps_what_it_knows_better_and_can_be_undone(taught: Path, capsys):
    before = {path.name: path.read_bytes() for path in taught.glob(f"chip-{CHIP}.*")}
    frames, record = read(ROWS)
    other = min((cls for cls in frames if len(frames[cls]) >= 300), key=lambda cls: len(frames[cls]))
    assert other != "vector"
    new = {"vector": frames["vector"].head(150), other: frames[other].head(300)}
    spec = teach(new, record, taught)
    assert {cls: found["rows"] for cls, found in spec["classes"].items()} == {"vector": 400, other: 300}
    known = json.loads(before[f"chip-{CHIP}.json"])
    assert spec["classes"]["vector"] == known["classes"]["vector"]
    assert spec["floors"]["vector/wall"] == known["floors"]["vector/wall"]
    with pytest.raises(RefusedError, match=r"knows .* from more rows: vector 400 -> 150"):
        teach({"vector": new["vector"]}, record, taught)
    main(["--undo", CHIP, "--out", str(taught)])
    assert "put back" in capsys.readouterr().out
    assert {path.name: path.read_bytes() for path in taught.glob(f"chip-{CHIP}.*")} == before
    with pytest.raises(SystemExit, match="2"):
        main(["--undo", CHIP, "--out", str(taught)])
    assert "nothing to undo" in capsys.readouterr().err


def test_a_quiet_row_counts_before_a_noisy_one_and_files_are_joined(tmp_path: Path):
    rows = pd.DataFrame({
        "chip": "nvidia-t4", "op": "Add", "dims": ['{"numel": 8}', '{"numel": 8}', '{"numel": 16}'], "dtype": "fp32",
        "protocol": "wall", "latency_ms": [0.1, 0.3, 0.2], "weight": [1.0, 0.2, 0.2],
    })  # fmt: skip
    rows.to_csv(tmp_path / "a.csv", index=False)
    rows.assign(latency_ms=0.5).tail(1).to_csv(tmp_path / "b.csv", index=False)
    assert read(tmp_path / "a.csv")[0]["vector"].latency_ms.tolist() == [0.1, 0.2]
    frames, record = read_all([tmp_path / "a.csv", tmp_path / "b.csv"])
    assert (record.name, frames["vector"].latency_ms.tolist()) == ("nvidia-t4", [0.1, 0.35])


def test_bad_files_say_what_is_amiss(tmp_path: Path):
    good = pd.DataFrame({
        "chip": ["nvidia-t4"], "op": ["Add"], "dims": ['{"numel": 8}'], "dtype": ["fp32"], "protocol": ["wall"],
        "latency_ms": [0.1],
    })  # fmt: skip
    for change, said in (
        ({"latency_ms": [-1.0]}, "latency_ms=-1.0 must be above 0"),
        ({"dims": ['{"numel": 0}']}, "dim numel=0 must be a whole number"),
    ):
        good.assign(**change).to_csv(tmp_path / "rows.csv", index=False)
        with pytest.raises(InvalidInputError, match=said):
            read(tmp_path / "rows.csv")
    good.drop(columns="protocol").to_csv(tmp_path / "rows.csv", index=False)
    with pytest.raises(InvalidInputError, match="lacks the columns protocol"):
        read(tmp_path / "rows.csv")
    pd.concat([good, good.assign(chip="amd-mi210")]).to_csv(tmp_path / "rows.csv", index=False)
    with pytest.raises(InvalidInputError, match="rows of one chip; found: nvidia-t4, amd-mi210"):
        read(tmp_path / "rows.csv")
    with pytest.raises(InvalidInputError, match="cannot be read"):
        read(tmp_path / "none.parquet")


def test_rows_of_one_shape_count_once(tmp_path: Path):
    rows = pd.DataFrame({
        "chip": "nvidia-t4", "op": "Add", "dims": '{"numel": 8}', "dtype": "fp32", "protocol": "wall",
        "latency_ms": [0.1, 0.3, 0.2],
    })  # fmt: skip
    rows.to_csv(tmp_path / "rows.csv", index=False)
    frames, _ = read(tmp_path / "rows.csv")
    assert frames["vector"].latency_ms.tolist() == [0.2]
    assert np.isclose(frames["vector"].numel[0], 8)


def test_training_with_add_teaches_the_chip_alone(taught: Path, tmp_path: Path, monkeypatch, capsys):
    measured = pd.read_parquet(ROWS)
    columns = ["chip", "name", "dims", "precision", "protocol", "latency_ms"]
    measured[measured.name.isin(["Add", "Mul", "GELU"])][columns].to_csv(tmp_path / "rows.csv", index=False)
    monkeypatch.setattr("sys.argv", ["train", "--add", str(tmp_path / "rows.csv"), "--out", str(taught)])
    train.main()
    assert "median error on shapes left out: own head" in capsys.readouterr().out
    assert json.loads((taught / f"chip-{CHIP}.json").read_text())["provenance"] == "contributed"
    monkeypatch.setattr("sys.argv", ["train", "--add", str(tmp_path / "rows.csv"), "--out", str(tmp_path)])
    with pytest.raises(SystemExit, match="4"):
        train.main()
    assert "holds no operators.json" in capsys.readouterr().err
