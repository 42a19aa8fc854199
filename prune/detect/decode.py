"""From the raw numbers at the input of detection heads to boxes, as Darknet decodes them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from prune.darknet.head_rules import MAX_SIZE_LOGIT, anchors_in_pixels, head_rules
from prune.darknet.layers import Head
from prune.detect.heads import class_scores, split_head, uncertainties


@dataclass(frozen=True, slots=True)
class HeadGeometry:
    """How one head's numbers become boxes: anchors (A, 2) in pixels, and how they are applied."""

    anchors: Tensor
    scale_x_y: float
    new_coords: bool


def head_geometry(head: Head, like: Tensor, net_size_wh: tuple[int, int]) -> HeadGeometry:
    """The geometry of a head whose map is that of `like` (…, H, W), on its device, in float32."""
    rules, (height, width) = head_rules(head), like.shape[-2:]
    anchors = anchors_in_pixels(head, (height, width), net_size_wh)
    pixels = torch.tensor(anchors, dtype=torch.float32, device=like.device)
    return HeadGeometry(pixels, rules.scale_x_y, rules.probable)


def decode_xy(raw_xy: Tensor, geometry: HeadGeometry) -> Tensor:
    """Offsets of a centre from its cell's corner, in cells: sigmoid(t)·s − (s−1)/2, s being `scale_x_y`."""
    inner = raw_xy if geometry.new_coords else raw_xy.sigmoid()
    return inner * geometry.scale_x_y - (geometry.scale_x_y - 1) / 2


def decode_wh(raw_wh: Tensor, anchors: Tensor, new_coords: bool) -> Tensor:
    """Sizes in pixels of the network input: exp(t)·anchor, or (2p)²·anchor under `new_coords`."""
    factor = (2 * raw_wh).square() if new_coords else raw_wh.clamp_max(MAX_SIZE_LOGIT).exp()
    return factor * anchors


def cell_corners(height: int, width: int, device: torch.device) -> Tensor:
    """(2, H, W): column and row of each cell, from 0."""
    rows, columns = torch.arange(height, device=device), torch.arange(width, device=device)
    grid_rows, grid_columns = torch.meshgrid(rows, columns, indexing="ij")
    return torch.stack((grid_columns, grid_rows)).float()


def decode_boxes(values: Tensor, geometry: HeadGeometry, net_size_wh: tuple[int, int]) -> Tensor:
    """Boxes of all cells: values (B, A, ≥4, H, W) → (B, A, 4, H, W) cxcywh, fractions of the input."""
    height, width = values.shape[-2:]
    cells = torch.tensor([width, height], device=values.device).view(2, 1, 1)
    net = torch.tensor(net_size_wh, device=values.device).view(2, 1, 1)
    xy = (decode_xy(values[:, :, :2], geometry) + cell_corners(height, width, values.device)) / cells
    wh = decode_wh(values[:, :, 2:4], geometry.anchors[:, :, None, None], geometry.new_coords) / net
    return torch.cat((xy, wh), dim=2)


def decode_head(raw: Tensor, head: Head, net_size_wh: tuple[int, int]) -> Tensor:
    """One head's raw input (B, A·(entries + C), H, W) → (B, A·H·W, 5+C), anchor-major; columns as in `decode`."""
    raw, rules = raw.float(), head_rules(head)
    values, uncertainty = split_head(raw, head), uncertainties(raw, head)
    boxes = decode_boxes(values, head_geometry(head, values, net_size_wh), net_size_wh)
    objectness = values[:, :, 4:5] if rules.probable else values[:, :, 4:5].sigmoid()
    if uncertainty is not None:
        objectness = objectness * (1 - uncertainty.mean(2, keepdim=True))
    classes = class_scores(values[:, :, 5:], rules, dim=2)
    return torch.cat((boxes, objectness, classes), dim=2).permute(0, 1, 3, 4, 2).flatten(1, 3)


def decode(raw: Sequence[Tensor], heads: Sequence[Head], net_size_wh: tuple[int, int]) -> Tensor:
    """All heads' raw inputs → (B, N, 5+C): cxcywh as fractions of the network input, objectness, class
    scores (not multiplied by objectness).

    N runs head by head, in each head anchor by anchor, row by row. C is the largest class count of the
    heads; classes that a head does not know have score 0. `net_size_wh` is the size in pixels of the input
    images. Objectness of `[Gaussian_yolo]` is multiplied by 1 − the mean uncertainty of its box.
    Sources: Redmon and Farhadi, "YOLOv3", 2018, section 2.1, and "YOLO9000", 2017, section 2; Choi et al.,
    "Gaussian YOLOv3", 2019, section 3.3; the meaning of their options: AlexeyAB's Darknet (get_yolo_box,
    get_region_boxes, get_gaussian_yolo_detections).
    """
    decoded = [decode_head(r, head, net_size_wh) for r, head in zip(raw, heads, strict=True)]
    widest = max(d.shape[-1] for d in decoded)
    return torch.cat([F.pad(d, (0, widest - d.shape[-1])) for d in decoded], dim=1)
