"""hetbench as a Syne Tune blackbox for its simulator; the fidelity is the number of repeats of a measurement.

    blackbox = HetBenchBlackbox("gpt-s", ["loss_proxy", "latency@cann"])
    backend = UserBlackboxBackend(blackbox, elapsed_time_attr="elapsed", tuner_sleep_time=TUNER_SLEEP_TIME)

A second of the simulation is a millisecond here: Syne Tune 0.16 puts any time that passes between two results up to
0.01 s, and several calls of a network take less. By default it also starts trials only every 5 s (`tuner_sleep_time`),
and its schedulers draw architectures from NumPy's global generator, which `numpy.random.seed` sets.

Syne Tune minimises or maximises all metrics alike, so objectives of which more is better come negated, under a name
with a minus before it. Where a constraint is broken, an objective is at its reference point or its worse value, and
further by the share of the limit that it is missed by times the range of the objective.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from syne_tune.blackbox_repository.blackbox import Blackbox
from syne_tune.config_space import choice, ordinal, randint

from baselines.problems import MOST_REPEATS, REPEATS, WARM_UP, Problem, problem
from hetbench.checks import whole_number
from hetbench.errors import InvalidInputError, shown
from hetbench.spaces import Parameter, Space

__all__ = ["TUNER_SLEEP_TIME", "HetBenchBlackbox", "configuration_space"]

Array = NDArray[np.float64]
TUNER_SLEEP_TIME = 0.1
"""How often the simulator looks for finished trials and starts others, in its seconds: 0.1 ms."""
_MS = 1e3
_DRAWN = ("latency", "energy", "power", "throughput")


def configuration_space(space: Space) -> dict[str, Any]:
    """Syne Tune's domains of a space's parameters by name; inactive parameters are ignored."""
    return {each.name: _domain(each) for each in space.parameters}


def _domain(parameter: Parameter) -> Any:
    numbers = all(isinstance(each, int | float) and not isinstance(each, bool) for each in parameter.choices)
    if numbers and len(parameter.choices) > 1:
        return ordinal(list(parameter.choices), kind="equal")
    return choice(list(parameter.choices))


class HetBenchBlackbox(Blackbox):  # type: ignore[misc]
    """Objectives of architectures and `elapsed`, the milliseconds of warm-up and repeats so far on all chips, which the
    simulator takes for seconds.

    Predictions are deterministic, so every repeat shows the same value. With `noise_seed`, a measurement of r repeats
    is the mean of r draws from the predictive distribution of what was predicted, the same for the same seed and
    architecture.
    """

    def __init__(
        self, space: str | Problem, objectives: Sequence[str] = (), constraints: Sequence[str] = (), *,
        repeats: int = REPEATS, noise_seed: int | None = None, quality: str | None = None,
        setting: Mapping[str, Any] | None = None,
    ) -> None:  # fmt: skip
        self.problem = (space if isinstance(space, Problem) else
                        problem(space, objectives, constraints, quality, setting))  # fmt: skip
        self.repeats = whole_number("repeats", repeats, 1, MOST_REPEATS)
        self.noise_seed = None if noise_seed is None else whole_number("noise_seed", noise_seed, 0)
        names = [f"-{each.name}" if each.sign < 0 else each.name for each in self.problem.objectives]
        super().__init__(
            configuration_space=configuration_space(self.problem.space),
            fidelity_space={"repeats": randint(1, repeats)}, objectives_names=[*names, "elapsed"],
        )  # fmt: skip

    @property
    def fidelity_values(self) -> NDArray[np.int64]:
        """Repeats 1 .. R."""
        return np.arange(1, self.repeats + 1)

    def _objective_function(
        self, configuration: dict[str, Any], fidelity: dict[str, Any] | None = None, seed: int | None = None
    ) -> Any:
        codes = self._codes(configuration)
        found = self.problem.evaluate(codes)
        shown = np.repeat(self._penalised(found)[0][None], self.repeats, axis=0)  # [repeats, objectives]
        if self.noise_seed is not None and found.feasible[0]:
            shown = self._noisy(codes, shown, seed)
        elapsed = (WARM_UP + self.fidelity_values) * found.call_s[0] * _MS
        table = np.column_stack((shown, elapsed))
        if fidelity is None:
            return table
        row = table[self._repeat(fidelity) - 1]
        return dict(zip(self.objectives_names, map(float, row), strict=True))

    def _check_keys(self, config: Any, fidelity: Any) -> None:
        """Syne Tune's own check of the names of parameters and fidelities, as an error that says what is known."""
        try:
            super()._check_keys(config, fidelity)
        except AssertionError as why:
            raise InvalidInputError(str(why)) from None

    def _repeat(self, fidelity: Mapping[str, Any]) -> int:
        """The number of repeats that a fidelity asks for; `InvalidInputError` for none of 1 .. R."""
        if not isinstance(fidelity, Mapping) or set(fidelity) != {"repeats"}:
            raise InvalidInputError(f'a fidelity is {{"repeats": 1 .. {self.repeats}}}; given: {shown(fidelity)}.')
        return whole_number("repeats", _plain(fidelity["repeats"]), 1, self.repeats)

    def _codes(self, configuration: Mapping[str, Any]) -> NDArray[np.int64]:
        space = self.problem.space
        row = []
        for each in space.parameters:
            value = _plain(configuration.get(each.name))
            if value not in each.choices:
                choices = ", ".join(map(str, each.choices))
                raise InvalidInputError(f"{each.name}={shown(value)} is not a choice of {space.name}: {choices}.")
            row.append(each.choices.index(value))
        return space.canonical(np.array([row], dtype=np.int64))

    def _penalised(self, found: Any) -> Array:
        """Minimised objectives in their original units, [n, objectives]."""
        scale = self.problem.scale
        ideal, reference = np.array(scale.ideal), np.array(scale.reference)
        out: Array = ideal + scale.scores(found) * (reference - ideal)
        return out

    def _noisy(self, codes: NDArray[np.int64], shown: Array, seed: int | None) -> Array:
        """Running means over repeats of draws of the predictions; proxies and exact values are constant."""
        entropy = [int(self.noise_seed or 0), int(seed or 0), *codes[0].tolist()]
        drawn = shown.copy()
        for column, asked in enumerate(self.problem.objectives):
            if asked.metric in _DRAWN:
                own = int(np.random.SeedSequence([column, *entropy]).generate_state(1)[0])
                draws = self.problem.query(codes, asked, sample=self.repeats, seed=own)[0]
                drawn[:, column] = asked.sign * np.cumsum(draws) / self.fidelity_values
        return drawn


def _plain(value: Any) -> Any:
    return value.item() if isinstance(value, np.generic) else value
