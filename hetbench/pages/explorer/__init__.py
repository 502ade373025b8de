"""The explorer of `hetbench dashboard`: answers on dense grids of sizes, between which the browser interpolates.

`axes` chooses the sizes, `grids` asks, `bundle` packs the answers, `interpolation` measures how far values between grid
points are from the library's own answers, `page` writes the page.
"""

from __future__ import annotations
