"""The form of a set: what the packaged set has, every other must have when it is installed and when it is read."""

from __future__ import annotations

import json
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hetbench.artifacts.file_types import check_file, check_name
from hetbench.artifacts.integrity import EMBEDDED, check_complete, verify
from hetbench.artifacts.manifest import Manifest, read_json, set_name
from hetbench.artifacts.unpack import unpack
from hetbench.cli.probe import probe
from hetbench.errors import ArtifactError, InvalidInputError

CHIP = sorted(EMBEDDED.glob("chip-*.json"))[0].name


@pytest.fixture
def other(tmp_path: Path) -> Path:
    """A copy of the packaged set."""
    return Path(shutil.copytree(EMBEDDED, tmp_path / "set"))


def change(path: Path, work: Callable[[Any], object]) -> None:
    data = json.loads(path.read_text())
    work(data)
    path.write_text(json.dumps(data))


def delete(*keys: str) -> Callable[[Any], object]:
    def work(data: Any) -> None:
        for key in keys[:-1]:
            data = data[key]
        del data[keys[-1]]

    return work


def put(value: Any, *keys: str) -> Callable[[Any], object]:
    def work(data: Any) -> None:
        for key in keys[:-1]:
            data = data[key]
        data[keys[-1]] = value

    return work


CHIP_NAME = next(iter(read_json(EMBEDDED / "operators.json")["floors"]))
BAND = next(iter(read_json(EMBEDDED / "serving.json")["bands"]))
MEASURED = next(iter(read_json(EMBEDDED / "power.json")["chips"]))


@pytest.mark.parametrize(("name", "work"), [
    ("operators.json", delete("floors")), ("operators.json", delete("classes", "gemm", "cells")),
    ("operators.json", delete("classes", "gemm", "intervals")), ("operators.json", delete("classes", "gemm")),
    ("operators.json", put(-1.0, "floors", CHIP_NAME, "gemm/kernel")), ("operators.json", delete("interval_level")),
    ("operators.json", put("fast", "floors", CHIP_NAME, "gemm/kernel")), ("operators.json", put([], "classes")),
    ("operators.json", put(None, "floors", CHIP_NAME)), ("operators.json", put([[1]], "classes", "gemm", "cells")),
    ("whole.json", delete("groups", "pass-gpu", "evidence", "cells", "amd-mi100|eager|fp32", "")),
    ("whole.json", delete("groups", "pass-gpu", "residuals")), ("whole.json", put(3, "groups", "pass-gpu", "effects")),
    ("power.json", delete("law", "floor")), ("power.json", put(-1, "chips", MEASURED, "factor")),
    ("power.json", put([1], "bands", "B")), ("power.json", delete("families")),
    ("transfer.json", delete("scores")), ("transfer.json", put("x", "exponents", "same family")),
    ("sums.json", delete("log_ratio")), ("sums.json", put([None], "log_ratio")),
    ("rgat.json", delete("types")), ("rgat.json", put(True, "layers")), ("rgat.json", delete("share", "gemm")),
    (CHIP, delete("floors")), (CHIP, delete("classes", "gemm", "band")), (CHIP, put(-1, "floors", "gemm/wall")),
    (CHIP, put({}, "classes", "gemm")),
    ("serving.json", delete("base")), ("serving.json", put([0.1], "base")),
    ("serving.json", delete("levels", "engine")),
    ("serving.json", put([0.1], "levels", "engine", "vllm")), ("serving.json", put([0.1], "bands", BAND)),
    ("serving.json", delete("bands", BAND)), ("serving.json", put(99, "format")), ("serving.json", put([], "columns")),
    ("memory.json", delete("stacks")), ("memory.json", put("x", "stacks")),
    ("training.json", delete("bands")), ("training.json", put(-1, "share")), ("training.json", put("x", "cells")),
])  # fmt: skip
def test_a_table_that_is_not_of_its_form_is_refused_by_name(name: str, work: Any, other: Path):
    change(other / name, work)
    with pytest.raises(ArtifactError, match=name.split(".")[0]):
        check_complete(other)


@pytest.mark.parametrize("text", ["NaN", "Infinity", "1e999", "{", "[]", '{"format": 1, "format": 1}', "[" * 10**5, ""])
def test_a_table_that_is_no_json_object_of_finite_numbers_is_refused(text: str, other: Path):
    path = other / "power.json"
    path.write_text(path.read_text().replace("0.9,", f"{text},", 1) if text[0:1].isalnum() else text)
    with pytest.raises(ArtifactError, match=r"power\.json"):
        check_complete(other)


