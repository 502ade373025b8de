"""Whole-model networks and trees by the kernel: the figures of `Group.pieces` and of its forest, to 1e-6."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from hetbench.catalog.chips import Chip
from hetbench.graphs.operator_table import SizedTable
from hetbench.kernel.library import library
from hetbench.kernel.records import BLOCK_COLUMNS, Record, address, forest_record, network_record
from hetbench.loading import LOCK
from hetbench.predict.features import chip_facts
from hetbench.predict.model_features import USUAL_CACHE, USUAL_UNITS, kind_of
from hetbench.predict.network import BELIEVED, CLIP, LAUNCH, LEAST, Network
from hetbench.predict.sums import Layout, Sums, scratch
from hetbench.predict.trees import Forest

if TYPE_CHECKING:
    from hetbench.predict.whole_group import Group

__all__ = ["WholeKernel"]

_LEVELS, _SUMS = 3, 51
_POINTER, _INT, _REAL = np.uintp, np.int64, np.float64
_SEED = np.dtype([
    ("network", _POINTER), ("operators", _POINTER), ("context", _POINTER, _LEVELS), ("scalars", _POINTER, _LEVELS),
    ("label", _INT, _LEVELS),
])  # fmt: skip
_KIND = np.dtype([
    ("peak", _REAL), ("itemsize", _REAL), ("known", _REAL), ("weight", _REAL, _LEVELS), ("type", _INT), ("kind", _INT),
])  # fmt: skip
_MOST_PLANS = 1024


class WholeKernel:
    """What the kernel knows of the networks and trees of one group of whole-model surrogates."""

    def __init__(self, networks: Sequence[Network], forest: Forest) -> None:
        self._trees, self._library = forest, library()
        self._seeded = len(networks)
        self._plans: dict[tuple[Any, ...], tuple[Any, ...]] = {}
        self._forest = None if self._library is None else forest_record(
            forest.columns, forest.borders, forest.split_column, forest.split_rank, forest.leaves, forest.bias
        )  # fmt: skip
        self._seeds = None if self._library is None else _seeds_of(networks)

    def forest(self, matrix: NDArray[np.float32]) -> NDArray[np.float64]:
        """Predictions of the trees, [rows]."""
        if self._forest is None or matrix.shape[1] > BLOCK_COLUMNS:
            return self._trees(matrix)
        matrix, out = np.ascontiguousarray(matrix), np.empty(len(matrix))
        self._library.hetbench_forest(
            self._forest.address, address(matrix), matrix.shape[1], len(matrix), address(out)
        )  # fmt: skip
        return out

    def pieces(
        self, group: Group, table: SizedTable, sums: Sums, chips: tuple[Chip, Chip], batch: float,
        labels: tuple[str, str, str],
    ) -> tuple[NDArray[np.float64], tuple[str, ...], NDArray[np.float64]] | None:  # fmt: skip
        """Pieces as `Group.pieces` gives them, and operator types with their shares; None where numpy has to answer.

        `chips` are the chip, and the one that speaks for it: see `model_features.composition`.
        """
        layout = None if self._seeds is None else sums.layout(table)
        if layout is None:
            return None
        chip, on = chips
        seeded, values = self._seeded, table.values.astype(np.float64)
        plan = self._plan(group, layout, on, labels)
        out, made = self._run(layout, plan, seeded, batch, values), seeded + 1 + _SUMS
        if on is not chip:  # its own time at the peak, and of the roofline
            own = self._run(layout, self._plan(group, layout, chip, labels), 0, batch, values)
            out[seeded + 1], own_ms = own[1], own[2]
        else:
            own_ms = out[seeded + 2]
        return np.append(out[:made], own_ms), plan[3], out[made:] / out[made:].sum()

    def _run(
        self, layout: Layout, plan: tuple[Any, ...], seeded: int, batch: float, values: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        """What the kernel gives for the first networks; without any, the sums alone are of use."""
        facts, kinds, seeds, operators, *_ = plan
        out = np.empty(seeded + 1 + _SUMS + len(operators))
        self._library.hetbench_whole(
            layout.records.address, len(layout.parts), address(facts), address(kinds), address(seeds), seeded,
            float(batch), address(values), scratch(layout.work), address(out),
        )  # fmt: skip
        return out

    def _plan(self, group: Group, layout: Layout, chip: Chip, labels: tuple[str, str, str]) -> tuple[Any, ...]:
        key = id(layout), id(chip), labels
        found = self._plans.get(key)
        if found is None:
            found = (*self._made(group, layout, chip, labels), layout, chip)
            with LOCK:
                if len(self._plans) >= _MOST_PLANS:
                    self._plans.clear()
                self._plans[key] = found
        return found

    def _made(self, group: Group, layout: Layout, chip: Chip, labels: tuple[str, str, str]) -> tuple[Any, ...]:
        each = [kind for part in layout.parts for kind in part.kinds]
        operators = tuple(op for op, _ in each)
        pooled, kinds = group.pooled(operators, labels), np.zeros(len(each), dtype=_KIND)
        for index, (op, dtype) in enumerate(each):
            facts = chip_facts(chip, dtype, 0.0)
            kinds[index] = (facts.peak, facts.itemsize, pooled.known[index], pooled.weights[:, index],
                            pooled.operators[index], kind_of(op))  # fmt: skip
        facts = chip_facts(chip, "fp32", 0.0)
        units, cache = facts.compute_units, facts.l2_bytes
        of_chip = (facts.bandwidth, facts.vector_peak, USUAL_UNITS if np.isnan(units) else units,
                   USUAL_CACHE if np.isnan(cache) else cache, LAUNCH, LEAST, BELIEVED)  # fmt: skip
        assert self._seeds is not None
        seeds = self._seeds.values.copy()
        seeds["label"] = group.indices(labels)
        return np.array(of_chip, dtype=np.float64), kinds, seeds, operators


def _seeds_of(networks: Sequence[Network]) -> Record | None:
    """The networks of all seeds; None where the kernel cannot take one."""
    made, kept = np.zeros(len(networks), dtype=_SEED), []
    for index, each in enumerate(networks):
        if len(each.context) != _LEVELS:
            return None
        hidden = [(each.weights[1], each.biases[0])]
        out = each.weights[2], float(each.biases[1][0])
        network = network_record((each.mean, each.scale), each.weights[0], hidden, out, clip=CLIP)
        if network is None:
            return None
        arrays = [np.ascontiguousarray(table, dtype=np.float32)
                  for table in (each.operator, *each.context, *each.scalars)]  # fmt: skip
        kept += [network, *arrays]
        operators, *rest = map(address, arrays)
        made[index] = (network.address, operators, rest[:_LEVELS], rest[_LEVELS:], 0)
    return Record(made, kept)
