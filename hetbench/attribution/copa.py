"""Contribution-based operator performance attribution (COPA): how groups of operators contribute to a latency change.

Stage I times every operator by itself on each chip and compares it with the roofline
(`hetbench.attribution.rooflines`).
Stage II distributes the latency over groups of operators by the Shapley values of a game: v(S) is the time of the model
with the groups of S on the target and the others on the source (`hetbench.attribution.placement`). The values sum to
the target's latency minus the source's. Without a source, groups outside S do not run, and the values sum to the
latency.

A cost that is equal for a coalition and its complement, such as a tensor crossing the link in either direction, has
Shapley values of zero. Its effect on a step of a migration is in `first_ms` (the group moved alone) and `last_ms`
(moved after all others), which include it in full.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hetbench.answers import Answer, digits
from hetbench.attribution.placement import PARTS, Placement, Side, flow, placement
from hetbench.attribution.results import Attribution, GroupShare, OperatorShare
from hetbench.attribution.rooflines import combined, roofline_points
from hetbench.attribution.shapley import PAIRS, shapley
from hetbench.catalog.chips import Chip
from hetbench.checks import known_name, whole_number
from hetbench.errors import InvalidInputError, RefusedError, shown
from hetbench.graphs import GraphNode, ModelGraph
from hetbench.operators import operator_type
from hetbench.predict.protocols import launch_floor
from hetbench.query.breakdown import Signature, signature, split
from hetbench.query.columns import positive_or_nan
from hetbench.query.latency import PROTOCOL
from hetbench.query.question import Question
from hetbench.schema import itemsize

__all__ = ["DEPTH", "GROUPINGS", "HOST_LINK", "attribute", "fuses", "link_rate"]

DEPTH = 4
"""Default number of names of the module path that a group of `by="module"` keeps."""
HOST_LINK = "PCIe 4.0 x16"
"""Link assumed between a chip and its host where the chip's facts state no PCIe link."""
_GIGATRANSFERS = {"1": (2.5, 0.8), "2": (5.0, 0.8), "3": (8.0, 128 / 130), "4": (16.0, 128 / 130),
                  "5": (32.0, 128 / 130)}  # fmt: skip
"""PCIe generation -> GT/s of a lane in one direction, payload share of the line code (PCI-SIG base specifications)."""
_UNFUSED = ("eager", "mxnet", "tensorflow", "paddle", "keras", "pytorch")
_COMPILERS = ("xla", "tensorrt", "magicmind")  # the frameworks above fuse with one of these


def attribute(
    graph: ModelGraph, target: tuple[Question, Answer], source: tuple[Question, Answer] | None = None, *,
    by: str = "type", depth: int = DEPTH, link_gbs: float | None = None, predictor: str = "auto", pairs: int = PAIRS,
) -> Attribution:  # fmt: skip
    """Attribute the latency of a model on the target, or its change from the source, to groups of operators.

    Args:
        graph: of the model.
        target, source: each a question and its latency answer; `source` may be None.
        by: `type` of operator; `layer`, the module path up to its first number; `module`, the first `depth` names of
            the module path, with numbers as `*`.
        depth: for `module`.
        link_gbs: rate in 1e9 bytes/s of a tensor from chip to chip; left out, it goes over both chips' host links in
            turn.
        predictor: auto, autogluon, rgat or roofline.
        pairs: antithetic pairs of permutations where the values are sampled (more than 15 groups).

    Raises:
        UnknownNameError: another grouping.
        InvalidInputError: a link rate that is not above 0, or a depth below 1.
        RefusedError: a graph without data flow (auxiliary networks), or without operators that do work.

    >>> from hetbench import HetBench
    >>> found = HetBench().explain("gpt2", source="cuda", target="cann")
    >>> abs(sum(each.value_ms for each in found.groups) - found.difference_ms) < 1e-9
    True
    """
    if link_gbs is not None and not positive_or_nan(link_gbs) > 0:
        raise InvalidInputError(f"link_gbs={shown(link_gbs)} must be a number above 0, in 1e9 bytes per second.")
    sizes = target[0].sizes
    nodes = graph.nodes(*sizes)
    found = flow(nodes)
    if not found.nodes:
        raise RefusedError(f"{graph.name} runs no operator, so there is nothing to attribute.")
    working = [nodes[index] for index in found.nodes]
    names = [_grouping(by, depth)(node) for node in working]
    order = list(dict.fromkeys(names))
    group = np.array([order.index(name) for name in names], dtype=np.int64)
    made, need = graph.node_bytes(*sizes), graph.memory(*sizes)
    both = (target, *((source,) if source else ()))
    rates = _rates([question.require_chip("attribution") for question, _ in both], link_gbs)
    sides = [_side(graph, question, answer, working, predictor, rate)
             for (question, answer), rate in zip(both, rates, strict=True)]  # fmt: skip
    at = np.array(found.nodes)
    game = placement(
        found, group, len(order), sides[1] if source else None, sides[0], result_bytes=made.results[at],
        memory=(made.weights + made.cache)[at], activations=float(need.activations_peak_bytes),
    )  # fmt: skip
    operators = _stage_one(graph, target[0], source[0] if source else None, working, names, predictor)
    links = _link_note(source, target, link_gbs)
    return _attribution(graph, by, (target, source), order, group, game, operators, pairs, links)


