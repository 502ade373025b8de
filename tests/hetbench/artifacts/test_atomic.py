"""Files and folders are written whole or not at all; links stay links and devices stay devices."""

from __future__ import annotations

import os
import stat
import threading
import time
from pathlib import Path

import pytest

from hetbench.artifacts.atomic import replacing, staged, write_whole
from hetbench.errors import InvalidInputError


def test_after_an_error_the_file_is_as_it_was(tmp_path: Path):
    path = tmp_path / "a"
    path.write_text("old")
    with pytest.raises(ZeroDivisionError), replacing(path) as partial:
        _ = partial.write_text("half") // 0
    assert path.read_text() == "old"
    assert [each.name for each in tmp_path.iterdir()] == ["a"]


def test_a_link_stays_a_link_and_its_target_is_written_with_its_mode(tmp_path: Path):
    (tmp_path / "real").write_text("old")
    (tmp_path / "real").chmod(0o640)
    (tmp_path / "link").symlink_to("real")
    write_whole(tmp_path / "link", "new")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "real").read_text() == "new"
    assert stat.S_IMODE((tmp_path / "real").stat().st_mode) == 0o640


def test_a_device_is_written_to_and_stays_one(tmp_path: Path):
    write_whole(Path("/dev/null"), "x")
    assert stat.S_ISCHR(os.stat("/dev/null").st_mode)
    with pytest.raises(InvalidInputError, match="No space left"):
        write_whole(Path("/dev/full"), "x")
    with pytest.raises(InvalidInputError, match="not a plain file"), replacing(Path("/dev/null")):
        pass


def test_a_pipe_is_written_where_somebody_reads_and_refused_where_nobody_does(tmp_path: Path):
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(InvalidInputError, match="cannot write"):
        write_whole(tmp_path / "pipe", "x")
    reader = os.open(tmp_path / "pipe", os.O_RDONLY | os.O_NONBLOCK)
    os.set_blocking(reader, True)
    write = threading.Thread(target=lambda: write_whole(tmp_path / "pipe", "x" * 10**6))
    write.start()
    time.sleep(0.2)  # until the pipe is full
    with os.fdopen(reader) as stream:
        assert stream.read() == "x" * 10**6
    write.join(10)


@pytest.mark.parametrize("path", ["/dev/null/x", "/proc/nobody/x"])
def test_a_place_that_cannot_be_written_is_a_message(path: str):
    with pytest.raises(InvalidInputError, match="cannot write"):
        write_whole(Path(path), "x")


def test_a_folder_that_a_killed_process_had_set_aside_comes_back(tmp_path: Path):
    (tmp_path / ".out.old1-abc").mkdir()
    (tmp_path / ".out.old1-abc" / "report.md").write_text("old")
    with pytest.raises(ZeroDivisionError), staged(tmp_path / "out", ["report.md"]):
        _ = 1 // 0
    assert (tmp_path / "out" / "report.md").read_text() == "old"
