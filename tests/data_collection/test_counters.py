"""Energy counters replayed as their drivers and tools write them; where none is, the energy is absent."""

from __future__ import annotations

import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

pytest.importorskip("torch")

from data_collection.backends import backends, oneapi
from data_collection.backends.cann import Cann
from data_collection.backends.cuda import Cuda
from data_collection.backends.mlu import Mlu
from data_collection.backends.oneapi import OneApi
from data_collection.backends.rocm import Rocm
from data_collection.profile.measure import Energy

NPU_SMI = """\tNPU ID                         : 0
\tChip Count                     : 1

\tPower Dissipation(W)           : 67.2
\tChip ID                        : 0
"""
CNMON = """Card 0
    Product Name                   : MLU370-X8
    Driver                         : v5.10.22
    Power
        Usage                      : 71 W
        Cap                        : 250 W
"""


def tool(folder: Path, name: str, text: str, code: int = 0) -> None:
    """A command that prints a recorded text."""
    (folder / f"{name}.txt").write_text(text)
    (folder / name).write_text(f"#!/bin/sh\ncat '{folder / name}.txt'\nexit {code}\n")
    (folder / name).chmod(0o755)


@pytest.mark.parametrize(("kind", "name", "text", "watts"), [
    (Cann, "npu-smi", NPU_SMI, 67.2), (Mlu, "cnmon", CNMON, 71.0),
])  # fmt: skip
def test_power_is_read_from_the_tool(kind: Any, name: str, text: str, watts: float, tmp_path: Path, monkeypatch: Any):
    device = type("Replayed", (kind,), {"module": lambda self: SimpleNamespace(current_device=lambda: 0)})()
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    assert device.watts() is None  # no tool
    tool(tmp_path, name, text)
    assert device.watts() == watts
    assert device.joules() is None
    monkeypatch.setattr(Energy, "shortest_s", 0.0)
    with Energy(device) as energy:
        pass
    assert energy.joules is None  # too short for a sample
    tool(tmp_path, name, "no device found", code=1)
    assert device.watts() is None


def powercap(root: Path, *microjoules: int) -> None:
    for at, each in enumerate(microjoules):
        zone = root / f"intel-rapl:{at}"
        zone.mkdir(parents=True, exist_ok=True)
        (zone / "energy_uj").write_text(f"{each}\n")


def test_rapl_sums_its_packages_and_a_counter_that_wrapped_is_absent(tmp_path: Path, monkeypatch):
    monkeypatch.setattr(oneapi, "_RAPL", (str(tmp_path), "intel-rapl:?/energy_uj"))
    monkeypatch.setattr(Energy, "shortest_s", 0.0)
    cpu = OneApi("cpu")
    assert cpu.joules() is None
    readings = []
    for after in ((262_143_000_000, 5_000_000), (1_000_000, 6_000_000)):
        powercap(tmp_path, 262_140_000_000, 1_000_000)
        with Energy(cpu) as energy:
            powercap(tmp_path, *after)
        readings.append(energy.joules)
    assert readings == [7.0, None]  # 3 J + 4 J; the first package wrapped


def test_nvml_counts_millijoules_and_a_board_without_a_counter_has_none(monkeypatch):
    nvml = ModuleType("pynvml")
    nvml.NVMLError = type("NVMLError", (Exception,), {})  # type: ignore[attr-defined]
    nvml.nvmlInit = lambda: None  # type: ignore[attr-defined]
    nvml.nvmlDeviceGetHandleByUUID = {"GPU-7f": 1}.__getitem__  # type: ignore[attr-defined]
    readings = iter([81_234_500, 81_259_500])
    nvml.nvmlDeviceGetTotalEnergyConsumption = lambda handle: next(readings)  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "pynvml", nvml)
    monkeypatch.setattr(Energy, "shortest_s", 0.0)
    torch_cuda = SimpleNamespace(get_device_properties=lambda: SimpleNamespace(uuid="7f"))
    device = type("Replayed", (Cuda,), {"module": lambda self: torch_cuda})()
    with Energy(device) as energy:
        pass
    assert energy.joules == pytest.approx(25.0)

    def unsupported(handle: int) -> None:
        raise nvml.NVMLError("Not Supported")

    nvml.nvmlDeviceGetTotalEnergyConsumption = unsupported  # type: ignore[attr-defined]
    assert device.joules() is None


def test_rocm_counts_steps_of_its_own_resolution(monkeypatch):
    smi = ModuleType("amdsmi")
    smi.AmdSmiException = type("AmdSmiException", (Exception,), {})  # type: ignore[attr-defined]
    smi.amdsmi_init = lambda: None  # type: ignore[attr-defined]
    smi.amdsmi_get_processor_handles = lambda: ["card 0"]  # type: ignore[attr-defined]
    count = {"energy_accumulator": 2_000_000, "counter_resolution": 15.3}
    smi.amdsmi_get_energy_count = {"card 0": count}.__getitem__  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "amdsmi", smi)
    device = type("Replayed", (Rocm,), {"module": lambda self: SimpleNamespace(current_device=lambda: 0)})()
    assert device.joules() == pytest.approx(30.6)  # 2e6 counts of 15.3 microjoules


def test_no_family_makes_up_energy_where_no_counter_is(tmp_path: Path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(oneapi, "_RAPL", (str(tmp_path), "intel-rapl:?/energy_uj"))
    monkeypatch.setitem(sys.modules, "pynvml", None)
    monkeypatch.setitem(sys.modules, "amdsmi", None)
    for name in ("cuda", "rocm", "cann", "mlu"):
        kind = type(backends()[name])
        device = type("Absent", (kind,), {"module": lambda self: SimpleNamespace(current_device=lambda: 0)})()
        assert (name, device.joules(), device.watts()) == (name, None, None)
    assert (OneApi("cpu").joules(), OneApi("cpu").watts()) == (None, None)
