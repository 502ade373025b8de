"""The base class of all backends, on PyTorch's device-generic interfaces (`torch.get_device_module`).

A family's file states its family and device and overrides what its vendor adds. A quantity that the vendor does not
report is None, never 0.
"""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from importlib import metadata
from typing import Any, ClassVar

from hetbench.catalog.chips import Chip
from hetbench.catalog.own_chips import any_chip
from hetbench.errors import RefusedError, UnknownNameError

__all__ = ["Backend", "Identity", "UnmeasuredError", "installed"]

Call = Callable[[], Any]


@dataclass(frozen=True, slots=True)
class Identity:
    """What a device reports about itself."""

    device_name: str
    """Name reported by the driver or processor; used to find the chip in the catalogue."""
    driver: str | None
    libraries: Mapping[str, str]
    """Library -> version, for the libraries that execute operators."""


class UnmeasuredError(RefusedError):
    """A device that neither the catalogue nor the records of this machine know."""


class Backend:
    """One chip family. Subclasses set the class attributes; vendor packages are imported inside methods only."""

    family: ClassVar[str]
    device: str
    """Device type as torch names it."""
    extension: ClassVar[str | None] = None
    """Package that adds the device type to torch, or None."""
    install: ClassVar[str]
    """How to install what is missing."""
    protocols: ClassVar[tuple[str, ...]] = ("event", "wall")
    """Timing protocols that it supports; the first is the default."""
    warmup_calls: ClassVar[int] = 10
    warmup_seconds: ClassVar[float] = 0.05
    """Warm-up ends when both are reached: by then kernels are selected and clocks have ramped up."""

    def missing(self) -> str | None:
        """Why it cannot be used on this machine and what to install, or None if it can."""
        if not installed("torch"):
            return "PyTorch is not installed. Run: pip install '.[collect]'."
        if self.extension:
            try:
                __import__(self.extension)
            except (ImportError, OSError) as error:  # OSError: a missing driver library
                return f"{self.extension} cannot be imported ({error}). {self.install}"
        return self.device_missing()

    def device_missing(self) -> str | None:
        """The same, called when torch and its extension can be imported."""
        if not self.module().is_available():
            return f"torch sees no {self.device} device. {self.install}"
        return None

    def module(self) -> Any:
        """torch.cuda, torch.xpu, torch.npu ..."""
        import torch

        return getattr(torch, self.device)

    def identity(self) -> Identity:
        """The device, its driver and libraries."""
        name = self.module().get_device_name()
        return Identity(name, self.driver(), {"torch": _torch_version(), **self.libraries()})

    def driver(self) -> str | None:
        """Version of the kernel driver, or None if it cannot be read."""
        return None

    def libraries(self) -> Mapping[str, str]:
        """Versions of the vendor's libraries, without torch."""
        return {}

    def chip(self, named: str | None = None) -> Chip:
        """The chip of this device: of the catalogue, of this machine, or the one called `named`.

        Raises `UnmeasuredError` where none is known, `RefusedError` for a name of another kind of device or die.
        """
        said = self.identity().device_name
        if named:
            return self._borrowed(any_chip(named), said)
        found = self.recognised(said)
        if found is None:
            raise UnmeasuredError(
                f"no chip is known for this device: {said!r}. Measure it, which takes a minute: python -m "
                "data_collection.chip measure. Or name one: --chip NAME (`hetbench chips` lists them)."
            )
        return found

    def recognised(self, device_name: str) -> Chip | None:
        """The chip whose name or alias the device reports; None for a device that nobody has named."""
        for spelling in self.spellings(device_name):
            with suppress(UnknownNameError):
                found = any_chip(spelling)
                if found.family == self.family:
                    return found
        return None

    def accept(self, chip: Chip) -> Chip:
        """The chip itself, if this device can be it; raises `RefusedError` for another kind of device or die."""
        return self._borrowed(chip, self.identity().device_name)

    def _borrowed(self, chip: Chip, device_name: str) -> Chip:
        """A chip that the caller named for this device; refused where the device is certainly another."""
        kind = "cpu" if self.device == "cpu" else "gpu"
        if chip.family != self.family:
            raise RefusedError(f"{chip.name} belongs to {chip.family}, this device to {self.family}.")
        if chip.kind is not None and (chip.kind == "cpu") != (kind == "cpu"):
            raise RefusedError(f"{chip.name} is a {chip.kind}, and this device, {device_name!r}, is a {kind}.")
        own = self.recognised(device_name)
        if own is not None and own.die != chip.die:
            raise RefusedError(
                f"this device is {own.name} ({own.die}), and {chip.name} is another die ({chip.die}): rows measured "
                "here would be filed under a chip they are not of. Leave --chip out."
            )
        return chip

    def spellings(self, device_name: str) -> tuple[str, ...]:
        """Names to look up in the catalogue, most specific first."""
        return (device_name,)

    def software(self) -> str:
        """The `software` column of rows: libraries and versions, driver last."""
        seen = self.identity()
        parts = [f"{name} {version}" for name, version in seen.libraries.items()]
        return ", ".join([*parts, f"driver {seen.driver}"] if seen.driver else parts)

    def busy_seconds(self) -> float | None:
        """Time that this process spent on the processors, over its threads; None where the device is no processor."""
        return None

    def synchronise(self) -> None:
        """Wait until the device has finished all queued work."""
        self.module().synchronize()

    def seconds(self, call: Call, calls: int, protocol: str) -> float:
        """Time of `calls` calls in a row: `event` by device events, `wall` by the host's clock and a synchronise."""
        self.synchronise()
        if protocol == "event":
            begin, end = (self.module().Event(enable_timing=True) for _ in range(2))
            begin.record()
            for _ in range(calls):
                call()
            end.record()
            self.synchronise()
            return float(begin.elapsed_time(end)) / 1e3
        start = time.perf_counter()
        for _ in range(calls):
            call()
        self.synchronise()
        return time.perf_counter() - start

    def kernel_seconds(self, call: Call) -> float | None:
        """Device time of the kernels of one call, by torch's profiler; None where it sees none."""
        from torch.autograd import DeviceType
        from torch.profiler import profile

        calls = 10
        with profile() as seen:
            for _ in range(calls):
                call()
            self.synchronise()
        kernels = (event for event in seen.key_averages() if event.device_type != DeviceType.CPU)
        return sum(event.self_device_time_total for event in kernels) / calls / 1e6 or None  # from microseconds

    def sweep(self, llc_bytes: float) -> Call:
        """A call that evicts the caches: it writes twice the size of the last-level cache."""
        import torch

        buffer = torch.empty(max(int(2 * llc_bytes), 2**26), dtype=torch.uint8, device=self.device)
        return lambda: (buffer.add_(1), self.synchronise())

    def reset_peak_memory(self) -> None:
        """Start to track peak memory."""
        self.module().reset_peak_memory_stats()

    def memory(self) -> tuple[int, int] | None:
        """Bytes in use now and at the peak since `reset_peak_memory`; None if the device does not report them."""
        return int(self.module().memory_allocated()), int(self.module().max_memory_allocated())

    def joules(self) -> float | None:
        """The chip's energy counter in joules; None if it has none."""
        return None

    def watts(self) -> float | None:
        """Current power in watts, for chips that report power but no energy."""
        return None

    def fell_back(self, call: Call) -> bool | None:
        """Whether part of this call falls back to the CPU, which PyTorch extensions report by a warning."""
        import torch

        before = torch.is_warn_always_enabled()
        torch.set_warn_always(True)
        try:
            with warnings.catch_warnings(record=True) as seen:
                warnings.simplefilter("always")
                call()
                self.synchronise()
        finally:
            torch.set_warn_always(before)
        return any("fall back" in str(each.message).lower() for each in seen)

    def set_threads(self, threads: int) -> None:
        """Set the CPU threads that execute operators; accelerators ignore it."""


def installed(package: str) -> str | None:
    """Version of an installed distribution, or None.

    >>> installed("no-such-package") is None
    True
    """
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def _torch_version() -> str:
    import torch

    return str(torch.__version__)
