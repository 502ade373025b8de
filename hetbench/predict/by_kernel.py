"""The part of the operator surrogate that answers by the kernel where there is one."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import TYPE_CHECKING, Any, cast

import numpy as np
from numpy.typing import NDArray

from hetbench.catalog.chips import Chip
from hetbench.graphs.operator_table import SizedTable
from hetbench.predict.compiled import Kernel
from hetbench.predict.operator_answers import SumPrediction
from hetbench.predict.sums import SumPlan, Sums

if TYPE_CHECKING:
    from hetbench.graphs import OperatorTable
    from hetbench.predict.operators import OperatorSurrogate

__all__ = ["COVERED", "ByKernel", "sum_prediction"]

COVERED = 0.9
"""Share of the predicted time that the evidence level of a model must cover."""


class ByKernel:
    """Base of `OperatorSurrogate`."""

    observed: Mapping[str, Any]

    @cached_property
    def kernel(self) -> Kernel:
        """The same predictions in C, where this platform has them."""
        return Kernel(cast("OperatorSurrogate", self))

    @cached_property
    def sums(self) -> Sums:
        """Plans of sums over the structures of networks, for the kernel."""
        return Sums(cast("OperatorSurrogate", self))

    def forget_kernel(self) -> None:
        """Make them anew: in a copy they belong to the original."""
        vars(self).pop("kernel", None)
        vars(self).pop("sums", None)

    def sum_parts(
        self, table: OperatorTable, chip: Chip, protocol: str, predictor: str
    ) -> tuple[SumPlan, NDArray[np.float64]] | None:
        """The plan of a sum, and what `SumPlan.ms` gives; None where numpy has to answer."""
        if not isinstance(table, SizedTable) or chip.name in self.observed:
            return None
        return self.sums.find(table, chip, protocol, predictor)

    def sum_by_kernel(self, table: OperatorTable, chip: Chip, protocol: str, predictor: str) -> SumPrediction | None:
        """As `predict_model`; None where numpy has to answer."""
        found = self.sum_parts(table, chip, protocol, predictor)
        if found is None:
            return None
        plan, ms = found
        by_level: dict[str, float] = {}
        by_operator: dict[str, float] = {}
        for (level, op), each in zip(plan.names, ms[3:].tolist(), strict=True):
            by_level[level] = by_level.get(level, 0.0) + each
            by_operator[op] = by_operator.get(op, 0.0) + each
        return sum_prediction(ms[:3], by_level, by_operator, plan.support, plan.launch_ms)


def sum_prediction(
    total: NDArray[Any], by_level: Mapping[str, float], by_operator: Mapping[str, float], support: int, launch_ms: float
) -> SumPrediction:
    """The prediction from value, lower and upper bound of the sum, and its parts."""
    value, lower, upper = total.tolist()
    covered, level = 0.0, "D"
    for name in sorted(by_level):
        covered += by_level[name]
        level = name
        if covered >= COVERED * value:
            break
    return SumPrediction(value, lower, upper, level, support, by_operator, by_level, launch_ms)
