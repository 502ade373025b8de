"""`HetBench`, the public class: queries about models, operators and architectures, and the analyses built on them.

The query methods are in `hetbench.query`: `ModelQueries`, `OperatorQueries`, `ArchitectureQueries`, `ServingQueries`.
Everything is read on first use and kept: a repeated question costs one dictionary look-up.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from copy import deepcopy
from pathlib import Path
from typing import TYPE_CHECKING, Any, Unpack

from hetbench.answers import Answer
from hetbench.catalog.chips import Chip, chips
from hetbench.catalog.datasheets import load_chip
from hetbench.catalog.own_chips import own_chips
from hetbench.errors import InvalidInputError, shown
from hetbench.loading import LOCK
from hetbench.query import (
    ArchitectureQueries,
    ModelQueries,
    ObservationQueries,
    OperatorQueries,
    Options,
    Question,
    ServingQueries,
    Session,
    answer_with_source,
    check_options,
    check_predictor,
    spelled_out,
)

if TYPE_CHECKING:  # the analyses are loaded by the methods that make them
    from hetbench.attribution import Attribution
    from hetbench.migration import CoverageReport, Fleet, Migration
    from hetbench.migration.deployments import ServingMigration
    from hetbench.plans.advice import Plan
    from hetbench.remote import RemoteHetBench

__all__ = ["HetBench"]


class HetBench(ModelQueries, OperatorQueries, ArchitectureQueries, ObservationQueries, ServingQueries):
    """Latency, throughput, energy, memory and operator coverage of AI models and operators on chips of five families.

    Every answer says what it rests on: a published row, a surrogate with a calibrated interval, or exact arithmetic.

    Threads may share one object, and processes may be forked from it: `query`, `observe` and `add_chip` may run at the
    same time. A query that starts after `observe` or `add_chip` has returned sees the change; one in flight answers by
    the state before or after it. The model of `set_model` and `set_arch` belongs to the object, not to a thread.
    Objects pickle and copy with their chips, observations and model, and share none of these with one another.

    Args:
        search_space: the space that `sample_arch`, `set_arch` and `query_batch` refer to, by its name
            (`hetbench spaces` lists them).
        artifacts: surrogates to use, as the name of a set that `hetbench download` installed or as a folder; left
            out, those in the package.

    Raises:
        UnknownNameError: unknown search space.
        ArtifactError: the set of surrogates is missing, damaged or of another format.

    >>> api = HetBench()
    >>> print(api.query("resnet-50", metric="params"))
    params = 25,557,032 for resnet-50 (derived)
    """

    def __init__(self, search_space: str | None = None, artifacts: str | Path | None = None) -> None:
        ModelQueries.__init__(self, Session(artifacts))
        ArchitectureQueries.__init__(self, search_space)

    @staticmethod
    def connect(address: str, timeout_s: float = 60.0) -> RemoteHetBench:
        """Ask a `hetbench serve`, such as `http://127.0.0.1:8000`, by the same methods: see `RemoteHetBench`.

        Raises `InvalidInputError` for a malformed address, `RefusedError` where no hetbench server answers."""
        from hetbench.remote import RemoteHetBench

        return RemoteHetBench(address, timeout_s)

    @property
    def artifacts(self) -> Path | None:
        """Folder of the surrogates; None for those in the package."""
        return self._session.artifacts

    def __getstate__(self) -> dict[str, Any]:
        return {**vars(self), "_kept": {}, "_compiled": {}}

    def __copy__(self) -> HetBench:
        return deepcopy(self)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, HetBench):
            return NotImplemented
        return self.search_space == other.search_space and self._session == other._session

    def __hash__(self) -> int:
        return hash((HetBench, self.artifacts, self.search_space))

    @spelled_out(Options)
    def explain(
        self, model: Any = None, source: str | None = None, target: str | None = None, *, by: str = "type",
        depth: int | None = None, link_gbs: float | None = None, source_value: float | None = None,
        **options: Unpack[Options],
    ) -> Attribution:  # fmt: skip
        """Attribute the latency of a model on a chip, or its change from source to target, to groups of operators.

        Shapley values (contribution-based operator performance attribution, `hetbench.attribution.copa`), beside the
        roofline position of every operator.

        Args:
            model, source, target, source_value, **options: as in `query`.
            by: grouping: `type` of operator, `layer` (module path up to its first number) or `module`.
            depth: for `module`: the number of names of the module path to keep, by default 4.
            link_gbs: rate in 1e9 bytes/s of a tensor from chip to chip; left out, over both host links in turn.

        Returns:
            An `Attribution`, largest contribution first; the values sum to the latency, or to the change.

        Raises:
            As `query`; and UnknownNameError for another grouping, InvalidInputError for a link rate not above 0.

        >>> found = HetBench().explain("resnet-50", source="cuda", target="cann", precision="fp16")
        >>> found.groups[0].name, found.exact
        ('Conv2d', True)
        """
        from hetbench.attribution import DEPTH, attribute

        graph, predictor = self._session.graph(model, options), check_predictor(options.get("predictor"))
        on_target, on_source = self._session.question_pair(graph, source, target, "latency", options)
        answer = answer_with_source(on_target, on_source, graph, "latency", predictor, source_value)
        origin = None if on_source is None or answer.source is None else (on_source, answer.source)
        return attribute(
            graph, (on_target, answer), origin, by=by, depth=DEPTH if depth is None else depth, link_gbs=link_gbs,
            predictor=predictor,
        )  # fmt: skip

    @spelled_out(Options)
    def coverage(self, model: Any = None, target: str | None = None, **options: Unpack[Options]) -> CoverageReport:
        """Which operators of a model the PyTorch back end of a chip runs, by calls and by predicted time.

        Args:
            model, target, **options: as in `query`.

        Returns:
            A `CoverageReport`: every ATen operator with its status (native, composite, fallback, absent, unknown),
            its calls in one pass, its share of the time, and the source of the registration.

        Raises:
            As `query`; RefusedError also where no registrations are known for the chip.

        >>> HetBench().coverage("gpt2", "mlu").share
        100.0
        """
        from hetbench.migration import coverage_report

        graph = self._session.graph(model, options)
        return coverage_report(graph, self._session.question(graph, target, "coverage", options))

    @spelled_out(Options)
    def advise(
        self, model: Any = None, target: str | None = None, *, accuracy_safe: bool = False, method: str = "beam",
        **options: Unpack[Options],
    ) -> Plan:  # fmt: skip
        """What to change so that a model runs faster on a chip, in order of application.

        Args:
            model, target, **options: as in `query`; without `precision` the plan starts from fp32, the precision in
                which networks are published.
            accuracy_safe: leave out actions that may change the results of the model.
            method: of the search over plans: `beam`, `greedy` or `exhaustive`.

        Returns:
            A `Plan` (`hetbench.plans`): actions with their predicted effect, evidence and the reason for each.

        Raises:
            As `query`; and UnknownNameError for another search method.

        >>> api = HetBench()
        >>> baseline = api.query("bert-tiny", target="cuda", metric="latency", precision="fp32")
        >>> api.advise("bert-tiny", "cuda").ms <= baseline.value
        True
        """
        graph, predictor = self._session.graph(model, options), check_predictor(options.get("predictor"))
        given = options.get("precision")
        asked = {**options, "precision": "fp32" if given is None else given}
        question = self._session.question(graph, target, "advice", asked)
        answer = answer_with_source(question, None, graph, "latency", predictor)
        from hetbench.plans.advice import advise

        return advise(graph, question, answer, accuracy_safe=accuracy_safe, method=method, predictor=predictor)

    @spelled_out(Options)
    def migrate(
        self, model: Any = None, source: str | None = None, targets: str | Sequence[str] = "all", *,
        source_value: float | None = None, slo_ms: float | None = None, objective: str = "latency",
        slo: str | Mapping[str, float] | None = None, **options: Unpack[Options],
    ) -> Migration | Fleet | ServingMigration:  # fmt: skip
        """Rank chips for a model, or for a list of models, and name the chips that cannot run it.

        Args:
            model: as in `query`, or a list of models: then the chips that run all of them are ranked.
            source: chip on which the model runs today, as in `query`.
            targets: `all`, or chips and families, as a list or separated by commas.
            source_value: latency in ms that you measured on the source (one model only).
            slo_ms: latency objective in ms; adds the probability of meeting it.
            objective: `latency`, `energy` or `throughput-per-watt`.
            slo: objective of a deployment, such as `"ttft=500ms,tpot=30ms"`: chips are then ranked for serving the
                model, by tokens per second and chip of the best deployment within it; `chips` bounds its size.
            **options: as in `query`, but without `precision` each chip takes its own default precision; `stack` also
                takes a kind (`eager`, `compiled`, `serving`), by default eager for models that generate, else compiled.

        Returns:
            A `Migration`; for a list of models a `Fleet`; with `slo` a `ServingMigration`.

        Raises:
            As `query`; and UnknownNameError for another objective, RefusedError where no chip can run the model.

        >>> {each.family for each in HetBench().migrate("gpt2", targets="cann", slo_ms=5).candidates}
        {'cann'}
        """
        from hetbench.migration import Migration, rank_chips, rank_fleet, select_chips, stack_options
        from hetbench.migration.deployments import migrate_serving

        check_options(options)
        if slo is not None:
            return migrate_serving(self._session, model, targets, slo, options)
        if isinstance(model, list | tuple):
            if source_value is not None:
                raise InvalidInputError("source_value is the latency of one model; give it with a single model.")
            if any(isinstance(one, list | tuple) for one in model):
                raise InvalidInputError(f"a list of models holds models; given: {shown(model)}.")
            each = [self.migrate(one, source, targets, slo_ms=slo_ms, objective=objective, **options) for one in model]
            return rank_fleet([one for one in each if isinstance(one, Migration)])
        session, predictor = self._session, check_predictor(options.get("predictor"))
        graph = session.graph(model, options)
        kind, placed = stack_options(graph, options)
        origin = None if source is None else session.question(graph, source, "latency", placed(self.chip(source)[0]))

        def answer_on(name: str) -> tuple[Question, Answer]:
            there = session.question(graph, name, "latency", placed(self.chip(name)[0]))
            return there, answer_with_source(there, origin, graph, "latency", predictor, source_value)

        known = [*chips().values(), *own_chips().values(), *session.added_chips.values()]
        meant = select_chips(targets, known, lambda name: self.chip(name)[0])
        return rank_chips(
            graph, meant, answer_on, objective=objective, slo_ms=slo_ms, corrected=source_value is not None,
            predictor=predictor, stack=kind,
        )  # fmt: skip

    def add_chip(self, datasheet: str | Path | Mapping[str, Any]) -> Chip:
        """Add a chip that is not in the catalogue, from its datasheet.

        Args:
            datasheet: a TOML or JSON file, or a mapping of the fields of `hetbench.catalog.Chip`: `name`, `family`,
                peaks such as `fp16_tflops`, `mem_bw_gbs`, `mem_gb`, `tdp_w`, ...

        Returns:
            The chip, which queries then take by its name.

        Raises:
            InvalidInputError: unknown or malformed field, or a name of the catalogue.

        >>> api = HetBench()
        >>> api.add_chip({"name": "my-npu", "family": "cann", "fp16_tflops": 100, "mem_bw_gbs": 800}).name
        'my-npu'
        """
        chip = Chip.from_mapping(datasheet) if isinstance(datasheet, Mapping) else load_chip(datasheet)
        with LOCK:
            self._session.add_chip(chip)
            self._forget_answers()
        return chip

    def chip(self, name: str) -> tuple[Chip, tuple[str, ...]]:
        """The chip that a name means: an added chip, else one of the catalogue, else the default chip of a family.

        Args:
            name: name or alias of a chip, or a family (`cuda`, `rocm`, `oneapi`, `cann`, `mlu`).

        Returns:
            The chip, and notes: why a family's default was taken, or that the chip was added by the caller.

        Raises:
            UnknownNameError: no chip or family has this name; gives the nearest names.

        >>> HetBench().chip("oneapi")[0].name
        'intel-arc-pro-b60'
        """
        return self._session.chip(name)

    def trace(self, module: Any, example_inputs: Any = None, **options: Any) -> Any:
        """The operators of a torch module of your own, as something `query` takes for a model (needs torch).

        Inputs are examples or shapes by argument name, `shapes={"x": (1, 3, 224, 224)}`; see `hetbench.tracing.trace`.
        """
        from hetbench.tracing import trace  # torch is imported there

        return trace(module, example_inputs, **options)
