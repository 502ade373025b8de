"""Architecture spaces to search in, and the deployment space; composed without torch.

A space is found by its file: each module here lists its own in `SPACES`.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from functools import lru_cache
from types import MappingProxyType

from hetbench import plugins
from hetbench.errors import UnknownNameError
from hetbench.spaces._graph import ComposedGraph
from hetbench.spaces._space import BlockSpace, Parameter, Space

__all__ = ["BlockSpace", "ComposedGraph", "Parameter", "Space", "space", "spaces"]


@lru_cache(maxsize=1)
def spaces() -> Mapping[str, Space]:
    """Every space by its name; read-only.

    >>> list(spaces())
    ['deploy', 'resnet', 'gpt-s', 'gpt-m', 'gpt-l', 'bert', 'vit']
    """
    package = sys.modules[__name__]
    modules = (plugins.load(package, name) for name in plugins.names(package))
    return MappingProxyType({each.name: each for module in modules for each in getattr(module, "SPACES", ())})


def space(name: str) -> Space:
    """The space called `name`; `UnknownNameError` with the nearest name otherwise.

    >>> space("gpt-m").title
    'GPT, medium (HW-GPT-Bench)'
    """
    try:
        return spaces()[name]
    except (KeyError, TypeError):
        raise UnknownNameError("space", str(name), spaces()) from None
