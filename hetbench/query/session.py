"""The state of a `HetBench` object, and how names and options become complete questions.

The state is: chips added by the caller, what the caller timed, and the model that a query without one means.
Everything is read on first use, so constructing a session costs nothing. Threads may share a session: its state changes
under the lock of `hetbench.loading`, by replacing what others may be reading.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from copy import deepcopy
from pathlib import Path
from types import MappingProxyType
from typing import Any

from hetbench import schema, serving
from hetbench.artifacts.sets import folder_of
from hetbench.catalog.chips import Chip, chips, default_chip, normalised_name
from hetbench.catalog.models import Model
from hetbench.catalog.own_chips import any_chip
from hetbench.errors import InvalidInputError, shown
from hetbench.graphs.huggingface import compose
from hetbench.graphs.model_graph import ModelGraph
from hetbench.graphs.names import find
from hetbench.loading import LOCK
from hetbench.predict import operators
from hetbench.predict.offsets import Offsets, load_shares
from hetbench.predict.operators import OperatorSurrogate
from hetbench.query.columns import Table
from hetbench.query.observe import Observations
from hetbench.query.observed_models import ObservedModels
from hetbench.query.observed_serving import ObservedEffects
from hetbench.query.observed_tables import joined, split_table
from hetbench.query.question import Question, default_precision, size
from hetbench.serving.effects import Effects
from hetbench.training import TrainingGraph, is_training, optimizer

__all__ = ["Session"]

_LONGEST_PATH = 4096
_NO_OPTIONS: Mapping[str, Any] = MappingProxyType({})


class Session:
    """State and name look-ups that all kinds of queries share.

    >>> session = Session()
    >>> session.question_pair(session.graph("gpt2"), "cuda", "mlu", "latency", {})[0].chip.name
    'cambricon-mlu370-x4'
    """

    def __init__(self, artifacts: str | Path | None = None) -> None:
        self.artifacts = None if artifacts is None else _folder(artifacts)
        """Folder of the surrogates; None for those in the package."""
        self.added_chips: dict[str, Chip] = {}
        """Chips that the caller described by a datasheet, by folded name."""
        self.model: Any = None
        """What a query that names no model means."""
        self.observations = Observations()
        self.observed_models = ObservedModels()
        self._conditioned: OperatorSurrogate | None = None
        self._offsets: Mapping[str, Offsets] = {}
        self._deployed: Mapping[str, Offsets] = {}

    def __getstate__(self) -> dict[str, Any]:
        return {**vars(self), "_conditioned": None, "_offsets": {}, "_deployed": {}}

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state)
        if self.observations or self.observed_models:
            self._condition()

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Session) and self.__getstate__() == other.__getstate__()

    __hash__ = None  # type: ignore[assignment]

    def add_chip(self, chip: Chip) -> None:
        """Make a chip known by its name; `InvalidInputError` where the catalogue has that name already.

        What was observed on another chip of this name is forgotten: it says nothing about this one.
        """
        name = normalised_name(chip.name)
        if name in chips() or name in schema.FAMILIES:
            raise InvalidInputError(f"{chip.name!r} is a name of the catalogue; give the chip a name of its own.")
        with LOCK:
            before = self.added_chips.get(name)
            self.added_chips = {**self.added_chips, name: chip}
            if before is not None and before != chip and self._drop(before.name):
                self._condition()

    def observe(self, table: Table) -> dict[str, Any]:
        """Condition the surrogates on the rows of a table: see `hetbench.query.observe` and `observed_models`."""
        parts = split_table(table)
        with LOCK:
            before = deepcopy((self.observations, self.observed_models))
            try:
                found = [(at, self._observe(kind, part)) for kind, at, part in parts]
                self._condition()
            except BaseException:
                self.observations, self.observed_models = before
                self._condition()
                raise
        return joined(found)

    def _observe(self, kind: str, part: Mapping[str, Sequence[Any]]) -> dict[str, Any]:
        if kind == "models":
            return self.observed_models.add(part, self)
        found = self.observations.add(part, lambda name: self.chip(name)[0], operators.load(self.artifacts))
        self._condition()
        return found

    def _condition(self) -> None:
        shipped = operators.load(self.artifacts)
        self._conditioned = shipped.with_observations(self.observations.conditioned(shipped))
        self._offsets, self._deployed = self.observed_models.conditioned(self)

    def _drop(self, chip: str | None) -> int:
        return self.observations.forget(chip) + self.observed_models.forget(chip)

    def forget(self, chip: str | None) -> int:
        """Drop the observed rows of a chip, or of all where it is None; returns how many were dropped."""
        with LOCK:
            dropped = self._drop(None if chip is None else self.chip(chip)[0].name)
            self._condition()
        return dropped

    def observed_table(self) -> dict[str, list[Any]]:
        """Every observed row, as a table that `observe` takes."""
        rows = [*self.observations.rows(), *self.observed_models.rows()]
        names = dict.fromkeys(name for row in rows for name in row)
        return {name: [row.get(name) for row in rows] for name in names}

    @property
    def effects(self) -> Effects:
        """The effects of serving engines, with what was observed of deployments where there is any."""
        known = serving.load(self.artifacts)
        if not self._deployed:
            return known
        return ObservedEffects(known.table, self._deployed, load_shares(self.artifacts))

    @property
    def surrogate(self) -> OperatorSurrogate:
        """The operator surrogate, conditioned on the observed operators where there are any."""
        return self._conditioned or operators.load(self.artifacts)

    def chip(self, name: str) -> tuple[Chip, tuple[str, ...]]:
        """The chip that a name means, and notes: see `HetBench.chip`."""
        if isinstance(name, str):
            added = self.added_chips.get(normalised_name(name))
            if added is not None:
                return added, ("a chip added by the caller: only its datasheet is known",)
            family = schema.family(name)
            if family is not None:
                found, why = default_chip(family)
                return found, (f"{found.name} is the default chip of {family}: {why}",)
        chip = any_chip(name)
        return chip, () if chip.name in chips() else ("a chip of this machine: its peaks were measured here",)

    def graph(self, model: Any, options: Mapping[str, Any] = _NO_OPTIONS) -> ModelGraph:
        """The operator graph of a model: any name that `hetbench.graphs.names` resolves, a Hugging Face configuration
        (a mapping, or the path of its file), an ONNX file, a record of `models()`, or a graph itself.

        Of the options of a query, an ONNX file takes `dims` and the sizes; `dims` is for such files only.

        None means the model of `set_model` or `set_arch`. Raises `InvalidInputError` where there is none or the
        argument is of another type, `UnknownNameError` for an unknown name.
        """
        if is_training(options.get("phase")):
            return training_graph(self.graph(model, {**options, "phase": None}), options)
        model = self.model if model is None else model
        if model is None:
            raise InvalidInputError("no model: name one, or call set_model first. `hetbench models` lists them.")
        if _is_onnx(model):
            from hetbench.onnx import read  # the package onnx is imported there

            named = {name: size(name, options.get(name)) for name in ("batch", "seq_len", "image_size")}
            return read(model, options.get("dims"), **named)
        if options.get("dims") is not None:
            raise InvalidInputError(
                "dims= binds the free sizes of an ONNX file; other models take batch=, seq_len= and image_size=."
            )
        if isinstance(model, ModelGraph):
            return model
        if isinstance(model, Mapping):
            return compose(model)
        name = model.name if isinstance(model, Model) else str(model) if isinstance(model, Path) else model
        if not isinstance(name, str):
            raise InvalidInputError(
                "a model is a name, a Hugging Face configuration, an ONNX file or what `trace` returned; "
                f"given: {shown(model)}."
            )
        return find(name)

    def question(self, graph: ModelGraph, chip: str | None, what: str, options: Mapping[str, Any]) -> Question:
        """The complete question about a model on one chip; `what` is the metric or analysis it is for."""
        return self.question_pair(graph, None, chip, what, options)[0]

    def question_pair(
        self, graph: ModelGraph, source: str | None, target: str | None, what: str | None, options: Mapping[str, Any]
    ) -> tuple[Question, Question | None]:
        """The questions about the target and the source (None where no source is named).

        Without `precision` in the options both take one precision that both chips have.
        """
        if target is None:
            if source is not None or what not in ("flops", "params", "memory"):
                raise InvalidInputError(
                    "no chip to answer for: name one with target= or device=, a chip or a family "
                    f"({', '.join(schema.FAMILIES)}). `hetbench chips` lists them."
                )
            return Question.build(graph, None, options), None
        chip, notes = self.chip(target)
        if source is None:
            return self.question_on(graph, chip, options, notes), None
        origin, origin_notes = self.chip(source)
        if options.get("precision") is None:
            options = {**options, "precision": default_precision(chip, origin)}
        return (
            self.question_on(graph, chip, options, notes), self.question_on(graph, origin, options, origin_notes)
        )  # fmt: skip

    def question_on(
        self, graph: ModelGraph, chip: Chip, options: Mapping[str, Any], notes: tuple[str, ...] = ()
    ) -> Question:
        """The complete question about a model on a chip, to be answered by the surrogates of this session."""
        return Question.build(
            graph, chip, options, notes, artifacts=self.artifacts, operators=self._conditioned, observed=self._offsets
        )


def training_graph(graph: ModelGraph, options: Mapping[str, Any]) -> TrainingGraph:
    """The training step of a network under the options of a query."""
    return TrainingGraph(graph, optimizer(options.get("optimizer")), size("chips", options.get("chips")) or 1)


def _is_onnx(model: object) -> bool:
    return isinstance(model, str | Path) and str(model).lower().endswith(".onnx")


def _folder(artifacts: object) -> Path:
    """The folder of a set of surrogates; `InvalidInputError` for what cannot be a name or path."""
    if not isinstance(artifacts, str | Path) or len(str(artifacts)) > _LONGEST_PATH:
        raise InvalidInputError(
            f"artifacts is the name of a set or the path of a folder; given: {shown(artifacts)}. "
            "`hetbench artifacts list` lists the installed sets."
        )
    try:
        return folder_of(artifacts)
    except (OSError, ValueError, RuntimeError) as error:  # a null character, a name too long, no home directory
        raise InvalidInputError(f"artifacts={shown(str(artifacts))} is no folder: {error}.") from None
