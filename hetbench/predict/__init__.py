"""Predicted latency, power and intervals, with their evidence level, from the exported surrogates of a set.

`operators` predicts operators and their sum over a model, `models` whole models under a software stack, `power` board
power and energy. `intervals` widens the interval of a sum to that of a pass; `transfer` says how far a measurement on
another chip corrects a prediction. Query time needs numpy alone; training is in the folder `surrogates`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from hetbench.plugins import lazy_exports

if TYPE_CHECKING:
    from hetbench.predict.canonical import canonical_dims
    from hetbench.predict.features import CLASSES, by_class, chip_facts, class_of
    from hetbench.predict.gaussian_process import OperatorRows, Posterior
    from hetbench.predict.intervals import pass_interval, rescaled_bound
    from hetbench.predict.model_features import Composition, composition
    from hetbench.predict.models import WholeModelPrediction, WholeModelSurrogate
    from hetbench.predict.operators import OperatorSurrogate, Prediction, SumPrediction
    from hetbench.predict.power import PowerSurrogate
    from hetbench.predict.protocols import convert_protocol, launch_floor
    from hetbench.predict.transfer import transfer_factor

__all__ = [
    "CLASSES", "Composition", "OperatorRows", "OperatorSurrogate", "Posterior", "PowerSurrogate", "Prediction",
    "SumPrediction", "WholeModelPrediction", "WholeModelSurrogate", "by_class", "canonical_dims", "chip_facts",
    "class_of", "composition", "convert_protocol", "launch_floor", "pass_interval", "rescaled_bound", "transfer_factor",
]  # fmt: skip

__getattr__ = lazy_exports(
    __name__,
    {
        "canonical": "canonical_dims",
        "features": "CLASSES by_class chip_facts class_of",
        "gaussian_process": "OperatorRows Posterior",
        "intervals": "pass_interval rescaled_bound",
        "model_features": "Composition composition",
        "models": "WholeModelPrediction WholeModelSurrogate",
        "operators": "OperatorSurrogate Prediction SumPrediction",
        "power": "PowerSurrogate",
        "protocols": "convert_protocol launch_floor",
        "transfer": "transfer_factor",
    },
)
