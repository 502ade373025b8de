"""LLM deployments on one chip or many: TTFT, TPOT, throughput, power and memory of a model under a serving engine,
from the physics of the sharded model and effects of engine and chip that are fitted on published rows.

`language` facts of a model, `formats` of weights, `plan` and `links` of several chips, `memory`, `physics` one engine
iteration, `effects` what is fitted, `steady` continuous batching, `deployment` and `solve` from options to answers,
`planner` the deployments to choose from.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from hetbench.plugins import lazy_exports

if TYPE_CHECKING:
    from hetbench.serving.deployment import OPTIONS, Deployment, build
    from hetbench.serving.effects import Effects, load
    from hetbench.serving.formats import FORMATS, WeightFormat, weight_format
    from hetbench.serving.language import LanguageModel
    from hetbench.serving.names import language_of, named
    from hetbench.serving.plan import Plan
    from hetbench.serving.planner import ServePlan, parse_slo, serve_plan
    from hetbench.serving.solve import METRICS, answer

__all__ = [
    "FORMATS", "METRICS", "OPTIONS", "Deployment", "Effects", "LanguageModel", "Plan", "ServePlan", "WeightFormat",
    "answer", "build", "language_of", "load", "named", "parse_slo", "serve_plan", "weight_format",
]  # fmt: skip

__getattr__ = lazy_exports(
    __name__,
    {
        "deployment": "OPTIONS Deployment build",
        "effects": "Effects load",
        "formats": "FORMATS WeightFormat weight_format",
        "language": "LanguageModel",
        "names": "language_of named",
        "plan": "Plan",
        "planner": "ServePlan parse_slo serve_plan",
        "solve": "METRICS answer",
    },
)
