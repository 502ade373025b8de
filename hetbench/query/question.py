"""One question with every blank filled: which model, on which chip, at which size, precision, phase and stack.

Defaults: the model's own sizes and first phase; fp16 where the chip has it, else fp32; the chip's usual stack. A size
that the model does not take is left out and noted; a size, phase or precision that cannot be meant is refused here, so
that what follows works with sound settings only.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from operator import index
from pathlib import Path
from typing import Any, TypedDict

from hetbench import schema
from hetbench.catalog.chips import Chip
from hetbench.catalog.models import models
from hetbench.errors import InvalidInputError, RefusedError, UnknownNameError
from hetbench.graphs.model_graph import ModelGraph, load
from hetbench.predict import models as whole
from hetbench.predict import operators as predictors
from hetbench.predict import power
from hetbench.predict.models import WholeModelSurrogate
from hetbench.predict.operators import OperatorSurrogate
from hetbench.predict.power import PowerSurrogate
from hetbench.schema import PHASES, PRECISIONS

__all__ = ["DEFAULT_STACK", "MAX_SIZE", "PREDICTORS", "Options", "Question", "check_precision", "check_predictor",
           "default_precision", "default_stack"]

MAX_SIZE = 2**24
"""Largest batch, seq_len or image_size that is believed."""
DEFAULT_STACK = "eager"
_USUAL_STACKS = {"cann": "acl", "mlu": "magicmind", "cpu": "compiled"}
"""What runs a network that does not generate, by family or kind, where published rows are of compiled models; a chip
without such rows is answered for eager launches."""
PREDICTORS = ("auto", "autogluon", "roofline", "rgat")


class Options(TypedDict, total=False):
    """What a query may say beyond model, chip and metric; None and absence both mean the default."""

    batch: int | None
    seq_len: int | None
    image_size: int | None
    precision: str | None
    phase: str | None
    stack: str | None
    predictor: str | None
    confidence: float | None


@dataclass(frozen=True, slots=True)
class Question:
    """A question about a model on a chip, complete and checked."""

    model: str
    chip: Chip | None
    """None where the metric needs no chip (flops, params, memory)."""
    batch: int | None
    """None for a traced module, whose sizes are those of its example inputs."""
    seq_len: int | None
    image_size: int | None
    precision: str
    phase: str
    stack: str
    notes: tuple[str, ...] = ()
    usual_stack: bool = False
    """Whether the stack is the usual one, because the caller named none."""
    confidence: float = 0.9
    """Share of true values that intervals are to hold."""
    artifacts: Path | None = None
    """Folder of the surrogates that answer; None for those in the package."""
    operators: OperatorSurrogate | None = field(default=None, compare=False, repr=False)
    """Surrogates conditioned on the caller's own measurements; None for those of the artefact."""

    @classmethod
    def build(
        cls, graph: ModelGraph, chip: Chip | None, options: Mapping[str, Any], notes: tuple[str, ...] = ()
    ) -> Question:
        """Fill the blanks of `options` (see `Options`) from the graph and the chip, and check every entry."""
        phase = _phase(graph, options.get("phase"))
        given = options.get("precision")
        precision = schema.precision(given) if given is not None else default_precision(chip)
        if chip is not None:
            notes += check_precision(precision, chip)
        sizes = {name: size(name, options.get(name)) for name in ("batch", "seq_len", "image_size")}
        usual = graph.setting(precision=precision, phase=phase)
        for name in ("seq_len", "image_size"):
            if sizes[name] is not None and getattr(usual, name) is None:
                notes += (f"{graph.name} takes no {name}: {sizes[name]} was ignored",)
                sizes[name] = None
        full = graph.setting(**sizes, precision=precision, phase=phase)
        stack = options.get("stack")
        sized: tuple[int | None, int | None, int | None] = full.batch, full.seq_len, full.image_size
        if not graph.compact and (graph.name not in models() or graph is not load(graph.name)):
            notes += ("a traced module: its sizes are those of the example inputs",)
            sized = None, None, None
        return cls(
            graph.name, chip, *sized, precision, phase, str(stack or default_stack(chip, phase)).lower(), notes,
            not stack, check_confidence(options.get("confidence")),
        )  # fmt: skip

    @property
    def surrogate(self) -> OperatorSurrogate:
        """What predicts operators."""
        return self.operators or predictors.load(self.artifacts)

    @property
    def whole(self) -> WholeModelSurrogate:
        """What predicts whole models."""
        return whole.load(self.artifacts)

    @property
    def power(self) -> PowerSurrogate:
        """What predicts board power."""
        return power.load(self.artifacts)

    @property
    def sizes(self) -> tuple[int | None, int | None, int | None, str, str]:
        """What the operator graph depends on: batch, seq_len, image_size, precision, phase."""
        return self.batch, self.seq_len, self.image_size, self.precision, self.phase