def _attribution(
    graph: ModelGraph, by: str, sides: tuple[Any, Any], order: Sequence[str], group: NDArray[np.int64],
    game: Placement, operators: tuple[OperatorShare, ...], pairs: int, link: tuple[str, ...],
) -> Attribution:  # fmt: skip
    (_, target), source = sides[0], None if sides[1] is None else sides[1][1]
    count = len(order)
    found = shapley(game, count, pairs)
    alone = np.eye(count, dtype=np.bool_)
    none, every = np.zeros((1, count), dtype=np.bool_), np.ones((1, count), dtype=np.bool_)
    start, end = float(game(none)[0]), float(game(every)[0])
    first, last = game(alone) - start, end - game(~alone)
    base = start if source is not None else end
    groups = []
    for place, name in enumerate(order):
        mine = [each for each in operators if each.group == name]
        value = float(found.value[place])
        groups.append(GroupShare(
            name, int((group == place).sum()), value, None if found.error is None else float(found.error[place]),
            100.0 * value / base, float(first[place]), float(last[place]), float(game.target_ms[place]),
            None if source is None else float(game.source_ms[place]), combined(each.target for each in mine),
            None if source is None else combined(each.source for each in mine if each.source is not None),
        ))  # fmt: skip
    ends = {"target": every} | ({} if source is None else {"source": none})
    parts = {side: {name: float(ms[0]) for name, ms in game.parts(rows).items()} for side, rows in ends.items()}
    notes = (*link, *_split_notes(target, source), *_part_notes(parts, target, source))
    return Attribution(
        graph.name, by, target, source, end, start, tuple(sorted(groups, key=lambda each: -abs(each.value_ms))),
        operators, found.error is None, found.evaluated, parts, notes,
    )  # fmt: skip


def _stage_one(
    graph: ModelGraph, target: Question, source: Question | None, working: Sequence[GraphNode], names: Sequence[str],
    predictor: str,
) -> tuple[OperatorShare, ...]:  # fmt: skip
    """Stage I: every distinct operator of every group on each chip, longest time on the target first."""
    made = [
        {} if side is None else roofline_points(
            graph.operators(*side.sizes), side.require_chip("attribution"), side.surrogate, predictor
        ) for side in (target, source)
    ]
    counts: dict[tuple[str, Signature], int] = {}
    for node, name in zip(working, names, strict=True):
        key = name, signature(node.op, node.dtype, node.dims)
        counts[key] = counts.get(key, 0) + 1
    found = [
        OperatorShare(name, key[0], key[1], dict(key[2]), count, made[0][key].times(count),
                      made[1][key].times(count) if source else None)
        for (name, key), count in counts.items()
    ]  # fmt: skip
    return tuple(sorted(found, key=lambda each: -each.target.ms))


def _side(
    graph: ModelGraph, question: Question, answer: Answer, working: Sequence[GraphNode], predictor: str,
    rate_gbs: float,
) -> Side:  # fmt: skip
    """One chip with the part of its latency that each operator has; predicted parts are scaled to sum to the answer."""
    chip = question.require_chip("attribution")
    parts = split(question, chip, graph, predictor)
    ms = np.array([parts.each[signature(node.op, node.dtype, node.dims)] for node in working])
    scale = answer.value / (parts.call_ms + ms.sum())
    surrogate = question.surrogate
    floor = launch_floor(surrogate.floors, chip, "vector", PROTOCOL)
    alone = scale * ms
    if fuses(str(answer.stack)):
        moved = [float(operator_type(n.op).bytes_moved(n.dims, itemsize(n.dtype))) for n in working]
        alone = 1e3 * np.array(moved) / (chip.bandwidth or np.inf) + floor
    return Side(
        scale * ms, alone, scale * parts.call_ms, floor, 1e-6 / rate_gbs,
        float("inf") if chip.memory_bytes is None else chip.memory_bytes, 1e-6 / min(link_rate(chip), _rate(HOST_LINK)),
    )  # fmt: skip


