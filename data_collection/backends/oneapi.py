"""oneapi: x86 CPUs through PyTorch with oneDNN and oneMKL, and Intel GPUs (torch.xpu) where torch sees one.

The tests run the CPU path; the GPU path has never run on a device.
"""

from __future__ import annotations

import os
import platform
import re
import time
from collections.abc import Mapping
from pathlib import Path

from data_collection.backends._base import Backend, Call, Identity, _torch_version

__all__ = ["BACKEND"]

_RAPL = "/sys/class/powercap", "intel-rapl:?/energy_uj"
_HWMON = "/sys/class/drm", "card?/device/hwmon/*/energy1_input"


class OneApi(Backend):
    """The Intel GPU that torch sees, else the CPU."""

    family = "oneapi"
    install = "Install the XPU build of torch, as PyTorch describes for Intel GPUs."

    def __init__(self, device: str | None = None) -> None:
        self._device = device
        self._tells_peak = Path("/proc/self/clear_refs").exists()

    @property
    def device(self) -> str:  # type: ignore[override]
        if self._device is None:
            import torch

            self._device = "xpu" if torch.xpu.is_available() else "cpu"
        return self._device

    @property
    def protocols(self) -> tuple[str, ...]:  # type: ignore[override]
        return ("wall",) if self.device == "cpu" else ("event", "wall")

    def device_missing(self) -> str | None:
        return None if self.device == "cpu" else super().device_missing()

    def identity(self) -> Identity:
        if self.device == "cpu":
            return Identity(_cpu_name(), None, {"torch": _torch_version(), **self.libraries()})
        return super().identity()

    def spellings(self, device_name: str) -> tuple[str, ...]:
        plain = re.sub(r"\((R|TM)\)|\bCPU\b|@.*|\bGraphics\b", "", device_name.split(", family")[0])
        return device_name, " ".join(plain.replace("+", "plus").split())

    def libraries(self) -> Mapping[str, str]:
        import torch

        shown = torch.__config__.show()
        found = {}
        for name, pattern in (("oneDNN", r"MKL-DNN v([\d.]+)"), ("oneMKL", r"Math Kernel Library Version ([\d.]+)")):
            match = re.search(pattern, shown)
            if match:
                found[name] = match[1]
        return found

    def busy_seconds(self) -> float | None:
        import torch

        return time.process_time() / torch.get_num_threads() if self.device == "cpu" else None

    def synchronise(self) -> None:
        if self.device != "cpu":
            super().synchronise()

    def seconds(self, call: Call, calls: int, protocol: str) -> float:
        if self.device != "cpu":
            return super().seconds(call, calls, protocol)
        clock = time.perf_counter
        start = clock()
        for _ in range(calls):
            call()
        return clock() - start

    def kernel_seconds(self, call: Call) -> float | None:
        """None on a CPU: kernels run inside the call, and the profiler's overhead is as large as they are."""
        return None if self.device == "cpu" else super().kernel_seconds(call)

    def reset_peak_memory(self) -> None:
        if self.device != "cpu":
            super().reset_peak_memory()
        else:
            try:
                Path("/proc/self/clear_refs").write_text("5")
            except OSError:  # the kernel keeps the peak of the whole process lifetime
                self._tells_peak = False

    def memory(self) -> tuple[int, int] | None:
        if self.device != "cpu":
            return super().memory()
        if not self._tells_peak:
            return None
        text = Path("/proc/self/status").read_text()
        kib = {name: int(value) for name, value in re.findall(r"(VmRSS|VmHWM):\s+(\d+) kB", text)}
        return kib["VmRSS"] * 1024, kib["VmHWM"] * 1024

    def joules(self) -> float | None:
        """CPU: sum of RAPL packages (which wrap after minutes to hours: drop negative differences). GPU: hwmon."""
        root, pattern = _RAPL if self.device == "cpu" else _HWMON
        try:
            counters = [int(path.read_text()) for path in Path(root).glob(pattern)]
        except OSError:  # readable by root only
            return None
        return sum(counters) / 1e6 if counters else None

    def fell_back(self, call: Call) -> bool | None:
        return None if self.device == "cpu" else super().fell_back(call)

    def set_threads(self, threads: int) -> None:
        import torch

        torch.set_num_threads(threads)


def _cpu_name() -> str:
    """Model name plus family, model, CPU count and hypervisor, since virtual machines hide the product name."""
    try:
        text = Path("/proc/cpuinfo").read_text()
    except OSError:
        return platform.processor() or platform.machine()
    fields = dict(re.findall(r"^(model name|cpu family|model|flags)\s*: (.*)$", text, re.MULTILINE))
    where = "virtual machine" if "hypervisor" in fields.get("flags", "").split() else "bare metal"
    return (
        f"{fields.get('model name')}, family {fields.get('cpu family')} model {fields.get('model')}, "
        f"{os.cpu_count()} CPUs, {where}"
    )


BACKEND = OneApi
