"""Optimizers: what they keep for every parameter, and the operators of one update."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from hetbench.errors import UnknownNameError

__all__ = ["OPTIMIZERS", "Optimizer", "optimizer"]


@dataclass(frozen=True, slots=True)
class Optimizer:
    """One optimizer, in fp32 whatever the precision of the products."""

    name: str
    state_bytes: int
    """Bytes that it keeps for every parameter between steps."""
    operators: tuple[str, ...]
    """Operators over all parameters that read and write as many bytes as its update: fused over all tensors."""


OPTIMIZERS: Mapping[str, Optimizer] = MappingProxyType({
    each.name: each for each in (
        Optimizer("none", 0, ()),
        Optimizer("sgd", 0, ("Add",)),  # reads weight and gradient, writes the weight
        Optimizer("sgd-momentum", 4, ("MulScalar", "Add")),  # momentum read and written too
        Optimizer("adamw", 8, ("Addcmul", "Add")),  # reads weight, gradient, two moments; writes all but the gradient
    )
})  # fmt: skip
_ALIASES = {"adam": "adamw", "momentum": "sgd-momentum"}


def optimizer(name: object) -> Optimizer:
    """The optimizer called `name`; None means adamw. Raises `UnknownNameError` for an unknown one.

    >>> optimizer("Adam").name, optimizer("sgd").state_bytes
    ('adamw', 0)
    """
    if name is None:
        return OPTIMIZERS["adamw"]
    key = name.strip().lower() if isinstance(name, str) else ""
    key = _ALIASES.get(key, key)
    if key not in OPTIMIZERS:
        raise UnknownNameError("optimizer", name, OPTIMIZERS)
    return OPTIMIZERS[key]
