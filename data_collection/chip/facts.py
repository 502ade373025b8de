"""What a device reports about itself: name, cores, caches, instruction sets, memory.

A CPU is read from the text of `lscpu`, so that a recorded text describes another machine. What a virtual machine hides
stays unknown.
"""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Mapping
from typing import Any

from data_collection.backends import Backend

__all__ = ["cpu_facts", "device_facts", "slug"]

_DIES = {
    ("AuthenticAMD", 23, 1): "Zen Naples", ("AuthenticAMD", 23, 49): "Zen 2 Rome",
    ("AuthenticAMD", 25, 1): "Zen 3 Milan", ("AuthenticAMD", 25, 17): "Zen 4 Genoa",
    ("AuthenticAMD", 25, 160): "Zen 4c Bergamo", ("AuthenticAMD", 26, 2): "Zen 5 Turin",
    ("GenuineIntel", 6, 79): "Broadwell", ("GenuineIntel", 6, 106): "Ice Lake-SP",
    ("GenuineIntel", 6, 143): "Sapphire Rapids", ("GenuineIntel", 6, 207): "Emerald Rapids",
    ("GenuineIntel", 6, 173): "Granite Rapids",
}  # fmt: skip
"""Vendor, family and model by CPUID -> die, as the catalogue writes it. Intel 6/85 is Skylake-SP or Cascade Lake."""
_UNITS = {"KIB": 2**10, "MIB": 2**20, "GIB": 2**30, "K": 2**10, "M": 2**20, "G": 2**30, "B": 1}
_NOISE = re.compile(r"\((R|TM)\)|\bCPU\b|\bProcessor\b|\b\d+-Core\b|@.*", re.IGNORECASE)


def device_facts(backend: Backend) -> dict[str, Any]:
    """The facts of the device of a backend, as fields of `hetbench.catalog.chips.Chip`; unknown facts are left out."""
    if backend.device == "cpu":
        import psutil

        return cpu_facts(_lscpu(), psutil.virtual_memory().total)
    return _accelerator_facts(backend)


def cpu_facts(lscpu: str, memory_bytes: int) -> dict[str, Any]:
    """The facts of a CPU from the text of `lscpu` in English and the memory in bytes.

    >>> text = "CPU(s): 2\\nVendor ID: AuthenticAMD\\nModel name: AMD EPYC\\nCPU family: 25\\nModel: 1"
    >>> found = cpu_facts(text, 2 * 10**9)
    >>> found["name"], found["arch"], found["compute_units"]
    ('amd-epyc-zen-3-milan-2cpu', 'Zen 3 Milan', 2)
    """
    said = dict(re.findall(r"^\s*([^:\n]+?):\s*(.+?)\s*$", lscpu, re.MULTILINE))
    cpus = int(said.get("CPU(s)", os.cpu_count() or 1))
    guest = "Hypervisor vendor" in said
    die = _DIES.get((said.get("Vendor ID", ""), _number(said.get("CPU family")), _number(said.get("Model"))))
    model = _NOISE.sub(" ", said.get("Model name", "cpu"))
    vendor = {"AuthenticAMD": "AMD", "GenuineIntel": "Intel"}.get(said.get("Vendor ID", ""), said.get("Vendor ID"))
    label = model if die is None or any(each.isdigit() for each in model) else f"{model} {die}"
    arch = die or f"{vendor} family {said.get('CPU family', '?')} model {said.get('Model', '?')}"
    facts = {
        "name": slug(f"{label} {cpus}cpu{' guest' if guest else ''}"), "family": "oneapi", "vendor": vendor,
        "kind": "cpu", "arch": f"{arch} ({said['Hypervisor vendor']} guest, {cpus} vCPU)" if guest else arch,
        "compute_units": cpus, "boost_mhz": _number(said.get("CPU max MHz")),
        "mem_gb": round(memory_bytes / 1e9, 2), "l2_mb": _megabytes(said.get("L2 cache")),
        "llc_mb": _megabytes(said.get("L3 cache")), "l1_shared_kb_per_unit": _first_level(said.get("L1d cache")),
    }  # fmt: skip
    return {key: value for key, value in facts.items() if value is not None}


def _accelerator_facts(backend: Backend) -> dict[str, Any]:
    """What torch reports about an accelerator."""
    name = backend.identity().device_name
    told = backend.module().get_device_properties(0)
    units = next((getattr(told, each) for each in ("multi_processor_count", "gpu_subslice_count", "max_compute_units")
                  if getattr(told, each, None)), None)  # fmt: skip
    memory = getattr(told, "total_memory", None)
    facts: Mapping[str, Any] = {
        "name": slug(name), "family": backend.family, "kind": "npu" if backend.family in ("cann", "mlu") else "gpu",
        "arch": getattr(told, "gcnArchName", None) or name, "compute_units": units,
        "mem_gb": None if memory is None else round(memory / 1e9, 2),
        "l2_mb": round(told.L2_cache_size / 1e6, 2) if getattr(told, "L2_cache_size", 0) else None,
    }  # fmt: skip
    return {key: value for key, value in facts.items() if value is not None}


def slug(name: str) -> str:
    """A name in the form of the catalogue: lower case, letters, digits and hyphens.

    >>> slug("Intel(R) Xeon(R) Gold 6338N  2cpu")
    'intel-r-xeon-r-gold-6338n-2cpu'
    """
    return re.sub(r"[^a-z0-9.]+", "-", name.lower()).strip("-")


def _lscpu() -> str:
    """The text of `lscpu`; where there is none, what the platform reports in its form."""
    try:
        asked = subprocess.run(["lscpu"], capture_output=True, text=True, check=True, timeout=20,
                               env={**os.environ, "LC_ALL": "C"})  # fmt: skip
        return asked.stdout
    except (OSError, subprocess.SubprocessError):
        import platform

        return f"CPU(s): {os.cpu_count() or 1}\nModel name: {platform.processor() or platform.machine()}"


def _number(text: str | None) -> int | None:
    try:
        return None if text is None else int(float(text.replace(",", ".")))
    except ValueError:
        return None


def _bytes(text: str) -> float | None:
    """Bytes of a size as `lscpu` writes it: `32 MiB (1 instance)`, `512K`."""
    match = re.match(r"([\d.,]+)\s*([KMG]iB|[KMGB])", text)
    return None if match is None else float(match[1].replace(",", ".")) * _UNITS[match[2].upper()]


def _megabytes(text: str | None) -> float | None:
    size = _bytes(text) if text else None
    return None if size is None else size / 2**20


def _first_level(text: str | None) -> float | None:
    """KiB of one first-level data cache of `64 KiB (2 instances)`."""
    size = _bytes(text) if text else None
    instances = re.search(r"\((\d+) instances?\)", text or "")
    return None if size is None else size / 2**10 / int(instances[1] if instances else 1)
