"""The network of the whole-model surrogates: a factor on the roofline time and launch of every operator of a model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hetbench.predict.model_features import Composition
from hetbench.predict.perceptron import silu
from hetbench.predict.pooling import Pooled
from hetbench.predict.products import product

__all__ = ["CALL", "CLIP", "LAUNCH", "LEAST", "MOST", "Network"]

CLIP = 5.0  # standard deviations: features further out count as this far
LEAST, MOST = -6.0, 3.0  # log factor of an operator: a fused one may take next to nothing, none takes 20 x its roofline
BELIEVED = 2.0  # log factor at most in an answer: 99 of 100 operators that matter in measured models stay below
LAUNCH, CALL = -5.3, -3.0  # log ms of a launch and of a call before anything is learned

Array = NDArray[Any]


@dataclass(frozen=True, slots=True)
class Network:
    """The fitted network of one seed; index 0 of labels and operators stands for one never seen."""

    mean: NDArray[np.float32]
    scale: NDArray[np.float32]
    operator: NDArray[np.float32]
    """What an operator type adds to the first layer, [operators + 1, hidden]."""
    context: tuple[NDArray[np.float32], ...]
    """The same of the labels of each level, the bias in the first."""
    weights: tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32]]
    """[columns, hidden], [hidden, hidden], [hidden, 1]."""
    biases: tuple[NDArray[np.float32], NDArray[np.float32]]
    scalars: tuple[NDArray[np.float32], ...]
    """Log launch, log call and offset of the labels of each level, [labels + 1, 3]."""

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, Array], prefix: str) -> Network:
        """Read the arrays that `to_arrays` wrote under `prefix`."""
        a = {name.removeprefix(f"{prefix}."): value for name, value in arrays.items() if name.startswith(f"{prefix}.")}
        levels = sum(name.startswith("context") for name in a)
        context, scalars = (tuple(a[f"{kind}{i}"] for i in range(levels)) for kind in ("context", "scalars"))
        return cls(
            a["mean"], a["scale"], a["operator"], context, (a["w0"], a["w1"], a["w2"]), (a["b1"], a["b2"]), scalars
        )

    def to_arrays(self, prefix: str) -> dict[str, Array]:
        """Plain float32 arrays."""
        named = {"mean": self.mean, "scale": self.scale, "operator": self.operator}
        for name, values in (("context", self.context), ("w", self.weights), ("scalars", self.scalars)):
            named |= {f"{name}{index}": value for index, value in enumerate(values)}
        named |= {"b1": self.biases[0], "b2": self.biases[1]}
        return {f"{prefix}.{name}": value.astype(np.float32) for name, value in named.items()}

    def operator_ms(
        self, made: Composition, batch: float, pooled: Pooled, labels: Sequence[int]
    ) -> NDArray[np.float64]:
        """What each row of the composition takes in ms, before the offset of the labels; `labels` one a level."""
        matrix = np.concatenate((made.matrix, np.full((len(made.count), 1), np.log2(batch), np.float32)), axis=1)
        x = np.clip((matrix - self.mean) / self.scale, -CLIP, CLIP)
        hidden = product(x, self.weights[0]) + _pooled(self.operator, pooled.operators, pooled.known[:, None])
        launch = np.zeros(len(made.count))
        for index, weight, context, scalars in zip(labels, pooled.weights, self.context, self.scalars, strict=True):
            hidden += _pooled(context, index, weight[:, None].astype(np.float32))
            launch += _pooled(scalars[:, 0], index, weight)
        hidden = silu(hidden.astype(np.float32))
        hidden += silu(product(hidden, self.weights[1]) + self.biases[0])
        factor = np.clip(product(hidden, self.weights[2])[:, 0] + self.biases[1], LEAST, BELIEVED).astype(np.float64)
        out: NDArray[np.float64] = made.count * (made.base_ms + np.exp(LAUNCH + launch)) * np.exp(factor)
        return out

    def log_ms(self, total: Any, labels: Sequence[int], believed: Sequence[float]) -> Any:
        """log ms of calls whose rows take `total` ms together, [calls]; `believed` is the weight of each label."""
        _, call, offset = self._whole(labels, believed)
        return np.log(total + np.exp(CALL + call)) + offset

    def offset(self, labels: Sequence[int], believed: Sequence[float]) -> float:
        """Factor on all of a call that belongs to its labels."""
        return float(np.exp(self._whole(labels, believed)[2]))

    def _whole(self, labels: Sequence[int], believed: Sequence[float]) -> NDArray[np.float64]:
        """Log launch, log call and offset."""
        parts = zip(self.scalars, labels, believed, strict=True)
        out: NDArray[np.float64] = sum(_pooled(table, index, weight) for table, index, weight in parts)
        return out


def _pooled(table: Any, index: Any, weight: Any) -> Any:
    """What labels or types add: their own by its weight, the rest that of index 0."""
    return table[0] + weight * (table[index] - table[0])
