"""One surrogate of whole models: networks of several seeds and boosted trees, evaluated from pieces that add up."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hetbench.predict.model_features import Composition, summaries
from hetbench.predict.network import LAUNCH, Network
from hetbench.predict.pooling import LEVELS, WHOLE_HALF, Pooled, effect_of, weights_of
from hetbench.predict.trees import Forest
from hetbench.predict.whole_kernel import WholeKernel

__all__ = ["COVERED", "RICH", "Calls", "Group", "Labels", "forest_rows"]

COVERED = 0.9  # share of a model's roofline time in operator types that the cell has measured, for level C
RICH = 30  # a cell of so many networks sets the band of its own kind; one of fewer takes that of thin cells
_MARGIN = 0.7  # log of how far beyond the sizes that taught a stack an answer may still be of level C: twice

Labels = tuple[str, str, str]
Array = NDArray[Any]


@dataclass(frozen=True, slots=True)
class Calls:
    """Predicted calls, [calls] each, or one of them."""

    value: Any
    """ms."""
    floor: Any
    """ms at the chip's peak: no call is faster, where the peak is a stated one."""
    seen: Any
    """Whether the cell has measured the operator types that take most of the roofline time."""
    beyond: Any
    """Whether the call is far smaller or larger than any measured on the die under the stack."""

    def single(self) -> Calls:
        """The first call as floats and bools."""
        return Calls(*(each[0].item() for each in (self.value, self.floor, self.seen, self.beyond)))


def forest_rows(summary: Array, batch: Any, effect: Any) -> NDArray[np.float32]:
    """What the trees see, [rows, columns]: summaries [rows, SUMMARY], log2 batch, and what each cell usually needs."""
    return np.column_stack((summary, np.log2(batch), effect)).astype(np.float32)


