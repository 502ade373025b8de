"""Search spaces by name, collected from `SPACES` of the modules in this package on first use."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from typing import TYPE_CHECKING

from hetbench import plugins
from hetbench.errors import UnknownNameError
from hetbench.loading import load_once
from hetbench.mappings import ReadOnly

if TYPE_CHECKING:
    from hetbench.spaces._space import Space

__all__ = ["space", "spaces"]


@load_once()
def spaces() -> Mapping[str, Space]:
    """All spaces by name; read-only.

    >>> list(spaces())
    ['deploy', 'resnet', 'gpt-s', 'gpt-m', 'gpt-l', 'bert', 'vit']
    """
    package = import_module(__package__)
    modules = (plugins.load(package, name) for name in plugins.names(package))
    return ReadOnly({each.name: each for module in modules for each in getattr(module, "SPACES", ())})


def space(name: str) -> Space:
    """The space called `name`; raises `UnknownNameError` for any other name.

    >>> space("gpt-m").title
    'GPT, medium (HW-GPT-Bench)'
    """
    try:
        return spaces()[name]
    except (KeyError, TypeError):
        raise UnknownNameError("space", name, spaces()) from None
