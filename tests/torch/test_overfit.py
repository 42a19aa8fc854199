"""Small networks with every kind of head learn four images."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from prune.darknet.netdef import NetDef
from prune.detect.boxes import cxcywh_to_xyxy, pairwise_iou
from prune.detect.decode import decode
from prune.detect.loss import YoloLoss
from prune.detect.nms import nms
from prune.detect.settings import LossSettings, NmsSettings
from prune.model.build import DarknetModel, build
from tests.torch.heads import two_heads
from tests.torch.loss_cases import KINDS, SIZE


def scenes(classes: int) -> tuple[Tensor, Tensor]:
    """Four images (4, 3, 64, 64) of two bright rectangles each, whose colour is their class, and targets."""
    generator = torch.Generator().manual_seed(3)
    imgs = 0.2 * torch.rand(4, 3, 64, 64, generator=generator)
    targets = []
    for number in range(4):
        for k in range(2):
            w, h = (int(v) for v in torch.randint(12, 30, (2,), generator=generator))
            left = int(torch.randint(0, 32 - w + 1, (1,), generator=generator)) + 32 * k
            top = int(torch.randint(0, 64 - h, (1,), generator=generator))
            label = (number + k) % classes
            imgs[number, label, top : top + h, left : left + w] += 0.8
            targets.append([number, label, (left + w / 2) / 64, (top + h / 2) / 64, w / 64, h / 64])
    return imgs, torch.tensor(targets)


@torch.enable_grad()
def overfit(netdef: NetDef, imgs: Tensor, targets: Tensor, steps: int) -> DarknetModel:
    torch.manual_seed(0)
    model = build(netdef).train()
    optimizer = torch.optim.Adam(model.parameters(), lr=0.005)
    loss = YoloLoss(model.heads, LossSettings(), SIZE)
    for _ in range(steps):
        optimizer.zero_grad()
        loss(model(imgs), targets).total.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
    return model


@pytest.mark.parametrize("kind", KINDS)
def test_the_loss_of_other_heads_falls(kind: str) -> None:
    imgs, targets = scenes(2)
    netdef = two_heads(kinds=(kind, kind))
    loss = YoloLoss(netdef.heads, LossSettings(), SIZE)
    with torch.no_grad():
        first, last = (float(loss(overfit(netdef, imgs, targets, n)(imgs), targets).total) for n in (0, 40))
    assert last < 0.2 * first


@pytest.mark.parametrize(
    ("classes", "options"),
    [
        (1, {}),
        (2, {}),
        (1, {"new_coords": 1, "scale": 2.0}),
        (2, {"new_coords": 1, "scale": 2.0}),
        (2, {"kinds": ("region", "region")}),
        (2, {"kinds": ("Gaussian_yolo", "Gaussian_yolo")}),
    ],
)
def test_a_small_network_learns_four_images_by_heart(classes: int, options: dict[str, object]) -> None:
    imgs, targets = scenes(classes)
    # A Gaussian head learns its uncertainties too: after 200 steps some processors still leave it a box too many.
    steps = 400 if "Gaussian_yolo" in str(options) else 200
    model = overfit(two_heads(classes, **options), imgs, targets, steps)
    with torch.inference_mode():  # in training mode: with the statistics of these four images
        decoded = decode(model(imgs), model.heads, SIZE)
    for number in range(4):
        found = nms(decoded[number], NmsSettings(conf=0.25, iou=0.5))
        truth = targets[targets[:, 0] == number]
        overlap = pairwise_iou(cxcywh_to_xyxy(truth[:, 2:]), found[:, :4])
        right = (overlap > 0.5) & (truth[:, 1:2] == found[:, 5])
        assert right.any(1).all(), "an object is not found"
        assert len(found) == len(truth)
        assert found[:, 4].min() > 0.5
        # Readers multiply by the class probability: it is learned for a single class as well.
        assert decoded[number][decoded[number, :, 4] > 0.5, 5:].amax(1).min() > 0.5
