"""What questions about one network on one chip share: the terms and calls at sizes that many of them look at.

Sizes of a question lie between powers of two and multiples of eight, whose latencies bound its own. Those are computed
once for a network, chip, phase and set of surrogates; a new question then costs the terms at its own sizes.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from hetbench.catalog.chips import Chip
from hetbench.graphs import ModelGraph
from hetbench.loading import LOCK
from hetbench.predict.whole_group import Calls
from hetbench.query.parts import Part
from hetbench.query.pieces import Terms
from hetbench.query.question import Question
from hetbench.query.size_grid import on_grid

__all__ = ["Plan", "plan_of"]

_MOST_PLANS, _MOST_KEPT = 2048, 256
"""Kept before the store, or that of one plan, starts afresh; one plan takes about 10 kB."""
_PLANS: dict[tuple[Any, ...], Plan] = {}


class Plan:
    """Terms of parts and calls of whole models that questions share."""

    __slots__ = ("_calls", "_owners", "_terms")

    def __init__(self, owners: tuple[Any, ...]) -> None:
        self._owners = owners  # their identity is in the key, so they stay alive
        self._terms: dict[tuple[str, Part], Terms] = {}
        self._calls: dict[tuple[Any, ...], Calls] = {}

    def terms(self, taught: str, part: Part, make: Callable[[Part], Terms]) -> Terms:
        """The terms of a part, of whole models by what the phase `taught` taught; those at usual sizes are kept."""
        key = taught, part
        found = self._terms.get(key)
        if found is None:
            found = make(part)
            if on_grid(part.batch) and on_grid(part.seq_len):
                _keep(self._terms, key, found)
        return found

    def calls(self, key: tuple[Any, ...], make: Callable[[], Calls]) -> Calls:
        """The calls that `make` gives, kept under a key."""
        found = self._calls.get(key)
        if found is None:
            found = make()
            _keep(self._calls, key, found)
        return found


def _keep(kept: dict[Any, Any], key: Any, found: Any) -> None:
    with LOCK:
        if len(kept) >= _MOST_KEPT:
            kept.clear()
        kept[key] = found


def plan_of(question: Question, chip: Chip, graph: ModelGraph, predictor: str) -> Plan:
    """The plan of a question; the same object for all that differ in sizes, precision, stack or confidence alone.

    >>> from hetbench.catalog.chips import chip
    >>> from hetbench.graphs.model_graph import load
    >>> graph, where = load("gpt2"), chip("cuda")
    >>> asked = [Question.build(graph, where, {"batch": batch}) for batch in (3, 5)]
    >>> plan_of(asked[0], where, graph, "auto") is plan_of(asked[1], where, graph, "auto")
    True
    """
    owners = graph, chip, question.whole, question.surrogate
    key = (*map(id, owners), predictor, question.phase)
    found = _PLANS.get(key)
    if found is None:
        with LOCK:
            if len(_PLANS) >= _MOST_PLANS:
                _PLANS.clear()
            found = _PLANS.setdefault(key, Plan(owners))
    return found
