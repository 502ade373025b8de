"""The machine and software that a run measures on, written once into its manifest."""

from __future__ import annotations

import hashlib
import json
import os
import platform
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from data_collection.backends import Backend, UnmeasuredError, installed
from data_collection.chip import measure_chip
from data_collection.profile.stacks import EXPORTED
from data_collection.profile.tasks import Task
from hetbench.catalog.chips import Chip

__all__ = ["Environment", "describe"]

_PACKAGES = ("torch", "transformers", "numpy", "onnxruntime", "onnx", "openvino", "nncf")
_VARIABLES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "KMP_AFFINITY", "OMP_PROC_BIND", "LD_PRELOAD",
              "CUDA_VISIBLE_DEVICES", "DNNL_MAX_CPU_ISA", "ONEDNN_MAX_CPU_ISA", "MALLOC_CONF")  # fmt: skip
ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True, slots=True)
class Environment:
    """Machine and software facts that stay the same during a run."""

    chip: Chip
    base_software: str
    facts: Mapping[str, Any]
    """Device, processor, memory, kernel, packages, variables."""
    run: Mapping[str, Any]
    """Facts of this run only, not part of the id: load averages at its start, commit of this project."""

    @property
    def id(self) -> str:
        """A short hash of the facts."""
        return hashlib.sha256(json.dumps(self.facts, sort_keys=True).encode()).hexdigest()[:12]

    def software(self, task: Task) -> str:
        """The `software` column of a row: libraries and versions, those of the stack, and transformers for models."""
        extra = [task.stack] if task.stack in EXPORTED else []
        extra += ["nncf"] if (task.stack, task.precision) == ("openvino", "int8") else []
        extra += ["transformers"] if task.kind == "model" else []
        return ", ".join([self.base_software, *(f"{name} {installed(name)}" for name in extra)])

    def manifest(self) -> dict[str, Any]:
        """As plain values for the manifest of a run."""
        return {"id": self.id, "chip": self.chip.name, **self.facts, **self.run}


def describe(backend: Backend, chip: str | None = None) -> Environment:
    """Read the environment; `chip` names the chip of a device that is not recognised.

    A device that nobody knows is measured first, which takes a minute, and known from then on.
    """
    import psutil

    seen = backend.identity()
    facts = {
        "device": seen.device_name, "driver": seen.driver, "libraries": dict(seen.libraries),
        "cpus": os.cpu_count(), "memory_bytes": psutil.virtual_memory().total,
        "kernel": f"{platform.system()} {platform.release()}", "machine": platform.machine(),
        "governor": _read("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor"),
        "python": platform.python_version(), "packages": {name: installed(name) for name in _PACKAGES},
        "variables": {name: os.environ[name] for name in _VARIABLES if name in os.environ},
    }  # fmt: skip
    try:
        known = backend.chip(chip)
    except UnmeasuredError:
        print(f"no chip is known for {seen.device_name!r}; measuring it, about a minute:", flush=True)
        known = measure_chip(backend)
    return Environment(known, backend.software(), facts, {"load": os.getloadavg(), "commit": _commit()})


def _read(path: str) -> str | None:
    try:
        return Path(path).read_text().strip()
    except OSError:
        return None


def _commit() -> str | None:
    """The checkout's commit, with a `+` if files differ from it."""
    asked = ["git", "-C", str(ROOT), "describe", "--always", "--dirty=+", "--abbrev=12", "--exclude=*"]
    try:
        return subprocess.run(asked, capture_output=True, text=True, check=True, timeout=10).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return None
