"""mlu: Cambricon through torch_mlu. Power from cnmon, which has no energy counter.

Never run on a Cambricon card.
"""

from __future__ import annotations

import re
import subprocess
from collections.abc import Mapping

from data_collection.backends._base import Backend, installed

__all__ = ["BACKEND"]


class Mlu(Backend):
    """The current MLU."""

    family = "mlu"
    device = "mlu"
    extension = "torch_mlu"
    install = "Install Cambricon's Neuware SDK and the torch_mlu wheel that comes with it (it is not on PyPI)."
    warmup_calls = 20

    def spellings(self, device_name: str) -> tuple[str, ...]:
        return f"cambricon-{device_name}", device_name

    def libraries(self) -> Mapping[str, str]:
        return {"torch_mlu": installed("torch-mlu") or "unknown"}

    def driver(self) -> str | None:
        return self._cnmon(r"Driver\s*:\s*(\S+)")

    def watts(self) -> float | None:
        shown = self._cnmon(r"Usage\s*:\s*([\d.]+)\s*W")
        return float(shown) if shown else None

    def _cnmon(self, pattern: str) -> str | None:
        """First match of a pattern in the output of `cnmon info` for the current card; None if the tool is missing."""
        try:
            asked = ["cnmon", "info", "-c", str(self.module().current_device())]
            shown = subprocess.run(asked, capture_output=True, text=True, timeout=5, check=True).stdout
        except (OSError, subprocess.SubprocessError):
            return None
        match = re.search(pattern, shown)
        return match[1] if match else None


BACKEND = Mlu
