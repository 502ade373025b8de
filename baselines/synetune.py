"""Syne Tune's searchers on integer codes.

Single-objective schedulers see a random scalarisation: every few evaluations new weights are drawn and all results are
reported again under them.
"""

from __future__ import annotations

import logging
from datetime import UTC, datetime
from typing import Any

import numpy as np

from baselines.bench import Array, Bench, Ints
from baselines.problems import REPEATS

__all__ = [
    "ASHA_LIMITS", "BORE_LIMITS", "CQR_LIMITS", "TPE_LIMITS", "bore", "chebyshev", "cqr", "mo_asha", "mo_rea",
    "regularized_evolution", "tpe",
]  # fmt: skip

_POPULATION, _TOURNAMENT, _ROUND = 50, 10, 25
_TPE_ROUND, _TPE_CANDIDATES, _TPE_DATA = 10, 16, 200
_BORE_ROUND, _BORE_POOL = 20, 500
_CQR_ROUND, _CQR_POOL, _CQR_DATA, _CQR_TREES = 25, 500, 200, 30
_START, _RUNG = 20, 100
ASHA_LIMITS = (f"rungs at 1, 3 and 9 of {REPEATS} repeats, ranked among the last {_RUNG} of a rung; without noise more "
               "repeats show nothing new, so it only saves simulated time")  # fmt: skip
TPE_LIMITS = f"new weights every {_TPE_ROUND} evaluations, {_TPE_CANDIDATES} candidates, last {_TPE_DATA} results"
BORE_LIMITS = f"one fit for {_BORE_ROUND} suggestions: the best by it of {_BORE_POOL} random architectures"
CQR_LIMITS = (f"one fit for {_CQR_ROUND} suggestions, {_CQR_TREES} trees a quantile, at most {_CQR_DATA} results, "
              f"{_CQR_POOL} candidates")  # fmt: skip


def chebyshev(scores: Array, weights: Array) -> Array:
    """Augmented Chebyshev scalarisation, [n]: the worst weighted score, and a little of their sum."""
    weighted = scores * weights
    out: Array = weighted.max(axis=-1) + 0.05 * weighted.sum(axis=-1)
    return out


def _scalarised(bench: Bench) -> Array:
    """All scores so far under new random weights, [done]."""
    return chebyshev(bench.scores, bench.rng.dirichlet(np.ones(bench.scores.shape[1])))


def _domains(bench: Bench) -> dict[str, Any]:
    """Syne Tune's configuration space: the index of each parameter that has a choice."""
    logging.getLogger("syne_tune").setLevel(logging.ERROR)
    from syne_tune.config_space import randint

    names = (each.name for each in bench.space.parameters)
    return {name: randint(0, int(size) - 1) for name, size in zip(names, bench.counts, strict=True) if size > 1}


def _code(bench: Bench, config: dict[str, Any]) -> Ints:
    row = [int(config.get(each.name, 0)) for each in bench.space.parameters]
    out: Ints = bench.space.canonical(np.array([row]))[0]
    return out


def _config(bench: Bench, code: Ints) -> dict[str, int]:
    names = (each.name for each in bench.space.parameters)
    return {name: int(value) for name, value, size in zip(names, code, bench.counts, strict=True) if size > 1}


def regularized_evolution(bench: Bench) -> None:
    """The population is the last 50 evaluations; new weights are drawn every 25."""
    from syne_tune.optimizer.schedulers.searchers.regularized_evolution import RegularizedEvolution

    bench(bench.random(_POPULATION))
    while bench.left:
        searcher = RegularizedEvolution(
            _domains(bench), population_size=_POPULATION, sample_size=_TOURNAMENT, random_seed=_seed(bench)
        )
        weights = bench.rng.dirichlet(np.ones(bench.scores.shape[1]))
        known = zip(bench.codes[-_POPULATION:], chebyshev(bench.scores[-_POPULATION:], weights), strict=True)
        for number, (code, value) in enumerate(known):
            searcher.on_trial_complete(number, _config(bench, code), float(value))
        for number in range(min(_ROUND, bench.left)):
            config = searcher.suggest()
            scores = bench(_code(bench, config)[None])
            searcher.on_trial_complete(_POPULATION + number, config, float(chebyshev(scores, weights)[0]))


def _ranks() -> Any:
    """The priority of the multi-objective methods: ranks among the last 100 evaluations of a rung."""
    from baselines.priority import Ranks

    return Ranks(recent=_RUNG)


def mo_rea(bench: Bench) -> None:
    """Syne Tune's evolution by non-dominated rank."""
    from syne_tune.optimizer.schedulers.multiobjective import MultiObjectiveRegularizedEvolution

    searcher = MultiObjectiveRegularizedEvolution(
        _domains(bench), population_size=_POPULATION, sample_size=_TOURNAMENT, random_seed=_seed(bench),
        multiobjective_priority=_ranks(),
    )  # fmt: skip
    for number in range(bench.left):
        config = searcher.suggest()
        searcher.on_trial_complete(number, config, bench(_code(bench, config)[None])[0].tolist())


