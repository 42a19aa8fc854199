"""The valley between channels that are nearly dead and those in use."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from prune.plan.valley import EMPTY, Array, find_valley, size_in_use
from tests.strategies import examples, seeds

CONTINUA = {
    "uniform": lambda rng: rng.random(2000),
    "half-normal": lambda rng: np.abs(rng.standard_normal(2000)),
    "exponential": lambda rng: rng.exponential(size=2000),
    "lognormal": lambda rng: np.exp(1.5 * rng.standard_normal(2000)),
}


def mixture(seed: int, dead: float, scale: float) -> Array:
    """400 scores: a share of `dead` below 0.005·scale, the others from 0.5 to 2 times scale."""
    rng = np.random.default_rng(seed)
    count = round(400 * dead)
    return scale * np.concatenate([0.005 * rng.random(count), rng.uniform(0.5, 2.0, 400 - count)])


@given(seeds, st.floats(0.02, 0.98), st.floats(-3, 3))
@examples(100)
def test_the_valley_of_two_separated_sets_lies_between_them(seed: int, dead: float, exponent: float) -> None:
    scale = 10.0**exponent
    valley = find_valley(mixture(seed, dead, scale))
    assert valley.separated
    assert valley.percent == pytest.approx(round(400 * dead) / 400)
    assert valley.inside == 0
    assert 0.005 * scale < valley.edges[0] < valley.threshold < valley.edges[1] < 0.5 * scale


@pytest.mark.parametrize("kind", CONTINUA)
@given(seeds)
@examples(25)
def test_a_continuum_is_not_separated(kind: str, seed: int) -> None:
    assert not find_valley(CONTINUA[kind](np.random.default_rng(seed))).separated


@pytest.mark.parametrize("scores", [[0.0] * 5, [1.0] * 5, [3.0], [0.0], [np.inf, np.inf], [0.5, 1.0, 2.0]])
def test_where_no_score_is_nearly_0_there_is_no_valley(scores: list[float]) -> None:
    valley = find_valley(np.array(scores))
    assert (valley.threshold, valley.percent, valley.inside) == (0, 0, 0)
    assert not valley.separated


def test_zeros_apart_from_all_others_are_separated() -> None:
    valley = find_valley(np.array([0.0] * 30 + [1.0] * 70))
    assert valley.separated
    assert valley.percent == 0.3


def test_a_few_large_scores_are_no_second_set() -> None:
    assert not find_valley(np.array([1.0] * 1000 + [50.0])).separated


def test_the_gap_below_the_dead_ones_is_not_taken_though_it_is_wider() -> None:
    rng = np.random.default_rng(0)
    valley = find_valley(np.concatenate([rng.uniform(0.005, 0.01, 500), rng.uniform(0.3, 1.0, 500)]))
    assert valley.separated
    assert valley.percent == 0.5


def test_two_scores_that_are_small_by_chance_are_not_a_set() -> None:
    assert not find_valley(np.array([0.001, 0.002] + [1.0] * 300)).separated


def test_a_score_counts_as_often_as_it_stands_for_channels() -> None:
    valley = find_valley(np.array([0.0, 1.0, 1.0]), np.array([6, 1, 3]))
    assert valley.percent == pytest.approx(0.6)
    assert find_valley(np.array([0.0, 1.0]), np.array([0, 5])).percent == 0, "it stands for none"


@given(st.lists(st.floats(0, 10), min_size=1, max_size=40), st.lists(st.integers(0, 5), min_size=40, max_size=40))
@examples(100)
def test_counts_are_the_same_as_repeated_scores(scores: list[float], counts: list[int]) -> None:
    some = np.array(counts[: len(scores)])
    some[0] += 1
    repeated = find_valley(np.repeat(np.array(scores), some))
    counted = find_valley(np.array(scores), some)
    assert (counted.threshold, counted.percent, counted.inside) == pytest.approx(
        (repeated.threshold, repeated.percent, repeated.inside)
    )


@given(st.lists(st.floats(0, 10), min_size=1, max_size=60), seeds)
@examples(100)
def test_the_shares_are_those_of_the_scores_in_any_order(scores: list[float], seed: int) -> None:
    values = np.array(scores)
    valley = find_valley(np.random.default_rng(seed).permutation(values))
    low, high = valley.edges
    assert valley == find_valley(values)
    assert valley.percent == pytest.approx((values < valley.threshold).mean())
    assert valley.inside == pytest.approx(((values >= low) & (values < high)).mean())
    assert not valley.separated or (valley.percent > EMPTY >= valley.inside)


def test_the_size_in_use_ignores_dead_infinite_and_single_large_scores() -> None:
    ones = np.ones(1000)
    assert size_in_use(ones, ones) == 1
    many_dead = np.concatenate([np.full(50_000, 0.01), ones, [np.inf, 20.0]])
    assert size_in_use(many_dead, np.ones(len(many_dead))) == 1
    assert size_in_use(np.zeros(3), np.ones(3)) == 0


def test_no_scores_are_an_error() -> None:
    with pytest.raises(ValueError, match="no scores"):
        find_valley(np.zeros(0))
