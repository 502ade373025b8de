"""Sets of surrogates: found by name or folder, checked before they answer, chosen, and deleted."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import Any

import pytest

from hetbench import HetBench
from hetbench.artifacts import Manifest, sets, verify
from hetbench.artifacts.download import download
from hetbench.artifacts.sets import EMBEDDED
from hetbench.errors import ArtifactError, InvalidInputError, UnknownNameError

ASKED = {"model": "resnet-50", "target": "amd-mi210", "batch": 5}


def answers(api: HetBench) -> dict[str, Any]:
    """What a set says of latency, power and memory, on one chip and beside another, and of an operator."""
    return {
        "alone": api.query(**ASKED).to_dict(),
        "beside": api.query(**ASKED, source="cuda", metric="latency").to_dict(),
        "carried": api.query(**ASKED, source="cuda", source_value=9.0, metric="latency").to_dict(),
        "operator": api.query_operator("Linear", {"m": 128, "n": 300, "k": 768}, device="cann").to_dict(),
    }


def copy(folder: Path, to: Path) -> Path:
    shutil.copytree(folder, to)
    return to


def change(path: Path, **fields: Any) -> None:
    """Set fields of a JSON file."""
    path.write_text(json.dumps(json.loads(path.read_text()) | fields))


def test_without_a_name_the_set_in_the_package_answers():
    assert HetBench().artifacts is None
    assert HetBench(artifacts="embedded").artifacts == EMBEDDED


def test_a_folder_answers_as_the_same_set_in_the_package(published: Path):
    assert answers(HetBench(artifacts=published)) == answers(HetBench())


@pytest.mark.parametrize(("name", "fields", "changed"), [
    ("operators.json", {"id": "operators-mine"}, ["alone", "beside", "carried", "operator"]),
    ("sums.json", {"log_ratio": [-5, 0, 5]}, ["alone", "beside", "carried"]),
    ("whole.json", {"id": "whole-mine"}, ["alone", "beside", "carried"]),
    ("power.json", {"id": "power-mine", "bands": {"C": [-1, 1], "D": [-2, 2]}}, ["alone"]),
    ("transfer.json", {"exponents": {"same family": 0, "other family": 0}}, ["carried"]),
])  # fmt: skip
def test_a_table_is_read_from_the_chosen_folder_while_the_package_goes_on_answering(
    name: str, fields: dict[str, Any], changed: list[str], tmp_path: Path
):  # fmt: skip
    other = copy(EMBEDDED, tmp_path / "set")
    change(other / name, **fields)
    found, known = answers(HetBench(artifacts=other)), answers(HetBench())
    assert [key for key in found if found[key] != known[key]] == changed
    assert answers(HetBench()) == known


def test_arrays_are_read_from_the_chosen_folder(tmp_path: Path):
    other = copy(EMBEDDED, tmp_path / "set")
    shutil.copy(other / "vector.npz", other / "gemm.npz")
    with pytest.raises(ArtifactError, match=r"gemm\.npz"):
        HetBench(artifacts=other)


def test_observations_sharpen_the_set_that_was_chosen_alone(published: Path):
    row = {"op": ["Linear"], "dims": [{"m": 512, "n": 512, "k": 512}], "dtype": ["fp16"], "chip": ["mlu"]}
    ask: dict[str, Any] = {"op": "Linear", "dims": row["dims"][0], "device": "mlu", "precision": "fp16"}
    api = HetBench(artifacts=published)
    before = api.query_operator(**ask).value
    api.observe({**row, "latency_ms": [before * 3]})
    assert api.query_operator(**ask).value > before
    assert HetBench(artifacts=published).query_operator(**ask).value == before


def test_a_folder_that_lacks_a_part_says_which(tmp_path: Path):
    other = copy(EMBEDDED, tmp_path / "set")
    (other / "power.json").unlink()
    with pytest.raises(ArtifactError, match=r"not a complete set: it lacks power\.json. A set holds operators"):
        HetBench(artifacts=other)
    (other / "gemm.npz").unlink()
    with pytest.raises(ArtifactError, match=r"lacks gemm\.npz, which operators\.json needs"):
        HetBench(artifacts=other)


def test_a_newer_format_is_refused_with_what_to_do(tmp_path: Path):
    other = copy(EMBEDDED, tmp_path / "set")
    change(other / "whole.json", format=3)
    with pytest.raises(ArtifactError, match=r"whole\.json has format 3; this hetbench reads 2\. Install the hetbench"):
        HetBench(artifacts=other)


def test_a_newer_schema_is_refused_with_what_to_do(published: Path, tmp_path: Path):
    other = copy(published, tmp_path / "set")
    change(other / "manifest.json", schema=2)
    with pytest.raises(ArtifactError, match=r"has schema 2; this hetbench reads schema 1\. Install the hetbench"):
        HetBench(artifacts=other)


@pytest.mark.parametrize(("fields", "why"), [
    ({"name": "../x"}, "the name of a set"), ({"files": 5}, "not the manifest"),
    ({"name": None}, "not the manifest"),
    ({"files": {"../gemm.npz": {"bytes": 1, "sha256": "0" * 64}}}, "no path,"),
    ({"files": {"gemm.pkl": {"bytes": 1, "sha256": "0" * 64}}}, "could run code"),
    ({"files": {"gemm.npz": {"bytes": 1}}}, "not the manifest"),
    ({"files": {"gemm.npz": {"bytes": -1, "sha256": "0" * 64}}}, "needs its sha256 and bytes within the limits"),
    ({"files": {"gemm.npz": {"bytes": 1, "sha256": "0"}}}, "needs its sha256 and bytes within the limits"),
    ({"files": {"gemm.npz": {"bytes": 1 << 40, "sha256": "0" * 64}}}, "needs its sha256 and bytes within the limits"),
    ({"files": {"origin.json": {"bytes": 1, "sha256": "0" * 64}}}, "not the manifest"),
])  # fmt: skip
def test_a_manifest_that_cannot_be_meant_is_refused(fields: dict[str, Any], why: str, published: Path, tmp_path: Path):
    path = tmp_path / "manifest.json"
    shutil.copy(published / "manifest.json", path)
    change(path, **fields)
    with pytest.raises(ArtifactError, match=why):
        Manifest.read(path)


@pytest.mark.parametrize("text", ["", "[]", "{", "\x80\x04"])
def test_a_manifest_that_is_no_json_object_is_refused(text: str, tmp_path: Path):
    (tmp_path / "manifest.json").write_text(text, encoding="latin-1")
    with pytest.raises(ArtifactError, match="manifest"):
        Manifest.read(tmp_path / "manifest.json")


def test_a_file_that_differs_from_the_manifest_is_named(published: Path, tmp_path: Path):
    other = copy(published, tmp_path / "set")
    data = bytearray((other / "gemm.npz").read_bytes())
    data[-1] ^= 1
    (other / "gemm.npz").write_bytes(data)
    with pytest.raises(ArtifactError, match=r"gemm\.npz is damaged: it has sha256 \w{64}, its manifest states \w{64}"):
        HetBench(artifacts=other)
    (other / "gemm.npz").write_bytes(data[:100])
    with pytest.raises(ArtifactError, match=r"gemm\.npz is damaged: it has 100 bytes, its manifest states \d+"):
        verify(other)


def test_a_file_beside_the_listed_ones_is_not_taken(published: Path, tmp_path: Path):
    other = copy(published, tmp_path / "set")
    shutil.copy(other / "gemm.npz", other / "chip-mine.npz")
    with pytest.raises(ArtifactError, match=r"holds 'chip-mine\.npz', which its manifest does not list"):
        verify(other)


def test_the_version_is_that_of_the_content_whatever_the_name(published: Path, tmp_path: Path):
    manifest = Manifest.read(published / "manifest.json")
    again = Manifest.of(published, "other", "9.9", "abc")
    assert again.version == manifest.version
    other = copy(published, tmp_path / "set")
    (other / "README.md").write_text("# another card\n")
    assert Manifest.of(other, "lab", "0", "abc").version != manifest.version


def test_names_mean_the_last_version_and_labels_an_exact_one(published: Path, home: Path, tmp_path: Path):
    first = download(str(published))
    other = copy(published, tmp_path / "set")
    (other / "README.md").write_text("# another card\n")
    (other / "manifest.json").write_text(Manifest.of(other, "lab", "0", "abc").to_json())
    second = download(str(other))
    assert [each.label for each in sets.installed()] == sorted([first.label, second.label])
    assert HetBench(artifacts="lab").artifacts == second.folder
    assert HetBench(artifacts=first.label).artifacts == first.folder
    assert sets.remove(second.label)[0].label == second.label
    assert HetBench(artifacts="lab").artifacts == first.folder
    assert [each.label for each in sets.remove("lab")] == [first.label]
    assert list(home.glob("lab*")) == []


def test_an_unknown_name_is_told_the_nearest_and_a_folder_how_it_is_written(
    published: Path, home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):  # fmt: skip
    download(str(published))
    with pytest.raises(UnknownNameError, match=r"'laab'\. Did you mean 'lab'\? `hetbench artifacts list`"):
        HetBench(artifacts="laab")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine").mkdir()
    with pytest.raises(UnknownNameError, match=r"To use the folder mine, write \./mine"):
        HetBench(artifacts="mine")
    with pytest.raises(InvalidInputError, match="there is no folder"):
        HetBench(artifacts="./nowhere")


def test_the_shell_answers_from_the_set_in_use_and_the_library_from_what_it_was_given(
    published: Path, home: Path, tmp_path: Path, run: Any
):  # fmt: skip
    other = copy(EMBEDDED, tmp_path / "set")
    change(other / "power.json", id="power-mine", bands={"C": [-1, 1], "D": [-2, 2]})
    (other / "manifest.json").write_text(Manifest.of(other, "mine", "0", "abc").to_json())
    found = download(str(other))
    ask = ("query", "resnet-50", "--target", "amd-mi210", "--metric", "power", "--batch", "5", "--json")
    before = run(*ask)[1]
    assert run("artifacts", "use", "mine")[:2] == (0, f"shell commands answer from {found.label}, {found.folder}\n")
    assert json.loads(run(*ask)[1]) == HetBench(artifacts="mine").query(**ASKED, metric="power").to_dict()
    assert run(*ask)[1] != before
    assert json.loads(before) == HetBench().query(**ASKED, metric="power").to_dict()
    assert run("artifacts", "remove", "mine")[1] == f"removed {found.label}\n"
    assert run(*ask)[1] == before


def test_the_list_marks_what_is_in_use(published: Path, home: Path, run: Any):
    found = download(str(published))
    count = len(Manifest.read(found.folder / "manifest.json").files)
    assert f"{found.label}  current: {count} files" in run("artifacts", "list")[1]
    run("artifacts", "use", "lab")
    rows = {row["name"]: row for row in json.loads(run("artifacts", "list", "--json")[1])}
    assert (rows["embedded"]["in_use"], rows["lab"]["in_use"]) == (False, True)
    assert rows["lab"]["source"] == published.as_uri()
    (found.folder / "manifest.json").write_text("{")
    assert "manifest.json cannot be read" in run("artifacts", "list")[1]


def test_a_set_that_was_damaged_after_it_was_installed_answers_nothing(published: Path, home: Path, run: Any):
    found = download(str(published))
    assert run("artifacts", "verify")[0] == 0
    run("artifacts", "use", "lab")
    (found.folder / "gemm.npz").write_bytes(b"PK")
    sets._checked.cache_clear()  # as another process would
    for command in (("artifacts", "verify"), ("artifacts", "use", "lab"), ("query", "gpt2", "--target", "cuda")):
        code, out, err = run(*command)
        assert code == 4
        assert "latency" not in out
        assert "gemm.npz is damaged: it has 2 bytes" in err
        assert f"Run: hetbench download lab --from {published.as_uri()}" in err
    download(str(published))
    assert verify(found.folder).name == "lab"


def test_a_set_in_use_that_somebody_deleted_is_said_and_left_by_one_command(published: Path, home: Path, run: Any):
    found = download(str(published))
    run("artifacts", "use", "lab")
    shutil.rmtree(found.folder)
    code, _, err = run("query", "gpt2", "--target", "cuda")
    assert code == 2
    assert "`hetbench artifacts use embedded`" in err
    assert run("artifacts", "use", "embedded")[0] == 0
    assert run("query", "gpt2", "--target", "cuda")[0] == 0


def test_the_set_in_the_package_is_not_removed_and_its_name_not_given(published: Path, home: Path, run: Any):
    assert run("artifacts", "remove", "embedded")[0] == 2
    for name in ("embedded", "selected", "a b", "..", ".x", "x" * 65):
        with pytest.raises(InvalidInputError, match="the name of a set has at most 64 letters"):
            download(str(published), name)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_cache_that_may_not_be_written_still_answers(published: Path, home: Path, run: Any):
    download(str(published))
    run("artifacts", "use", "lab")
    home.chmod(0o500)
    try:
        assert run("query", "gpt2", "--target", "cuda")[0] == 0
        for command in (("artifacts", "use", "embedded"), ("download", "--from", str(published))):
            code, _, err = run(*command)
            assert code == 4
            assert "set HETBENCH_HOME to another directory" in err
    finally:
        home.chmod(0o700)


def test_a_home_that_cannot_be_made_is_said_and_the_package_answers(
    published: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, run: Any
):  # fmt: skip
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("HETBENCH_HOME", str(tmp_path / "file"))
    code, _, err = run("download", "--from", str(published))
    assert code == 4
    assert "cannot write" in err
    assert "HETBENCH_HOME" in err
    assert run("artifacts", "list")[0] == 0
    assert run("query", "gpt2", "--target", "cuda")[0] == 0
