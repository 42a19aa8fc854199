"""The network that training starts from: newly initialised, or with weights from a file."""

from __future__ import annotations

import logging
import math
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import nn

from prune.darknet.layers import Convolutional
from prune.darknet.layout import slots
from prune.darknet.netdef import NetDef, read_netdef
from prune.darknet.records import Weights
from prune.darknet.transfer import transfer
from prune.darknet.weights import OTHER_NETWORK, read_partial
from prune.errors import WeightsError
from prune.model.build import DarknetModel
from prune.model.files import CHECKPOINT_SUFFIXES, State, read_checkpoint_weights, read_exact
from prune.model.state import load_weights
from prune.train.frozen import freeze

logger = logging.getLogger(__name__)
OBJECT_PRIOR = 0.01
"""Initial objectness of a head: few cells contain an object, and a head that starts at 0.5 would spend its first steps
on learning to be low everywhere (Lin et al. 2017, "Focal Loss for Dense Object Detection", section 3.3)."""
HEAD_STD = 0.01
LEAKY_SLOPE = 0.1


def start_network(
    netdef: NetDef, weights: Path | None = None, weights_cfg: Path | None = None, frozen: int = 0
) -> tuple[DarknetModel, int]:
    """A network ready to train, with its first `frozen` layers frozen, and how many images it has `seen`.

    `weights` may end on any layer boundary; with `weights_cfg` they belong to that network, and the layers of equal
    shape are taken. Layers that the file does not set are newly initialised. Raises WeightsError, CfgError, and
    UsageError if nothing is left to train.
    """
    model = DarknetModel(netdef)
    initialize(model)
    freeze(model, frozen)
    if weights is None:
        _warn_of_frozen([slot.layer.index for slot in slots(netdef)], frozen)
        return model, 0
    found = _transferred(weights, weights_cfg, netdef) if weights_cfg else _read_start(weights, netdef)
    load_weights(model, found)
    initialised = [slot.layer.index for slot in slots(netdef) if slot.layer.index not in found.records]
    if initialised:
        logger.info("%s: layers %s are newly initialised", weights, ", ".join(map(str, initialised)))
        _warn_of_frozen(initialised, frozen)
    return model, found.header.seen


def _warn_of_frozen(initialised: Sequence[int], frozen: int) -> None:
    useless = [index for index in initialised if index < frozen]
    if useless:
        logger.warning("layers %s are frozen with random weights: no file sets them", ", ".join(map(str, useless)))


def restore_network(netdef: NetDef, state: State) -> DarknetModel:
    """The network of a checkpoint. Raises WeightsError if `state` belongs to another network."""
    model = DarknetModel(netdef)
    try:
        model.load_state_dict(state)
    except RuntimeError as cause:
        raise WeightsError(netdef.path, f"is not the cfg of the checkpoint: {_brief(cause)}") from cause
    return model


def initialize(model: DarknetModel) -> None:
    """Initial weights: kernels by He et al. 2015 for the leaky slope, gamma 1, beta 0, and heads initialised to low
    objectness (focal-loss prior)."""
    for _, block in model.convolutions():
        nn.init.kaiming_normal_(block.conv.weight, a=LEAKY_SLOPE, nonlinearity="leaky_relu")
        if block.conv.bias is not None:
            nn.init.zeros_(block.conv.bias)
    for head in model.heads:
        source = model.netdef.layers[head.inputs[0]]
        if isinstance(source, Convolutional):
            _initialize_head(model.block(source.index).conv, head.boxes, head.entries)


@torch.no_grad()
def _initialize_head(conv: nn.Conv2d, anchors: int, entries: int) -> None:
    """Small kernels, objectness at OBJECT_PRIOR. Channels are ordered by anchor: the `entries` of a box, the last of
    which is objectness, then the classes.
    """
    nn.init.normal_(conv.weight, std=HEAD_STD)
    if conv.bias is not None:
        conv.bias.view(anchors, -1)[:, entries - 1] = -math.log((1 - OBJECT_PRIOR) / OBJECT_PRIOR)


def _read_start(path: Path, netdef: NetDef) -> Weights:
    if path.suffix in CHECKPOINT_SUFFIXES:
        return read_checkpoint_weights(path, netdef, OTHER_NETWORK)
    return read_partial(path, netdef)


def _transferred(path: Path, source_cfg: Path, target: NetDef) -> Weights:
    source = read_netdef(source_cfg)
    weights = read_exact(path, source)
    records, remarks = transfer(weights, source, target)
    for remark in remarks:
        logger.info("%s", remark)
    return Weights(weights.header, records)


def _brief(cause: RuntimeError) -> str:
    return " ".join(str(cause).split())[:160]