@pytest.mark.parametrize(("name", "array", "work"), [
    ("gemm.npz", "forest.leaves", lambda a: a[:-1]), ("gemm.npz", "forest.leaves", lambda a: a * np.nan),
    ("gemm.npz", "forest.split_column", lambda a: a * 0 + 200), ("gemm.npz", "forest.borders", None),
    ("gemm.npz", "cell_effects", lambda a: a[:-1]), ("gemm.npz", "forest.bias", lambda a: a.astype("U9")),
    ("gemm.npz", "perceptron.mean", lambda a: a[:-1]), ("gemm.npz", "perceptron.weight0", lambda a: a[0]),
    ("gemm.npz", "ratio_any.columns", lambda a: a[:0]), ("vector.npz", "cell_effects", None),
    ("rgat.npz", "scale", None), ("rgat.npz", "out", lambda a: a * np.inf), ("rgat.npz", "weight0", None),
    ("rgat.npz", "into", lambda a: a[:0]), ("rgat.npz", "types", lambda a: a[:-1]),
    ("rgat.npz", "bias1", lambda a: a[:-1]), ("gemm.npz", "forest.border_counts", lambda a: a.astype(float)),
    ("whole-pass-gpu.npz", "pass-gpu.network1.w1", None), (CHIP.replace(".json", ".npz"), "gemm.forest.bias", None),
])  # fmt: skip
def test_arrays_that_do_not_fit_their_table_are_refused_by_name(name: str, array: str, work: Any, other: Path):
    with np.load(other / name) as stored:
        arrays = {key: stored[key] for key in stored.files}
    if work is None:
        del arrays[array]
    else:
        with np.errstate(invalid="ignore"):
            arrays[array] = work(arrays[array])
    np.savez(other / name, **arrays)
    with pytest.raises(ArtifactError, match=name.split(".")[0]):
        check_complete(other)


def test_a_set_of_this_form_answers_and_one_whose_trees_read_beyond_the_features_is_refused(other: Path):
    check_complete(other)
    probe(other)
    with np.load(other / "gemm.npz") as stored:
        arrays = {key: stored[key] for key in stored.files}
    np.savez(other / "gemm.npz", **{**arrays, "ratio_any.columns": arrays["ratio_any.columns"] * 0 + 255})
    with pytest.raises(ArtifactError, match="reads column 255 of features"):
        probe(Path(shutil.copytree(other, other.with_name("again"))))


@pytest.mark.parametrize("name", ["con.json", "NUL.npz", "com1.json", "aux.x.json", "LPT9.md", "prn.json", "", ".json",
                                  "a.pkl", "a/b.json", "a\n.json", "x" * 200 + ".json"])  # fmt: skip
def test_names_that_no_system_may_hold_are_refused(name: str):
    with pytest.raises(ArtifactError):
        check_name(name)


@pytest.mark.parametrize("name", ["con", "NUL", "aux.2", "lab.", "com1", "", "a/b", "embedded", "x" * 65, "com0.a"])
def test_names_of_sets_are_folder_names_everywhere(name: str):
    with pytest.raises(InvalidInputError):
        set_name(name)


def test_a_manifest_of_another_version_or_with_names_that_differ_in_case_is_refused(other: Path):
    made = Manifest.of(other, "lab", "1", "x")
    path = other / "manifest.json"
    path.write_text(made.to_json())
    verify(other)
    change(path, put("0" * 12, "version"))
    with pytest.raises(ArtifactError, match="states version '000000000000'"):
        verify(other)
    path.write_text(made.to_json())
    change(path, lambda data: data["files"].update({"GEMM.npz": data["files"]["gemm.npz"]}))
    with pytest.raises(ArtifactError, match="differ in case alone"):
        verify(other)


def test_a_changed_bit_in_an_installed_manifest_is_noticed(
    other: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    from hetbench.artifacts.download import download

    monkeypatch.setenv("HETBENCH_HOME", str(tmp_path / "home"))
    (other / "manifest.json").write_text(Manifest.of(other, "lab", "1", "abc").to_json())
    found = download(str(other))
    verify(found.folder)
    path = found.folder / "manifest.json"
    path.write_text(path.read_text().replace('"abc"', '"abd"'))
    with pytest.raises(ArtifactError, match="was changed after the set was installed"):
        verify(found.folder)


def test_a_zip_whose_json_expands_beyond_its_limit_is_refused_before_it_is_read(tmp_path: Path):
    with zipfile.ZipFile(tmp_path / "set.zip", "w", zipfile.ZIP_DEFLATED) as made:
        made.writestr("power.json", b"[" + b"1," * 10**7 + b"1]")
    (tmp_path / "out").mkdir()
    with pytest.raises(ArtifactError, match="the limit is 16,777,216"):
        unpack(tmp_path / "set.zip", tmp_path / "out")


def test_an_npz_whose_arrays_expand_beyond_their_limit_is_refused_before_it_is_read(tmp_path: Path):
    with zipfile.ZipFile(tmp_path / "a.npz", "w", zipfile.ZIP_DEFLATED) as made, made.open("a.npy", "w") as stream:
        for _ in range(513):
            stream.write(bytes(1 << 20))
    with pytest.raises(ArtifactError, match="expands to more than"):
        check_file(tmp_path / "a.npz")


@pytest.mark.parametrize("names", [("",), ("a.json", "A.json"), ("con.json",), ("../a.json",), ("a.json", "a.json")])
@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_an_archive_with_names_that_clash_or_lead_elsewhere_is_refused(names: tuple[str, ...], tmp_path: Path):
    with zipfile.ZipFile(tmp_path / "set.zip", "w") as made:
        for name in names:
            made.writestr(zipfile.ZipInfo(name), b"{}")
    (tmp_path / "out").mkdir()
    with pytest.raises(ArtifactError):
        unpack(tmp_path / "set.zip", tmp_path / "out")
