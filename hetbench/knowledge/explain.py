"""What an answer about a model rests on, as paths through the knowledge graph."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from hetbench.answers import Answer, Answers
from hetbench.catalog.chips import Chip
from hetbench.catalog.models import models
from hetbench.errors import RefusedError
from hetbench.graphs import model_graph, networks
from hetbench.knowledge.graph import knowledge_graph
from hetbench.knowledge.paths import Hop, Why

__all__ = ["explain_answer"]


def explain_answer(answer: Answer | Answers, chip_named: Callable[[str], Chip], limit: int = 5) -> Why:
    """The paths of evidence of an answer, the source's too; of several answers that of the latency.

    A measured answer is explained by its row. Of a predicted one the operators are explained that take the most
    predicted time, or where no time was predicted have the most flops and bytes. `chip_named` finds the chip.

    >>> from hetbench import HetBench
    >>> from hetbench.catalog.chips import chip
    >>> answer = HetBench().query("bert-base", target="cuda", metric="latency", precision="fp32")
    >>> explain_answer(answer, chip).routes[0].basis in ("measured", "similar")
    True
    """
    if isinstance(answer, Answers):
        asked = answer.get("latency") or next((each for each in answer.values() if each.chip), None)
    else:
        asked = answer
    if asked is None or asked.chip is None or asked.model is None:
        raise RefusedError("nothing to explain: the answer is exact arithmetic on the operator graph, of no chip.")
    found = _side(asked, chip_named(asked.chip), limit)
    origin = asked.source
    if origin is None or origin.chip is None:
        return found
    there = replace(origin, shares=origin.shares or asked.shares)
    return replace(found, source=_side(there, chip_named(origin.chip), limit))


def _side(answer: Answer, chip: Chip, limit: int) -> Why:
    name = str(answer.model)
    own = model_graph.load(name) if name in models() else networks.load(name)
    setting = answer.batch, answer.seq_len, answer.image_size, str(answer.precision), str(answer.phase)
    shares = answer.shares if sum(answer.shares.values()) > 0 else None
    operators = own.operators(*setting).rows()
    found = knowledge_graph().why(name, chip, operators=operators, shares=shares, limit=limit)
    if answer.level != "A":
        return found
    text = f"{answer.metric} {answer.value:.4g} {answer.unit}: the row that the answer is"
    row = Hop(f"model:{name}", "performance", f"chip:{chip.name}", text, answer.refs)
    return replace(found, rows=(row,), routes=())
