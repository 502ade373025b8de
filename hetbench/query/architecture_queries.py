"""The methods of `HetBench` that are about architectures of a search space: one, or many at once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Unpack

import numpy as np

from hetbench.catalog.chips import Chip
from hetbench.checks import known_name, whole_number, yes_or_no
from hetbench.errors import InvalidInputError
from hetbench.loading import LOCK
from hetbench.metrics import METRICS
from hetbench.query.architectures import DERIVED, CompiledSpace, chipless_metric, query_deployments
from hetbench.query.question import Options, check_options, check_predictor
from hetbench.query.session import Session
from hetbench.spaces import BlockSpace, ComposedGraph, Space, spaces
from hetbench.spaces import space as space_named
from hetbench.spaces.deploy import Deployment

__all__ = ["ArchitectureQueries"]

_MOST_DRAWS = 100_000
_MOST_COMPILED = 64
"""Spaces compiled for a chip and setting that are kept before the store starts afresh."""


class ArchitectureQueries:
    """Part of `HetBench`: queries about architectures of a search space."""

    query: Any
    _session: Session

    def __init__(self, search_space: str | None) -> None:
        self.search_space = None if search_space is None else space_named(search_space)
        """The space that `sample_arch`, `set_arch` and `query_batch` refer to; None where none was named."""
        self._compiled: dict[Any, CompiledSpace] = {}
        self._drawn = 0

    def sample_arch(self, seed: int | None = None) -> dict[str, Any]:
        """Draw one architecture of the search space; the same seed gives the same architecture.

        Args:
            seed: of the random generator; left out, each call of this `HetBench` takes the next: 0, 1, 2 ...

        Returns:
            The choice for each parameter of the space, by name.

        Raises:
            InvalidInputError: this `HetBench` was made without a search space.

        >>> from hetbench import HetBench
        >>> HetBench(search_space="gpt-s").sample_arch(seed=0)["layers"] in (10, 11, 12)
        True
        """
        found = self._space(None)
        if seed is None:
            with LOCK:
                seed, self._drawn = self._drawn, self._drawn + 1
        return found.sample(seed)

    def set_arch(self, arch: Any) -> None:
        """Set the architecture that a query means when it names no model.

        Args:
            arch: a mapping of the space's parameters as `sample_arch` returns it, or its text.

        Raises:
            InvalidInputError: no search space, an entry outside the space, or a space of deployments, whose entries
                are queries and not networks.

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
        self._session.model = ComposedGraph(found, arch)

    def query_batch(
        self, archs: Any, device: str | None = None, metric: str = "latency", *, search_space: str | None = None,
        intervals: bool = False, sample: int | None = None, seed: int = 0, **options: Unpack[Options],
    ) -> Any:  # fmt: skip
        """One metric of many architectures at once; the figures equal those of `query`.

        The first call for a chip and setting predicts every block of the space; after that, architectures cost one
        product of their block counts with that table.

        Args:
            archs: n architectures: mappings, texts, or int codes of shape [n, parameters].
            device: chip, alias or family; may be left out for memory, params, flops and the quality measure.
            metric: latency (ms), throughput (1/s), energy (J), power (W), memory (MB), params, flops, or a quality
                measure of the space (`loss_proxy`, `capacity_proxy`; `perplexity` of gpt-s, gpt-m and gpt-l by the
                surrogates of HW-GPT-Bench, once `hetbench download --from hw-gpt-bench` has fetched them).
            search_space: another space than that of this `HetBench`.
            intervals: return the prediction interval too (latency only).
            sample: number of draws from the predictive distribution of latency, energy, power or throughput.
            seed: of the draws; the same seed gives the same draws.
            **options: as in `query`.

        Returns:
            float64 of shape [n]; with `intervals` [3, n]: value, lower and upper; with `sample` [n, sample]. An entry
            of the deployment space that `query` refuses is NaN.

        Raises:
            InvalidInputError: no search space, malformed architectures, or no device for a metric that needs one.
            RefusedError: no evidence for this chip, stack and precision.

        >>> from hetbench import HetBench
        >>> api = HetBench(search_space="gpt-s")
        >>> archs = [api.sample_arch(seed) for seed in (0, 1)]
        >>> api.query_batch(archs, device="cann", metric="latency").shape
        (2,)
        """
        check_options(options)
        found = self._space(search_space)
        known_name("metric", metric, (*METRICS, *found.qualities))
        intervals, seed = yes_or_no("intervals", intervals), whole_number("seed", seed, 0)
        sample = None if sample is None else whole_number("sample", sample, 1, _MOST_DRAWS)
        codes = found.codes(archs)
        if isinstance(found, Deployment):
            if device is not None or intervals or sample is not None or any(v is not None for v in options.values()):
                raise InvalidInputError(
                    f"entries of {found.name} state chip and setting themselves, and are answered by values alone: "
                    "leave out device=, options, intervals= and sample=."
                )
            return query_deployments(found, codes, metric, self.query)
        assert isinstance(found, BlockSpace)
        example = ComposedGraph(found, codes[0] if len(codes) else found.sample(seed=0))
        if device is None:
            if metric not in (*DERIVED, *found.qualities):
                raise InvalidInputError(
                    f"{metric} depends on the chip: name one with device=, a chip or a family such as cuda."
                )
            return chipless_metric(found, metric, codes, example.setting_of(options))
        chip, _ = self._session.chip(device)
        if not len(codes):
            return np.empty((0, sample) if sample is not None else (3, 0) if intervals else 0)
        return self._compile(found, example, chip, options).answer(metric, codes, intervals, sample, seed)

    def _space(self, name: str | None) -> Space:
        if name is not None:
            return space_named(name)
        if self.search_space is None:
            raise InvalidInputError(
                f"no search space: HetBench(search_space=...) takes one of {', '.join(spaces())}."
            )
        return self.search_space

    def _compile(
        self, space: BlockSpace, example: ComposedGraph, chip: Chip, options: Mapping[str, Any]
    ) -> CompiledSpace:
        """The space compiled for a chip and setting, on first use."""
        compiled = self._compiled  # replaced when the state changes, as `_kept` is
        question = self._session.question_on(example, chip, options)
        predictor = check_predictor(options.get("predictor"))
        key = space.name, predictor, replace(question, model="")
        found: CompiledSpace | None = compiled.get(key)
        if found is None:
            found = CompiledSpace(space, question, chip, predictor)
            if len(compiled) >= _MOST_COMPILED:
                compiled.clear()
            compiled[key] = found
        return found
