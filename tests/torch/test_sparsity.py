"""The three modes of sparsity, exactly, and what is reported about the gammas."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from prune.cli import take, take_row
from prune.commands.train_sparse import make_parser, settled
from prune.errors import UsageError
from prune.settings import Interval, check_options, option
from prune.train.checkpoint import read_checkpoint
from prune.train.gamma import GammaHistory, Reach, magnitudes, measure_reach, resume_history, shares_below
from prune.train.gammas import Gammas
from prune.train.hooks import StepInfo
from prune.train.l1 import L1
from prune.train.penalties import PENALTIES
from prune.train.proximal_l1 import ProximalL1
from prune.train.schedule import Schedule
from prune.train.settings import SparsitySettings, parse_mode
from prune.train.sparsity import SparsityHook
from prune.train.strengths import strengths
from tests.torch.toy import ToyModel, toy_model, toy_trainer

FLAT = Schedule(steps=100, steps_per_epoch=10, warmup=0, lr=0.01, lr_final=1.0, momentum=0.9)


def norms(*gammas: list[float]) -> list[nn.BatchNorm2d]:
    found = []
    for values in gammas:
        norm = nn.BatchNorm2d(len(values))
        norm.weight.data = torch.tensor(values)
        found.append(norm)
    return found


def gammas_of(batch_norms: list[nn.BatchNorm2d]) -> torch.Tensor:
    return Gammas(batch_norms).values()


@pytest.mark.parametrize("epoch", [0, 5, 6, 9])
def test_constant_keeps_s_throughout(epoch: int) -> None:
    found = strengths(gammas_of(norms([1.0, -2.0], [0.1])), epoch, 10, SparsitySettings(s=0.5))
    assert found.tolist() == [0.5, 0.5, 0.5]


@pytest.mark.parametrize(("epoch", "s"), [(0, 0.5), (5, 0.5), (6, 0.05), (9, 0.05)])
def test_global_decay_begins_after_the_epoch_of_the_decay_point(epoch: int, s: float) -> None:
    settings = SparsitySettings(s=0.5, sr_mode="global-decay", decay_at=0.5, alpha=0.1)
    found = strengths(gammas_of(norms([1.0, -2.0], [0.1])), epoch, 10, settings)
    assert found.tolist() == pytest.approx([s] * 3)


def test_local_decay_keeps_s_for_the_smallest_gammas_of_all_layers() -> None:
    settings = SparsitySettings(s=1.0, sr_mode="local-decay", decay_at=0.5, alpha=0.01, local_percent=0.6)
    layers = gammas_of(norms([0.9, -0.1, 0.5], [-0.2, 0.3]))
    assert strengths(layers, 5, 10, settings).tolist() == [1.0] * 5
    assert strengths(layers, 6, 10, settings).tolist() == pytest.approx([0.01, 1.0, 0.01, 1.0, 1.0])


def test_equal_gammas_are_ranked_by_their_order() -> None:
    settings = SparsitySettings(s=1.0, sr_mode="local-decay", decay_at=0.0, alpha=0.0, local_percent=0.5)
    assert strengths(gammas_of(norms([1.0, 1.0, -1.0, 1.0])), 1, 2, settings).tolist() == [
        1,
        1,
        0,
        0,
    ]


@given(st.lists(st.floats(-3, 3, width=32), min_size=1, max_size=40), st.floats(0, 1))
def test_the_local_share_is_met_to_the_channel(values: list[float], percent: float) -> None:
    settings = SparsitySettings(s=1.0, sr_mode="local-decay", decay_at=0.0, alpha=0.0, local_percent=percent)
    gamma = torch.tensor(values)
    kept = strengths(gamma, 1, 2, settings).bool()
    assert int(kept.sum()) == int(percent * len(values) + 1e-9)
    if kept.any() and not kept.all():
        assert gamma[kept].abs().max() <= gamma[~kept].abs().min()


def pulls(hook: SparsityHook) -> list[float]:
    """The strengths of a hook whose strengths do not depend on the step."""
    info = StepInfo(0, 0, 0.1, torch.optim.SGD(hook.gammas.parameters, lr=0.1))
    return hook.strengths.at(info, hook.gammas).tolist()


def test_sgd_gets_s_times_the_sign_in_its_gradient_once_per_step() -> None:
    (norm,) = norms([2.0, -3.0, 0.0])
    norm.weight.grad = torch.tensor([0.1, 0.1, 0.1])
    hook = SparsityHook(Gammas([norm]), SparsitySettings(s=0.01), epochs=1)
    info = StepInfo(0, 0, 0.1, torch.optim.SGD([norm.weight], lr=0.1))
    hook.before_step(info)
    hook.after_step(info)
    assert norm.weight.grad.tolist() == pytest.approx([0.11, 0.09, 0.1])
    assert norm.weight.tolist() == [2.0, -3.0, 0.0]


def test_other_optimisers_get_a_soft_threshold_instead() -> None:
    (norm,) = norms([2.0, -3.0, 0.0005])
    norm.weight.grad = torch.zeros(3)
    hook = SparsityHook(Gammas([norm]), SparsitySettings(s=0.01), epochs=1)
    info = StepInfo(0, 0, 0.1, torch.optim.AdamW([norm.weight], lr=0.1), travel=0.1)
    hook.before_step(info)
    hook.after_step(info)
    assert norm.weight.grad.tolist() == [0, 0, 0]
    assert norm.weight.tolist() == pytest.approx([1.999, -2.999, 0.0])


def test_a_gamma_that_the_loss_does_not_reach_is_pulled_down_too() -> None:
    (norm,) = norms([2.0, -3.0])
    hook = SparsityHook(Gammas([norm]), SparsitySettings(s=0.01), epochs=1)
    hook.before_step(StepInfo(0, 0, 0.1, torch.optim.SGD([norm.weight], lr=0.1)))
    assert norm.weight.grad is not None
    assert norm.weight.grad.tolist() == pytest.approx([0.01, -0.01])


@pytest.mark.parametrize(("decay_at", "epochs", "kept"), [(0.5, 4, 2), (1.0, 4, 3), (0.0, 4, 0), (0.29, 100, 29)])
def test_mid_pt_is_that_of_the_last_epoch_before_the_decay_or_of_the_run(
    decay_at: float, epochs: int, kept: int
) -> None:
    hook = SparsityHook(
        Gammas(norms([1.0])), SparsitySettings(s=0.001, sr_mode="local-decay", decay_at=decay_at), epochs
    )
    assert [epoch for epoch in range(epochs) if hook.snapshot_name(epoch)] == [kept]


def test_a_share_that_rounding_leaves_just_below_a_whole_count_of_gammas_is_that_count() -> None:
    settings = SparsitySettings(s=1.0, sr_mode="local-decay", decay_at=0.0, alpha=0.0, local_percent=0.29)
    assert int(strengths(torch.rand(100), 1, 2, settings).sum()) == 29


def first_gamma_gradient(s: float, batch_size: int, accumulate: int) -> torch.Tensor:
    """The gradient of gamma in the first step, with batch statistics frozen so that splits do not matter."""
    model = toy_model(dropout=0.0)
    model.norm.eval()
    model.train = lambda mode=True: model  # type: ignore[method-assign]
    seen: list[torch.Tensor] = []

    class Watch(SparsityHook):
        def after_step(self, info: StepInfo) -> None:
            seen.append(model.norm.weight.grad.clone())  # type: ignore[union-attr]

    hook = Watch(Gammas([model.norm]), SparsitySettings(s=s), epochs=1)
    toy_trainer(
        model,
        hooks=(hook,),
        shuffle=False,
        epochs=1,
        clip=0.0,
        batch_size=batch_size,
        accumulate=accumulate,
    ).fit()
    return seen[0]


@pytest.mark.parametrize(("batch_size", "accumulate"), [(12, 1), (4, 3), (2, 6)])
def test_the_balance_of_s_and_loss_does_not_depend_on_batch_and_accumulation(batch_size: int, accumulate: int) -> None:
    both = first_gamma_gradient(0.5, batch_size=batch_size, accumulate=accumulate)
    loss = first_gamma_gradient(0.0, batch_size=12, accumulate=1)
    torch.testing.assert_close(both - loss, torch.full((8,), 0.5))


def test_a_sparse_run_keeps_mid_pt_at_the_decay_point_and_drives_gammas_down(tmp_path: Path) -> None:
    model = toy_model()
    settings = SparsitySettings(s=0.02, sr_mode="global-decay", decay_at=0.5)
    hook = SparsityHook(Gammas([model.norm]), settings, 8, GammaHistory(tmp_path / "gamma_history.npz"))
    toy_trainer(model, tmp_path, hooks=(hook,), epochs=8).fit()
    assert read_checkpoint(tmp_path / "mid.pt").epoch == 5  # the next epoch is the first that decays
    assert float(model.norm.weight.detach().abs().mean()) < 0.9
    with np.load(tmp_path / "gamma_history.npz") as stored:
        assert stored["epochs"].tolist() == list(range(8))
        assert stored["counts"].sum(1).tolist() == [8] * 8


def test_mid_pt_continues_in_local_decay(tmp_path: Path) -> None:
    def trainer(mode: str, model: ToyModel, out: Path, s: float) -> tuple[SparsityHook, object]:
        out.mkdir()
        hook = SparsityHook(Gammas([model.norm]), SparsitySettings(s=s, sr_mode=mode), 4)  # type: ignore[arg-type]
        return hook, toy_trainer(model, out, hooks=(hook,))

    _, constant = trainer("constant", toy_model(), tmp_path / "a", 0.01)
    constant.fit()  # type: ignore[attr-defined]
    model = toy_model(seed=3)
    hook, local = trainer("local-decay", model, tmp_path / "b", 0.02)
    local.resume(read_checkpoint(tmp_path / "a" / "mid.pt"))  # type: ignore[attr-defined]
    local.fit()  # type: ignore[attr-defined]
    assert sorted(set(pulls(hook))) == pytest.approx([0.0002, 0.02])
    assert sum(pull > 0.01 for pull in pulls(hook)) == 6  # 85 % of 8 gammas, in whole gammas


def test_reach_is_s_times_the_sum_of_rate_over_one_minus_momentum() -> None:
    values = np.linspace(0.1, 2.0, 20)
    reach = measure_reach(values, FLAT, SparsitySettings(s=0.001), epochs=10)
    assert reach.travel == pytest.approx(100 * 0.01 / 0.1)
    assert reach.distance == pytest.approx(0.01)
    assert not reach.enough
    assert reach.needed == pytest.approx(np.quantile(values, 0.8))
    enough = measure_reach(values, FLAT, SparsitySettings(s=reach.sufficient_s), epochs=10)
    assert enough.enough
    assert f"--s {reach.sufficient_s:g}" in reach.warning()


def test_reach_counts_the_decay_the_steps_done_and_the_optimiser() -> None:
    values = np.ones(4)
    half = SparsitySettings(s=1.0, sr_mode="global-decay", decay_at=0.5, alpha=0.0)
    assert measure_reach(values, FLAT, half, epochs=10).travel == pytest.approx(60 * 0.1)  # epochs 0 to 5
    constant = SparsitySettings(s=1.0)
    assert measure_reach(values, FLAT, constant, epochs=10, first_step=90).travel == pytest.approx(1.0)
    assert measure_reach(values, FLAT, constant, epochs=10, adaptive=True).travel == pytest.approx(1.0)


def test_shares_count_magnitudes() -> None:
    values = magnitudes([gammas_of(norms([0.0005, -0.005], [0.5, -2.0]))])
    assert shares_below(values) == {"gamma<0.001": 0.25, "gamma<0.01": 0.5, "gamma<0.1": 0.5}


def test_a_gamma_at_a_threshold_is_not_below_it() -> None:
    assert shares_below(np.array([0.01, 0.1, 0.005, 1.0]), (0.01, 0.1)) == {"gamma<0.01": 0.25, "gamma<0.1": 0.5}


@pytest.mark.parametrize(("needed", "s"), [(0.0121, 0.0013), (0.0129, 0.0013), (0.012, 0.0012), (3.01, 0.31)])
def test_the_sufficient_s_is_rounded_up_to_two_digits(needed: float, s: float) -> None:
    reach = measure_reach(np.full(5, needed), FLAT, SparsitySettings(), epochs=10)
    assert reach.sufficient_s == pytest.approx(s)


def test_a_reach_of_exactly_what_is_needed_is_enough() -> None:
    assert Reach(s=0.5, travel=4.0, needed=2.0, percent=0.8, quantiles={}).enough
    assert not Reach(s=0.5, travel=4.0, needed=2.001, percent=0.8, quantiles={}).enough


def test_the_advised_strength_is_enough_although_rates_add_up_to_a_little_less() -> None:
    reach = Reach(s=0.0012, travel=9.99999999999998, needed=0.012, percent=0.8, quantiles={})
    assert reach.sufficient_s == 0.0012
    assert reach.enough


def test_a_histogram_has_a_hundred_bins_from_0_to_a_quarter_above_the_largest_gamma(tmp_path: Path) -> None:
    GammaHistory(tmp_path / "h.npz").append(0, np.array([0.4, 2.0]))
    with np.load(tmp_path / "h.npz") as stored:
        assert (stored["edges"].shape, stored["counts"].shape) == ((101,), (1, 100))
        assert (stored["edges"][0], stored["edges"][-1]) == (0.0, 2.5)
        assert np.flatnonzero(stored["counts"][0]).tolist() == [16, 80]


def test_a_resumed_history_drops_what_will_be_done_again(tmp_path: Path) -> None:
    history = GammaHistory(tmp_path / "h.npz")
    for epoch in range(3):
        history.append(epoch, np.array([0.1, 1.0, 3.0]))
    again = resume_history(tmp_path / "h.npz", 2)
    assert list(again.rows) == [0, 1]
    again.append(2, np.array([99.0, 0.0, 0.0]))  # beyond the last edge: in the last bin
    assert again.rows[2].sum() == 3
    assert again.rows[2][-1] == 1


def test_modes_have_names_and_numbers() -> None:
    assert [parse_mode(t) for t in ("1", "2", "3", "constant")] == [
        "constant",
        "global-decay",
        "local-decay",
        "constant",
    ]
    with pytest.raises(UsageError, match="--alpha"):
        SparsitySettings(alpha=2)


@dataclass(frozen=True, slots=True, kw_only=True)
class Power:
    """s · |γ|^power / power: a penalty that is not of the project."""

    constant_pull: ClassVar[bool] = False
    positive: ClassVar[bool] = False
    power: float = option(2.0, "exponent", metavar="X", within=Interval(1, ends="()"))

    def __post_init__(self) -> None:
        check_options(self)

    def proximal(self, optimizer: torch.optim.Optimizer) -> bool:
        return isinstance(optimizer, torch.optim.AdamW)

    def gradient(self, gammas: torch.Tensor, strengths: torch.Tensor, slots: torch.Tensor) -> torch.Tensor:
        return strengths * gammas.abs() ** (self.power - 1) * gammas.sign()

    def shrunk(self, gammas: torch.Tensor, steps: torch.Tensor, slots: torch.Tensor) -> torch.Tensor:
        return gammas / (1 + steps)


def test_a_penalty_is_a_row_of_the_table_with_flags_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(PENALTIES, "power", Power)
    namespace = make_parser().parse_args("--cfg c --data d --penalty power --power 3 -s 0.5".split())
    settings = take(namespace, SparsitySettings)
    penalty = take_row(namespace, PENALTIES, settings.penalty)
    assert penalty == Power(power=3.0)
    (norm,) = norms([2.0, -3.0])
    hook = SparsityHook(Gammas([norm]), settings, epochs=1, penalty=penalty)
    hook.before_step(StepInfo(0, 0, 0.1, torch.optim.SGD([norm.weight], lr=0.1)))
    assert norm.weight.grad is not None
    assert norm.weight.grad.tolist() == pytest.approx([0.5 * 4, -0.5 * 9])
    hook.after_step(StepInfo(0, 0, 0.1, torch.optim.AdamW([norm.weight], lr=0.1), travel=0.1))
    assert norm.weight.tolist() == pytest.approx([2 / 1.05, -3 / 1.05])


@pytest.mark.parametrize(("strength", "penalty"), [("--s 0.01", L1()), ("--s auto", ProximalL1()), ("", ProximalL1())])
def test_the_penalty_follows_the_strength_unless_one_is_named(strength: str, penalty: object) -> None:
    namespace = settled(make_parser().parse_args(["--cfg", "c", "--data", "d", *strength.split()]))
    assert take_row(namespace, PENALTIES, take(namespace, SparsitySettings).penalty) == penalty
    named = settled(make_parser().parse_args(["--cfg", "c", "--data", "d", "--penalty", "group", *strength.split()]))
    assert take(named, SparsitySettings).penalty == "group"


def test_an_unknown_penalty_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        make_parser().parse_args("--cfg c --data d --penalty l0".split())
    assert caught.value.code == 2
    assert "--penalty: invalid choice: 'l0'" in capsys.readouterr().err
    with pytest.raises(UsageError, match="--penalty l0 must be one of l1"):
        SparsitySettings(penalty="l0")
