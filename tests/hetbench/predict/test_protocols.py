"""Launch floors: a wider protocol never takes less, and a chip without rows gets its family's by its clock."""

from __future__ import annotations

import pytest

from hetbench.catalog.chips import chip
from hetbench.errors import ArtifactError
from hetbench.predict.protocols import launch_floor
from hetbench.schema import PROTOCOLS

CHIP = chip("nvidia-a100-sxm4-80gb")
POOLED = {"any": {"gemm/kernel": 0.004, "gemm/graph": 0.005, "gemm/event": 0.02, "gemm/wall": 0.05}}


def ladder(table: dict[str, dict[str, float]]) -> list[float]:
    return [launch_floor(table, CHIP, "gemm", protocol) for protocol in PROTOCOLS]


@pytest.mark.parametrize("own", [
    {}, {"gemm/event": 0.001}, {"gemm/kernel": 0.03}, {"gemm/kernel": 0.03, "gemm/wall": 0.01}, {"gemm/wall": 0.003},
    {"gemm/graph": 0.009, "gemm/event": 0.006},
])  # fmt: skip
def test_floors_rise_from_kernel_to_wall(own: dict[str, float]):
    found = ladder({**POOLED, CHIP.name: own})
    assert found == sorted(found)


def test_a_measured_floor_is_taken_as_it_is():
    assert launch_floor({**POOLED, CHIP.name: {"gemm/event": 0.012}}, CHIP, "gemm", "event") == 0.012


def test_a_chip_without_rows_takes_the_family_floor_at_its_own_clock():
    assert launch_floor(POOLED, CHIP, "gemm", "kernel") == pytest.approx(0.004 * 1000 / 1410)
    assert launch_floor(POOLED, CHIP, "gemm", "wall") == 0.05


def test_an_unknown_protocol_is_refused_with_the_known_ones():
    with pytest.raises(ArtifactError, match="kernel, graph, event, wall"):
        launch_floor(POOLED, CHIP, "gemm", "cpu")