def mo_asha(bench: Bench) -> None:
    """Random architectures; a measurement continues only while it is in the best third at its number of repeats."""
    from syne_tune.backend.trial_status import Trial
    from syne_tune.optimizer.scheduler import SchedulerDecision
    from syne_tune.optimizer.schedulers.multiobjective.moasha import MOASHA

    names = [each.name for each in bench.problem.objectives]
    scheduler = MOASHA(
        _domains(bench), names, time_attr="repeats", max_t=REPEATS, random_seed=_seed(bench),
        multiobjective_priority=_ranks(),
    )  # fmt: skip
    for number in range(bench.left):
        config = scheduler.suggest().config
        trial = Trial(number, config, datetime.now(UTC))
        scheduler.on_trial_add(trial)

        def go_on(repeats: int, scores: Array, trial: Any = trial) -> bool:
            result = {"repeats": repeats, **dict(zip(names, scores.tolist(), strict=True))}
            return bool(scheduler.on_trial_result(trial, result) == SchedulerDecision.CONTINUE)

        bench.climb(_code(bench, config), range(1, REPEATS + 1), go_on)


def tpe(bench: Bench) -> None:
    """Syne Tune's two kernel densities, of the best 15 % and of the rest."""
    from syne_tune.optimizer.schedulers.searchers.kde import KernelDensityEstimator

    domains = _domains(bench)
    bench(bench.random(2 * (len(domains) + 1)))  # fewer points carry no density
    while bench.left:
        searcher = KernelDensityEstimator(
            domains, num_min_data_points=len(domains) + 1, num_candidates=_TPE_CANDIDATES, random_seed=_seed(bench)
        )
        values = _scalarised(bench)[-_TPE_DATA:]
        for number, (code, value) in enumerate(zip(bench.codes[-_TPE_DATA:], values, strict=True)):
            searcher.on_trial_complete(number, _config(bench, code), float(value))
        bench(np.array([_code(bench, searcher.suggest()) for _ in range(min(_TPE_ROUND, bench.left))]))


def bore(bench: Bench) -> None:
    """Syne Tune's classifier of the best quarter. Its own `suggest` fits anew and scores 500 candidates one by one for
    every suggestion; here one fit and one call serve a round."""
    from syne_tune.optimizer.schedulers.searchers.bore import Bore

    searcher = Bore(_domains(bench), random_seed=_seed(bench))
    searcher.model.set_params(n_jobs=1)
    bench(bench.random(_START))
    while bench.left:
        pool = _unseen(bench, bench.random(_BORE_POOL))
        if searcher._train_model(list(bench.codes), list(_scalarised(bench))):
            pool = pool[np.argsort(searcher._loss(pool), kind="stable")]
        bench(pool[:_BORE_ROUND])


def cqr(bench: Bench) -> None:
    """Syne Tune's quantile regression; candidates are drawn as codes, since its own draw takes longer than the fit."""
    import pandas as pd
    from syne_tune.optimizer.schedulers.searchers.conformal.conformal_quantile_regression_searcher import (
        ConformalQuantileRegression,
        QuantileRegressionSurrogateModel,
    )

    class Candidates(QuantileRegressionSurrogateModel):  # type: ignore[misc]
        def _update_candidates(self, n_candidates: int = 0) -> None:
            pool = _unseen(bench, bench.random(_CQR_POOL))
            self.config_candidates = [_config(bench, code) for code in pool]
            self.df_candidates = pd.DataFrame(self.config_candidates)

    bench(bench.random(_START))
    while bench.left:
        searcher = ConformalQuantileRegression(
            _domains(bench), random_seed=_seed(bench), update_frequency=_CQR_ROUND, max_fit_samples=_CQR_DATA,
            surrogate_cls=Candidates, n_estimators=_CQR_TREES,
        )  # fmt: skip
        for number, (code, value) in enumerate(zip(bench.codes, _scalarised(bench), strict=True)):
            searcher.on_trial_complete(number, _config(bench, code), float(value))
        bench(_distinct(bench, searcher, _CQR_ROUND))


def _distinct(bench: Bench, searcher: Any, count: int) -> Ints:
    """Distinct suggestions as codes, [at most count, parameters]; a sampled quantile often repeats one."""
    found: dict[tuple[int, ...], None] = {}
    for _ in range(20 * count):
        found[tuple(_code(bench, searcher.suggest()).tolist())] = None
        if len(found) == count:
            break
    return np.array(list(found), dtype=np.int64)


def _unseen(bench: Bench, pool: Ints) -> Ints:
    """Distinct architectures of a pool that were not evaluated yet; the whole pool if there are none."""
    seen = set(map(tuple, bench.codes.tolist()))
    kept = [row for row in dict.fromkeys(map(tuple, pool.tolist())) if row not in seen]
    return np.array(kept, dtype=np.int64) if kept else pool


def _seed(bench: Bench) -> int:
    return int(bench.rng.integers(2**31 - 1))
