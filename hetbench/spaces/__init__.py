"""Search spaces: parametrised architectures as operator graphs without torch, and the deployment space.

Each module without a leading underscore lists its spaces in `SPACES` and is found by its file name.
"""

from __future__ import annotations

from hetbench.graphs.blocks import operator_table
from hetbench.spaces._blocks import BlockSpace
from hetbench.spaces._graph import ComposedGraph
from hetbench.spaces._registry import space, spaces
from hetbench.spaces._space import Parameter, Space

__all__ = ["BlockSpace", "ComposedGraph", "Parameter", "Space", "operator_table", "space", "spaces"]
