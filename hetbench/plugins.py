"""Find the plug-ins of a package by file name, load one when it is asked for; nothing registers itself."""

from __future__ import annotations

from importlib import import_module
from pkgutil import iter_modules
from types import ModuleType

from hetbench.errors import UnknownNameError

__all__ = ["load", "names"]


def names(package: ModuleType) -> list[str]:
    """Names of the public modules of a package, sorted, without importing them.

    >>> import hetbench.operators
    >>> "conv" in names(hetbench.operators)
    True
    """
    return sorted(info.name for info in iter_modules(package.__path__) if not info.name.startswith("_"))


def load(package: ModuleType, name: str) -> ModuleType:
    """Import one plug-in; a broken one fails loudly, an unknown one names the nearest."""
    known = names(package)
    if name not in known:
        raise UnknownNameError(f"plug-in of {package.__name__}", name, known)
    return import_module(f"{package.__name__}.{name}")
