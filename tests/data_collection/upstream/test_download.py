"""Upstreams are fetched by git or as archives: pinned commits, selected files, clear errors."""

from __future__ import annotations

import dataclasses
import io
import shutil
import subprocess
from pathlib import Path

import pytest

from data_collection.sources import tables
from data_collection.upstream import download
from data_collection.upstream.files import UpstreamError, open_trees
from data_collection.upstream.pins import Commit, Pin, pin


@pytest.fixture(scope="session")
def mirror(upstream: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Pin]:
    """A repository that stands for an upstream, and the pin of its commit."""
    root = tmp_path_factory.mktemp("mirror")
    home = root / "zksainx" / "pipeweave"
    shutil.copytree(upstream / "pipeweave", home)
    (home / "large.bin").write_bytes(bytes(1000))
    run = ["git", "-C", str(home), "-c", "user.name=t", "-c", "user.email=t@t", "-c", "commit.gpgsign=false"]
    subprocess.run([*run[:3], "init", "--quiet"], check=True)
    for setting in ("uploadpack.allowFilter", "uploadpack.allowAnySHA1InWant"):
        subprocess.run([*run[:3], "config", setting, "true"], check=True)
    subprocess.run([*run, "add", "-A"], check=True)
    subprocess.run([*run, "commit", "--quiet", "-m", "data"], check=True)
    sha = subprocess.run([*run, "rev-parse", "HEAD"], check=True, capture_output=True, text=True).stdout.strip()
    source = pin("pipeweave")
    return root, dataclasses.replace(source, commits=(Commit(sha, source.commits[0].paths),))


def test_git_brings_the_pinned_commit_and_only_the_files_that_are_read(mirror: tuple[Path, Pin], tmp_path: Path):
    root, source = mirror
    trees = download.by_git(source, tmp_path, root.as_uri())
    assert len(list(tables.imported(source, trees))) == 2
    home = tmp_path / "zksainx+pipeweave.git"
    missing = subprocess.run(
        ["git", "-C", str(home), "rev-list", "--objects", "--missing=print", source.commits[0].sha],
        capture_output=True, text=True, check=True,
    ).stdout.count("?")  # fmt: skip
    assert missing == 1
    (root / "zksainx").rename(root / "gone")
    try:
        assert len(list(tables.imported(source, download.by_git(source, tmp_path, root.as_uri())))) == 2
    finally:
        (root / "gone").rename(root / "zksainx")


def test_a_clone_is_read_at_the_pinned_commit_whatever_is_checked_out(mirror: tuple[Path, Pin], tmp_path: Path):
    root, source = mirror
    home = tmp_path / "clone"
    subprocess.run(["git", "clone", "--quiet", str(root / "zksainx/pipeweave"), str(home)], check=True)
    (home / "dataset/gemm_fp8_train.csv").write_text("changed")
    assert len(list(tables.imported(source, open_trees(source, home)))) == 2


def test_a_clone_without_the_commit_says_how_to_fetch_it(mirror: tuple[Path, Pin]):
    root, _ = mirror
    with pytest.raises(UpstreamError, match=r"does not hold commit 55e03178.*git fetch --depth 1"):
        open_trees(pin("pipeweave"), root / "zksainx/pipeweave")[0].listing()


def test_no_network_is_a_clear_error_and_names_the_other_way(tmp_path: Path):
    with pytest.raises(UpstreamError, match=r"could not fetch from file:.*--from"):
        download.by_git(pin("pipeweave"), tmp_path, (tmp_path / "nowhere").as_uri())


def test_no_network_for_an_archive_is_a_clear_error(tmp_path: Path):
    with pytest.raises(UpstreamError, match=r"could not reach http://127\.0\.0\.1:9/.*--from"):
        download.by_archive(pin("pipeweave"), tmp_path, "http://127.0.0.1:9")


def _archive(upstream: Path, path: Path, *extra: tuple[str, bytes]) -> None:
    import tarfile

    with tarfile.open(path, "w:gz") as archive:
        archive.add(upstream / "pipeweave", "pipeweave-1")
        for name, content in extra:
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))


def test_an_archive_gives_only_selected_files_and_never_leaves_its_folder(upstream: Path, tmp_path: Path):
    source = pin("pipeweave")
    packed = tmp_path / f"pipeweave-{source.commits[0].sha}.tar.gz"
    _archive(upstream, packed, ("pipeweave-1/../../dataset/gemm_fp8_x.csv", b"out"), ("pipeweave-1/other.csv", b"x"))
    trees = download.by_archive(source, tmp_path, "http://127.0.0.1:9")
    assert len(list(tables.imported(source, trees))) == 2
    assert not (tmp_path / "pipeweave/other.csv").exists()
    assert not list(tmp_path.rglob("gemm_fp8_x.csv"))


def test_an_archive_with_another_hash_is_refused_and_removed(upstream: Path, tmp_path: Path):
    source = pin("pipeweave")
    packed = tmp_path / f"pipeweave-{source.commits[0].sha}.tar.gz"
    _archive(upstream, packed)
    with pytest.raises(UpstreamError, match="expected 00; it was removed"):
        download.by_archive(source, tmp_path, "http://127.0.0.1:9", sha256="00")
    assert not packed.exists()


def test_a_broken_archive_says_so(tmp_path: Path):
    source = pin("pipeweave")
    (tmp_path / f"pipeweave-{source.commits[0].sha}.tar.gz").write_bytes(b"no archive")
    with pytest.raises(UpstreamError, match="no readable archive"):
        download.by_archive(source, tmp_path, "http://127.0.0.1:9")
