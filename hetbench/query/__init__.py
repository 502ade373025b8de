"""From a question to an answer: names and options become one complete question, which is answered for one metric.

A question passes `model_queries`, `ask`, `session` (names), `question` (defaults and checks), `comparison` (source and
target) and `metric_answers`, which takes the answer from `published` rows, from `latency` or from `exact` arithmetic.
`serving_queries` are those of the serving phase, answered by `hetbench.serving`.
`breakdown` splits a latency by operator; `tables` answers many rows, `architectures` many networks of a search space.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from hetbench.plugins import lazy_exports

if TYPE_CHECKING:
    from hetbench.query.architecture_queries import ArchitectureQueries
    from hetbench.query.breakdown import Signature, Split, signature, split
    from hetbench.query.comparison import answer_with_source
    from hetbench.query.latency import PROTOCOL, WHOLE, trained_stack, with_usable_stack
    from hetbench.query.metric_answers import answer_metric, energy_of, predict_metric
    from hetbench.query.model_queries import ModelQueries
    from hetbench.query.observation_queries import ObservationQueries
    from hetbench.query.operator_queries import OperatorQueries
    from hetbench.query.question import DEFAULT_STACK, PREDICTORS, Options, Question, check_options, check_predictor
    from hetbench.query.serving_queries import ServingQueries
    from hetbench.query.session import Session
    from hetbench.query.spelled import spelled_out

__all__ = [
    "DEFAULT_STACK", "PREDICTORS", "PROTOCOL", "WHOLE", "ArchitectureQueries", "ModelQueries", "ObservationQueries",
    "OperatorQueries", "Options", "Question", "ServingQueries", "Session", "Signature", "Split", "answer_metric",
    "answer_with_source", "check_options", "check_predictor", "energy_of", "predict_metric", "signature", "spelled_out",
    "split", "trained_stack", "with_usable_stack",
]  # fmt: skip

__getattr__ = lazy_exports(
    __name__,
    {
        "breakdown": "Signature Split signature split",
        "comparison": "answer_with_source",
        "latency": "PROTOCOL WHOLE trained_stack with_usable_stack",
        "metric_answers": "answer_metric energy_of predict_metric",
        "model_queries": "ModelQueries",
        "observation_queries": "ObservationQueries",
        "operator_queries": "OperatorQueries",
        "question": "DEFAULT_STACK PREDICTORS Options Question check_options check_predictor",
        "architecture_queries": "ArchitectureQueries",
        "serving_queries": "ServingQueries",
        "session": "Session",
        "spelled": "spelled_out",
    },
)
