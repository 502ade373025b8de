"""`HetBench`: ask how fast a model or an operator runs on a chip, and get an answer with its evidence.

Everything is read on first use and kept, so constructing costs nothing and a repeated question costs one dictionary
look-up. No network, no torch, no state but the chips added and the model set.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Unpack

from hetbench import schema
from hetbench.answers import Answer, Answers
from hetbench.artifacts.sets import folder_of
from hetbench.attribution.copa import DEPTH, attribute
from hetbench.attribution.results import Attribution
from hetbench.catalog.chips import Chip, chips, default_chip, fold, load_chip
from hetbench.catalog.chips import chip as chip_named
from hetbench.errors import InvalidInputError, RefusedError, UnknownNameError
from hetbench.graphs import model_graph as graphs
from hetbench.graphs import networks
from hetbench.graphs.model_graph import ModelGraph
from hetbench.metrics import METRICS
from hetbench.metrics import metric as metric_named
from hetbench.migration.coverage import CoverageReport, report
from hetbench.migration.fleet import Fleet, fleet
from hetbench.migration.ranking import Migration, chips_of, search
from hetbench.operators import operator_type
from hetbench.plans import advise as advice
from hetbench.predict import operators
from hetbench.predict.operators import OperatorSurrogate
from hetbench.query import tables
from hetbench.query.architectures import DERIVED, quality
from hetbench.query.comparison import answered
from hetbench.query.observe import Observations
from hetbench.query.question import Options, Question, check_precision, check_predictor, default_precision
from hetbench.query.search_space import ArchitectureQueries
from hetbench.spaces import ComposedGraph

__all__ = ["HetBench"]

_KEPT = 100_000
"""Answers kept before the store starts afresh."""


class HetBench(ArchitectureQueries):
    """Answers about models and operators on chips.

    >>> api = HetBench()
    >>> print(api.query("resnet-50", metric="params"))
    params = 25,557,032 for resnet-50 (derived)
    """

    def __init__(self, search_space: str | None = None, artifacts: str | Path | None = None) -> None:
        """`search_space` is what `sample_arch`, `set_arch` and `query_batch` mean: a name of `hetbench.spaces`.

        `artifacts` is a set of surrogates that `hetbench download` installed, by its name, or a folder of them; left
        out, it is the set in the package. Raises `ArtifactError` where it is damaged or of another format.
        """
        super().__init__(search_space)
        self.artifacts = None if artifacts is None else folder_of(artifacts)
        """Folder of the surrogates; None for those in the package."""
        self._added: dict[str, Chip] = {}
        self._kept: dict[tuple[Any, ...], Any] = {}
        self._observed = Observations()
        self._conditioned: OperatorSurrogate | None = None

    def query(
        self, model: Any = None, source: str | None = None, target: str | None = None, metric: str | None = None, *,
        device: Any = None, source_value: float | None = None, **options: Unpack[Options],
    ) -> Any:  # fmt: skip
        """How `model` does on the chip `target` (or `device`, the same thing).

        `model` is a catalogue name, any of its upstream names, or what `trace` returned; left out, it is the model of
        `set_model`. A chip is a name, an alias or a family, which means the family's default chip; `device` may be a
        list, and so may `metric`. Options: batch, seq_len, image_size, precision, phase, stack, predictor, confidence;
        what is left out takes the model's defaults, fp16 where the chip has it (both chips, where a source is named)
        else fp32, the chip's usual stack and 0.9. A measured network beyond the catalogue (`hetbench.graphs.networks`)
        is named as timm or the published table names it.

        With a metric: an `Answer`; with a list of devices: {device: Answer}, with one of metrics {metric: that}. An
        architecture that `set_arch` set is asked of all five families where no device is named. Without a metric:
        `Answers`, by metric, whose `refused` says why the others are missing. `source` adds the source's answer and the
        ratio to it: both sides measured, else both predicted, with a row that was measured in the notes.
        `source_value`, measured by the caller on the source in the metric's unit, corrects the answer by as much as
        `hetbench.predict.transfer` says.

        Raises `UnknownNameError`, `InvalidInputError`, or `RefusedError` where no evidence allows an answer.

        >>> print(HetBench().query("gpt2", metric="memory", seq_len=128, precision="fp32").unit)
        MB
        """
        model = self._model if model is None else model
        kinds = map(type, (source_value, *options.values()))  # True and 1.0 equal 1 as keys, and are no sizes
        try:
            key = (model, source, target, metric, device, source_value, *options.items(), *kinds)
            kept = self._kept.get(key)
        except TypeError:  # a list of devices cannot be a key; each of them can
            return self._ask(model, source, target, metric, device, source_value, options)
        if kept is None:
            kept = self._ask(model, source, target, metric, device, source_value, options)
            if len(self._kept) >= _KEPT:
                self._kept.clear()
            self._kept[key] = kept
        return kept

    def query_operator(
        self, op: str, dims: Mapping[str, int], *, device: str, precision: str | None = None, protocol: str = "event",
        library: str | None = None, layout: str | None = None, predictor: str | None = None,
    ) -> Answer:  # fmt: skip
        """Forward latency of one operator; `dims` as its type names them (`hetbench operators` lists them).

        `protocol` says what the time includes: kernel, graph, event (default) or wall.

        >>> from hetbench.operators import operator_type
        >>> operator_type("Linear").dims
        ('m', 'n', 'k')
        """
        kind = operator_type(op)
        sizes = kind.check(dims)
        chip, notes = self.chip(device)
        name = schema.precision(precision) if precision is not None else default_precision(chip)
        notes += check_precision(name, chip)
        if protocol not in schema.PROTOCOLS:
            raise UnknownNameError("protocol", str(protocol), schema.PROTOCOLS)
        chosen = check_predictor(predictor)
        fields: dict[str, Any] = {
            "metric": "latency", "operator": op, "chip": chip.name, "family": chip.family, "precision": name,
            "protocol": protocol,
        }  # fmt: skip
        if kind.cost_class == "free":
            return Answer(0.0, "ms", kind="derived", notes=(*notes, f"{op} does nothing at inference"), **fields)
        surrogate = self._surrogate
        found = surrogate.predict(
            op, name, tables.checked_work(kind, sizes), chip, protocol=protocol, library=library, layout=layout,
            predictor=chosen,
        )  # fmt: skip
        return Answer(
            float(found.value[0]), "ms", float(found.lower[0]), float(found.upper[0]), surrogate.interval_level,
            "predicted", found.level, found.support,
            surrogate=f"{surrogate.id}/{chosen}" + (f"/{found.head}" if chosen == "auto" else ""),
            notes=(*notes, found.source), **fields,
        )  # fmt: skip

    def query_operators(self, table: Mapping[str, Sequence[Any]], predictor: str | None = None) -> dict[str, Any]:
        """Latency in ms of many operators: see `hetbench.query.tables.operators`."""
        return tables.operators(
            table, lambda name: self.chip(name)[0], check_predictor(predictor), self._surrogate
        )

    def query_models(self, table: Mapping[str, Sequence[Any]]) -> dict[str, Any]:
        """Answers to many model queries: see `hetbench.query.tables.models`."""
        return tables.models(table, self.query)

    def observe(self, table: Mapping[str, Sequence[Any]]) -> dict[str, Any]:
        """Take the caller's own operator timings: predictions for their chips are conditioned on them from now on.

        `table` is a mapping of equal-length columns op, dims, dtype, chip, latency_ms and optionally phase and
        protocol. Nothing is retrained; twenty rows of a class helped on every family held out, five on most. Returns,
        [rows] each, the `value` in ms predicted before and the `reason` why a row was not taken. Sums over operators
        use them; the surrogate of whole models does not.

        >>> api = HetBench()
        >>> row = {"op": ["Linear"], "dims": [{"m": 512, "n": 512, "k": 512}], "dtype": ["fp16"], "chip": ["mlu"]}
        >>> before = api.observe({**row, "latency_ms": [0.05]})["value"][0]
        >>> after = api.query_operator("Linear", row["dims"][0], device="mlu", precision="fp16").value
        >>> min(before, 0.05) < after < max(before, 0.05)
        True
        """
        known = operators.load(self.artifacts)
        found = self._observed.add(table, lambda name: self.chip(name)[0], known)
        self._conditioned = known.given(self._observed.conditioned(known))
        self._kept.clear()
        self._compiled.clear()
        return found

    def explain(
        self, model: Any = None, source: str | None = None, target: str | None = None, *, by: str = "type",
        depth: int = DEPTH, link_gbs: float | None = None, source_value: float | None = None,
        **options: Unpack[Options],
    ) -> Attribution:  # fmt: skip
        """Which operators make the latency of a model, or its change from `source` to `target`: see
        `hetbench.attribution.copa.attribute` for `by`, `depth` and `link_gbs`, and `query` for the rest.

        >>> found = HetBench().explain("resnet-50", source="cuda", target="cann", precision="fp16")
        >>> found.groups[0].name, found.exact
        ('BatchNorm2d', True)
        """
        graph = self._graph(self._named(model))
        predictor = check_predictor(options.get("predictor"))
        there, here = self._questions(graph, source, target, "latency", options)
        answer = answered(there, here, graph, "latency", predictor, source_value)
        origin = None if here is None or answer.source is None else (here, answer.source)
        return attribute(
            graph, (there, answer), origin, by=by, depth=depth, link_gbs=link_gbs, predictor=predictor
        )  # fmt: skip

    def coverage(self, model: Any = None, target: str | None = None, **options: Unpack[Options]) -> CoverageReport:
        """Which operators of a model a chip's PyTorch runs, by calls and by predicted time: see
        `hetbench.migration.coverage`.

        >>> HetBench().coverage("gpt2", "mlu").share
        100.0
        """
        graph = self._graph(self._named(model))
        return report(graph, self._questions(graph, None, target, "coverage", options)[0])

    def advise(
        self, model: Any = None, target: str | None = None, *, accuracy_safe: bool = False, method: str = "beam",
        **options: Unpack[Options],
    ) -> advice.Plan:  # fmt: skip
        """What to change so that a model runs faster on a chip, in order: see `hetbench.plans.advise`. Options as in
        `query`, but that without `precision` the plan starts from fp32, as networks are published. `accuracy_safe`
        leaves out what may change results; `method` is beam, greedy or exhaustive.

        >>> HetBench().advise("bert-tiny", "cuda").ms <= HetBench().query("bert-tiny", target="cuda", metric="latency",
        ...                                                               precision="fp32").value
        True
        """
        graph, predictor = self._graph(self._named(model)), check_predictor(options.get("predictor"))
        asked = {**options, "precision": options.get("precision") or "fp32"}
        question = self._questions(graph, None, target, "advice", asked)[0]
        answer = answered(question, None, graph, "latency", predictor)
        return advice.advise(
            graph, question, answer, accuracy_safe=accuracy_safe, method=method, predictor=predictor
        )  # fmt: skip

    def migrate(
        self, model: Any = None, source: str | None = None, targets: str | Sequence[str] = "all", *,
        source_value: float | None = None, slo_ms: float | None = None, objective: str = "latency",
        **options: Unpack[Options],
    ) -> Migration | Fleet:  # fmt: skip
        """Rank chips for a model, or for a list of models (`Fleet`): see `hetbench.migration.ranking`. `targets` is
        `all`, families and chips; `source_value` is the latency in ms measured on the source; options as in `query`,
        but that each chip, the source too, takes its own usual precision, so that all are set against one figure.

        >>> {each.family for each in HetBench().migrate("gpt2", targets="cann", slo_ms=5).candidates}
        {'cann'}
        """
        if isinstance(model, list | tuple):
            if source_value is not None:
                raise InvalidInputError("source_value is the latency of one model; a fleet takes none.")
            each = [self.migrate(one, source, targets, slo_ms=slo_ms, objective=objective, **options) for one in model]
            return fleet([one for one in each if isinstance(one, Migration)])
        graph, predictor = self._graph(self._named(model)), check_predictor(options.get("predictor"))
        origin = None if source is None else self._questions(graph, None, source, "latency", options)[0]

        def ask(name: str) -> tuple[Question, Answer]:
            there = self._questions(graph, None, name, "latency", options)[0]
            return there, answered(there, origin, graph, "latency", predictor, source_value)

        meant = chips_of(targets, [*chips().values(), *self._added.values()], lambda name: self.chip(name)[0])
        return search(
            graph, meant, ask, objective=objective, slo_ms=slo_ms, corrected=source_value is not None,
            predictor=predictor,
        )  # fmt: skip

    def set_model(self, model: Any) -> None:
        """The model that a query means when it names none.

        >>> api = HetBench()
        >>> api.set_model("gpt2")
        >>> api.query(metric="params").value
        124439808.0
        """
        self._graph(model)
        self._model = model

    def add_chip(self, datasheet: str | Path | Mapping[str, Any]) -> Chip:
        """Know a chip that the catalogue does not hold, from a TOML or JSON file or a mapping of `Chip` fields.

        >>> api = HetBench()
        >>> api.add_chip({"name": "my-npu", "family": "cann", "fp16_tflops": 100, "mem_bw_gbs": 800}).name
        'my-npu'
        """
        if isinstance(datasheet, Mapping):
            chip = Chip.from_mapping(datasheet)
        else:
            chip = load_chip(datasheet)
        name = fold(chip.name)
        if name in chips() or name in schema.FAMILIES:
            raise InvalidInputError(f"{chip.name!r} is a name of the catalogue; give the chip a name of its own.")
        self._added[name] = chip
        self._kept.clear()
        return chip

    def trace(self, module: Any, example_inputs: Any = None, **options: Any) -> Any:
        """The operators of a torch module of the caller's own, as something `query` takes for a model.

        Inputs are examples or `shapes={"x": (1, 3, 224, 224)}`; see `hetbench.tracing.trace`.
        """
        from hetbench.tracing import trace  # torch is imported there

        return trace(module, example_inputs, **options)

    def chip(self, name: str) -> tuple[Chip, tuple[str, ...]]:
        """The chip that `name` means, an added one first, and a note where a family's default was taken.

        >>> HetBench().chip("oneapi")[0].name
        'intel-arc-pro-b60'
        """
        if isinstance(name, str):
            added = self._added.get(fold(name))
            if added is not None:
                return added, ("a chip added by the caller: only its datasheet is known",)
            if name in schema.FAMILIES:
                found, why = default_chip(name)
                return found, (f"{found.name} is the default chip of {name}: {why}",)
        return chip_named(name), ()

    @property
    def _surrogate(self) -> OperatorSurrogate:
        """What predicts operators, conditioned on what was observed."""
        return self._conditioned or operators.load(self.artifacts)

    def _named(self, model: Any) -> Any:
        """The model, or that of `set_model`."""
        model = self._model if model is None else model
        if model is None:
            raise InvalidInputError("no model: name one, or call set_model first. `hetbench models` lists them.")
        return model

    def _graph(self, model: Any) -> ModelGraph:
        if isinstance(model, ModelGraph):
            return model
        name = getattr(model, "name", model)  # a record of `models()` means its name
        if not isinstance(name, str):
            raise InvalidInputError(f"a model is a name or what `trace` returned; given: {model!r}.")
        try:
            return graphs.load(name)
        except UnknownNameError:
            found = networks.named(name)
            if found is None:
                raise
            return found

    def _ask(
        self, model: Any, source: str | None, target: str | None, metric: str | None, device: Any,
        source_value: float | None, options: Mapping[str, Any],
    ) -> Any:  # fmt: skip
        if target is not None and device is not None:
            raise InvalidInputError("target= and device= mean the same; give one of them.")
        if isinstance(metric, list | tuple | set):
            return {
                name: self.query(model, source, target, name, device=device, source_value=source_value, **options)
                for name in metric
            }  # fmt: skip
        if isinstance(device, list | tuple | set):
            return {
                name: self.query(model, source, None, metric, device=name, source_value=source_value, **options)
                for name in device
            }  # fmt: skip
        unknown = options.keys() - Options.__optional_keys__
        if unknown:
            raise TypeError(f"query() got an unexpected keyword argument {sorted(unknown)[0]!r}")
        place = target if target is not None else device
        if isinstance(model, ComposedGraph):
            if metric is not None and metric == model.space.quality:
                return quality(model, options)
            if place is None and metric not in DERIVED:
                return self._ask(model, source, None, metric, list(schema.FAMILIES), source_value, options)
        metric = None if metric is None else metric_named(metric).name
        predictor = check_predictor(options.get("predictor"))
        graph = self._graph(self._named(model))
        sides = self._questions(graph, source, place, metric, options)
        if metric is not None:
            return answered(*sides, graph, metric, predictor, source_value)
        if source_value is not None:
            raise InvalidInputError("source_value is a figure in the unit of one metric: say metric=.")
        answers, refused = {}, {}
        for name in METRICS:
            try:
                answers[name] = answered(*sides, graph, name, predictor, None)
            except RefusedError as why:
                refused[name] = str(why)
        return Answers(answers, refused)

    def _questions(
        self, graph: ModelGraph, source: str | None, place: str | None, metric: str | None, options: Mapping[str, Any]
    ) -> tuple[Question, Question | None]:
        """The question about the target and that about the source, in one precision that both chips have."""
        if place is None:
            if source is not None or metric not in ("flops", "params", "memory"):
                raise InvalidInputError(
                    "no chip to answer for: name one with target= or device=, a chip or a family "
                    f"({', '.join(schema.FAMILIES)}). `hetbench chips` lists them."
                )
            return Question.build(graph, None, options), None
        chip, notes = self.chip(place)
        if source is None:
            return self._question(graph, chip, options, notes), None
        origin, origin_notes = self.chip(source)
        if options.get("precision") is None:
            options = {**options, "precision": default_precision(chip, origin)}
        return (
            self._question(graph, chip, options, notes), self._question(graph, origin, options, origin_notes)
        )  # fmt: skip

    def _question(
        self, graph: ModelGraph, chip: Chip, options: Mapping[str, Any], notes: tuple[str, ...]
    ) -> Question:
        made = Question.build(graph, chip, options, notes)
        return replace(made, artifacts=self.artifacts, operators=self._conditioned)
