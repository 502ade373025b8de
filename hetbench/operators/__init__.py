"""Operator types: the dims they have, the work and the traffic they cost, and how to build one for timing.

Costs are exact arithmetic on the dims and take Python integers or integer arrays alike (shape [rows]).
One file a cost family; each offers a tuple `OPERATORS`, found by file name.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from types import MappingProxyType

from hetbench import plugins
from hetbench.errors import UnknownNameError
from hetbench.operators._base import Dims, OperatorType, Size

__all__ = ["Dims", "OperatorType", "Size", "operator_type", "operator_types"]


@lru_cache(maxsize=1)
def operator_types() -> Mapping[str, OperatorType]:
    """All operator types by name.

    >>> operator_types()["Linear"].dims
    ('m', 'n', 'k')
    """
    import hetbench.operators as package

    found: dict[str, OperatorType] = {}
    for name in plugins.names(package):
        for operator in plugins.load(package, name).OPERATORS:
            if operator.name in found:
                raise ValueError(f"operator type {operator.name!r} is defined twice, again in {name}.py")
            found[operator.name] = operator
    return MappingProxyType(dict(sorted(found.items())))


def operator_type(name: str) -> OperatorType:
    """The operator type called `name`; `UnknownNameError` names the nearest one.

    >>> operator_type("Linear").flops({"m": 2, "n": 3, "k": 4})
    48
    """
    try:
        return operator_types()[name]
    except KeyError:
        raise UnknownNameError("operator", name, operator_types()) from None
