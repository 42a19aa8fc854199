"""The penalties by name: every row has an example worked by hand, and its two forms are of one function."""

from __future__ import annotations

import pytest
import torch

from prune.train.penalties import PENALTIES

GAMMAS = [2.0, -0.25, 0.0]
EXAMPLES = {
    "l1": ([0.5, -0.5, 0.0], [1.5, 0.0, 0.0]),
}
"""For s = 0.5 and the γ above: the term added to the gradient, and the γ after a proximal step of lr = 1."""


def test_every_penalty_has_an_example() -> None:
    assert EXAMPLES.keys() == PENALTIES.keys()


@pytest.mark.parametrize("name", PENALTIES)
def test_a_penalty_computes_its_example_as_by_hand(name: str) -> None:
    gradient, shrunk = EXAMPLES[name]
    gammas, half = [torch.tensor(GAMMAS)], [torch.full((3,), 0.5)]
    assert PENALTIES[name]().gradients(gammas, half)[0].tolist() == pytest.approx(gradient)
    assert PENALTIES[name]().shrunk(gammas, half)[0].tolist() == pytest.approx(shrunk)


@pytest.mark.parametrize("name", PENALTIES)
def test_a_proximal_step_ends_where_the_gradient_of_the_penalty_leads_to(name: str) -> None:
    """x = prox(γ) minimises ½(x − γ)² + step · penalty(x): where x ≠ 0, γ − x is the gradient at x."""
    gammas, steps = torch.linspace(-3, 3, 61, dtype=torch.float64), torch.full((61,), 0.25, dtype=torch.float64)
    (x,) = PENALTIES[name]().shrunk([gammas], [steps])
    (gradient,) = PENALTIES[name]().gradients([x], [steps])
    moved = x != 0
    assert moved.any()
    torch.testing.assert_close((gammas - x)[moved], gradient[moved])
