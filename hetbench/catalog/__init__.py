"""Published facts, each with its source: chips, models, measured rows, operator support, upstream projects.

The tables are beside the code and are written by `data_collection`; this package reads them and looks names up.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from hetbench.plugins import lazy_exports

if TYPE_CHECKING:
    from hetbench.catalog.chips import Chip, chip, default_chip
    from hetbench.catalog.datasheets import load_chip
    from hetbench.catalog.models import Model, model
    from hetbench.catalog.support import Support, platform_of, platforms

__all__ = ["Chip", "Model", "Support", "chip", "default_chip", "load_chip", "model", "platform_of", "platforms"]

__getattr__ = lazy_exports(
    __name__,
    {
        "chips": "Chip chip default_chip",
        "datasheets": "load_chip",
        "models": "Model model",
        "support": "Support platform_of platforms",
    },
)
