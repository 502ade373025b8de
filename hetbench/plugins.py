"""Lazy imports: plug-in modules found by file name, and names that a package re-exports from its modules."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib import import_module
from pkgutil import iter_modules
from types import ModuleType
from typing import Any

from hetbench.errors import UnknownNameError

__all__ = ["lazy_exports", "load", "names"]


def names(package: ModuleType) -> list[str]:
    """Names of the public modules of a package, sorted; nothing is imported.

    >>> import hetbench.operators
    >>> "conv" in names(hetbench.operators)
    True
    """
    return sorted(info.name for info in iter_modules(package.__path__) if not info.name.startswith("_"))


def load(package: ModuleType, name: str) -> ModuleType:
    """Import the plug-in `name` of a package.

    Raises `UnknownNameError` where there is no such module; errors of the module itself are passed on.
    """
    known = names(package)
    if name not in known:
        raise UnknownNameError(f"plug-in of {package.__name__}", name, known)
    return import_module(f"{package.__name__}.{name}")


def lazy_exports(package: str, names: Mapping[str, str]) -> Callable[[str], Any]:
    """The `__getattr__` of a package that re-exports names of its modules and imports each module on first use.

    `package` is `__name__`; `names` maps each module to the names exported from it, separated by spaces. The
    package lists the same names in `__all__` and imports them under `TYPE_CHECKING`, for editors and type checkers.

    >>> get = lazy_exports("hetbench.catalog", {"chips": "Chip chip"})
    >>> get("Chip").__module__
    'hetbench.catalog.chips'
    """
    home = {name: module for module, listed in names.items() for name in listed.split()}

    def __getattr__(name: str) -> Any:
        if name not in home:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        return getattr(import_module(f"{package}.{home[name]}"), name)

    return __getattr__
