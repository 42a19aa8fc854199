"""The picture of the γ: all of it is drawn by what every installation has, and nothing of it is cut off."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from prune.plan.readiness import LayerReadiness, Readiness
from prune.plan.valley import Array, find_valley
from prune.report.gamma_chart import WIDTH, Histograms, _counts, gamma_chart
from prune.report.panel import Axis, Panel, round_values, spaced
from prune.samples.images import Image

RNG = np.random.default_rng(0)
GAMMAS = {
    "separated": np.concatenate([RNG.random(300) * 1e-3, RNG.uniform(0.5, 2, 500)]),
    "exact zeros": np.concatenate([np.zeros(300), RNG.uniform(0.5, 2, 500)]),
    "continuum": np.abs(RNG.standard_normal(800)),
    "large": RNG.uniform(0.5, 2, 800),
    "all zero": np.zeros(40),
    "one": np.ones(1),
    "huge": np.array([1e-30, 1e30]),
}


def readiness_of(gammas: Array) -> Readiness:
    valley = find_valley(gammas)
    layers = (LayerReadiness(0, len(gammas), {}, 0.0, 0.0),)
    return Readiness(valley, valley.percent, valley.percent, 0.5, float(gammas.min()), float(gammas.max()), layers)


def history_of(gammas: Array, epochs: int) -> Histograms:
    edges = np.linspace(0, 1.25 * max(float(gammas.max()), 1e-6), 101)
    rows = [np.histogram(gammas * (epochs - epoch) / epochs, edges)[0] for epoch in range(epochs)]
    return Histograms(np.arange(epochs, dtype=float), edges, np.stack(rows).astype(float))


def inked(image: Image, colour: tuple[int, int, int]) -> int:
    return int((image == np.array(colour)).all(axis=2).sum())


@pytest.mark.parametrize(
    ("kind", "epochs"), [("large", 900), *((kind, epochs) for kind in GAMMAS for epochs in (0, 1, 3))]
)
def test_every_distribution_has_its_picture_with_empty_margins(kind: str, epochs: int) -> None:
    gammas = GAMMAS[kind]
    picture = gamma_chart(gammas, readiness_of(gammas), history_of(gammas, epochs) if epochs else None)
    assert picture.shape[1] == WIDTH
    assert (picture.shape[0] > 450) is (epochs > 0)
    assert picture.std() > 5
    for edge in (picture[0], picture[-1], picture[:, 0], picture[:, -1]):
        assert (edge == 255).all(), "nothing is cut off"


def test_epochs_that_are_missing_stay_white() -> None:
    gammas = GAMMAS["large"]
    whole = history_of(gammas, 4)
    some = Histograms(whole.epochs[[0, 3]], whole.edges, whole.counts[[0, 3]])
    for history, white in ((whole, [False] * 4), (some, [False, True, True, False])):
        panel = gamma_chart(gammas, readiness_of(gammas), history)[-250:-120, 120:860]
        quarters = [part[:, 20:-20] for part in np.array_split(panel, 4, axis=1)]
        assert [bool((part == 255).all()) for part in quarters] == white


def test_the_valley_is_green_and_only_where_there_is_one() -> None:
    drawn = {kind: gamma_chart(gammas, readiness_of(gammas)) for kind, gammas in GAMMAS.items()}
    green = {kind for kind, picture in drawn.items() if inked(picture, (190, 230, 200))}
    assert green == {"separated", "exact zeros", "huge"}


def test_channels_below_the_valley_have_a_colour_of_their_own() -> None:
    small, large = (
        inked(gamma_chart(gammas, readiness_of(gammas)), (200, 105, 60))
        for gammas in (GAMMAS["separated"], GAMMAS["large"])
    )
    assert small > 1000
    assert large == 0


def test_the_same_gammas_give_the_same_picture() -> None:
    gammas = GAMMAS["continuum"]
    one, two = (gamma_chart(gammas, readiness_of(gammas), history_of(gammas, 4)) for _ in range(2))
    assert np.array_equal(one, two)


@pytest.mark.parametrize("most", [1, 2, 3, 5, 9, 10, 11, 49, 50, 999, 20_000])
def test_counts_have_round_ticks_that_are_not_crowded(most: int) -> None:
    ticks = [value for value, _ in _counts(most)]
    assert ticks[0] == 0
    assert 2 <= len(ticks) <= 6
    assert all(value == round(value) <= most for value in ticks)


def test_values_beyond_an_axis_are_drawn_at_its_end_and_ticks_keep_apart() -> None:
    axis = Axis("x", lambda value: value / 10, ())
    panel = Panel(100, 10, 200, 60, axis, axis)
    assert [panel.x(value) for value in (-5, 0, 5, 99)] == [100, 100, 150, 200]
    assert [panel.y(value) for value in (-5, 0, 5, 99)] == [60, 60, 35, 10]
    ticks = [(5.0, "5"), (5.5, "5.5"), (20.0, "20"), (9.0, "9")]
    assert spaced(ticks, axis.scale, 0.1) == ((5.0, "5"), (9.0, "9"))


@given(st.floats(-1e6, 1e6), st.floats(1e-3, 1e6))
def test_an_axis_has_four_to_eleven_round_values_within_its_ends(low: float, length: float) -> None:
    values = round_values(low, low + length)
    assert 4 <= len(values) <= 11
    assert values[0] >= low - 1e-6 * length
    assert values[-1] <= low + length * (1 + 1e-6)
