"""A device that nobody knows is measured once, and is a chip of every command and query from then on."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("psutil")
pytest.importorskip("torch")

from data_collection.backends import UnmeasuredError, backend
from data_collection.chip import chip_of, chosen_chip, measure_chip
from data_collection.chip.__main__ import main
from hetbench import HetBench
from hetbench.catalog.own_chips import own_chip, own_chips, save_own_chip
from hetbench.errors import InvalidInputError, RefusedError, UnknownNameError

FACTS = {"name": "my-cpu", "family": "oneapi", "kind": "cpu", "arch": "Zen 3 Milan (KVM guest, 2 vCPU)",
         "compute_units": 2, "mem_gb": 24.0}  # fmt: skip
MEASURED = {"fp64_tflops": 0.07, "fp32_tflops": 0.14, "mem_bw_gbs": 40.0}


@pytest.fixture(autouse=True)
def _home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HETBENCH_HOME", str(tmp_path))


def test_a_datasheet_of_this_device_joins_the_chips_of_this_machine_and_one_of_another_kind_does_not(tmp_path: Path):
    cpu, file = backend("oneapi"), tmp_path / "mine.json"
    own = cpu.recognised(cpu.identity().device_name)
    file.write_text(json.dumps({**FACTS, **MEASURED, "arch": own.arch if own else FACTS["arch"]}))
    assert chosen_chip(cpu, None, file) == "my-cpu"
    assert own_chip("my-cpu") is not None
    assert (chosen_chip(cpu, "my-cpu", None), chosen_chip(cpu, None, None)) == ("my-cpu", None)
    with pytest.raises(InvalidInputError, match="--chip and --chip-file both name the chip"):
        chosen_chip(cpu, "my-cpu", file)
    file.write_text(json.dumps({**FACTS, **MEASURED, "name": "my-gpu", "kind": "gpu"}))
    with pytest.raises(RefusedError, match=r"my-gpu is a gpu, and this device, .*, is a cpu"):
        chosen_chip(cpu, None, file)
    assert own_chip("my-gpu") is None


def test_the_cpu_of_this_machine_becomes_a_chip_that_is_recognised_and_queried():
    lines: list[str] = []
    chip = measure_chip(backend("oneapi"), name="this-cpu", seconds=0.5, say=lines.append)
    assert chip.source.startswith("measured-here on ")
    assert any(line.startswith("  fp32_tflops = ") for line in lines)
    assert backend("oneapi").chip().name in ("this-cpu", "amd-epyc-zen4-2vcpu-kvm")
    answer = HetBench().query("bert-tiny", target="this-cpu", metric="latency", precision="fp32", stack="eager")
    assert answer.chip == "this-cpu"
    assert answer.lower < answer.value < answer.upper
    assert any("measured here" in note for note in answer.notes)


def test_a_record_is_read_back_as_it_was_written_and_found_by_alias():
    chip = chip_of(FACTS, MEASURED, "My CPU, family 25 model 1", "a note")
    path = save_own_chip(chip)
    assert own_chip("my cpu, family 25 model 1") == chip == own_chips()["my-cpu"]
    assert json.loads(path.read_text())["notes"] == "a note"
    ranked = HetBench().migrate("bert-tiny", targets="my-cpu,amd-mi210", precision="fp32")
    assert {each.chip for each in ranked.candidates} == {"my-cpu", "amd-mi210"}


def test_a_name_of_the_catalogue_is_no_name_of_an_own_chip():
    with pytest.raises(InvalidInputError, match="a name of its own"):
        save_own_chip(chip_of({**FACTS, "name": "nvidia-l4"}, MEASURED, "x", ""))


def test_a_damaged_record_is_named(tmp_path: Path):
    (tmp_path / "chips").mkdir()
    (tmp_path / "chips" / "bad.json").write_text("{")
    with pytest.raises(InvalidInputError, match=r"bad\.json is no record of a chip"):
        HetBench().chip("no-such-chip")


def test_a_device_that_nobody_knows_says_what_to_run(monkeypatch: pytest.MonkeyPatch):
    device = backend("oneapi")
    if device.device != "cpu":
        pytest.skip("this machine has an Intel GPU")
    if device.recognised(device.identity().device_name) is not None:
        pytest.skip("the catalogue knows this CPU")
    with pytest.raises(UnmeasuredError, match=r"data_collection\.chip measure"):
        device.chip()


@pytest.mark.parametrize(("name", "why"), [
    ("intel-arc-pro-b60", "is a gpu, and this device"), ("nvidia-l4", "belongs to cuda"),
    ("intel-xeon-8380", "another die"),
])  # fmt: skip
def test_a_borrowed_name_of_another_device_is_refused(name: str, why: str):
    device = backend("oneapi")
    if device.device != "cpu":
        pytest.skip("this machine has an Intel GPU")
    save_own_chip(chip_of(FACTS, MEASURED, device.identity().device_name, ""))
    with pytest.raises(RefusedError, match=why):
        device.chip(name)


def test_records_are_listed_and_deleted(capsys: Any, run: Any):
    save_own_chip(chip_of(FACTS, MEASURED, "My CPU", ""))
    main(["list"])
    assert "my-cpu: Zen 3 Milan" in capsys.readouterr().out
    assert [row["name"] for row in json.loads(run("chips", "--mine", "--json")[1])] == ["my-cpu"]
    main(["forget", "my-cpu"])
    assert not own_chips()
    with pytest.raises(SystemExit) as ended:
        main(["forget", "my-cpu"])
    assert ended.value.code == UnknownNameError.exit_code
