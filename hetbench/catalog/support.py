"""Operator support: whether the PyTorch backend of a chip runs an ATen operator.

The table (`catalog/operator_support.json`, made by `python -m data_collection.sources.registrations`) has a status for
each ATen operator and platform. `native`: the backend registers it. `composite`: PyTorch composes it of operators that
the backend registers. `fallback`: it runs on the CPU. `absent`: the backend does not register it or one of its parts:
PyTorch raises, or under torch_npu and torch_mlu tries the CPU. `unknown`: no source states it. Native and composite
operators are covered; a registration says that an operator runs, not how fast. The family oneapi has two platforms:
Intel GPU (xpu) and x86 CPU.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

from hetbench.catalog.chips import Chip
from hetbench.catalog.chips import chip as chip_named
from hetbench.errors import ArtifactError, RefusedError, UnknownNameError
from hetbench.loading import load_once
from hetbench.mappings import ReadOnly

__all__ = [
    "COVERED", "FORMAT", "SUPPORT", "TABLE", "Support", "platform_of", "platforms", "resolve_support", "support",
]  # fmt: skip

FORMAT = 1
TABLE = Path(str(files("hetbench") / "catalog" / "operator_support.json"))
SUPPORT = ("native", "composite", "fallback", "absent", "unknown")
COVERED = ("native", "composite")
"""Statuses that count as covered: the data stay on the chip."""
_USUAL = ("Tensor", "self", "dim", "int", "input", "src", "sections")  # overloads that a bare name means, in this order


@dataclass(frozen=True, slots=True)
class Support:
    """Support of one ATen operator on one platform.

    >>> support("cann", "aten::layer_norm").via
    ('native_layer_norm',)
    """

    operator: str
    platform: str
    status: str
    """native, composite, fallback, absent or unknown."""
    via: tuple[str, ...] = ()
    """Registered out form, or parts of a composite; for an absent operator the missing parts."""
    refs: tuple[str, ...] = ()
    """repository@commit:path of the registrations; for an absent operator the lists that lack it."""

    @property
    def covered(self) -> bool:
        """Whether it runs on the chip, native or composite."""
        return self.status in COVERED


def platforms() -> Mapping[str, str]:
    """Platform -> backend and version whose registrations were read.

    >>> list(platforms())
    ['cuda', 'rocm', 'oneapi-cpu', 'oneapi-xpu', 'cann', 'mlu']
    """
    known: Mapping[str, str] = _table()["platforms"]
    return ReadOnly(dict(known))


def platform_of(chip: Chip) -> str:
    """The platform of a chip: its family, or for oneapi the GPU or CPU backend by the kind of the chip.

    Raises `RefusedError` for a chip that no backend of the table supports.

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
            f"{chip.name} is of family oneapi, whose GPUs and CPUs support different operators, and its datasheet "
            'does not state its kind: add kind = "gpu" or kind = "cpu".'
        )
    raise RefusedError(
        f"no operator registrations are known for {chip.name}, family {chip.family}, kind {chip.kind or 'not stated'}. "
        f"Known: {', '.join(f'{name} ({title})' for name, title in known.items())}."
    )


def support(where: Chip | str, operator: str) -> Support:
    """Support of an ATen operator on a chip, platform or family.

    The operator is written `add.Tensor`, `aten::add.Tensor` or `aten.add.Tensor`; a bare `add` means its only or most
    common overload. The table has the forward operators on dense tensors with their in-place forms (`add_.Tensor`),
    without `out` forms. Raises `UnknownNameError` for an operator or a place that it does not have.

    >>> support("mlu", "aten::add").status, support("oneapi-xpu", "linalg_eig").status
    ('native', 'fallback')
    >>> support("cann", "gelu").via
    ('gelu.out',)
    """
    operators: Mapping[str, Any] = _table()["operators"]
    name = _spelling(operator, operators) if isinstance(operator, str) else None
    if name is None:
        raise UnknownNameError("ATen operator", operator, operators)
    return resolve_support(name, where if isinstance(where, str) and where in platforms() else _platform(where))


def resolve_support(called: str, platform: str) -> Support:
    """Support of an operator on a platform, with status `unknown` where the table does not have it.

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
    """The name of an operator in the table; None where the table does not have it."""
    name = given.removeprefix("torch.ops.").removeprefix("aten::").removeprefix("aten.").removesuffix(".default")
    if name in known:
        return name
    overloads = [each for each in known if each.partition(".")[0] == name]
    if len(overloads) == 1:
        return overloads[0]
    return next((f"{name}.{usual}" for usual in _USUAL if f"{name}.{usual}" in known), None)


@load_once()
def _table() -> Mapping[str, Any]:
    try:
        table = json.loads(TABLE.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ArtifactError(f"{TABLE.name} cannot be read: {error}. Reinstall hetbench.") from None
    if table.get("format") != FORMAT:
        raise ArtifactError(f"{TABLE.name} has format {table.get('format')!r}; this hetbench reads {FORMAT}.")
    return dict(table)
