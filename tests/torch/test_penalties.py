"""The penalties by name: every row has an example worked by hand, and its two forms are of one function."""

from __future__ import annotations

import pytest
import torch

from prune.train.group_lasso import GroupLasso
from prune.train.penalties import PENALTIES
from prune.train.polarization import Polarization
from prune.train.proximal_l1 import ProximalL1

GAMMAS = [2.0, -0.25, 0.0]
EXAMPLES = {
    "l1": ([0.5, -0.5, 0.0], [1.5, 0.0, 0.0]),
    "prox-l1": ([0.5, -0.5, 0.0], [1.5, 0.0, 0.0]),
    # the mean is 7/12: only the first γ is above it, the mean of the signs is -1/3
    "polarization": ([0.5 * (1.2 - 1 - 1 / 3), 0.5 * (-1.2 + 1 - 1 / 3), 0.5 * (1 - 1 / 3)], [1.5, 0.0166667, 0.0]),
    # the first two are pruned together: their norm is √4.0625, and √k is √2
    "group": ([0.5 * 2**0.5 * g / 4.0625**0.5 for g in GAMMAS], [g * (1 - 0.5 * (2 / 4.0625) ** 0.5) for g in GAMMAS]),
}
"""For s = 0.5 and the γ above: the gradient term, and the new γ after a proximal step of lr = 1."""
CONVEX = [name for name in PENALTIES if name != "polarization"]


def test_every_penalty_has_an_example() -> None:
    assert EXAMPLES.keys() == PENALTIES.keys()


@pytest.mark.parametrize("name", PENALTIES)
def test_a_penalty_computes_its_example_as_by_hand(name: str) -> None:
    gradient, shrunk = EXAMPLES[name]
    gammas, half, slots = torch.tensor(GAMMAS), torch.full((3,), 0.5), torch.tensor([0, 0, 1])
    assert PENALTIES[name]().gradient(gammas, half, slots).tolist() == pytest.approx(gradient)
    assert PENALTIES[name]().shrunk(gammas, half, slots).tolist() == pytest.approx(shrunk)


@pytest.mark.parametrize("name", CONVEX)
def test_a_proximal_step_ends_where_the_gradient_of_the_penalty_leads_to(name: str) -> None:
    """x = prox(γ) minimises ½(x − γ)² + step · penalty(x): where x ≠ 0, γ − x is the gradient at x."""
    gammas, steps = torch.linspace(-3, 3, 61, dtype=torch.float64), torch.full((61,), 0.25, dtype=torch.float64)
    slots = torch.arange(61) // 2
    x = PENALTIES[name]().shrunk(gammas, steps, slots)
    moved = x != 0
    assert moved.any()
    torch.testing.assert_close((gammas - x)[moved], PENALTIES[name]().gradient(x, steps, slots)[moved])


def test_polarization_is_the_derivative_of_its_formula() -> None:
    gammas = torch.linspace(0.1, 1.4, 14, dtype=torch.float64, requires_grad=True)
    value = 1.2 * gammas.abs().sum() - (gammas - gammas.mean()).abs().sum()
    (expected,) = torch.autograd.grad(0.3 * value, gammas)
    found = Polarization().gradient(gammas.detach(), torch.full_like(gammas, 0.3), torch.arange(14))
    torch.testing.assert_close(found, expected)


def test_polarization_keeps_gammas_between_0_and_its_limit() -> None:
    gammas = torch.tensor([-0.2, 0.01, 1.0, 5.0])
    assert Polarization(gamma_limit=2.0).shrunk(gammas, torch.full((4,), 0.1), torch.arange(4)).tolist() == [
        pytest.approx(0.0),
        0.0,
        pytest.approx(1.0 - 0.1 * (1.2 + 1 - 0.5)),
        2.0,
    ]


def test_group_lasso_makes_all_gammas_of_a_slot_0_together_where_l1_leaves_one() -> None:
    gammas, slots = torch.tensor([0.01, 0.3, 0.02, 0.03]), torch.tensor([0, 0, 1, 1])
    step = torch.full((4,), 0.05)
    assert (GroupLasso().shrunk(gammas, step, slots) == 0).tolist() == [False, False, True, True]
    assert (ProximalL1().shrunk(gammas, step, slots) == 0).tolist() == [True, False, True, True]


def test_group_lasso_of_single_gammas_is_l1() -> None:
    gammas, step = torch.linspace(-1, 1, 21), torch.full((21,), 0.3)
    alone = torch.arange(21)
    torch.testing.assert_close(GroupLasso().shrunk(gammas, step, alone), ProximalL1().shrunk(gammas, step, alone))
