"""The equivalence check: it passes every correct cut and fails every wrong one."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given

from prune.darknet.netdef import NetDef, format_netdef, parse_netdef, read_netdef
from prune.darknet.records import Weights
from prune.errors import VerificationError
from prune.graph.channels import EVERYTHING, trace_groups
from prune.plan.channel import ChannelPolicy, plan_channels
from prune.plan.types import PrunePlan
from prune.surgery.apply import Pruned, apply
from prune.verify.equivalence import TOLERANCE, check_equivalence
from prune.verify.passes import relative_deviation
from tests.shared import REPOSITORY
from tests.small_cfgs import ADD, HEAD, NET, cbl
from tests.strategies import examples, pruning_tasks, tame_weights


@given(pruning_tasks())
@examples(150)
def test_every_plan_passes(task: tuple[NetDef, Weights, PrunePlan]) -> None:
    """Channels, blocks and both at once, also where constants are lost."""
    assert check_equivalence(apply(*task)) <= TOLERANCE


def toy(percent: float = 0.5) -> Pruned:
    netdef = read_netdef(REPOSITORY / "cfg" / "toy.cfg")
    weights = tame_weights(netdef, 0)
    return apply(netdef, weights, plan_channels(trace_groups(netdef), weights, ChannelPolicy(percent=percent)))


@pytest.mark.parametrize("name", ["toy", "yolov3-nano", "yolov4-tiny", "yolov3-tiny"])
def test_our_networks_pass_in_float64_from_float32_weights(name: str) -> None:
    netdef = read_netdef(REPOSITORY / "cfg" / f"{name}.cfg")
    weights = tame_weights(netdef, 1)
    plan = plan_channels(trace_groups(netdef, EVERYTHING), weights, ChannelPolicy(percent=0.7))
    assert check_equivalence(apply(netdef, weights, plan)) <= 1e-12


def test_one_wrong_weight_is_seen() -> None:
    pruned = toy()
    assert check_equivalence(pruned) <= TOLERANCE
    for index in pruned.weights.records:
        record = pruned.weights.conv(index)
        weight = record.weight.copy()
        weight.flat[0] += 0.01
        records = {**pruned.weights.records, index: replace(record, weight=weight)}
        with pytest.raises(VerificationError, match="head"):
            check_equivalence(replace(pruned, weights=Weights(pruned.weights.header, records)))


@pytest.mark.parametrize("array", ["bias", "mean", "gamma"])
def test_two_swapped_channels_are_seen(array: str) -> None:
    pruned = toy()
    record = pruned.weights.conv(1)
    swapped = getattr(record, array)[::-1].copy()
    records = {**pruned.weights.records, 1: replace(record, **{array: swapped})}
    with pytest.raises(VerificationError, match="deviates"):
        check_equivalence(replace(pruned, weights=Weights(pruned.weights.header, records)))


def test_another_channel_than_planned_is_seen() -> None:
    pruned = toy()
    kept = pruned.masked.kept.copy()
    born = pruned.masked.graph.trace.ids_of(0, 8)
    kept[born] = np.roll(kept[born], 1)
    with pytest.raises(VerificationError, match="deviates"):
        check_equivalence(replace(pruned, masked=replace(pruned.masked, kept=kept)))


def test_a_wrong_reference_is_seen() -> None:
    layers = cbl(4) + cbl(4) + cbl(4) + ADD + "from=-3\n" + cbl(4)
    netdef = parse_netdef(NET + layers + HEAD)
    weights = tame_weights(netdef, 0)
    plan = plan_channels(trace_groups(netdef), weights, ChannelPolicy(percent=0.1))
    pruned = apply(netdef, weights, plan)
    wrong = parse_netdef(format_netdef(pruned.netdef).replace("from=-3", "from=-2"))
    with pytest.raises(VerificationError, match="deviates"):
        check_equivalence(replace(pruned, netdef=wrong))


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_weights_that_are_not_finite_do_not_pass(value: float) -> None:
    netdef = parse_netdef(NET + cbl(4) + HEAD)
    weights = tame_weights(netdef, 0)
    weights.conv(0).weight[:] = value
    plan = plan_channels(trace_groups(netdef), weights, ChannelPolicy(percent=0.5))
    with pytest.raises(VerificationError, match="not finite"):
        check_equivalence(apply(netdef, weights, plan))


def test_a_network_that_cannot_shrink_to_128_px_is_checked_at_its_own_size() -> None:
    text = NET.replace("16", "256") + cbl(4, size=3, pad=1, stride=16) + cbl(4, size=13) + HEAD
    netdef = parse_netdef(text)
    weights = tame_weights(netdef, 0)
    plan = plan_channels(trace_groups(netdef), weights, ChannelPolicy(percent=0.5))
    assert check_equivalence(apply(netdef, weights, plan)) <= TOLERANCE


@pytest.mark.parametrize(
    "section",
    [
        "[shortcut]\nfrom=-2\nweights_type=per_channel\nweights_normalization=softmax\nactivation=leaky\n",
        "[maxpool]\nmaxpool_depth=1\nout_channels=4\nsize=1\nstride=1\n",
        "[local_avgpool]\nsize=3\nstride=1\n",
        "[reorg3d]\nstride=2\n",
        "[reorg]\nstride=2\n",
        "[connected]\noutput=8\nbatch_normalize=1\nactivation=leaky\n",
    ],
)
def test_networks_with_other_sections_pass_at_a_size_their_layers_take(section: str) -> None:
    net = NET.replace("16", "160")
    netdef = parse_netdef(net + cbl(8, size=3, stride=8, pad=1) + cbl(8) + section + cbl(8) + HEAD)
    weights = tame_weights(netdef, 0)
    plan = plan_channels(trace_groups(netdef), weights, ChannelPolicy(percent=0.5, rule="share"))
    pruned = apply(netdef, weights, plan)
    assert pruned.weights.floats < weights.floats
    assert check_equivalence(pruned) <= TOLERANCE


def test_the_deviation_is_relative_to_the_largest_value_and_strict() -> None:
    a, b = torch.tensor([1.0, 2.0]), torch.tensor([1.0, 4.0])
    assert relative_deviation(a, b) == 0.5
    assert relative_deviation(a * 0, b * 0) == 0
    assert relative_deviation(a, torch.ones(3)) == float("inf")
    assert relative_deviation(a, b * float("nan")) == float("inf")
