"""cann: Huawei Ascend through torch_npu. Power from npu-smi, which has no energy counter.

Never run on an Ascend NPU.
"""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Mapping
from pathlib import Path

from data_collection.backends._base import Backend, installed

__all__ = ["BACKEND"]


class Cann(Backend):
    """The current NPU."""

    family = "cann"
    device = "npu"
    extension = "torch_npu"
    install = "Install the CANN toolkit, source its set_env.sh, then: pip install torch-npu (of torch's own version)."
    warmup_calls = 20  # the first calls compile kernels

    def spellings(self, device_name: str) -> tuple[str, ...]:
        plain = device_name.removeprefix("Ascend").strip()
        return f"huawei-ascend-{plain}", device_name

    def libraries(self) -> Mapping[str, str]:
        found = {"torch_npu": installed("torch-npu") or "unknown"}
        notes = Path(os.environ.get("ASCEND_TOOLKIT_HOME", "/usr/local/Ascend/ascend-toolkit/latest")) / "version.cfg"
        match = re.search(r"toolkit_installed_version=\[([\d.\w]+)", notes.read_text()) if notes.is_file() else None
        return {**found, "CANN": match[1]} if match else found

    def driver(self) -> str | None:
        notes = Path("/usr/local/Ascend/driver/version.info")
        match = re.search(r"Version=(\S+)", notes.read_text()) if notes.is_file() else None
        return match[1] if match else None

    def watts(self) -> float | None:
        try:
            asked = ["npu-smi", "info", "-t", "power", "-i", str(self.module().current_device())]
            shown = subprocess.run(asked, capture_output=True, text=True, timeout=5, check=True).stdout
        except (OSError, subprocess.SubprocessError):
            return None
        match = re.search(r"Power.*?:\s*([\d.]+)", shown)
        return float(match[1]) if match else None


BACKEND = Cann
