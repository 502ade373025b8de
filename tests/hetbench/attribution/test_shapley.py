"""Shapley values: hand-computed games, the axioms on random games, and a maintained library as an oracle."""

from __future__ import annotations

from itertools import permutations
from typing import Any

import numpy as np
import pytest

from hetbench import InvalidInputError
from hetbench.attribution.shapley import EXACT, coalitions, exact, sampled, shapley


def table(players: int, seed: int) -> Any:
    """A game whose 2**players values are arbitrary."""
    values = np.random.default_rng(seed).normal(size=2**players)
    values[0] = 0.0
    powers = 1 << np.arange(players)
    return lambda inside: values[inside @ powers]


def by_permutations(game: Any, players: int) -> np.ndarray:
    """The definition: the mean marginal contribution over all orders."""
    total, orders = np.zeros(players), list(permutations(range(players)))
    for order in orders:
        inside = np.zeros((1, players), dtype=bool)
        before = game(inside)[0]
        for player in order:
            inside[0, player] = True
            after = game(inside)[0]
            total[player] += after - before
            before = after
    return total / len(orders)


def test_the_glove_game_by_hand():
    # one left glove and two right ones: a pair is worth 1; the left glove gets 2/3, each right one 1/6
    found = exact(lambda inside: (inside[:, 0] & (inside[:, 1] | inside[:, 2])).astype(float), 3)
    assert found.value == pytest.approx([2 / 3, 1 / 6, 1 / 6])
    assert found.evaluated == 8


@pytest.mark.parametrize("players", [1, 2, 3, 5])
def test_exact_values_are_the_mean_over_all_orders(players: int):
    game = table(players, seed=players)
    assert exact(game, players).value == pytest.approx(by_permutations(game, players))


@pytest.mark.parametrize("players", [1, 4, 9])
def test_values_sum_to_what_all_of_them_are_worth(players: int):
    game = table(players, seed=1)
    whole = game(np.ones((1, players), dtype=bool))[0]
    assert exact(game, players).value.sum() == pytest.approx(whole)
    assert sampled(game, players, pairs=5).value.sum() == pytest.approx(whole)


def test_players_that_do_the_same_get_the_same_and_one_that_does_nothing_gets_nothing():
    def game(inside: np.ndarray) -> np.ndarray:  # players 0 and 1 alike, 3 without effect
        return (inside[:, 0] + inside[:, 1]) ** 2.0 * (1.0 + inside[:, 2])

    found = exact(game, 4).value
    assert found[0] == pytest.approx(found[1])
    assert found[3] == pytest.approx(0.0)


def test_an_additive_game_gives_every_player_its_own():
    own = np.array([3.0, -1.0, 0.5])
    assert exact(lambda inside: inside @ own, 3).value == pytest.approx(own)
    many = np.arange(20.0)
    found = sampled(lambda inside: inside @ many, 20, pairs=3)
    assert found.value == pytest.approx(many)
    assert found.error == pytest.approx(0.0, abs=1e-9)


def test_what_a_coalition_and_its_complement_pay_alike_belongs_to_nobody():
    def cut(inside: np.ndarray) -> np.ndarray:
        return (inside[:, :-1] != inside[:, 1:]).sum(axis=1).astype(float)

    assert exact(cut, 6).value == pytest.approx(0.0, abs=1e-12)
    found = sampled(cut, 18, pairs=4)
    assert found.value == pytest.approx(0.0, abs=1e-12)
    assert found.error == pytest.approx(0.0, abs=1e-12)


def test_sampled_values_lie_within_their_stated_error_and_repeat():
    game = table(8, seed=3)
    found, known = sampled(game, 8, pairs=400), exact(game, 8).value
    assert found.error is not None
    assert (np.abs(found.value - known) < 4 * found.error).all()
    assert (sampled(game, 8, pairs=400).value == found.value).all()
    few = sampled(game, 8, pairs=25)
    assert few.error is not None
    assert few.error.mean() / found.error.mean() == pytest.approx(4.0, rel=0.4)  # as one over the root of the pairs


def test_more_players_than_can_be_enumerated_are_sampled():
    assert shapley(lambda inside: inside.sum(axis=1) ** 2.0, EXACT + 1, pairs=2).error is not None
    assert shapley(lambda inside: inside.sum(axis=1) ** 2.0, 3).error is None
    with pytest.raises(InvalidInputError, match="1 to 20 players; given: 21"):
        exact(lambda inside: inside.sum(axis=1), 21)
    with pytest.raises(InvalidInputError, match="2 pairs or more"):
        sampled(lambda inside: inside.sum(axis=1), 3, pairs=1)


def test_coalitions_are_numbered_by_their_bits():
    assert coalitions(3)[5].tolist() == [True, False, True]


def test_shapiq_agrees():
    shapiq = pytest.importorskip("shapiq", reason="pip install shapiq")
    game = table(6, seed=7)
    wrapped = shapiq.ExactComputer(n_players=6, game=lambda inside: game(np.asarray(inside, dtype=bool)))
    theirs = wrapped(index="SV", order=1)
    assert [theirs[(player,)] for player in range(6)] == pytest.approx(exact(game, 6).value)
