"""Every backend that is available here keeps the contract; the others say what to install."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("psutil")
pytest.importorskip("torch")

import torch

from data_collection import doctor
from data_collection.backends import Backend, backend, backends, first_available
from data_collection.profile.measure import Energy
from hetbench.catalog.chips import _spellings, chips, normalised_name
from hetbench.errors import RefusedError, UnknownNameError
from hetbench.schema import FAMILIES

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(params=FAMILIES)
def available(request: Any) -> Backend:
    found = backends()[request.param]
    reason = found.missing()
    if reason:
        pytest.skip(reason)
    return found


def test_every_family_has_a_backend():
    assert set(backends()) == set(FAMILIES)
    assert all(each.family == name for name, each in backends().items())


def test_a_backend_that_is_not_available_says_what_to_install():
    for name, each in backends().items():
        reason = each.missing()
        if reason:
            assert "nstall" in reason
            with pytest.raises(RefusedError, match=re.escape(f"{name} is not available here: ")):
                backend(name)


def test_an_unknown_backend_names_the_known_ones():
    with pytest.raises(UnknownNameError, match=r"unknown backend 'cudaa'\. Did you mean 'cuda'"):
        backend("cudaa")


def test_a_backend_says_what_it_is_and_what_runs_on_it(available: Backend):
    seen = available.identity()
    assert seen.device_name
    assert seen.libraries["torch"] == torch.__version__
    assert available.software().startswith(f"torch {torch.__version__}")


def test_a_backend_knows_the_chip_that_it_is_told_and_refuses_that_of_another_family(available: Backend):
    ours = (each for each in chips().values() if each.family == available.family)
    some = next(each for each in ours if (each.kind == "cpu") == (available.device == "cpu"))
    own = (available.recognised(available.identity().device_name) or some).name
    other = "mlu" if available.family != "mlu" else "cann"
    assert available.chip(own).name == own
    with pytest.raises(RefusedError, match=f"belongs to {other}, this device to {available.family}"):
        available.chip(other)
    with pytest.raises(UnknownNameError):
        available.chip("no-such-chip")


def test_every_protocol_times_as_many_calls_as_it_is_asked_to(available: Backend):
    a, calls = torch.ones(64, 64, device=available.device), []
    for protocol in available.protocols:
        calls.clear()
        assert available.seconds(lambda: calls.append(a @ a), 3, protocol) > 0
        assert len(calls) == 3


_PEAK = """
import json, sys, torch
from data_collection.backends import backends
backend = backends()[sys.argv[1]]
torch.ones(8, device=backend.device)
backend.reset_peak_memory()
before = backend.memory()
torch.ones(2**25, device=backend.device)  # 128 MiB
print(json.dumps([before, backend.memory()]))
"""


def test_peak_memory_holds_what_was_allocated_meanwhile(available: Backend):
    """In a process of its own: an allocator that has served other tests hands out memory that it already holds."""
    command = [sys.executable, "-c", _PEAK, available.family]
    before, after = json.loads(subprocess.run(command, capture_output=True, text=True, check=True, cwd=ROOT).stdout)
    if before is None:
        pytest.skip("this system does not tell memory")
    assert after[1] - before[0] >= 0.99 * 2**27  # the kernel counts pages in batches
    assert after[0] < after[1]


def test_energy_is_absent_or_counts_upwards(available: Backend):
    first = available.joules()
    if first is not None:
        assert 0 <= first <= (available.joules() or 0)
    assert available.watts() is None or available.watts() > 0


def test_kernel_time_is_seen_on_an_accelerator_and_absent_on_a_cpu(available: Backend):
    a = torch.ones(512, 512, device=available.device)
    kernels = available.kernel_seconds(lambda: a @ a)
    assert (kernels is None) if available.device == "cpu" else (kernels > 0)


def test_sweeping_the_caches_and_looking_for_the_cpu_leave_the_call_intact(available: Backend):
    a = torch.ones(16, device=available.device)
    available.sweep(2**20)()
    assert available.fell_back(lambda: a + a) in (None, False)
    assert (a + a).sum().item() == 32


def test_the_first_available_backend_is_an_accelerator_if_there_is_one():
    accelerated = any(not each.missing() and each.device != "cpu" for each in backends().values())
    assert (first_available().device != "cpu") == accelerated


def test_the_cpu_is_found_in_the_catalogue_by_what_it_says_or_the_refusal_says_how_to_name_it():
    cpu = backends()["oneapi"]
    if cpu.device != "cpu":
        pytest.skip("an Intel GPU comes first")
    known = any(normalised_name(name) in _spellings() for name in cpu.spellings(cpu.identity().device_name))
    if known:
        assert cpu.chip().family == "oneapi"
    else:
        with pytest.raises(RefusedError, match="Or name one: --chip NAME"):
            cpu.chip()


class Counting(Backend):
    """A device with instruments whose readings are given."""

    family, device = "mlu", "cpu"

    def __init__(self, counter: list[float | None], power: float | None) -> None:
        self.counter, self.power = counter, power

    def joules(self) -> float | None:
        return self.counter.pop(0)

    def watts(self) -> float | None:
        return self.power


def spent(backend: Counting, monkeypatch: Any) -> float | None:
    monkeypatch.setattr(Energy, "shortest_s", 0.03)
    monkeypatch.setattr(Energy, "every_s", 0.01)
    with Energy(backend) as energy:
        time.sleep(0.06)
    return energy.joules


def test_energy_is_the_difference_of_the_counter(monkeypatch: Any):
    assert spent(Counting([10.0, 12.5], None), monkeypatch) == 2.5


def test_energy_of_a_counter_that_wrapped_is_unknown(monkeypatch: Any):
    assert spent(Counting([10.0, 0.5], None), monkeypatch) is None


def test_energy_without_a_counter_is_power_times_time(monkeypatch: Any):
    assert spent(Counting([None, None], 100.0), monkeypatch) >= 100 * 0.06


def test_energy_without_instruments_is_unknown_and_not_zero(monkeypatch: Any):
    assert spent(Counting([None, None], None), monkeypatch) is None


def test_the_doctor_says_what_is_here_and_what_is_missing(tmp_path: Any, capsys: Any):
    assert doctor.main(["--store", str(tmp_path / "store")]) == 0
    said = capsys.readouterr().out
    for name, each in backends().items():
        assert f"{name}: {each.missing() or 'available'}" in said
    assert "stack eager: available" in said
    assert "store" in said
    assert "CPU cores" in said
