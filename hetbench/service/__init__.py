"""`hetbench serve`: the questions of `HetBench` over HTTP, for a team. Needs the extra `serve` (FastAPI, uvicorn).

`app` states the addresses, `questions` the bodies (from the options of a query), `guard` limits, logs and counts.
The service is read-only: it keeps nothing of a question but its cached answer.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from hetbench.plugins import lazy_exports

if TYPE_CHECKING:
    from hetbench.service.app import Limits, build

__all__ = ["Limits", "build"]

__getattr__ = lazy_exports(__name__, {"app": "Limits build"})
