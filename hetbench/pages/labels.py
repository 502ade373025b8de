"""Names of chips and sizes as people write them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

__all__ = ["chip_label", "setting_words"]

_UPPER = frozenset(("sxm", "pcie", "nvl", "gcd", "npu", "kvm", "rtx", "gtx", "rx", "xt", "xtx", "fe", "mlu"))
_WRITTEN = {"amd": "AMD", "nvidia": "NVIDIA", "intel": "Intel", "huawei": "Huawei", "cambricon": "Cambricon",
            "ti": "Ti", "gaudi2": "Gaudi 2", "gaudi3": "Gaudi 3", "epyc": "EPYC", "igpu": "iGPU",
            "8480plus": "8480+", "8592plus": "8592+"}  # fmt: skip
_SIZES = {"seq_len": "{} tokens", "image_size": "image size {}", "batch": "batch {}"}


def setting_words(sizes: Mapping[str, Any]) -> str:
    """Sizes and options in words, the phase first; those without a value are left out.

    >>> setting_words({"batch": 1, "seq_len": 1024, "image_size": None, "phase": "inference"})
    'inference, batch 1, 1,024 tokens'
    """
    order = sorted(sizes, key=lambda name: name != "phase")
    known = {name: sizes[name] for name in order if sizes[name] is not None}
    bare = ("phase", "precision", "stack")
    return ", ".join(str(value) if name in bare else _SIZES.get(name, name.replace("_", " ") + " {}").format(
        f"{value:,}" if isinstance(value, int) else value) for name, value in known.items())  # fmt: skip


def chip_label(name: str) -> str:
    """The name of a chip as people write it.

    >>> [chip_label(name) for name in ("amd-mi300x", "huawei-ascend-910b3", "intel-arc-pro-b60")]
    ['AMD MI300X', 'Huawei Ascend 910B3', 'Intel Arc Pro B60']
    """
    return " ".join(map(_word, name.split("-")))


def _word(part: str) -> str:
    if part in _WRITTEN:
        return _WRITTEN[part]
    return part.upper() if part in _UPPER or any(letter.isdigit() for letter in part) else part.capitalize()
