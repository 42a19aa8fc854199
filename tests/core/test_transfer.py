"""Weights of one network for another: what fits is taken over, the rest is listed."""

from __future__ import annotations

import numpy as np

from prune.darknet.netdef import parse_netdef
from prune.darknet.transfer import transfer
from prune.darknet.weights import random_weights
from tests.mixed_layers import CONV, MIXED
from tests.weight_pairs import CFG


def test_equal_networks_take_everything() -> None:
    netdef = parse_netdef(CFG)
    weights = random_weights(netdef, np.random.default_rng(0))
    taken, initialised = transfer(weights, netdef, netdef)
    assert taken == dict(weights.records)
    assert initialised == []


def test_another_kernel_or_batch_norm_is_newly_initialised_and_listed() -> None:
    source = parse_netdef(CFG, "source.cfg")
    weights = random_weights(source, np.random.default_rng(0))
    wider = parse_netdef(CFG.replace("filters=6", "filters=8"))
    taken, initialised = transfer(weights, source, wider)
    assert list(taken) == [0]
    assert initialised == ["layer 1: kernel 6×2×1×1, here 8×2×1×1"]
    bare = parse_netdef(CFG.replace("batch_normalize=1\n", ""))
    taken, initialised = transfer(weights, source, bare)
    assert list(taken) == [1]
    assert initialised == ["layer 0: only one of them has batch norm"]


def test_a_layer_the_source_lacks_is_listed() -> None:
    source = parse_netdef(CFG, "source.cfg")
    longer = parse_netdef(CFG + "[maxpool]\nsize=2\nstride=2\n[convolutional]\nactivation=linear\n")
    taken, initialised = transfer(random_weights(source, np.random.default_rng(0)), source, longer)
    assert list(taken) == [0, 1]
    assert initialised == ["layer 3: source.cfg contains no convolution there"]


def test_connected_layers_and_weighted_shortcuts_are_taken_where_they_fit() -> None:
    source = parse_netdef(MIXED, "source.cfg")
    weights = random_weights(source, np.random.default_rng(0))
    assert transfer(weights, source, source) == (dict(weights.records), [])
    other = MIXED.replace("width=4", "width=6").replace("per_channel", "per_feature")
    taken, initialised = transfer(weights, source, parse_netdef(other))
    assert list(taken) == [0, 1]
    assert initialised == ["layer 2: factors 2×3, here 2", "layer 3: kernel 2×3×2×4, here 2×3×2×6"]
    plain = MIXED.replace("weights_type=per_channel\n", "").replace("[shortcut]\nfrom=-2", CONV.strip())
    taken, initialised = transfer(weights, source, parse_netdef(plain))
    assert initialised == ["layer 2: source.cfg contains no convolution there"]
