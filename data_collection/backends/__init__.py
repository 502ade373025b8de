"""Chip families that this project can measure on: one file each, found by name.

Everything common is in `_base`, on PyTorch's device-generic interfaces; a file adds what only its vendor offers.
"""

from __future__ import annotations

from data_collection.backends._base import Backend, Identity, installed

__all__ = ["Backend", "Identity", "backend", "backends", "first_available", "installed", "picked"]


def backends() -> dict[str, Backend]:
    """A backend for every family, by name; making one loads no vendor library."""
    import data_collection.backends as package
    from hetbench import plugins

    return {name: plugins.load(package, name).BACKEND() for name in plugins.names(package)}


def backend(name: str) -> Backend:
    """The backend called `name`; `UnknownNameError` lists the others, `RefusedError` says why it is not available."""
    from hetbench.errors import RefusedError, UnknownNameError

    known = backends()
    if name not in known:
        raise UnknownNameError("backend", name, known)
    reason = known[name].missing()
    if reason:
        raise RefusedError(f"{name} is not available here: {reason} `python -m data_collection.doctor` says more.")
    return known[name]


def picked(name: str | None) -> Backend:
    """The backend called `name`; where none is named the first available."""
    return backend(name) if name else first_available()


def first_available() -> Backend:
    """An accelerator's backend if there is one, else the CPU's."""
    found = [each for each in backends().values() if not each.missing()]
    if not found:
        return backend("oneapi")  # says what is missing
    return sorted(found, key=lambda each: each.device == "cpu")[0]
