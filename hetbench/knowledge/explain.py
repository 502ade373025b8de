"""The evidence behind an answer about a model, as paths through the knowledge graph."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from hetbench.answers import Answer, Answers
from hetbench.catalog.chips import Chip
from hetbench.catalog.models import models
from hetbench.checks import whole_number
from hetbench.errors import InvalidInputError, RefusedError, shown
from hetbench.graphs import model_graph, networks
from hetbench.knowledge.graph import knowledge_graph
from hetbench.knowledge.paths import Hop, Why

__all__ = ["explain_answer"]


def explain_answer(answer: Answer | Answers, chip_named: Callable[[str], Chip], limit: int = 5) -> Why:
    """The evidence behind an answer, and behind its source's answer; of `Answers`, behind the latency.

    A published row is explained by itself. A prediction is explained by the operators that take most of the predicted
    time or, where no time was predicted, have most of the FLOPs and bytes.

    Args:
        answer: about a model on a chip.
        chip_named: finds a chip by name, as `HetBench.chip` does.
        limit: number of operators, and of published figures, to list at most.

    Raises:
        RefusedError: the answer is exact arithmetic on the operator graph and involves no chip.

    >>> from hetbench import HetBench
    >>> from hetbench.catalog.chips import chip
    >>> answer = HetBench().query("bert-base", target="cuda", metric="latency", precision="fp32")
    >>> explain_answer(answer, chip).routes[0].basis in ("measured", "similar")
    True
    """
    if not isinstance(answer, Answer | Answers):
        raise InvalidInputError(f"only an answer of `query` can be explained; given: {shown(answer)}.")
    whole_number("limit", limit, 0)
    if isinstance(answer, Answers):
        asked = answer.get("latency") or next((each for each in answer.values() if each.chip), None)
    else:
        asked = answer
    if asked is None or asked.chip is None or asked.model is None:
        raise RefusedError("nothing to explain: the answer is exact arithmetic on the operator graph, without a chip.")
    found = _evidence(asked, chip_named(asked.chip), limit)
    origin = asked.source
    if origin is None or origin.chip is None:
        return found
    there = replace(origin, shares=origin.shares or asked.shares)
    return replace(found, source=_evidence(there, chip_named(origin.chip), limit))


def _evidence(answer: Answer, chip: Chip, limit: int) -> Why:
    """The evidence behind one answer on one chip."""
    name = str(answer.model)
    own = model_graph.load(name) if name in models() else networks.load(name)
    setting = answer.batch, answer.seq_len, answer.image_size, str(answer.precision), str(answer.phase)
    shares = answer.shares if sum(answer.shares.values()) > 0 else None
    operators = own.operators(*setting).rows()
    found = knowledge_graph().why(name, chip, operators=operators, shares=shares, limit=limit)
    if answer.level != "A":
        return found
    text = f"{answer.metric} {answer.value:.4g} {answer.unit}: this published row is the answer"
    row = Hop(f"model:{name}", "performance", f"chip:{chip.name}", text, answer.refs)
    return replace(found, rows=(row,), routes=())
