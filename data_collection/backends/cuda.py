"""cuda: NVIDIA GPUs through PyTorch. Energy from NVML (`pip install nvidia-ml-py`).

No measurement of this project was made with it; its tests run where torch sees a GPU.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from data_collection.backends._base import Backend

__all__ = ["BACKEND"]

_DEVICES = {
    "NVIDIA H100 80GB HBM3": "nvidia-h100-sxm5-80gb", "NVIDIA H200": "nvidia-h200-sxm-141gb",
    "NVIDIA A100 80GB PCIe": "nvidia-a100-pcie-80gb", "Tesla T4": "nvidia-t4",
}  # fmt: skip
"""Driver's device name -> catalogue name, where the two are spelled differently."""


class Cuda(Backend):
    """The current CUDA device."""

    family = "cuda"
    device = "cuda"
    install = "Install NVIDIA's driver and the CUDA build of PyTorch: pip install torch."

    def device_missing(self) -> str | None:
        import torch

        if torch.version.hip:
            return f"this torch ({torch.__version__}) is built for ROCm. {self.install}"
        return super().device_missing()

    def spellings(self, device_name: str) -> tuple[str, ...]:
        return _DEVICES.get(device_name, device_name), device_name.replace("GeForce ", "")

    def libraries(self) -> Mapping[str, str]:
        import torch

        return {"CUDA": str(torch.version.cuda), "cuDNN": str(torch.backends.cudnn.version())}

    def driver(self) -> str | None:
        return self._nvml(lambda nvml, _: nvml.nvmlSystemGetDriverVersion())

    def joules(self) -> float | None:
        return self._nvml(lambda nvml, handle: nvml.nvmlDeviceGetTotalEnergyConsumption(handle) / 1e3)

    def fell_back(self, call: Any) -> bool | None:
        return False  # CUDA raises instead

    def _nvml(self, ask: Any) -> Any:
        """A value from NVML for the current device; None without the library or if the board does not report it."""
        try:
            import pynvml
        except ImportError:
            return None
        try:
            pynvml.nvmlInit()
            uuid = f"GPU-{self.module().get_device_properties().uuid}"
            return ask(pynvml, pynvml.nvmlDeviceGetHandleByUUID(uuid))
        except pynvml.NVMLError:
            return None


BACKEND = Cuda
