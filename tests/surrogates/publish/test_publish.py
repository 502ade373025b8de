"""A set is published whole, with its evaluation, or not at all; what is published is what is fetched."""

from __future__ import annotations

import json
import os
import pickle
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from hetbench.artifacts import EMBEDDED, Manifest, verify
from hetbench.errors import ArtifactError, InvalidInputError
from surrogates.publish.publish import to_archive, to_folder
from surrogates.publish.report import tables
from tests.web import Hub, serving

ASK = ("query", "resnet-50", "--source", "cuda", "--target", "cann", "--batch", "6", "--json")


@pytest.fixture
def shell(home: Path) -> Any:
    """Run a module in a process of its own; its exit code, stdout and stderr."""

    def go(module: str, *arguments: str, **environment: str) -> tuple[int, str, str]:
        command = [sys.executable, "-m", module, *arguments]
        environment = {**os.environ, "HF_HUB_OFFLINE": "0", **environment}
        done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=60)
        return done.returncode, done.stdout, done.stderr

    return go


@pytest.fixture
def hub(shell: Any) -> Iterator[Hub]:
    pytest.importorskip("huggingface_hub")
    with serving(Hub()) as found:
        yield found


def test_what_is_published_to_a_folder_is_fetched_used_and_answers_the_same(shell: Any, tmp_path: Path):
    code, out, err = shell("surrogates.publish", "--name", "lab", "--to", str(tmp_path / "set"))
    assert code == 0, err
    assert out.splitlines()[-1] == f"hetbench download --from {(tmp_path / 'set').as_uri()}"
    known = shell("hetbench", *ASK)
    assert shell("hetbench", "download", "--from", str(tmp_path / "set"))[0] == 0
    assert shell("hetbench", "artifacts", "use", "lab")[0] == 0
    assert shell("hetbench", *ASK) == known
    assert json.loads(known[1])["answers"]


def test_what_is_published_to_the_hub_is_fetched_by_name_and_by_version(hub: Hub, shell: Any):
    there = {"HF_ENDPOINT": hub.url, "HF_TOKEN": "hf_nobody"}
    code, out, err = shell("surrogates.publish", "--repo", "lab/set", **there)
    assert code == 0, err
    version = out.split("version ")[1].split()[0]
    assert out.splitlines()[-1] == f"hetbench download --from hf://lab/set@{version}"
    files = {path.name for path in EMBEDDED.iterdir()}
    assert set(hub.commits[hub.refs[version]]) == files | {"README.md", "manifest.json"}
    for source in ("hf://lab/set", f"hf://lab/set@{version}"):
        code, out, err = shell("hetbench", "download", "--from", source, "--json", **there)
        assert code == 0, err
        assert json.loads(out)["version"] == version
    assert json.loads(out)["revision"] == hub.refs["main"]
    known = shell("hetbench", *ASK)
    shell("hetbench", "artifacts", "use", "set")
    assert shell("hetbench", *ASK) == known


def test_a_file_of_the_hub_that_is_not_what_the_manifest_says_installs_nothing_and_is_fetched_again(
    hub: Hub, shell: Any, published: Path, home: Path
):  # fmt: skip
    hub.commits["c" * 40] = {path.name: path.read_bytes() for path in published.iterdir()}
    hub.refs["main"] = "c" * 40
    good = hub.commits["c" * 40]["gemm.npz"]
    hub.commits["c" * 40]["gemm.npz"] = good[:-1] + b"x"
    there = {"HF_ENDPOINT": hub.url}
    code, _, err = shell("hetbench", "download", "--from", "hf://lab/set", **there)
    assert code == 4
    assert f"its gemm.npz has {(published / 'gemm.npz').stat().st_size} bytes and sha256" in err
    assert not list(home.glob("lab*"))
    hub.commits["c" * 40]["gemm.npz"] = good
    hub.asked.clear()
    assert shell("hetbench", "download", "--from", "hf://lab/set", **there)[0] == 0
    assert "conv.npz" not in {path.rpartition("/")[2] for path, _ in hub.asked}


def test_a_repository_that_is_not_there_is_said(hub: Hub, shell: Any):
    code, _, err = shell("hetbench", "download", "--from", "hf://lab/other", HF_ENDPOINT=hub.url)
    assert code == 4
    assert f"cannot fetch hf://lab/other from {hub.url}: " in err
    assert "Check the name" in err


