"""The part of `HetBench` that asks of architectures of a search space: one, or many at once."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Unpack

from hetbench.catalog.chips import Chip
from hetbench.errors import InvalidInputError
from hetbench.graphs.model_graph import ModelGraph
from hetbench.metrics import metric as metric_named
from hetbench.query.architectures import DERIVED, Compiled, deployed, derived
from hetbench.query.question import Options, Question, check_predictor
from hetbench.spaces import BlockSpace, ComposedGraph, Space, spaces
from hetbench.spaces import space as space_named
from hetbench.spaces.deploy import Deployment

__all__ = ["ArchitectureQueries"]


class ArchitectureQueries:
    """What `HetBench` inherits; see there for the rest."""

    query: Any
    chip: Any

    def __init__(self, search_space: str | None) -> None:
        self.search_space = None if search_space is None else space_named(search_space)
        self._model: Any = None
        self._compiled: dict[Any, Compiled] = {}

    def sample_arch(self, seed: int) -> dict[str, Any]:
        """One architecture of the search space, the same for the same seed.

        >>> from hetbench import HetBench
        >>> HetBench(search_space="gpt-s").sample_arch(seed=0)["layers"] in (10, 11, 12)
        True
        """
        return self._space(None).sample(seed)

    def set_arch(self, arch: Any) -> None:
        """The architecture, a mapping or its text, that a query means when it names no model.

        >>> from hetbench import HetBench
        >>> api = HetBench(search_space="vit")
        >>> api.set_arch(api.sample_arch(seed=0))
        >>> api.query(metric="latency", device="cuda").unit
        'ms'
        """
        found = self._space(None)
        if not isinstance(found, BlockSpace):
            raise InvalidInputError(
                f"an entry of {found.name} is a query, not a network: "
                f"api.query(**space({found.name!r}).query(arch), metric=...) asks it."
            )
        self._model = ComposedGraph(found, arch)

    def query_batch(
        self, archs: Any, device: str | None = None, metric: str = "latency", *, search_space: str | None = None,
        intervals: bool = False, sample: int | None = None, seed: int = 0, **options: Unpack[Options],
    ) -> Any:  # fmt: skip
        """A metric of many architectures at once, float64 [n], as `query` answers them one by one.

        `archs` are mappings, texts or int codes [n, parameters] of the search space; metrics are latency, throughput,
        energy, power, memory, params, flops and what stands for quality (`loss_proxy`, `capacity_proxy`). The first
        call for a chip and setting compiles its table. `intervals` gives value, lower and upper, [3, n], of latency;
        `sample` that many draws of latency, energy, power or throughput from the predictive distribution, [n, sample],
        the same for the same `seed`. An entry of the deployment space that `query` refuses is NaN.

        >>> from hetbench import HetBench
        >>> api = HetBench(search_space="gpt-s")
        >>> archs = [api.sample_arch(seed) for seed in (0, 1)]
        >>> api.query_batch(archs, device="cann", metric="latency").shape
        (2,)
        """
        found = self._space(search_space)
        codes = found.codes(archs)
        if isinstance(found, Deployment):
            return deployed(found, codes, metric, self.query)
        assert isinstance(found, BlockSpace)
        example = ComposedGraph(found, codes[0] if len(codes) else found.sample(seed=0))
        if metric != found.quality:
            metric_named(metric)
        if device is None:
            if metric not in (*DERIVED, found.quality):
                raise InvalidInputError(f"{metric} is that of a chip: name one with device=, a chip or a family.")
            return derived(found, codes, example.setting_of(options))[metric]
        chip, _ = self.chip(device)
        ready = self._ready(found, example, chip, options)
        return ready.answer(metric, codes, intervals, sample, seed)

    def _space(self, name: str | None) -> Space:
        if name is not None:
            return space_named(name)
        if self.search_space is None:
            raise InvalidInputError(
                f"no search space: HetBench(search_space=...) takes one of {', '.join(spaces())}."
            )
        return self.search_space

    def _ready(self, space: BlockSpace, example: ComposedGraph, chip: Chip, options: Mapping[str, Any]) -> Compiled:
        key = space.name, chip, *sorted(options.items())
        if key not in self._compiled:
            question = self._question(example, chip, options, ())
            self._compiled[key] = Compiled(space, question, chip, check_predictor(options.get("predictor")))
        return self._compiled[key]

    def _question(
        self, graph: ModelGraph, chip: Chip, options: Mapping[str, Any], notes: tuple[str, ...]
    ) -> Question:
        raise NotImplementedError
