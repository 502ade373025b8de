"""Bayesian optimisation with BoTorch on codes in [0, 1].

Syne Tune 0.16's EHVI mixes precisions and fails, its BOTorch fits for every suggestion and sees one objective. Here one
fit serves a batch, and the acquisition is evaluated on a pool of architectures instead of being followed along
gradients that whole numbers do not have.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from baselines.bench import Bench, Ints, non_dominated
from baselines.synetune import chebyshev

__all__ = ["EHVI_LIMITS", "LIMITS", "bo_linear", "bo_random", "ehvi"]

_START, _ROUND, _POOL, _DATA, _STEPS = 20, 20, 256, 150, 15
_TOGETHER, _FRONT, _DRAWS = 10, 24, 16
LIMITS = (f"a fit of {_STEPS} steps on from the last one for {_ROUND} suggestions, at most {_DATA} results, the best "
          f"of {_POOL} candidates, half random and half mutants of the front; ours on BoTorch's models")  # fmt: skip
EHVI_LIMITS = f"{LIMITS}; {_TOGETHER} picks for one decomposition of a front of at most {_FRONT}, {_DRAWS} draws"


def bo_linear(bench: Bench) -> None:
    """Thompson sampling from a Gaussian process of the mean score."""

    def pick(model: Any, pool: Any, known: Any) -> list[int]:
        return _distinct(_sampled(bench, model, pool)[..., 0])

    _search(bench, lambda scores: scores.mean(axis=1, keepdims=True), pick)


def bo_random(bench: Bench) -> None:
    """One Gaussian process per objective; each pick is the best Thompson sample under its own random weights."""

    def pick(model: Any, pool: Any, known: Any) -> list[int]:
        drawn = _sampled(bench, model, pool)  # [picks, pool, objectives]
        weights = bench.rng.dirichlet(np.ones(drawn.shape[2]), size=len(drawn))[:, None]
        return _distinct(chebyshev(drawn, weights))

    _search(bench, lambda scores: scores, pick)


def ehvi(bench: Bench) -> None:
    """Expected hypervolume improvement over the front; each pick of a batch accounts for the picks before it."""
    import torch
    from botorch.acquisition.multi_objective.logei import qLogExpectedHypervolumeImprovement
    from botorch.sampling.normal import SobolQMCNormalSampler
    from botorch.utils.multi_objective.box_decompositions.non_dominated import FastNondominatedPartitioning

    def pick(model: Any, pool: Any, known: Any) -> list[int]:
        picked: list[int] = []
        reference = torch.full((known.shape[1],), -1.0, dtype=torch.float64)
        front = -torch.as_tensor(known[non_dominated(known)], dtype=torch.float64)  # BoTorch maximises
        believed = model.posterior(pool).mean
        for _ in range(0, min(_ROUND, bench.left), _TOGETHER):
            boxes = FastNondominatedPartitioning(reference, _spread(front, _FRONT))
            gain = qLogExpectedHypervolumeImprovement(
                model, reference, boxes, SobolQMCNormalSampler(torch.Size([_DRAWS]), seed=bench.seed)
            )(pool[:, None]).numpy()  # [pool]
            gain[picked] = -np.inf
            best = np.argsort(-gain, kind="stable")[:_TOGETHER].tolist()
            picked += best
            front = torch.cat((front, believed[best]))  # as if they had come out as believed
        return picked

    _search(bench, lambda scores: scores, pick)


def _search(bench: Bench, view: Callable[[Any], Any], pick: Callable[[Any, Any, Any], list[int]]) -> None:
    """Random architectures, then batches that `pick` selects from a pool with models of `view(scores)`."""
    import torch

    bench(bench.random(_START))
    scale, model = np.maximum(bench.counts - 1, 1), None
    while bench.left:
        kept = _informative(bench)
        codes, scores = bench.codes[kept], view(bench.scores)[kept]
        pool = _candidates(bench)
        with _one_thread(), torch.random.fork_rng(devices=[]), torch.no_grad():
            torch.manual_seed(int(bench.rng.integers(2**31)))
            model = _fitted(codes / scale, scores, model)
            chosen = pick(model, torch.as_tensor(pool / scale, dtype=torch.float64), scores)
        bench(pool[chosen[:_ROUND]])


@contextmanager
def _one_thread() -> Iterator[None]:
    """One torch thread: more threads sum in another order, so the same seed would give other rows."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _fitted(x: Any, scores: Any, before: Any) -> Any:
    """A Gaussian process for each column of scores, of which less is better and the models know the negative; its
    parameters start from those of the round before."""
    import torch
    from botorch.fit import fit_gpytorch_mll
    from botorch.models import ModelListGP, SingleTaskGP
    from botorch.models.transforms import Standardize
    from gpytorch.mlls import ExactMarginalLogLikelihood

    inputs, models = torch.as_tensor(x, dtype=torch.float64), []
    for index, column in enumerate(-torch.as_tensor(scores, dtype=torch.float64).T):
        model = SingleTaskGP(inputs, column[:, None], outcome_transform=Standardize(m=1))
        if before is not None:
            for new, old in zip(model.parameters(), before.models[index].parameters(), strict=True):
                new.data.copy_(old.data)
        with torch.enable_grad(), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # stopping after so few steps is meant
            options = {"options": {"maxiter": _STEPS}}
            fit_gpytorch_mll(ExactMarginalLogLikelihood(model.likelihood, model), optimizer_kwargs=options)
        models.append(model)
    return ModelListGP(*models)


def _sampled(bench: Bench, model: Any, pool: Any) -> Any:
    """Joint draws of all scores of a pool, [picks, pool, objectives]."""
    import torch

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # jitter on the diagonal
        return -model.posterior(pool).rsample(torch.Size([_ROUND])).numpy()


def _distinct(drawn: Any) -> list[int]:
    """Index of the best entry of each row that no earlier row took."""
    taken: list[int] = []
    for row in drawn:
        row[taken] = np.inf
        taken.append(int(row.argmin()))
    return taken


def _candidates(bench: Bench) -> Ints:
    """Half random architectures, half ones that differ from the front in one to three parameters."""
    front = bench.best()
    parents = front[bench.rng.integers(len(front), size=_POOL // 2)]
    near = [bench.mutated(part, changes) for changes, part in enumerate(np.array_split(parents, 3), start=1)]
    pool = np.unique(np.concatenate([bench.random(_POOL // 2), *near]), axis=0)
    seen = set(map(tuple, bench.codes.tolist()))
    fresh = pool[[tuple(row) not in seen for row in pool.tolist()]]
    return fresh if len(fresh) >= _ROUND else pool


def _informative(bench: Bench) -> Any:
    """Indices of the results that the models are fitted to: the front, then the latest others."""
    front = np.flatnonzero(non_dominated(bench.scores))[-_DATA // 2 :]
    rest = np.setdiff1d(np.arange(len(bench.scores)), front)
    return np.sort(np.concatenate((front, rest[len(rest) - min(len(rest), _DATA - len(front)) :])))


def _spread(front: Any, most: int) -> Any:
    """At most `count` rows of a front, evenly spaced along its first objective."""
    if len(front) <= most:
        return front
    order = front[:, 0].argsort(stable=True)
    return front[order[np.linspace(0, len(front) - 1, most).round().astype(int)]]
