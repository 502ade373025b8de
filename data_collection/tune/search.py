"""Search methods: random, grid, genetic, Bayesian.

A method is a generator: it yields a setting and is sent its value (lower is better; None if the setting failed). The
same seed and values give the same sequence."""

from __future__ import annotations

import logging
import math
import random
import warnings
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from itertools import count
from typing import Any

from data_collection.backends import installed
from data_collection.tune.space import Setting, Space
from hetbench.errors import RefusedError, UnknownNameError

__all__ = ["METHODS", "Method", "bayesian", "check", "genetic", "grid", "shuffled"]

Method = Callable[[Space, int], Generator[Setting, float | None, None]]
_POPULATION = 8
_NO_MORE = 200
"""After this many children in a row that were tried before, the genetic search takes random settings."""


def grid(space: Space, seed: int) -> Generator[Setting, float | None, None]:
    """Every setting in order; the last axis varies fastest."""
    yield from space.settings()


def shuffled(space: Space, seed: int) -> Generator[Setting, float | None, None]:
    """Every setting in a random order."""
    settings = list(space.settings())
    random.Random(seed).shuffle(settings)
    yield from (setting for setting in settings)  # a list cannot be sent values


def genetic(space: Space, seed: int) -> Generator[Setting, float | None, None]:
    """Genetic search over the best eight settings so far.

    Parents win tournaments of three; a child takes each axis from either parent and mutates one axis in two of three
    cases."""
    draw, seen, population = random.Random(seed), set(), []
    rest = list(space.settings())
    draw.shuffle(rest)
    while len(seen) < space.size:
        child = None
        for _ in range(_NO_MORE if len(population) >= _POPULATION else 0):
            mother, father = (min(draw.sample(population, 3), key=lambda each: each[0])[1] for _ in range(2))
            child = {name: draw.choice((mother[name], father[name])) for name in space.axes}
            if draw.random() < 2 / 3:
                name = draw.choice([name for name, values in space.axes.items() if len(values) > 1])
                child[name] = draw.choice(space.axes[name])
            if tuple(child.values()) not in seen:
                break
            child = None
        while child is None:
            candidate = rest.pop()
            child = dict(candidate) if tuple(candidate.values()) not in seen else None
        seen.add(tuple(child.values()))
        value = yield child
        population = sorted([*population, (math.inf if value is None else value, child)], key=lambda each: each[0])
        population = population[:_POPULATION]


def bayesian(space: Space, seed: int) -> Generator[Setting, float | None, None]:
    """Bayesian search by Syne Tune: Gaussian processes if BoTorch is installed, else TPE.

    It may propose a setting again. A failed setting is reported to it as twice the worst value so far."""
    check("bayesian")
    logging.getLogger("syne_tune").setLevel(logging.ERROR)
    from syne_tune.config_space import randint
    from syne_tune.optimizer import baselines
    from syne_tune.optimizer.schedulers.ask_tell_scheduler import AskTellScheduler

    # by index: TPE's densities over names divide by zero if the best trials agree on one
    free = {name: randint(0, len(values) - 1) for name, values in space.axes.items() if len(values) > 1}
    if not free:
        yield space.default
        return
    if installed("botorch"):
        made = baselines.BOTorch(free, metric="value", random_seed=seed)
    else:  # its default would sample at random until 15 % of the trials exceed the number of axes
        made = baselines.TPE(free, metric="value", random_seed=seed, num_min_data_points=len(free) + 1)
    scheduler, worst = AskTellScheduler(made), 0.0
    for number in count():
        with _numpy_seeded((seed + number) % 2**32):
            trial = scheduler.ask()
        value = yield {**space.default, **{name: space.axes[name][int(place)] for name, place in trial.config.items()}}
        worst = max(worst, value or 0.0)
        scheduler.tell(trial, {"value": value if value is not None else 2 * worst or 1.0})


@contextmanager
def _numpy_seeded(seed: int) -> Iterator[None]:
    """Seed NumPy's global generator, which Syne Tune uses for its first draws, and silence a warning of its TPE."""
    import numpy as np

    before = np.random.get_state()
    np.random.seed(seed)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)
            yield
    finally:
        np.random.set_state(before)


def check(method: str) -> None:
    """Raise for an unknown method, or one whose package is not installed."""
    if method not in METHODS:
        raise UnknownNameError("method", method, METHODS)
    if method == "bayesian" and not installed("syne-tune"):
        raise RefusedError("--method bayesian needs Syne Tune. Run: pip install --editable '.[collect,search]'")


METHODS: dict[str, Any] = {"random": shuffled, "grid": grid, "ga": genetic, "bayesian": bayesian}
