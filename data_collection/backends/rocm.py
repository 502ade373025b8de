"""rocm: AMD GPUs through PyTorch, which names them cuda. Energy from amdsmi, which is part of ROCm.

Never run on an AMD GPU.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from data_collection.backends._base import Backend, Call

__all__ = ["BACKEND"]


class Rocm(Backend):
    """The current HIP device."""

    family = "rocm"
    device = "cuda"
    install = "Install ROCm and the ROCm build of torch, as PyTorch describes for AMD GPUs."

    def device_missing(self) -> str | None:
        import torch

        if not torch.version.hip:
            return f"this torch ({torch.__version__}) is not built for ROCm. {self.install}"
        return super().device_missing()

    def spellings(self, device_name: str) -> tuple[str, ...]:
        return device_name.replace("Instinct ", ""), device_name

    def libraries(self) -> Mapping[str, str]:
        import torch

        return {"HIP": str(torch.version.hip), "MIOpen": str(torch.backends.cudnn.version())}

    def driver(self) -> str | None:
        version = Path("/sys/module/amdgpu/version")
        return f"amdgpu {version.read_text().strip()}" if version.is_file() else None

    def joules(self) -> float | None:
        try:
            import amdsmi
        except (ImportError, OSError):
            return None
        try:
            amdsmi.amdsmi_init()
            processor = amdsmi.amdsmi_get_processor_handles()[self.module().current_device()]
            count = amdsmi.amdsmi_get_energy_count(processor)
        except amdsmi.AmdSmiException:
            return None
        return float(count["energy_accumulator"]) * float(count["counter_resolution"]) / 1e6  # microjoules a count

    def fell_back(self, call: Call) -> bool | None:
        return False  # HIP raises instead


BACKEND = Rocm
