"""Architecture spaces to search in, and the deployment space; composed without torch.

A space is found by its file: each module here lists its own in `SPACES`.
"""

from __future__ import annotations

from hetbench.spaces._blocks import BlockSpace, operator_table
from hetbench.spaces._graph import ComposedGraph
from hetbench.spaces._registry import space, spaces
from hetbench.spaces._space import Parameter, Space

__all__ = ["BlockSpace", "ComposedGraph", "Parameter", "Space", "operator_table", "space", "spaces"]
