"""A CPU is described from the text of lscpu, its own or a recorded one."""

from __future__ import annotations

import pytest

from data_collection.chip.facts import cpu_facts, slug

MILAN_GUEST = """Architecture:             x86_64
CPU(s):                   2
Vendor ID:                AuthenticAMD
Model name:               AMD EPYC
CPU family:               25
Model:                    1
Hypervisor vendor:        KVM
L1d cache:                64 KiB (2 instances)
L2 cache:                 1 MiB (2 instances)
L3 cache:                 32 MiB (1 instance)
"""
XEON = """Architecture:                    x86_64
CPU(s):                          64
Vendor ID:                       GenuineIntel
Model name:                      Intel(R) Xeon(R) Gold 6338 CPU @ 2.00GHz
CPU family:                      6
Model:                           106
CPU max MHz:                     3200,0000
L1d cache:                       1.5 MiB (32 instances)
L2 cache:                        40 MiB (32 instances)
L3 cache:                        48 MiB (1 instance)
"""
OLDER = """CPU(s): 8
Vendor ID: GenuineIntel
Model name: Intel(R) Core(TM) i7-4770 CPU @ 3.40GHz
CPU family: 6
Model: 60
L1d cache: 32K
L2 cache: 256K
L3 cache: 8192K
"""


def test_a_guest_whose_product_name_is_hidden_is_named_by_its_die():
    assert cpu_facts(MILAN_GUEST, 24_000_000_000) == {
        "name": "amd-epyc-zen-3-milan-2cpu-guest", "family": "oneapi", "vendor": "AMD", "kind": "cpu",
        "arch": "Zen 3 Milan (KVM guest, 2 vCPU)", "compute_units": 2, "mem_gb": 24.0, "l2_mb": 1.0, "llc_mb": 32.0,
        "l1_shared_kb_per_unit": 32.0,
    }  # fmt: skip


def test_another_cpu_is_named_by_its_model_and_a_decimal_comma_is_read():
    found = cpu_facts(XEON, 256 * 10**9)
    assert (found["name"], found["arch"]) == ("intel-xeon-gold-6338-64cpu", "Ice Lake-SP")
    assert (found["boost_mhz"], found["compute_units"], found["l2_mb"]) == (3200, 64, 40.0)
    assert found["l1_shared_kb_per_unit"] == 48.0


def test_the_short_form_of_sizes_and_an_unknown_die_are_read():
    found = cpu_facts(OLDER, 16 * 10**9)
    assert (found["arch"], found["l2_mb"], found["llc_mb"]) == ("Intel family 6 model 60", 0.25, 8.0)


def test_what_is_not_reported_is_left_out():
    assert set(cpu_facts("CPU(s): 4", 10**9)) == {"name", "family", "kind", "arch", "compute_units", "mem_gb"}


@pytest.mark.parametrize(("given", "name"), [("NVIDIA H100 80GB HBM3", "nvidia-h100-80gb-hbm3"), (" a__b ", "a-b")])
def test_names_are_written_as_in_the_catalogue(given: str, name: str):
    assert slug(given) == name
