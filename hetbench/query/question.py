"""One complete question: model, chip, sizes, precision, phase and stack, defaults filled in and every entry checked.

Defaults: the model's own sizes and first phase; fp16 where the chip has it, else fp32; the usual stack of the chip. A
size that the model does not take is ignored with a note; an impossible size, phase or precision raises here, so that
the rest of the package deals with valid settings only.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from operator import index
from pathlib import Path
from typing import Any, TypedDict

import numpy as np

from hetbench import schema
from hetbench.catalog.chips import Chip
from hetbench.catalog.evidence import Setting
from hetbench.errors import InvalidInputError, UnknownNameError, UnknownOptionError, shown
from hetbench.graphs import ModelGraph
from hetbench.predict import models as whole
from hetbench.predict import operators as predictors
from hetbench.predict import power
from hetbench.predict.models import WholeModelSurrogate
from hetbench.predict.offsets import Offsets
from hetbench.predict.operators import OperatorSurrogate
from hetbench.predict.power import PowerSurrogate
from hetbench.query.precisions import check_precision, default_precision, named_precision, stored_note
from hetbench.query.stacks import DEFAULT_STACK, default_stack, evidence_phase
from hetbench.schema import PHASES, QUERY_PRECISIONS
from hetbench.training import TRAINING

__all__ = ["DEFAULT_STACK", "MAX_SIZE", "PREDICTORS", "Options", "Question", "check_options", "check_precision",
           "check_predictor", "default_precision", "default_stack"]

MAX_SIZE = 2**24
"""Largest accepted batch, seq_len or image_size."""
_LONGEST_NAME = 100
PREDICTORS = ("auto", "autogluon", "roofline", "rgat")


class Options(TypedDict, total=False):
    """Keyword options of a query; None and absence both mean the default."""

    batch: int | None
    seq_len: int | None
    image_size: int | None
    precision: str | None
    phase: str | None
    stack: str | None
    predictor: str | None
    confidence: float | None
    dims: Mapping[str, int] | str | None
    """Free sizes of an ONNX file by their names there; see `hetbench.onnx.read`."""
    input_len: int | None
    """This and the following belong to `phase="serving"`; see `hetbench.serving.deployment`."""
    output_len: int | None
    concurrency: int | None
    request_rate: float | None
    chips: int | None
    parallel: str | None
    kv: str | None
    speculative: str | None
    optimizer: str | None
    """Of `phase="training"`: sgd, sgd-momentum, adamw or none; with `chips`, data parallel."""


@dataclass(frozen=True, slots=True)
class Question:
    """A question about a model on a chip, complete and checked."""

    model: str
    chip: Chip | None
    """None where the metric needs no chip (flops, params, memory)."""
    batch: int | None
    """None for a traced module whose example inputs do not share their first axis."""
    seq_len: int | None
    image_size: int | None
    precision: str
    phase: str
    stack: str
    notes: tuple[str, ...] = ()
    usual_stack: bool = False
    """True where the caller named no stack, so that `stack` is the default."""
    confidence: float = 0.9
    """Coverage that intervals are calibrated for: the share of true values inside."""
    generates: bool = False  # whether the model generates token by token
    taught: str | None = None  # `taught_phase`, where it is settled
    artifacts: Path | None = None
    """Folder of the surrogates; None for those in the package."""
    operators: OperatorSurrogate | None = field(default=None, compare=False, repr=False)
    """Operator surrogate conditioned on the caller's own timings; None for that in `artifacts`."""
    observed: Mapping[str, Offsets] | None = field(default=None, compare=False, repr=False)
    """Offsets of whole models by chip, from passes that the caller timed."""

    @classmethod
    def build(
        cls, graph: ModelGraph, chip: Chip | None, options: Mapping[str, Any], notes: tuple[str, ...] = (),
        **answered_by: Any,
    ) -> Question:  # fmt: skip
        """Fill in the defaults of `options` (see `Options`) from the graph and the chip, and check every entry.

        `answered_by` are the fields `artifacts`, `operators` and `observed`.
        Raises `InvalidInputError`, `UnknownNameError`, or `RefusedError` for a precision that the chip does not have.
        """
        check_options(options)
        phase = _phase(graph, options.get("phase"))
        notes += graph.notes
        given = options.get("precision")
        if given is None and graph.precision in QUERY_PRECISIONS:
            given, said = named_precision(graph.precision, chip)
            notes += said
        precision = schema.precision(given) if given is not None else default_precision(chip)
        if chip is not None:
            notes += check_precision(precision, chip)
        notes += stored_note(precision, chip)
        sizes = {name: size(name, options.get(name)) for name in ("batch", "seq_len", "image_size")}
        if graph.fixed:
            sizes = _traced_sizes(graph, sizes)
        for name in ("seq_len", "image_size"):
            if sizes[name] is not None and getattr(graph.setting(precision=precision, phase=phase), name) is None:
                notes += (f"{graph.name} takes no {name}: {sizes[name]} was ignored",)
                sizes[name] = None
        full = graph.setting(**sizes, precision=precision, phase=phase)
        stack = _stack(options.get("stack"))
        sized: tuple[int | None, int | None, int | None] = full.batch, full.seq_len, full.image_size
        if graph.fixed:
            notes += ("a traced module: its sizes are those of the example inputs",)
            sized = graph.setting(precision=precision, phase=phase).batch, None, None
        meant = str(stack or default_stack(chip, phase, "decode" in graph.phases)).lower()
        return cls(
            graph.name, chip, *sized, precision, phase, meant, notes, stack is None,
            check_confidence(options.get("confidence")), "decode" in graph.phases, **answered_by,
        )  # fmt: skip

    @property
    def surrogate(self) -> OperatorSurrogate:
        """The operator surrogate."""
        return self.operators or predictors.load(self.artifacts)

    @property
    def whole(self) -> WholeModelSurrogate:
        """The whole-model surrogate."""
        return whole.load(self.artifacts)

    @property
    def power(self) -> PowerSurrogate:
        """The board-power surrogate."""
        return power.load(self.artifacts)

    @property
    def taught_phase(self) -> str:
        """The phase whose measured rows speak for the question: one pass over a prompt is inference and prefill."""
        if self.taught or not self.generates or self.chip is None:
            return self.taught or self.phase
        return evidence_phase(self.whole, self.chip, self.phase, self.stack, self.precision)

    @property
    def sizes(self) -> tuple[int | None, int | None, int | None, str, str]:
        """The arguments of the operator graph: batch, seq_len, image_size, precision, phase."""
        return self.batch, self.seq_len, self.image_size, self.precision, self.phase

    @property
    def evidence_setting(self) -> Setting:
        """The setting by which the table of published rows is looked up."""
        name = self.chip.name if self.chip else ""
        return self.model, name, self.precision, self.batch, self.seq_len, self.image_size, self.phase

    def require_chip(self, what: str) -> Chip:
        """The chip; `InvalidInputError` where the question names none and `what` needs one."""
        if self.chip is None:
            raise InvalidInputError(
                f"{what} depends on the chip: name one with target= or device=, a chip or a family such as cuda."
            )
        return self.chip

    def items_per_call(self) -> tuple[int, str]:
        """How many samples, tokens or runs one call completes, and which of them."""
        if not self.batch:
            return 1, "run of the example inputs"
        if self.phase in ("inference", TRAINING):
            return self.batch, "samples"
        return self.batch * ((self.seq_len or 1) if self.phase == "prefill" else 1), "tokens"

    def answer_fields(self, notes: tuple[str, ...]) -> dict[str, Any]:
        """The fields of an `Answer` that repeat the question."""
        chip = self.chip
        return {
            "model": self.model, "chip": chip.name if chip else None, "family": chip.family if chip else None,
            "precision": self.precision, "batch": self.batch, "seq_len": self.seq_len,
            "image_size": self.image_size, "phase": self.phase, "stack": self.stack, "notes": notes,
        }  # fmt: skip