def _rates(chips: Sequence[Chip], link_gbs: float | None) -> list[float]:
    """1e9 bytes/s of each chip's part of a transfer from chip to chip."""
    if link_gbs is not None:
        return [2 * link_gbs] * len(chips)  # the rate from chip to chip: half the time on either part
    hosts = all(chip.kind == "cpu" for chip in chips)  # two CPUs are two machines, with a link between them
    return [_rate(HOST_LINK) if hosts else link_rate(chip) for chip in chips]


def fuses(stack: str) -> bool:
    """Whether a stack fuses element-wise operators into their producers: all but eager ones do.

    >>> fuses("eager-amp"), fuses("compiled"), fuses("tensorflow"), fuses("tensorflow-xla")
    (False, True, False, True)
    """
    return re.split(r"[-+]", stack)[0] not in _UNFUSED or any(name in stack for name in _COMPILERS)


def link_rate(chip: Chip) -> float:
    """Rate in 1e9 bytes/s, one direction, between the memory of a chip and that of its host.

    The PCI-SIG rate of the link that the chip's facts state, else of `HOST_LINK`; infinite for a CPU, which computes in
    host memory.

    >>> from hetbench.catalog.chips import chip
    >>> round(link_rate(chip("mlu")), 1), round(link_rate(chip("intel-arc-pro-b60")), 1)
    (31.5, 31.5)
    """
    if chip.kind == "cpu":
        return float("inf")
    return _rate(chip.interconnect_type) or _rate(HOST_LINK)


def _rate(link: str | None) -> float:
    """1e9 bytes/s of a PCIe link in one direction; 0 for any other link."""
    found = re.match(r"PCIe ([1-5])\.0 x(\d+)$", link or "")
    if found is None:
        return 0.0
    rate, coded = _GIGATRANSFERS[found[1]]
    return rate * coded * int(found[2]) / 8


def _grouping(by: str, depth: int) -> Callable[[GraphNode], str]:
    group, names = GROUPINGS[known_name("grouping", by, GROUPINGS)], whole_number("depth", depth, 1)
    return lambda node: group(node, names)


def _layer(node: GraphNode, depth: int) -> str:
    names = node.path.split(".")
    number = next((place for place, name in enumerate(names) if name.isdigit()), 1)
    return ".".join(names[: number + 1]) or "(model)"


def _module(node: GraphNode, depth: int) -> str:
    names = ["*" if name.isdigit() else name for name in node.path.split(".")]
    return ".".join(names[:depth]) or "(model)"


GROUPINGS: Mapping[str, Callable[[GraphNode, int], str]] = {
    "type": lambda node, depth: node.op, "layer": _layer, "module": _module,
}  # fmt: skip


def _link_note(
    source: tuple[Question, Answer] | None, target: tuple[Question, Answer], link_gbs: float | None
) -> tuple[str, ...]:
    """The assumed route of tensors between the chips."""
    if source is None:
        return ()
    if link_gbs is not None:
        return (f"transfers between the chips at {digits(link_gbs)} GB/s (link_gbs)",)
    chips = [source[0].require_chip("attribution"), target[0].require_chip("attribution")]
    rates = zip(chips, _rates(chips, None), strict=True)
    legs = ", ".join(_leg(chip, rate) for chip, rate in rates)
    return (f"transfers between the chips go through host memory: {legs}",)


def _leg(chip: Chip, rate: float) -> str:
    if rate == float("inf"):
        return f"{chip.name} computes in host memory"
    link = str(chip.interconnect_type) if _rate(chip.interconnect_type) else f"{HOST_LINK} assumed"
    return f"{digits(rate)} GB/s to or from {chip.name} ({link})"


def _split_notes(target: Answer, source: Answer | None) -> tuple[str, ...]:
    """A warning where different surrogates split the latencies of the two chips."""
    kinds = {"wall": "whole-model surrogate", "event": "operator surrogate"}
    names = [kinds.get(str(side.protocol)) for side in (source, target) if side is not None]
    if len(names) < 2 or None in names or names[0] == names[1]:
        return ()
    return (
        f"the {names[0]} splits the latency of the source, the {names[1]} that of the target: the totals are more "
        "certain than the split",
    )


def _part_notes(parts: Mapping[str, Mapping[str, float]], *answers: Answer | None) -> tuple[str, ...]:
    """Notes on time that belongs to no operator: streaming of what does not fit, and call overhead."""
    notes = []
    for answer, side in zip(answers, ("target", "source"), strict=True):
        if answer is not None and parts[side][PARTS[-1]]:
            notes.append(
                f"the model does not fit {answer.chip}: streaming the excess over its host link takes "
                f"{digits(parts[side][PARTS[-1]])} ms a call, which the answer does not include"
            )
        if answer is not None and parts[side][PARTS[1]]:
            overhead = digits(parts[side][PARTS[1]])
            notes.append(f"call overhead on {answer.chip}: {overhead} ms, distributed over all groups")
    return tuple(notes)
