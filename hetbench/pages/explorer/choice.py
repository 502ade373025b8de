"""What an explorer holds: models, chips, phases, precisions, and the sizes of each grid."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from hetbench.api import HetBench
from hetbench.catalog.chips import chips, default_chip
from hetbench.catalog.models import models
from hetbench.errors import HetBenchError, RefusedError
from hetbench.query.precisions import default_precision
from hetbench.schema import FAMILIES

__all__ = ["MAIN_CHIPS", "SERVED", "Choice", "axes_of", "choose", "phases_of"]

MAIN_CHIPS = (
    "nvidia-v100-sxm2-32gb", "nvidia-t4", "nvidia-a100-sxm4-80gb", "nvidia-l4", "nvidia-l40s", "nvidia-rtx-4090",
    "nvidia-h100-sxm5-80gb", "nvidia-h200-sxm-141gb", "nvidia-b200-sxm-180gb", "amd-mi210", "amd-mi300x", "amd-mi325x",
    "amd-rx-7900-xtx", "intel-arc-pro-b60", "intel-arc-a770", "intel-max-1550", "intel-gaudi2", "intel-gaudi3",
    "intel-xeon-8480plus", "huawei-ascend-310p", "huawei-ascend-910b3", "huawei-ascend-910b4", "cambricon-mlu370-x4",
    "cambricon-mlu370-x8", "cambricon-mlu590-m9",
)  # fmt: skip
"""Chips of the default explorer: generations that people rent or own today, from every family. `--full` takes all."""
SERVED = ("qwen2.5-7b", "mistral-7b", "meta-llama/Llama-3.1-8B-Instruct", "Qwen/Qwen3-32B")
"""Models of the serving phase in the default explorer; `--full` adds every language model of the catalogue."""
_BATCHES = {False: (1, 4, 16, 64), True: (1, 2, 4, 8, 16, 32, 64, 128)}
_TOKENS = {False: (32, 128, 512, 2048), True: (32, 64, 128, 256, 512, 1024, 2048, 4096, 8192)}
_PRECISIONS = {"llm": ("fp16", "fp32", "int8"), "": ("fp16", "fp32")}
_ALL_PRECISIONS = ("fp16", "fp32", "bf16", "int8", "fp8")
_SERVING = {
    False: {"input_len": (128, 1024, 8192), "output_len": (64, 256, 1024), "concurrency": (1, 8, 64, 256)},
    True: {"input_len": (128, 512, 1024, 2048, 8192), "output_len": (64, 256, 1024),
           "concurrency": (1, 2, 4, 8, 16, 32, 64, 128, 256)},
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Choice:
    """Names of an explorer's models and chips, and its density."""

    models: tuple[str, ...]
    served: tuple[str, ...]
    """Language models of the serving phase."""
    chips: tuple[str, ...]
    dense: bool = False

    def precisions(self, name: str) -> tuple[str, ...]:
        """Precisions of a catalogue model."""
        return _ALL_PRECISIONS if self.dense else _PRECISIONS.get(models()[name].category, _PRECISIONS[""])

    def asks(self, name: str, chip: str, variant: Mapping[str, Any]) -> bool:
        """Whether the grid holds this variant on this chip: by default, language models in fp32 where fp16 is none."""
        spared = not self.dense and variant.get("precision") == "fp32" and models()[name].category == "llm"
        return not (spared and default_precision(chips()[chip]) == "fp16")

    @property
    def deployments(self) -> tuple[Mapping[str, Any], ...]:
        """Variants of a deployment: numbers of chips, and at full density weights in fp8."""
        sizes = ({"chips": 1}, {"chips": 8})
        return sizes + tuple({**each, "precision": "fp8"} for each in sizes) if self.dense else sizes


def choose(
    api: HetBench, model_names: Sequence[str] | None = None, chip_names: Sequence[str] | None = None,
    full: bool = False,
) -> Choice:  # fmt: skip
    """The content of an explorer; names left out mean the default content, or with `full` the whole catalogue.

    Model names may be those of the hub; such models are served only. Raises `UnknownNameError` for other names.

    >>> choose(HetBench(), ["gpt2"], ["cuda", "nvidia-l4"]).chips
    ('nvidia-a100-sxm4-80gb', 'nvidia-l4')
    """
    known = models()
    named = tuple(dict.fromkeys(model_names or known))
    own = tuple(name for name in named if name in known)
    if model_names:
        served = tuple(name for name in named if _generates(api, name))
    else:
        language = tuple(name for name, each in known.items() if each.category == "llm")
        served = tuple(dict.fromkeys(SERVED + language)) if full else SERVED
    defaults = tuple(default_chip(family)[0].name for family in FAMILIES)
    wanted = chip_names or (chips() if full else (*defaults, *MAIN_CHIPS))
    return Choice(own, served, tuple(dict.fromkeys(api.chip(name)[0].name for name in wanted)), full)


def _generates(api: HetBench, name: str) -> bool:
    """Whether a deployment of the model can be asked; raises for an unknown name."""
    try:
        api.query(name, target="cuda", metric="memory", phase="serving")
    except RefusedError:
        return False
    return True


def phases_of(choice: Choice, name: str) -> tuple[str, ...]:
    """Phases of a model in the explorer."""
    known = models().get(name)
    return (*(known.phases if known else ()), *(("serving",) if name in choice.served else ()))


def axes_of(api: HetBench, choice: Choice, name: str, phase: str) -> dict[str, tuple[int, ...]]:
    """The sizes of a grid by option, ascending; every grid holds the model's default size.

    >>> api = HetBench()
    >>> axes_of(api, choose(api), "bert-base", "inference")
    {'batch': (1, 4, 16, 64), 'seq_len': (32, 128, 512)}
    """
    if phase == "serving":
        return dict(_SERVING[choice.dense])
    known = models()[name]
    axes: dict[str, tuple[int, ...]] = {"batch": _BATCHES[choice.dense]}
    if known.seq_len is not None:
        most = max(_TOKENS[choice.dense])
        while not _accepts(api, name, most, phase):
            most //= 2
        asked = {*_TOKENS[choice.dense], known.seq_len, most}
        if known.category == "llm":
            asked -= {32} if not choice.dense else set()
        axes["seq_len"] = tuple(sorted(each for each in asked if _accepts(api, name, each, phase)))
    if known.image_size is not None:
        axes["image_size"] = (known.image_size,)
    return axes


def _accepts(api: HetBench, name: str, seq_len: int, phase: str) -> bool:
    """Whether the model has positions for so many tokens."""
    try:
        api.query(name, metric="memory", seq_len=seq_len, precision="fp16", phase=phase)
    except HetBenchError:
        return False
    return True
