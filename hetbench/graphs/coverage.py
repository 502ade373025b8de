"""Which share of a model's eager ATen calls a platform runs natively, as a composite, by fallback, or not at all.

The status of each operator comes from `hetbench.catalog.support`; here it is weighted by the calls of one pass.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from hetbench.catalog.chips import Chip
from hetbench.catalog.support import SUPPORT, Support, platform_of, platforms, resolve_support
from hetbench.errors import RefusedError
from hetbench.graphs.model_graph import ModelGraph

__all__ = ["Coverage", "operator_coverage"]


@dataclass(frozen=True, slots=True)
class Coverage:
    """The operators of one pass of a model, by how a platform runs them.

    >>> from hetbench.graphs import model_graph
    >>> from hetbench.catalog.chips import chip
    >>> found = operator_coverage(model_graph.load("resnet-50"), chip("cann"))
    >>> found.share, found.distinct_share, found.platform
    (100.0, 100.0, 'cann')
    """

    model: str
    platform: str
    title: str
    """Back end and version that the registrations are of."""
    calls: Mapping[str, int] = field(hash=False)
    """ATen operator -> calls in one pass."""
    operators: tuple[Support, ...]
    """One for each operator of `calls`, most called first."""

    def by_status(self, status: str) -> tuple[Support, ...]:
        """The operators of one status, most called first."""
        return tuple(each for each in self.operators if each.status == status)

    @property
    def native(self) -> tuple[Support, ...]:
        """Operators that the back end registers."""
        return self.by_status("native")

    @property
    def composite(self) -> tuple[Support, ...]:
        """Operators composed of registered ones."""
        return self.by_status("composite")

    @property
    def fallback(self) -> tuple[Support, ...]:
        """Operators that the back end hands to the CPU."""
        return self.by_status("fallback")

    @property
    def absent(self) -> tuple[Support, ...]:
        """Operators that the back end does not register and that cannot be composed."""
        return self.by_status("absent")

    @property
    def unknown(self) -> tuple[Support, ...]:
        """Operators of which nothing read tells; counted as not covered."""
        return self.by_status("unknown")

    def shares(self) -> dict[str, float]:
        """Percent of the calls in each status; they sum to 100."""
        counts = Counter({each.status: 0 for each in self.operators})
        for each in self.operators:
            counts[each.status] += self.calls[each.operator]
        total = sum(self.calls.values())
        return {status: 100.0 * counts[status] / total for status in SUPPORT}

    @property
    def share(self) -> float:
        """Percent of the calls that are native or composite: a lower bound where some are unknown."""
        covered = sum(self.calls[each.operator] for each in self.operators if each.covered)
        return 100.0 * covered / sum(self.calls.values())

    @property
    def distinct_share(self) -> float:
        """Percent of the distinct operators that are native or composite."""
        return 100.0 * sum(each.covered for each in self.operators) / len(self.operators)

    @property
    def refs(self) -> tuple[str, ...]:
        """Every reference of its operators, once."""
        return tuple(sorted({ref for each in self.operators for ref in each.refs}))


def operator_coverage(graph: ModelGraph, chip: Chip, **setting: Any) -> Coverage:
    """The operators of one pass of `graph`, by how the chip's back end runs them.

    `setting` is that of `ModelGraph.aten_ops`: precision, phase, batch, seq_len, image_size. Views, which run nothing,
    are not counted. Raises `RefusedError` where no registrations are known for the chip.

    >>> from hetbench.graphs import model_graph
    >>> from hetbench.catalog.chips import chip
    >>> [each.operator for each in operator_coverage(model_graph.load("bert-base"), chip("mlu")).composite][:2]
    ['linear', 'dropout']
    """
    platform = platform_of(chip)
    calls = dict(graph.aten_ops(**setting))
    if not calls:
        raise RefusedError(f"{graph.name} calls no operator that runs anything, so there is nothing to cover.")
    names = sorted(calls, key=lambda name: (-calls[name], name))
    found = tuple(resolve_support(name, platform) for name in names)
    return Coverage(graph.name, platform, platforms()[platform], MappingProxyType(calls), found)
