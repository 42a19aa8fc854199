"""Trained weights: what is dead in them is cut, and no detection changes."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor

from prune.darknet.netdef import NetDef, read_netdef
from prune.darknet.records import ConvParams, Weights
from prune.darknet.weights import read_weights
from prune.detect.decode import decode
from prune.detect.nms import nms_batch
from prune.detect.settings import NmsSettings
from prune.graph.channels import EVERYTHING, ChannelGraph, PruneGroup, trace_groups
from prune.model.build import DarknetModel
from prune.model.state import load_weights
from prune.plan.score import gammas, slot_scores
from prune.plan.types import ChannelMask, PrunePlan, digest
from prune.samples.fit import fit_for, fit_image
from prune.samples.images import read_image
from prune.surgery.apply import apply
from prune.verify.passes import relative_deviation
from tests.shared import SHARED, needs_shared

pytestmark = needs_shared
SHARE = 0.2


def dead_weights(graph: ChannelGraph, weights: Weights) -> tuple[Weights, tuple[ChannelMask, ...]]:
    """γ = β = 0 for the fifth of each group that matters least, and the masks that cut just these."""
    scores = slot_scores(graph, gammas(graph, weights))
    masks = tuple(ChannelMask(group.id, _keep(group, scores[group.id])) for group in graph.prunable())
    records = dict(weights.records)
    for mask in masks:
        for producer, slots in graph.groups[mask.group].members.items():
            records[producer] = _zeroed(weights.conv(producer), mask.keep[slots])
    return Weights(weights.header, records), masks


def _keep(group: PruneGroup, scores: NDArray[np.float64]) -> NDArray[np.bool_]:
    keep = np.ones(group.width, bool)
    keep[np.argsort(scores, kind="stable")[: int(SHARE * group.width)]] = False
    return keep


def _zeroed(record: ConvParams, alive: NDArray[np.bool_]) -> ConvParams:
    assert record.gamma is not None
    return replace(record, gamma=np.where(alive, record.gamma, 0), bias=np.where(alive, record.bias, 0))


def images(netdef: NetDef, count: int) -> Tensor:
    """Photographs (count, 3, H, W) in [0, 1], stretched to the size of the network."""
    size = (netdef.net.width, netdef.net.height)
    tensors = []
    for path in sorted((SHARED / "coco-mini" / "val2017").glob("*.jpg"))[:count]:
        image = read_image(path)
        assert image is not None
        fitted = fit_image(image, fit_for((image.shape[1], image.shape[0]), size, letterbox=False))
        tensors.append(torch.from_numpy(np.ascontiguousarray(fitted.transpose(2, 0, 1))))
    return torch.stack(tensors).float() / 255


def outputs(netdef: NetDef, weights: Weights, imgs: Tensor) -> list[Tensor]:
    model = DarknetModel(netdef).eval()
    load_weights(model, weights)
    with torch.inference_mode():
        return list(model.to(imgs.dtype)(imgs))


def detections(netdef: NetDef, raw: list[Tensor], conf: float) -> list[Tensor]:
    size = (netdef.net.width, netdef.net.height)
    return nms_batch(decode(raw, netdef.heads, size), NmsSettings(conf=conf, iou=0.45))


@pytest.mark.parametrize(("name", "conf"), [("yolov3-tiny-123", 0.001), ("yolo-fastest-1.1", 0.1)])
def test_detections_do_not_change_where_a_fifth_of_every_group_is_dead_and_cut(name: str, conf: float) -> None:
    netdef = read_netdef(SHARED / "weights" / f"{name}.cfg")
    original = read_weights(SHARED / "weights" / f"{name.removesuffix('-123')}.weights", netdef)
    graph = trace_groups(netdef, EVERYTHING)
    weights, masks = dead_weights(graph, original)
    pruned = apply(netdef, weights, PrunePlan(digest(netdef, weights), masks))
    assert pruned.notes == ()
    assert graph.frozen_layers == ()
    imgs = images(netdef, 4)
    before, after = outputs(netdef, weights, imgs), outputs(pruned.netdef, pruned.weights, imgs)
    assert max(map(relative_deviation, before, after)) <= 1e-6
    pairs = list(zip(detections(netdef, before, conf), detections(netdef, after, conf), strict=True))
    assert sum(len(a) for a, _ in pairs) > 4
    for a, b in pairs:
        assert a[:, 5].tolist() == b[:, 5].tolist()
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-5)
