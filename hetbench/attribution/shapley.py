"""Shapley values of a cooperative game: exact over all coalitions, or sampled over permutations in antithetic pairs.

A game is a function from coalitions, bool [rows, players], to values, float [rows]; it is called with many rows at
once. The Shapley value of a player is its marginal contribution averaged over all orders of joining (L. S. Shapley,
"A value for n-person games", 1953). A permutation and its reverse make an antithetic pair: a cost that is equal for a
coalition and its complement (a tensor that crosses a link in either direction) cancels within the pair and adds nothing
to the sampling error. The seed is fixed, and the standard error is returned.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import factorial

import numpy as np
from numpy.typing import NDArray

from hetbench.errors import InvalidInputError

__all__ = ["EXACT", "PAIRS", "Game", "Values", "coalitions", "exact", "sampled", "shapley"]

EXACT = 15
"""Number of players up to which every coalition is evaluated: 2**15 coalitions take a tenth of a second."""
PAIRS = 256
"""Antithetic pairs of permutations that are sampled for more players."""

Game = Callable[[NDArray[np.bool_]], NDArray[np.float64]]


@dataclass(frozen=True, slots=True)
class Values:
    """Shapley values, [players] each."""

    value: NDArray[np.float64]
    error: NDArray[np.float64] | None
    """Standard error of the sampled values; None where they are exact."""
    evaluated: int
    """Number of coalitions evaluated."""


def coalitions(players: int) -> NDArray[np.bool_]:
    """Every coalition, bool [2**players, players]; bit i of the row number says whether player i is a member.

    >>> coalitions(2).tolist()
    [[False, False], [True, False], [False, True], [True, True]]
    """
    inside: NDArray[np.bool_] = (np.arange(2**players)[:, None] >> np.arange(players)) & 1 == 1
    return inside


def exact(game: Game, players: int) -> Values:
    """Shapley values from all 2**players coalitions; `InvalidInputError` for more than 20 players.

    >>> found = exact(lambda inside: inside.sum(axis=1) ** 2.0, 2)  # joining first adds 1, joining second 3
    >>> found.value.tolist(), found.error is None
    ([2.0, 2.0], True)
    """
    if not 1 <= players <= 20:
        raise InvalidInputError(f"exact Shapley values take 1 to 20 players; given: {players}.")
    inside = coalitions(players)
    worth, size = game(inside), inside.sum(axis=1)
    weights = np.array([factorial(k) * factorial(players - k - 1) / factorial(players) for k in range(players)])
    value = np.empty(players)
    for player in range(players):
        without = np.flatnonzero(~inside[:, player])
        value[player] = (weights[size[without]] * (worth[without | (1 << player)] - worth[without])).sum()
    return Values(value, None, len(worth))


def sampled(game: Game, players: int, pairs: int = PAIRS, seed: int = 0) -> Values:
    """Shapley values averaged over `pairs` random permutations and their reverses.

    They sum to game(all) - game(none). Raises `InvalidInputError` for fewer than 2 pairs or no player.

    >>> found = sampled(lambda inside: inside.sum(axis=1) ** 2.0, 3, pairs=4)
    >>> found.value.round(9).tolist(), found.error.tolist()  # a pair of orders averages this game exactly
    ([3.0, 3.0, 3.0], [0.0, 0.0, 0.0])
    """
    if pairs < 2 or players < 1:
        raise InvalidInputError(f"sampling takes 2 pairs or more and 1 player or more; given: {pairs}, {players}.")
    random = np.random.default_rng(seed)
    steps = np.arange(players + 1)[:, None]
    total, squares = np.zeros(players), np.zeros(players)
    for _ in range(pairs):
        order = random.permutation(players)
        mean = np.zeros(players)
        for each in (order, order[::-1]):
            place = np.empty(players, dtype=np.int64)
            place[each] = np.arange(players)
            worth = game(place < steps)  # [players + 1, players]: one more joins in each row
            mean += np.diff(worth)[place] / 2
        total += mean
        squares += mean**2
    value = total / pairs
    spread = np.sqrt(np.maximum(squares / pairs - value**2, 0.0) * pairs / (pairs - 1))
    return Values(value, spread / np.sqrt(pairs), 2 * pairs * (players + 1))


def shapley(game: Game, players: int, pairs: int = PAIRS, seed: int = 0) -> Values:
    """Exact Shapley values of up to `EXACT` players, sampled ones of more.

    >>> shapley(lambda inside: inside @ [1.0, 2.0], 2).value.tolist()
    [1.0, 2.0]
    """
    return exact(game, players) if players <= EXACT else sampled(game, players, pairs, seed)
