"""Short names of chips and devices: without the vendor (`mi300x`), as PyTorch calls devices (`npu`), as benchmarks do.

A short name resolves where it can mean one chip only. Others are refused, and the message says what they leave open.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from types import MappingProxyType

__all__ = ["advice", "expand"]

_VENDORS = ("nvidia-", "amd-", "intel-", "huawei-ascend-", "huawei-", "cambricon-", "nvidia-rtx-", "nvidia-geforce-",
            "amd-instinct-")  # fmt: skip
_DEVICES = MappingProxyType({"npu": "cann", "ascend": "cann", "xpu": "oneapi", "hip": "rocm"})
"""Device names of PyTorch's vendor back ends -> family."""
_OPEN: Mapping[str, str] = MappingProxyType({
    "gpu": "It is a kind of chip: name a family (cuda, rocm, oneapi) or a chip.",
    "cpu": "It is a kind of chip: name one, such as intel-xeon-platinum-8380 or amd-epyc-7r32.",
    "tpu": "No TPU is in the catalogue, and none of the five families runs on one.",
    "cpu_xeon_silver": "HW-GPT-Bench does not name the model of this Xeon Silver: name a CPU of the catalogue.",
    "cpu_xeon_gold": "HW-GPT-Bench does not name the model of this Xeon Gold: name a CPU of the catalogue.",
    "cpu_amd_7502": "HW-GPT-Bench means an AMD EPYC 7502; api.add_chip takes it from its datasheet.",
    "cpu_amd_7513": "HW-GPT-Bench means an AMD EPYC 7513; api.add_chip takes it from its datasheet.",
    "cpu_amd_7452": "HW-GPT-Bench means an AMD EPYC 7452; api.add_chip takes it from its datasheet.",
    "rtx3080": "HW-GPT-Bench means an NVIDIA RTX 3080; api.add_chip takes it from its datasheet.",
})  # fmt: skip


def expand(name: str, known: Iterable[str]) -> str | None:
    """The full name, or the family, that a short name means; None where that is open.

    >>> expand("MI300X", ["amd-mi300x", "amd-mi300a"]), expand("npu", []), expand("rtx2080", ["nvidia-rtx-2080"])
    ('amd-mi300x', 'cann', 'nvidia-rtx-2080')
    """
    bare = re.sub(r":\d+$", "", name.strip().lower())
    if bare in _DEVICES:
        return _DEVICES[bare]
    wanted = _squeezed(bare)
    found = {full for full in known for vendor in _VENDORS
             if full.startswith(vendor) and _squeezed(full.removeprefix(vendor)) == wanted}  # fmt: skip
    return found.pop() if len(found) == 1 else None


def advice(name: str) -> str:
    """What a known short name leaves open; empty for any other name."""
    return _OPEN.get(name.strip().lower(), "")


def _squeezed(name: str) -> str:
    return re.sub(r"[^a-z0-9]", "", name)
