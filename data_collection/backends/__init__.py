"""Back ends: how to time, count energy and read versions on each chip family; one file per family, found by its name.

`_base` implements all of it on PyTorch's device-generic interfaces; a family's file overrides what its vendor adds.
"""

from __future__ import annotations

from data_collection.backends._base import Backend, Identity, UnmeasuredError, installed

__all__ = ["Backend", "Identity", "UnmeasuredError", "backend", "backends", "first_available", "installed", "picked"]


def backends() -> dict[str, Backend]:
    """One backend per family, by name; creating them imports no vendor library."""
    import data_collection.backends as package
    from hetbench import plugins

    return {name: plugins.load(package, name).BACKEND() for name in plugins.names(package)}


def backend(name: str) -> Backend:
    """The backend called `name`; raises `UnknownNameError`, or `RefusedError` if it cannot be used on this machine."""
    from hetbench.errors import RefusedError, UnknownNameError

    known = backends()
    if name not in known:
        raise UnknownNameError("backend", name, known)
    reason = known[name].missing()
    if reason:
        raise RefusedError(f"{name} is not available here: {reason} `python -m data_collection.doctor` says more.")
    return known[name]


def picked(name: str | None) -> Backend:
    """The backend called `name`, or the first available one if `name` is None."""
    return backend(name) if name else first_available()


def first_available() -> Backend:
    """The backend of an accelerator if there is one, else that of the CPU."""
    found = [each for each in backends().values() if not each.missing()]
    if not found:
        return backend("oneapi")  # raises, and says what is missing
    return sorted(found, key=lambda each: each.device == "cpu")[0]