class Group:
    """One surrogate: the networks of several seeds, the trees, and the tables of its labels."""

    def __init__(self, spec: Mapping[str, Any], arrays: Mapping[str, Array], name: str) -> None:
        self.spec = spec
        self.networks = [Network.from_arrays(arrays, f"{name}.network{seed}") for seed in range(spec["seeds"])]
        self.forest = Forest.from_arrays(arrays, f"{name}.forest")
        self.whole_kernel = WholeKernel(self.networks, self.forest)

    def thin(self, labels: Labels, level: str = "cells") -> bool:
        """Whether fewer than `RICH` networks were measured under the label of a level."""
        label = labels[tuple(LEVELS).index(level)]
        return bool(self.spec["evidence"][level].get(label, {}).get("", 0) < RICH)

    def pooled(self, operators: Sequence[str], labels: Labels) -> Pooled:
        """How far each operator type is known, by itself and under the labels."""
        known, evidence = self.spec["operators"], self.spec["evidence"]
        weights = [
            weights_of(evidence[level], label, operators, half)
            for (level, half), label in zip(LEVELS.items(), labels, strict=True)
        ]
        found = np.array([known.get(name, (0, 0)) for name in operators], dtype=np.int64).reshape(-1, 2)
        return Pooled.of(found[:, 0], found[:, 1], np.stack(weights))

    def believed(self, labels: Labels) -> tuple[float, ...]:
        """Weight of each level's label on calls as a whole, by its networks."""
        evidence = self.spec["evidence"]
        many = (evidence[level].get(label, {}).get("", 0) for level, label in zip(LEVELS, labels, strict=True))
        return tuple(n / (n + WHOLE_HALF * half) for n, half in zip(many, LEVELS.values(), strict=True))

    def pieces(
        self, made: Composition, batch: float, labels: Labels
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """What adds up over parts of a model: ms by each network, roofline ms of known types, `Composition.sums`; and
        the share of each row of the composition in the networks' time."""
        pooled, index = self.pooled(made.operators, labels), self.indices(labels)
        each = np.stack([network.operator_ms(made, batch, pooled, index) for network in self.networks])
        seen = made.base_ms * made.count @ (pooled.weights[-1] > 0)
        mean = each.mean(axis=0)
        return np.concatenate((each.sum(axis=1), [seen], made.sums())), mean / mean.sum()

    def calls(self, pieces: Array, batch: float, labels: Labels) -> Calls:
        """Predicted calls from their pieces, [calls, pieces]."""
        totals, sums = pieces[:, : len(self.networks)].T, pieces[:, len(self.networks) + 1 :]
        base, own, index, believed = sums[:, 1], sums[:, -1], self.indices(labels), self.believed(labels)
        learned = np.mean(
            [net.log_ms(total, index, believed) for net, total in zip(self.networks, totals, strict=True)], axis=0
        )
        effect = effect_of(self.spec["effects"], labels, believed)
        columns = np.full(len(sums), float(batch)), np.full(len(sums), effect)
        # work smaller than any under the stack is launches and host time: trees answer as for the least measured
        taken = np.maximum(np.log(base), self.spec["range"].get(labels[0], (-np.inf,))[0])
        trees = self.whole_kernel.forest(forest_rows(summaries(sums), *columns)) + effect + taken
        rich, thin = self.spec["network_share"]
        outside = self.outside(base, labels)
        fades = 0.0 if self.thin(labels, "dies") else np.exp(-outside)  # trees do not extrapolate
        share = thin + (rich - thin) * fades
        log_ms = share * learned + (1 - share) * trees
        least, most = self.spec["ratio"].get(labels[0], (-np.inf, np.inf))
        launches = sums[:, 2] * np.exp(LAUNCH)
        known = np.log(base + launches)
        value = (own + launches) * np.exp(np.clip(log_ms - known, least, most))
        seen = pieces[:, len(self.networks)] / base
        return Calls(value, sums[:, 0], seen >= COVERED, outside > _MARGIN)

    def by_network(self, made: Composition, batch: float, labels: Labels) -> list[tuple[float, Array]]:
        """Of each network log ms of the call, and ms of each row; the call's own overhead is the rest."""
        pooled, index, believed = self.pooled(made.operators, labels), self.indices(labels), self.believed(labels)
        found = []
        for net in self.networks:
            each = net.operator_ms(made, batch, pooled, index)
            found.append((float(net.log_ms(each.sum(), index, believed)), each * net.offset(index, believed)))
        return found

    def predict(self, made: Composition, batch: float, labels: Labels) -> tuple[Calls, Array]:
        """One call, and the share of each row in ms."""
        pieces, shares = self.pieces(made, batch, labels)
        found = self.calls(pieces[None], batch, labels)
        return found, shares * found.value[0]

    def outside(self, base_ms: Any, labels: Labels) -> Any:
        """How far calls of `base_ms` roofline time lie outside all training rows of the die under the stack, in log ms;
        0 inside, and of the stack where the die has no rows."""
        ranges = self.spec["range"]
        least, most = ranges.get(labels[1]) or ranges.get(labels[0], (-np.inf, np.inf))
        log_base = np.log(base_ms)
        return np.maximum(np.maximum(least - log_base, log_base - most), 0.0)

    def rows_of(self, labels: Labels) -> tuple[str, int]:
        """Where the rows behind the labels come from, and how many of the narrowest known label there are."""
        stack, die, cell = labels
        if cell in self.spec["cells"]:
            return f"{self.spec['cells'][cell][1]} rows of {cell.split('|')[0]}", int(self.spec["cells"][cell][1])
        if die in self.spec["dies"]:
            rows = int(self.spec["dies"][die][1])
            return f"{rows} rows of other chips with the die {die.split('|')[0]}", rows
        rows = int(self.spec["stacks"].get(stack, (0, 0))[1])
        return f"{rows} rows of other chips", rows

    def indices(self, labels: Labels) -> tuple[int, ...]:
        return tuple(self.spec[level].get(label, [0])[0] for level, label in zip(LEVELS, labels, strict=True))