def size(name: str, value: object) -> int | None:
    """A positive whole number, or None; `InvalidInputError` otherwise.

    >>> size("batch", 8), size("batch", None)
    (8, None)
    """
    if value is None:
        return None
    try:
        number = index(value)  # type: ignore[arg-type]
    except TypeError:
        number = 0
    if isinstance(value, bool) or not 1 <= number <= MAX_SIZE:
        raise InvalidInputError(f"{name} must be a whole number from 1 to {MAX_SIZE:,}; given: {value!r}.")
    return number


def default_precision(*chips: Chip | None) -> str:
    """fp16 where every chip has it, else fp32; without a chip fp16.

    >>> from hetbench.catalog.chips import chip
    >>> default_precision(chip("cuda")), default_precision(chip("cuda"), chip("amd-epyc-7r32"))
    ('fp16', 'fp32')
    """
    return "fp16" if all(chip is None or chip.supports("fp16") for chip in chips) else "fp32"


def default_stack(chip: Chip | None, phase: str) -> str:
    """The stack that a query means when it names none.

    >>> from hetbench.catalog.chips import chip
    >>> default_stack(chip("cann"), "inference"), default_stack(chip("cuda"), "decode")
    ('acl', 'eager')
    """
    if chip is None or phase != PHASES[0]:
        return DEFAULT_STACK
    return _USUAL_STACKS.get("cpu" if chip.kind == "cpu" else chip.family, DEFAULT_STACK)


def check_confidence(given: float | None) -> float:
    """The share of true values that an interval is to hold, 0.9 where none is asked for.

    >>> check_confidence(None), check_confidence(0.8)
    (0.9, 0.8)
    """
    if given is None:
        return 0.9
    if isinstance(given, bool) or not isinstance(given, int | float) or not 0.5 <= given <= 0.98:
        raise InvalidInputError(f"confidence must be a number from 0.5 to 0.98; given: {given!r}.")
    return float(given)


def check_predictor(name: str | None) -> str:
    """The predictor called `name`, `auto` where none is named.

    >>> check_predictor(None)
    'auto'
    """
    if name is None:
        return "auto"
    if name not in PREDICTORS:
        raise UnknownNameError("predictor", str(name), PREDICTORS)
    return name


def check_precision(precision: str, chip: Chip) -> tuple[str, ...]:
    """Notes on a precision of a chip; `RefusedError` where the chip does not have it."""
    supported = chip.supports(precision)
    if supported is False:
        has = ", ".join(name for name in PRECISIONS if chip.supports(name))
        raise RefusedError(f"{chip.name} has no {precision} units. It has: {has}.")
    if supported is None:
        return (f"the datasheet of {chip.name} does not say whether it has {precision} units",)
    return ()


def _phase(graph: ModelGraph, given: str | None) -> str:
    if given is None:
        return PHASES[0] if PHASES[0] in graph.phases else graph.phases[0]
    if given not in PHASES:
        raise UnknownNameError("phase", str(given), PHASES)
    if given not in graph.phases:
        raise InvalidInputError(f"{graph.name} has no phase {given!r}; it has: {', '.join(graph.phases)}.")
    return given
