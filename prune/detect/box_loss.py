"""Boxes at a head's positives, and the loss of their coordinates."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from prune.detect.assign import Assignment
from prune.detect.decode import HeadGeometry, decode_wh, decode_xy

# Added to a standard deviation where it normalises: keeps the likelihood of a certain and correct box finite.
# AlexeyAB's Darknet, gaussian_yolo_layer.c, `sigma_const`.
_SIGMA_FLOOR = 0.3
# Choi et al. 2019, equation 5: epsilon of the logarithm.
_EPSILON = 1e-9
# Lower bound of an uncertainty used as a divisor.
_LEAST_SIGMA = 1e-3


def boxes_at(
    at_places: Tensor,
    places: Assignment,
    geometry: HeadGeometry,
    cells_wh: tuple[int, int],
    net_size_wh: tuple[int, int],
) -> Tensor:
    """Boxes at a head's positives: values (P, ≥4) → (P, 4) cxcywh in pixels of the network input."""
    corner = torch.stack((places.column, places.row), 1)
    strides = [pixels / cells for pixels, cells in zip(net_size_wh, cells_wh, strict=True)]
    stride = torch.tensor(strides, device=at_places.device)
    xy = (decode_xy(at_places[:, :2], geometry) + corner) * stride
    wh = decode_wh(at_places[:, 2:4], geometry.anchors[places.anchor], geometry.new_coords)
    return torch.cat((xy, wh), 1)


def coordinate_loss(
    at_places: Tensor,
    sigma: Tensor,
    places: Assignment,
    geometry: HeadGeometry,
    cells_wh: tuple[int, int],
    net_size_wh: tuple[int, int],
) -> Tensor:
    """(P,) negative log-likelihood of the objects' coordinates under the head's Gaussians, at least 0.

    at_places (P, ≥4): means, sigma (P, 4): standard deviations, of offsets in cells and of logarithms of sizes in
    anchors. The mean over the four coordinates, so that `box_gain` has the weight it has for other heads, times (2 −
    w·h)/2: small objects count more. Choi et al. 2019, "Gaussian YOLOv3", equations 5 and 6.
    """
    means = torch.cat((decode_xy(at_places[:, :2], geometry), at_places[:, 2:4]), 1)
    wanted = _coordinates(places, geometry, cells_wh, net_size_wh)
    scaled = (wanted - means) / sigma.clamp_min(_LEAST_SIGMA)
    likeliest = -math.log(_SIGMA_FLOOR)
    log_density = -scaled.square() / 2 - (sigma + _SIGMA_FLOOR).log()
    floor = torch.full_like(log_density, math.log(_EPSILON * math.sqrt(2 * math.pi)))
    loss = likeliest - torch.logaddexp(log_density, floor)
    return loss.mean(1) * (2 - places.boxes[:, 2:].prod(1)) / 2


def _coordinates(
    places: Assignment, geometry: HeadGeometry, cells_wh: tuple[int, int], net_size_wh: tuple[int, int]
) -> Tensor:
    """(P, 4): the targets of the means: the centre's offset in its cell, and log(size / anchor)."""
    cells, net = (torch.tensor(size, device=places.boxes.device) for size in (cells_wh, net_size_wh))
    xy = places.boxes[:, :2] * cells - torch.stack((places.column, places.row), 1)
    sizes = places.boxes[:, 2:] * net / geometry.anchors[places.anchor]
    return torch.cat((xy, sizes.log()), 1)
