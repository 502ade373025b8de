"""What several tests share: the command line, sets of surrogates, the CPU and a process that measures on it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from hetbench.artifacts.sets import EMBEDDED
from hetbench.cli import main

if TYPE_CHECKING:
    from data_collection.backends import Backend
    from data_collection.profile.tasks import Task
    from data_collection.profile.worker import Worker


@pytest.fixture(scope="session", autouse=True)
def _no_sets_of_the_developer(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HETBENCH_HOME", str(tmp_path_factory.mktemp("home")))
        patch.setenv("no_proxy", "127.0.0.1")
        yield


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home without sets, of this test alone."""
    monkeypatch.setenv("HETBENCH_HOME", str(tmp_path / "home"))
    return tmp_path / "home" / "artifacts"


@pytest.fixture(scope="session")
def published(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The set in the package, published to a folder under the name lab."""
    from surrogates.publish.publish import to_folder

    folder = tmp_path_factory.mktemp("published") / "set"
    to_folder(EMBEDDED, folder, "lab")
    return folder


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str, str]]:
    """Run the command line; returns exit code, stdout, stderr."""

    def go(*arguments: str) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as done:
            main(arguments)
        out, err = capsys.readouterr()
        return int(done.value.code or 0), out, err

    return go


@pytest.fixture(scope="session")
def cpu() -> Backend:
    from data_collection.backends import backends

    found = backends()["oneapi"]
    if found.missing() or found.device != "cpu":
        pytest.skip("the CPU is not the first device of oneapi here")
    return found


@pytest.fixture(scope="module")
def child(cpu: Backend) -> Iterator[Worker]:
    from data_collection.profile.worker import Worker

    worker = Worker(cpu, llc_bytes=2**20, memory_bytes=4 * 10**9)
    yield worker
    worker.close()


@pytest.fixture
def linear() -> Task:
    from data_collection.profile.tasks import Task

    return Task(
        kind="operator", name="Linear", dims='{"bias": 0, "k": 64, "m": 8, "n": 64}', precision="fp32", phase="fwd",
        stack="eager", layout="contiguous", cache="hot", protocol="wall", threads=1,
    )  # fmt: skip