def test_a_hub_that_does_not_answer_is_said(hub: Hub, shell: Any, home: Path):
    nowhere = {"HF_ENDPOINT": "http://127.0.0.1:9", "HF_TOKEN": "hf_nobody"}
    code, _, err = shell("hetbench", "download", "--from", "hf://lab/set", **nowhere)
    assert code == 4
    assert "cannot fetch hf://lab/set from http://127.0.0.1:9" in err
    assert "Traceback" not in err
    code, _, err = shell("surrogates.publish", "--repo", "lab/set", **nowhere)
    assert code == 4
    assert "cannot publish to hf://lab/set" in err
    assert "Traceback" not in err


def test_the_card_names_the_set_and_holds_every_table_of_its_evaluation(published: Path):
    card = (published / "README.md").read_text()
    assert card.startswith("---\nlicense: mit\n")
    assert "hetbench download lab --from SOURCE" in card
    assert 'HetBench(artifacts="lab")' in card
    assert all(part in card for part in tables(EMBEDDED))
    assert json.loads((EMBEDDED / "operators.json").read_text())["id"] in card


def test_a_set_goes_with_its_evaluation_or_not_at_all(tmp_path: Path):
    origin = tmp_path / "origin"
    shutil.copytree(EMBEDDED, origin)
    (origin / "whole_card.json").unlink()
    with pytest.raises(ArtifactError, match=r"lacks whole_card\.json: a set is published with its evaluation"):
        to_folder(origin, tmp_path / "set", "lab")
    assert [path.name for path in tmp_path.iterdir()] == ["origin"]


@pytest.mark.parametrize(("name", "why"), [
    ("chip-x.npz", "is a pickle"), ("model.pkl", "could run code"), ("a.py", "could run code"),
])  # fmt: skip
def test_a_file_that_can_run_code_is_not_published(name: str, why: str, tmp_path: Path):
    origin = tmp_path / "origin"
    shutil.copytree(EMBEDDED, origin)
    (origin / name).write_bytes(pickle.dumps({"a": 1}))
    for target in (tmp_path / "set", tmp_path / "set.tar"):
        with pytest.raises(ArtifactError, match=why):
            (to_archive if target.suffix else to_folder)(origin, target, "lab")
    assert [path.name for path in tmp_path.iterdir()] == ["origin"]


def test_an_earlier_set_is_replaced_and_a_folder_of_other_things_refused(published: Path, tmp_path: Path):
    shutil.copytree(published, tmp_path / "set")
    assert to_folder(EMBEDDED, tmp_path / "set", "other").name == "other"
    assert verify(tmp_path / "set", sniff=True).name == "other"
    (tmp_path / "set" / "notes.txt").write_text("mine")
    with pytest.raises(InvalidInputError, match=r"holds 'notes\.txt', which this command does not write.*--to"):
        to_folder(EMBEDDED, tmp_path / "set", "lab")
    assert Manifest.read(tmp_path / "set" / "manifest.json").name == "other"


@pytest.mark.parametrize("suffix", ["tar", "zip"])
def test_the_same_set_makes_the_same_archive(suffix: str, tmp_path: Path):
    paths = [tmp_path / f"{name}.{suffix}" for name in "ab"]
    made = [to_archive(EMBEDDED, path, "lab") for path in paths]
    assert made[0] == made[1]
    assert paths[0].read_bytes() == paths[1].read_bytes()


def test_a_set_that_was_changed_is_published_as_another(published: Path, tmp_path: Path, shell: Any):
    shutil.copytree(published, tmp_path / "set")
    power = json.loads((published / "power.json").read_text())
    (tmp_path / "set" / "power.json").write_text(json.dumps(power | {"id": "power-mine"}))
    places = ("--from", str(tmp_path / "set"), "--to", str(tmp_path / "new"))
    code, _, err = shell("surrogates.publish", *places, "--name", "mine")
    assert code == 0, err
    versions = [verify(folder).version for folder in (published, tmp_path / "new")]
    assert versions[0] != versions[1]


@pytest.mark.parametrize(("arguments", "why"), [
    (("--to", "set", "--private"), "go with --repo"), (("--repo", "a/b/c"), "a source is one of hf://ORG/NAME"),
    (("--to", "set", "--name", "a b"), "the name of a set has"), (("--to", "set", "--from", "nowhere"), "nowhere"),
])  # fmt: skip
def test_a_command_that_cannot_be_meant_publishes_nothing(arguments: tuple[str, ...], why: str, shell: Any):
    code, _, err = shell("surrogates.publish", *arguments)
    assert code == 2
    assert why in err
    assert not Path("set").exists()