def size(name: str, value: object) -> int | None:
    """A size as a positive int, None for None; `InvalidInputError` for anything else.

    >>> size("batch", 8), size("batch", None)
    (8, None)
    """
    if value is None:
        return None
    try:
        number = index(value)  # type: ignore[arg-type]
    except Exception:  # noqa: BLE001 - `__index__` of a caller's object may raise anything
        number = 0
    if isinstance(value, bool | np.bool_) or not 1 <= number <= MAX_SIZE:
        raise InvalidInputError(f"{name} must be a whole number from 1 to {MAX_SIZE:,}; given: {shown(value)}.")
    return number


def _traced_sizes(graph: Any, sizes: Mapping[str, int | None]) -> dict[str, int | None]:
    """The sizes of a traced module, which are its own; `InvalidInputError` where another one is asked for."""
    for name, asked in sizes.items():
        own = getattr(graph.sizes, name)
        if asked not in (None, own):
            at = "" if own is None else f"; for another one, query its `at({name}={asked})`"
            raise InvalidInputError(
                f"{graph.name} is traced at {name} {own}{at}. A trace at other sizes is made again from the module."
            )
    return {**sizes, "seq_len": None, "image_size": None}


def check_confidence(given: float | None) -> float:
    """The coverage that intervals are calibrated for, 0.9 by default.

    >>> check_confidence(None), check_confidence(0.8)
    (0.9, 0.8)
    """
    if given is None:
        return 0.9
    if isinstance(given, bool) or not isinstance(given, int | float | np.floating) or not 0.5 <= given <= 0.98:
        raise InvalidInputError(f"confidence must be a number from 0.5 to 0.98; given: {shown(given)}.")
    return float(given)


def check_predictor(name: str | None) -> str:
    """The predictor called `name`, `auto` where none is named.

    >>> check_predictor(None)
    'auto'
    """
    if name is None:
        return "auto"
    if not isinstance(name, str) or name not in PREDICTORS:
        raise UnknownNameError("predictor", name, PREDICTORS)
    return name


def check_options(options: Mapping[str, Any]) -> None:
    """`UnknownOptionError` for a keyword that is none of `Options`; it names the nearest.

    >>> check_options({"batch": 8})
    """
    for name in options:
        if name not in Options.__optional_keys__:
            raise UnknownOptionError("option", name, sorted(Options.__optional_keys__))


def _stack(given: object) -> str | None:
    """The name of a stack in lower case, None for None; whether it is known is for the evidence to say."""
    if given is None:
        return None
    if not isinstance(given, str) or not given.strip() or len(given) > _LONGEST_NAME:
        raise InvalidInputError(f"stack must be the name of a software stack such as eager; given: {shown(given)}.")
    return given.strip().lower()


def _phase(graph: ModelGraph, given: str | None) -> str:
    if given is None:
        return PHASES[0] if PHASES[0] in graph.phases else graph.phases[0]
    if not isinstance(given, str) or given not in (*PHASES, *graph.phases):
        raise UnknownNameError("phase", given, (*PHASES, TRAINING, "serving"))
    if given not in graph.phases:
        raise InvalidInputError(f"{graph.name} has no phase {given!r}; it has: {', '.join(graph.phases)}.")
    return given
