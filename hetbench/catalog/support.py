"""Which of a model's operators a chip's PyTorch back end runs: by a kernel of its own, composed of others, or not.

The table (`catalog/operator_support.json`, made by `python -m data_collection.sources.registrations`) says for each
ATen operator and platform one of five things. `native`: the back end registers it. `composite`: PyTorch composes it
of operators that the back end registers. `fallback`: the back end hands it to the CPU. `absent`: the back end's list
of registrations lacks it, or something it is made of: PyTorch raises, or under torch_npu and torch_mlu tries the CPU.
`unknown`: nothing read tells. Covered is native or composite; registration says "runs", not "how fast". A family can
have two platforms: oneapi is Intel GPU (xpu) and x86 CPU.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import files
from pathlib import Path
from types import MappingProxyType
from typing import Any

from hetbench.catalog.chips import Chip
from hetbench.catalog.chips import chip as chip_named
from hetbench.errors import ArtifactError, RefusedError, UnknownNameError

__all__ = [
    "COVERED", "FORMAT", "SUPPORT", "TABLE", "Support", "platform_of", "platforms", "resolve_support", "support",
]  # fmt: skip

FORMAT = 1
TABLE = Path(str(files("hetbench") / "catalog" / "operator_support.json"))
SUPPORT = ("native", "composite", "fallback", "absent", "unknown")
COVERED = ("native", "composite")
"""What counts as covered: the data stay on the chip."""
_USUAL = ("Tensor", "self", "dim", "int", "input", "src", "sections")  # a bare name means the first of them it has


@dataclass(frozen=True, slots=True)
class Support:
    """How one platform runs one ATen operator.

    >>> support("cann", "aten::layer_norm").via
    ('native_layer_norm',)
    """

    operator: str
    platform: str
    status: str
    """native, composite, fallback, absent or unknown."""
    via: tuple[str, ...] = ()
    """What runs instead: the registered out form, or the parts of a composite. Not covered: the parts that lack."""
    refs: tuple[str, ...] = ()
    """repository@commit:path of the registrations that say so; for an absent operator the lists that lack it."""

    @property
    def covered(self) -> bool:
        """Whether it runs on the chip, natively or composed."""
        return self.status in COVERED


def platforms() -> Mapping[str, str]:
    """Platform -> the back end and version that its registrations are of.

    >>> list(platforms())
    ['cuda', 'rocm', 'oneapi-cpu', 'oneapi-xpu', 'cann', 'mlu']
    """
    known: Mapping[str, str] = _table()["platforms"]
    return MappingProxyType(dict(known))


def platform_of(chip: Chip) -> str:
    """The platform whose registrations hold for a chip: its family, or for oneapi the GPU or CPU back end by its kind.

    Raises `RefusedError` for a chip that no PyTorch back end of the table runs on.

    >>> from hetbench.catalog.chips import chip
    >>> platform_of(chip("intel-arc-pro-b60")), platform_of(chip("amd-epyc-7r32"))
    ('oneapi-xpu', 'oneapi-cpu')
    """
    known = _table()["platforms"]
    kinds = {"gpu": "oneapi-xpu", "cpu": "oneapi-cpu"}
    if chip.family in known:
        return chip.family
    if chip.family == "oneapi" and chip.kind in kinds:
        return kinds[chip.kind]
    if chip.family == "oneapi" and chip.kind is None:
        raise RefusedError(
            f"{chip.name} is of family oneapi, whose GPUs and CPUs register different operators, and its datasheet "
            'does not say which it is: add kind = "gpu" or kind = "cpu".'
        )
    raise RefusedError(
        f"no operator registrations are known for {chip.name}, family {chip.family}, kind {chip.kind or 'not stated'}. "
        f"Known: {', '.join(f'{name} ({title})' for name, title in known.items())}."
    )


def support(where: Chip | str, operator: str) -> Support:
    """How a chip, a platform or a family runs an ATen operator, named `add.Tensor`, `aten::add.Tensor` or as torch
    prints it, `aten.add.Tensor`. A bare `add` means its only overload, else the usual one, `add.Tensor`.

    Raises `UnknownNameError` for an operator or a place that the table does not hold: it has the forward operators on
    dense tensors, their in-place forms (`add_.Tensor`) included and their `out` forms not.

    >>> support("mlu", "aten::add").status, support("oneapi-xpu", "linalg_eig").status
    ('native', 'fallback')
    >>> support("cann", "gelu").via
    ('gelu.out',)
    """
    operators: Mapping[str, Any] = _table()["operators"]
    name = _spelling(operator, operators)
    if name is None:
        raise UnknownNameError("ATen operator", operator, operators)
    return resolve_support(name, where if isinstance(where, str) and where in platforms() else _platform(where))


def resolve_support(called: str, platform: str) -> Support:
    """How a platform runs an operator under the name it was called by; `unknown` where the table has no such name.

    >>> resolve_support("aten.relu.default", "mlu").status, resolve_support("my_ns::fused", "mlu").status
    ('native', 'unknown')
    """
    name = _spelling(called, _table()["operators"])
    if name is None:
        return Support(called, platform, "unknown")
    table = _table()
    status, refs, *via = table["operators"][name][list(table["platforms"]).index(platform)]
    return Support(called, platform, SUPPORT[status], tuple(*via), tuple(table["refs"][ref] for ref in refs))


def _platform(where: Chip | str) -> str:
    if isinstance(where, Chip):
        return platform_of(where)
    try:
        return platform_of(chip_named(where))
    except UnknownNameError as error:
        raise UnknownNameError("chip", where, (*error.known, *platforms())) from None


def _spelling(given: str, known: Mapping[str, Any]) -> str | None:
    """The table's name of an operator; None where it has none."""
    name = given.removeprefix("torch.ops.").removeprefix("aten::").removeprefix("aten.").removesuffix(".default")
    if name in known:
        return name
    overloads = [each for each in known if each.partition(".")[0] == name]
    if len(overloads) == 1:
        return overloads[0]
    return next((f"{name}.{usual}" for usual in _USUAL if f"{name}.{usual}" in known), None)


@lru_cache(maxsize=1)
def _table() -> Mapping[str, Any]:
    try:
        table = json.loads(TABLE.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ArtifactError(f"{TABLE.name} cannot be read: {error}. Reinstall hetbench.") from None
    if table.get("format") != FORMAT:
        raise ArtifactError(f"{TABLE.name} has format {table.get('format')!r}; this hetbench reads {FORMAT}.")
    return dict(table)
