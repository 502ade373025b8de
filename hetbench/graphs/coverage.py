"""Operator coverage: the share of a model's eager ATen calls that a platform runs natively, composed, or not at all.

The status of each operator is from `hetbench.catalog.support`; here it is weighted by the calls of one pass.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from hetbench.catalog.chips import Chip
from hetbench.catalog.support import SUPPORT, Support, platform_of, platforms, resolve_support
from hetbench.errors import RefusedError
from hetbench.graphs.model_graph import ModelGraph
from hetbench.mappings import ReadOnly

__all__ = ["Coverage", "operator_coverage"]


@dataclass(frozen=True, slots=True)
class Coverage:
    """The ATen operators of one pass of a model, with the support of each on a platform.

    >>> from hetbench.graphs import model_graph
    >>> from hetbench.catalog.chips import chip
    >>> found = operator_coverage(model_graph.load("resnet-50"), chip("cann"))
    >>> found.share, found.distinct_share, found.platform
    (100.0, 100.0, 'cann')
    """

    model: str
    platform: str
    title: str
    """Backend and version whose registrations were read."""
    calls: Mapping[str, int] = field(hash=False)
    """ATen operator -> number of calls in one pass."""
    operators: tuple[Support, ...]
    """Support of each operator in `calls`, most called first."""

    def by_status(self, status: str) -> tuple[Support, ...]:
        """The operators with one status of `hetbench.catalog.support.SUPPORT`, most called first."""
        return tuple(each for each in self.operators if each.status == status)

    @property
    def native(self) -> tuple[Support, ...]:
        """Operators that the backend registers."""
        return self.by_status("native")

    @property
    def composite(self) -> tuple[Support, ...]:
        """Operators composed of registered ones."""
        return self.by_status("composite")

    @property
    def fallback(self) -> tuple[Support, ...]:
        """Operators that run on the CPU instead."""
        return self.by_status("fallback")

    @property
    def absent(self) -> tuple[Support, ...]:
        """Operators that the backend neither registers nor can compose."""
        return self.by_status("absent")

    @property
    def unknown(self) -> tuple[Support, ...]:
        """Operators whose support is unknown; counted as not covered."""
        return self.by_status("unknown")

    def shares(self) -> dict[str, float]:
        """Percent of the calls by status, summing to 100."""
        counts = Counter({each.status: 0 for each in self.operators})
        for each in self.operators:
            counts[each.status] += self.calls[each.operator]
        total = sum(self.calls.values())
        return {status: 100.0 * counts[status] / total for status in SUPPORT}

    @property
    def share(self) -> float:
        """Percent of the calls that are native or composite; a lower bound where some are unknown."""
        covered = sum(self.calls[each.operator] for each in self.operators if each.covered)
        return 100.0 * covered / sum(self.calls.values())

    @property
    def distinct_share(self) -> float:
        """Percent of the distinct operators that are native or composite."""
        return 100.0 * sum(each.covered for each in self.operators) / len(self.operators)

    @property
    def refs(self) -> tuple[str, ...]:
        """References of all operators, without repetition."""
        return tuple(sorted({ref for each in self.operators for ref in each.refs}))


def operator_coverage(graph: ModelGraph, chip: Chip, **setting: Any) -> Coverage:
    """Coverage of one pass of `graph` by the PyTorch backend of a chip.

    `setting` takes the arguments of `ModelGraph.aten_ops`: precision, phase, batch, seq_len, image_size. Views are not
    counted, since they launch nothing. Raises `RefusedError` where no registrations are known for the chip.

    >>> from hetbench.graphs import model_graph
    >>> from hetbench.catalog.chips import chip
    >>> [each.operator for each in operator_coverage(model_graph.load("bert-base"), chip("mlu")).composite][:2]
    ['linear', 'dropout']
    """
    platform = platform_of(chip)
    calls = dict(graph.aten_ops(**setting))
    if not calls:
        raise RefusedError(f"{graph.name} launches no operator, so it has no coverage.")
    names = sorted(calls, key=lambda name: (-calls[name], name))
    found = tuple(resolve_support(name, platform) for name in names)
    return Coverage(graph.name, platform, platforms()[platform], ReadOnly(calls), found)
