"""`--s auto`: what was asked for is exactly 0 in time, whatever the data, the optimiser and the number of epochs."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

import train_sparse
from prune.darknet.netdef import NetDef, parse_netdef, read_netdef
from prune.darknet.records import Weights
from prune.darknet.weights import read_weights
from prune.errors import UsageError
from prune.graph.channels import ChannelGraph, trace_groups
from prune.graph.cost import network_cost
from prune.plan.amount import Amount, parse_amount
from prune.plan.budget import BUDGETS
from prune.plan.channel import ChannelPolicy, plan_channels
from prune.plan.goal import LAYER_KEEP, reachable_goal
from prune.plan.score import gammas, prunable_ids
from prune.plan.target import MEASURES
from prune.surgery.apply import apply
from prune.train.gammas import Gammas
from prune.train.hooks import StepInfo
from prune.train.proximal_l1 import ProximalL1
from prune.train.settings import SparsitySettings
from prune.train.sparsity import goal_of, slots_of
from prune.train.steering import Steering, slot_costs
from tests.shared import REPOSITORY
from tests.small_cfgs import ADD, HEAD, NET, cbl
from tests.strategies import examples, tame_weights
from tests.torch.small_trainings import BASE, cfg_text, folder, run

__all__ = ["folder"]
WIDE = NET + cbl(16) + cbl(32) + cbl(16) + HEAD


def steering_of(graph: ChannelGraph, share_left: float, travels: list[float], epochs: int) -> tuple[Steering, Gammas]:
    layers = graph.prunable_layers
    norms = [nn.BatchNorm2d(graph.netdef.convolution(index).filters) for index in layers]
    vector = Gammas(norms, slots_of(graph, layers))
    goal = reachable_goal(graph, BUDGETS["parameters"], Amount(share_left, relative=True), "--target-params")
    return Steering(graph, layers, vector, goal, travels, epochs), vector


def simulated(graph: ChannelGraph, share_left: float, lr: float, epochs: int, steps: int, push: float) -> torch.Tensor:
    """The γ after a run in which the loss pushes every γ up by `push` per step, the first ones hardest."""
    steering, vector = steering_of(graph, share_left, [lr] * (epochs * steps), epochs)
    optimizer = torch.optim.SGD(vector.parameters, lr=lr)
    rising = torch.linspace(2.0, 1.0, len(vector.values()))
    for step in range(epochs * steps):
        if step % steps == 0:
            steering.start(step // steps, vector)
        info = StepInfo(step // steps, step, lr, optimizer, travel=lr)
        vector.add_gradient(-rising - vector.gradients())
        steering.observe(vector)
        vector.write(vector.values() + push * rising)
        vector.write(ProximalL1().shrunk(vector.values(), lr * steering.at(info, vector), vector.slots))
        due = steering.due(info)
        assert bool((vector.values()[due].abs() < 1e-5).all())  # without being forced to
        vector.write(vector.values().masked_fill(due, 0.0))
    return vector.values()


@given(st.floats(0.15, 0.9), st.floats(1e-5, 1.0), st.integers(2, 12), st.integers(1, 7), st.floats(0, 0.01))
@examples(60)
def test_the_target_is_met_exactly_whatever_the_rate_the_epochs_and_the_push_of_the_loss(
    left: float, lr: float, epochs: int, steps: int, push: float
) -> None:
    graph = trace_groups(parse_netdef(WIDE))
    values = simulated(graph, left, lr, epochs, steps, push)
    masks = dict(zip(graph.prunable_layers, (values != 0).split([16, 32, 16]), strict=True))  # type: ignore[no-untyped-call]
    kept = graph.kept_ids({graph.group(index).id: mask.numpy() for index, mask in masks.items()})
    whole = BUDGETS["parameters"].cost(graph, np.ones(graph.trace.total, bool))
    cost = BUDGETS["parameters"].cost(graph, kept)
    assert cost <= left * whole + 1
    assert cost >= left * whole - max(slot_costs(graph, *ids_and_slots(graph), BUDGETS["parameters"]))


def ids_and_slots(graph: ChannelGraph) -> tuple[np.ndarray, np.ndarray]:
    layers = graph.prunable_layers
    return np.concatenate([graph.trace.outputs[i] for i in layers]), slots_of(graph, layers).numpy()


def test_channels_of_least_importance_for_their_cost_are_chosen_and_stay_chosen() -> None:
    graph = trace_groups(parse_netdef(WIDE))
    steering, vector = steering_of(graph, 0.5, [0.1] * 20, 10)
    important = torch.zeros(64).index_fill_(0, torch.arange(0, 64, 2), 1.0)
    chosen = torch.zeros(64, dtype=torch.bool)
    for epoch in range(10):
        steering.start(epoch, vector)
        assert bool(steering.chosen[chosen].all())
        chosen = steering.chosen.clone()
        vector.add_gradient(important + 1e-3 - vector.gradients())
        steering.observe(vector)
    assert not bool(chosen[important.bool()].any())
    assert int(chosen.sum()) > 10


def test_nothing_is_chosen_while_importance_is_observed_and_nothing_after_the_end() -> None:
    steering, vector = steering_of(trace_groups(parse_netdef(WIDE)), 0.5, [0.1] * 40, 20)
    counts = []
    for epoch in range(20):
        steering.start(epoch, vector)
        steering.observe(vector)
        counts.append(int(steering.chosen.sum()))
    assert steering.first == 2
    assert counts[:2] == [0, 0]
    assert counts[2] > 0
    assert counts == sorted(counts)
    assert len(set(counts[steering.done - 2 :])) == 1
    assert [steering.met(epoch) for epoch in (10, 11, 19)] == [False, True, True]


@pytest.mark.parametrize("name", ["parameters", "bflops", "bytes"])
def test_the_cost_of_a_slot_is_what_cutting_it_alone_saves(name: str) -> None:
    graph = trace_groups(parse_netdef(NET + cbl(8) + cbl(8) + ADD + "from=-2\n" + cbl(4) + HEAD))
    ids, slots = ids_and_slots(graph)
    costs = slot_costs(graph, ids, slots, BUDGETS[name])
    whole = BUDGETS[name].cost(graph, np.ones(graph.trace.total, bool))
    for slot, cost in enumerate(costs):
        kept = np.ones(graph.trace.total, bool)
        kept[ids[slots == slot]] = False
        saved = whole - BUDGETS[name].cost(graph, kept)
        assert saved <= cost <= 1.3 * saved  # kernels between two members count for both


@pytest.mark.parametrize(
    ("text", "amount"),
    [
        ("0.15x", Amount(0.15, True)),
        ("850k", Amount(850e3, False)),
        ("1.2M", Amount(1.2e6, False)),
        ("7", Amount(7, False)),
    ],
)
def test_amounts_are_shares_or_numbers(text: str, amount: Amount) -> None:
    assert parse_amount(text) == amount


@pytest.mark.parametrize("text", ["", "x", "1x", "0x", "-3", "1.2.3", "12 apples", "nan", "0"])
def test_what_is_not_an_amount_is_refused(text: str) -> None:
    with pytest.raises(UsageError):
        parse_amount(text)


def test_sparse_training_takes_the_targets_of_pruning() -> None:
    graph = trace_groups(read_netdef(REPOSITORY / "cfg" / "yolov3-tiny.cfg"))
    for name, amount in (("bflops", "0.25x"), ("mb", "10"), ("params", "0.25x")):
        goal, counted = goal_of(graph, SparsitySettings(**{f"target_{name}": MEASURES[name].parse(amount)}))  # type: ignore[arg-type]
        assert counted == MEASURES[name].name
        whole = goal.budget.cost(graph, np.ones(graph.trace.total, bool))
        left = 10e6 if name == "mb" else 0.25 * whole
        assert (1 - goal.share) * whole == pytest.approx(left)
    assert goal == goal_of(graph, SparsitySettings())[0], "the default is 0.25x of the parameters"


def test_a_target_that_cannot_be_reached_names_the_least() -> None:
    graph = trace_groups(read_netdef(REPOSITORY / "cfg" / "yolov3-tiny.cfg"))
    with pytest.raises(UsageError, match=rf"0\.001x: at least [\d,]+ \(0\.0\d+x\) .* {LAYER_KEEP:.0%} of each"):
        reachable_goal(graph, BUDGETS["parameters"], parse_amount("0.001x"), "--target-params")
    with pytest.raises(UsageError, match="to begin with"):
        reachable_goal(graph, BUDGETS["parameters"], parse_amount("9M"), "--target-params")


TINY = BASE.replace("--epochs 2", "--epochs 5")


def trained(monkeypatch: pytest.MonkeyPatch, out: str, *more: str) -> tuple[NetDef, Weights]:
    assert run(monkeypatch, train_sparse, f"{TINY} {out}", more) == 0
    netdef = read_netdef(Path(out) / "model.cfg")
    return netdef, read_weights(Path(out) / "best.weights", netdef)


@pytest.mark.parametrize("penalty", ["l1", "prox-l1", "polarization", "group"])
@pytest.mark.parametrize("optimizer", ["adamw", "sgd"])
def test_every_penalty_and_optimiser_ends_at_the_target(
    folder: Path, monkeypatch: pytest.MonkeyPatch, penalty: str, optimizer: str
) -> None:
    (folder / "a.cfg").write_text(cfg_text(width=24, shortcut=True))
    more = ["--target-params", "0.4x", "--penalty", penalty, "--optimizer", optimizer]
    netdef, weights = trained(monkeypatch, "out", *more)
    graph = trace_groups(netdef)
    values = gammas(graph, weights)[prunable_ids(graph)]
    percent = float((values == 0).mean())
    pruned = apply(netdef, weights, plan_channels(graph, weights, ChannelPolicy(percent=percent, layer_keep=0.0)))
    left = network_cost(pruned.netdef).parameters / network_cost(netdef).parameters
    assert abs(left - 0.4) < 0.05


def test_a_resumed_run_ends_in_the_weights_of_the_undisturbed_one(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trained(monkeypatch, "whole")
    monkeypatch.setattr("prune.train.steering.Steering.met", lambda self, epoch: stop(epoch))

    def stop(epoch: int) -> bool:
        if epoch == 2:
            raise KeyboardInterrupt
        return epoch >= 2

    assert run(monkeypatch, train_sparse, f"{TINY} part") == 130
    monkeypatch.undo()
    monkeypatch.chdir(folder)
    assert run(monkeypatch, train_sparse, f"{TINY} part", ["--resume"]) == 0
    for name in ("last.weights", "best.weights", "model.cfg"):
        assert (folder / "part" / name).read_bytes() == (folder / "whole" / name).read_bytes()


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--target-params", "0.001x"], "at least"),
        (["--target-bflops", "0.001x"], "--target-bflops 0.001x: at least"),
        (["--target-mb", "9"], "--target-mb 9: "),
        (["--target-params", "0.5x", "--target-mb", "0.5x"], "--target-params and --target-mb: sparse training steers"),
        (["--target-params", "0.5x", "--target-percent", "0.5"], "--target-params only works without --target-percent"),
        (["--target-params", "0.5x", "--s", "0.1"], "--target-params only works with --s auto"),
        (["--sr-mode", "2"], "--sr-mode global-decay needs a strength"),
        (["--s", "0.1", "--penalty", "polarization", "--no-equalize"], "needs gammas of at least 0"),
        (["--keep-layers", "0-3"], "no layer can be pruned"),
        (["--s", "0.1", "--equalize", "--cfg", "mish.cfg"], "the gammas of no layer can be made equal (layer 0: "),
    ],
)
def test_what_cannot_be_done_is_one_line_and_exit_code_2(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], more: list[str], message: str
) -> None:
    (folder / "mish.cfg").write_text(cfg_text().replace("leaky", "mish"))
    if "polarization" in more:
        netdef = read_netdef(folder / "a.cfg")
        write_negative(folder / "neg.weights", netdef)
        more = [*more, "--weights", "neg.weights"]
    assert run(monkeypatch, train_sparse, f"{TINY} out", more) == 2
    error = capsys.readouterr().err.strip().splitlines()
    assert message in error[-1]


def write_negative(path: Path, netdef: NetDef) -> None:
    """Weights with γ of either sign."""
    from prune.darknet.weights import write_weights

    write_weights(path, tame_weights(netdef, 0), netdef)


def test_a_checkpoint_of_another_penalty_is_refused(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    trained(monkeypatch, "out")
    more = ["--resume", "--penalty", "group", "--epochs", "6"]
    assert run(monkeypatch, train_sparse, f"{TINY} out", more) == 2
    assert "trained with --penalty prox-l1" in capsys.readouterr().err


def test_layers_whose_activation_passes_no_factor_on_are_named_and_the_target_is_met_all_the_same(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "a.cfg").write_text(cfg_text(width=16).replace("leaky", "mish", 1))
    arguments = f"{TINY.replace(' --quiet', '')} out --target-params 0.5x"
    assert run(monkeypatch, train_sparse, arguments) == 0
    lines = capsys.readouterr().err
    netdef = read_netdef("out/model.cfg")
    weights = read_weights(Path("out/best.weights"), netdef)
    assert "gammas made equal in 2 layers; the network computes the same" in lines
    assert "gammas keep their size in layers 0: activation=mish of layer 0 passes no factor on" in lines
    graph = trace_groups(netdef)
    zero = float((gammas(graph, weights)[prunable_ids(graph)] == 0).mean())
    pruned = apply(netdef, weights, plan_channels(graph, weights, ChannelPolicy(percent=zero, layer_keep=0.0)))
    assert network_cost(pruned.netdef).parameters / network_cost(netdef).parameters <= 0.5


@pytest.mark.parametrize("damage", ["deadlines", "importance", "observed", "shape"])
def test_a_state_of_other_layers_or_with_a_part_missing_is_refused(damage: str) -> None:
    steering, _ = steering_of(trace_groups(parse_netdef(WIDE)), 0.5, [0.1] * 20, 10)
    state = steering.state()
    if damage == "shape":
        state["chosen"] = state["chosen"][:-1]
    else:
        del state[damage]
    with pytest.raises(UsageError, match="--resume: the checkpoint chose among other layers"):
        steering.restore(state)
