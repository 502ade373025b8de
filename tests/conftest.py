"""What several tests of measuring share: the CPU, a measuring process, and an operator to measure."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from data_collection.backends import Backend
    from data_collection.profile.tasks import Task
    from data_collection.profile.worker import Worker


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
