"""Answers on grids: every chip and variant of one model in one phase, at every combination of the grid's sizes."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from itertools import product
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hetbench.answers import Answer
from hetbench.api import HetBench
from hetbench.catalog.models import models
from hetbench.errors import HetBenchError
from hetbench.pages.explorer.choice import Choice, axes_of, phases_of

__all__ = ["LEVELS", "MODEL_QUANTITIES", "NOT_HELD", "SERVING_QUANTITIES", "Block", "Grids", "ask_grids",
           "default_sizes", "expected", "question"]  # fmt: skip

MODEL_QUANTITIES = ("latency", "energy")
SERVING_QUANTITIES = ("tpot", "ttft", "throughput", "energy")
"""The first quantity of each is the one that a chip is judged by where nothing else is chosen."""
LEVELS = ("", "A", "B", "C", "D")
"""A mark below 5 is the index of a level; other marks are 5 + the index of the reason of a refusal."""
NOT_HELD = ("this page holds language models in fp32 only on chips without fp16; `hetbench query` answers, and "
            "`hetbench dashboard --full` adds it")
CHIP = "{chip}"
"""Stands for the name of the chip in the reason of a refusal, so that chips share one text."""

Progress = Callable[[int], None]
"""Called with the number of answers that have been added."""


@dataclass(frozen=True, slots=True)
class Block:
    """The grid of a model in a phase."""

    model: str
    phase: str
    axes: Mapping[str, tuple[int, ...]]
    variants: tuple[Mapping[str, Any], ...]
    """Options that are not interpolated: precisions, or deployments."""
    quantities: tuple[str, ...]
    values: NDArray[np.float32]
    """Value, lower and upper: [quantities, 3, chips, variants, cells]; the last axis of the grid varies fastest."""
    marks: NDArray[np.uint16]
    """Level or refusal of each value: [quantities, chips, variants, cells]."""
    evidence: list[list[dict[str, Any] | None]]
    """What the first quantity rests on at the default sizes: [chips][variants]."""
    memory: list[list[float | None]]
    """Memory in MB, which no chip changes: [variants][cells]; empty for deployments."""

    @property
    def cells(self) -> list[dict[str, int]]:
        """The sizes of each cell."""
        return [dict(zip(self.axes, sizes, strict=True)) for sizes in product(*self.axes.values())]


@dataclass(frozen=True, slots=True)
class Grids:
    """All blocks, the chips of their values, and the reasons of refusals."""

    chips: tuple[str, ...]
    blocks: tuple[Block, ...]
    reasons: tuple[str, ...]


def question(model: str, chip: str, phase: str, variant: Mapping[str, Any], sizes: Mapping[str, int]) -> dict[str, Any]:
    """The arguments of `HetBench.query` for one cell."""
    return {"model": model, "target": chip, "phase": phase, **variant, **sizes}


def ask_grids(api: HetBench, choice: Choice, progress: Progress = lambda done: None) -> tuple[Grids, int]:
    """The grids of a choice, and the number of their answers; `progress` is called with the answers of each step.

    >>> from hetbench.pages.explorer.choice import choose
    >>> api = HetBench()
    >>> grids, answers = ask_grids(api, choose(api, ["bert-tiny"], ["nvidia-l4"]))
    >>> grids.blocks[0].values.shape, answers
    ((2, 3, 1, 2, 12), 48)
    """
    reasons: dict[str, int] = {}
    names = dict.fromkeys([*choice.models, *choice.served])
    blocks = [_block(api, choice, name, phase, reasons, progress)
              for name in names for phase in phases_of(choice, name)]  # fmt: skip
    return Grids(choice.chips, tuple(blocks), tuple(reasons)), sum(block.marks.size for block in blocks)


def expected(api: HetBench, choice: Choice) -> int:
    """The number of answers that `ask_grids` asks."""
    names = dict.fromkeys([*choice.models, *choice.served])
    return sum(
        len(_quantities(phase)) * len(choice.chips) * len(_variants(choice, name, phase))
        * prod(map(len, axes_of(api, choice, name, phase).values()))
        for name in names for phase in phases_of(choice, name)
    )  # fmt: skip


def _quantities(phase: str) -> tuple[str, ...]:
    return SERVING_QUANTITIES if phase == "serving" else MODEL_QUANTITIES


def _variants(choice: Choice, name: str, phase: str) -> tuple[Mapping[str, Any], ...]:
    return choice.deployments if phase == "serving" else tuple({"precision": each} for each in choice.precisions(name))


def _block(
    api: HetBench, choice: Choice, name: str, phase: str, reasons: dict[str, int], progress: Progress
) -> Block:  # fmt: skip
    axes, variants, quantities = axes_of(api, choice, name, phase), _variants(choice, name, phase), _quantities(phase)
    shape = len(choice.chips), len(variants), prod(map(len, axes.values()))
    values = np.full((len(quantities), 3, *shape), np.nan, np.float32)
    marks = np.zeros((len(quantities), *shape), np.uint16)
    block = Block(name, phase, axes, variants, quantities, values, marks, [], [])
    for at, chip in enumerate(choice.chips):
        for place, variant in enumerate(variants):
            if not choice.asks(name, chip, variant):
                marks[:, at, place] = _mark("", NOT_HELD, chip, reasons)
                progress(marks[:, at, place].size)
                continue
            for number, quantity in enumerate(quantities):
                found = api.query_models(_table(block, chip, variant, quantity))
                values[number, :, at, place] = [found[column] for column in ("value", "lower", "upper")]
                marks[number, at, place] = [_mark(level, reason, chip, reasons) for level, reason in
                                            zip(found["level"], found["reason"], strict=True)]  # fmt: skip
                progress(shape[-1])
        block.evidence.append([_evidence(api, block, chip, variant) for variant in variants])
    if phase != "serving":
        block.memory.extend(list(_memory(api, block)))
    return block


def _table(block: Block, chip: str, variant: Mapping[str, Any], quantity: str) -> dict[str, list[Any]]:
    """The questions about one quantity of a series, one row a cell."""
    same = {"model": block.model, "chip": chip, "phase": block.phase, "metric": quantity, **variant}
    cells = block.cells
    return {name: [value] * len(cells) for name, value in same.items()} | {
        name: [sizes[name] for sizes in cells] for name in block.axes}


def _mark(level: str, reason: str, chip: str, reasons: dict[str, int]) -> int:
    if not reason:
        return LEVELS.index(level)
    return len(LEVELS) + reasons.setdefault(str(reason).replace(chip, CHIP), len(reasons))


def _evidence(api: HetBench, block: Block, chip: str, variant: Mapping[str, Any]) -> dict[str, Any] | None:
    """Kind, stack, surrogate, notes and references of the answer at the default sizes; None if it is refused."""
    asked = question(block.model, chip, block.phase, variant, default_sizes(block))
    try:
        answer: Answer = api.query(metric=block.quantities[0], **asked)
    except HetBenchError:
        return None
    found = {name: getattr(answer, name) for name in ("kind", "precision", "stack", "support", "surrogate")}
    shares = {} if answer.shares is None else {name: float(f"{ms:.4g}") for name, ms in answer.shares.items()}
    return found | {"notes": list(answer.notes), "refs": list(answer.refs), "shares": shares}


def default_sizes(block: Block) -> dict[str, int]:
    """The model's own default sizes; of a deployment 1,024 tokens in and out and one request."""
    known = models().get(block.model)
    usual = {"input_len": 1024, "output_len": 1024, "concurrency": 1, "batch": 1}
    if known is not None:
        usual |= {"batch": known.batch} | {name: size for name in ("seq_len", "image_size")
                                           if (size := getattr(known, name)) is not None}  # fmt: skip
    return {name: usual[name] if usual.get(name) in values else values[0] for name, values in block.axes.items()}


def _memory(api: HetBench, block: Block) -> Iterator[list[float | None]]:
    """Memory of each variant in MB by cell, four digits; None where it is refused."""
    for variant in block.variants:
        cells: list[float | None] = []
        for sizes in block.cells:
            asked: dict[str, Any] = {**variant, **sizes}
            try:
                found = api.query(block.model, metric="memory", phase=block.phase, **asked)
            except HetBenchError:
                cells.append(None)
            else:
                cells.append(float(f"{found.value:.6g}"))
        yield cells
