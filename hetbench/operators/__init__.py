"""Operator types: their dims, FLOP and bytes by exact arithmetic, and how to build one for timing.

Dims are Python integers or integer arrays [rows]. Each module defines the operators of one kind in a tuple `OPERATORS`
and is found by its file name.
"""

from __future__ import annotations

import copyreg
from collections.abc import Callable, Mapping

from hetbench import plugins
from hetbench.errors import UnknownNameError
from hetbench.loading import load_once
from hetbench.mappings import ReadOnly
from hetbench.operators._base import Dims, OperatorType, Size

__all__ = ["Dims", "OperatorType", "Size", "operator_type", "operator_types"]


@load_once()
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
    return ReadOnly(dict(sorted(found.items())))


def operator_type(name: str) -> OperatorType:
    """The operator type called `name`; raises `UnknownNameError` for any other name.

    >>> operator_type("Linear").flops({"m": 2, "n": 3, "k": 4})
    48
    """
    try:
        return operator_types()[name]
    except (KeyError, TypeError):
        raise UnknownNameError("operator", name, operator_types()) from None


def _by_name(kind: OperatorType) -> tuple[Callable[[str], OperatorType], tuple[str]]:
    return operator_type, (kind.name,)


copyreg.pickle(OperatorType, _by_name)  # its formulas are functions, which do not pickle
