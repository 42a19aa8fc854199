"""Anchors for a dataset: k-means over the sizes of its boxes, and how well anchors fit them."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from prune.darknet.layers import Head, Region, Yolo
from prune.darknet.netdef import NetDef
from prune.darknet.shapes import shapes
from prune.errors import UsageError
from prune.samples.fit import fit_for
from prune.samples.sample import Sample

Sizes = NDArray[np.float64]
RECALLS = (0.5, 0.7)
_MOST_BOXES, _RESTARTS, _STEPS = 20_000, 5, 100


@dataclass(frozen=True, slots=True)
class AnchorFit:
    """Anchors (w, h) in pixels of the network's input, the mean IoU of each box with its best anchor, and the share
    of boxes whose best anchor has an IoU of at least each of `RECALLS`."""

    anchors: tuple[tuple[float, float], ...]
    mean_iou: float
    recalls: tuple[float, ...]

    def text(self) -> str:
        """In the format of a cfg: `w,h, w,h, ...`."""
        return ", ".join(f"{width:g},{height:g}" for width, height in self.anchors)


def network_sizes(
    samples: Sequence[Sample], sizes: Sequence[tuple[int, int]], net_wh: tuple[int, int], letterbox: bool
) -> Sizes:
    """(n, 2) widths and heights, in pixels of a network's input, of the boxes that training uses (neither difficult
    nor crowds), for images of `sizes` pixels."""
    parts = [np.zeros((0, 2))]
    for sample, size in zip(samples, sizes, strict=True):
        fitted = np.array(fit_for(size, net_wh, letterbox).size_wh, np.float64)
        parts.append(sample.boxes[~(sample.difficult | sample.crowd), 2:].astype(np.float64) * fitted)
    return np.concatenate(parts)


def size_iou(sizes: Sizes, anchors: Sizes) -> Sizes:
    """(n, k) IoU of boxes (n, 2) and anchors (k, 2) with the same centre."""
    shared = np.minimum(sizes[:, None], anchors[None]).prod(axis=2)
    return np.asarray(shared / (sizes.prod(axis=1)[:, None] + anchors.prod(axis=1)[None] - shared))


def measure_anchors(sizes: Sizes, anchors: Sizes) -> AnchorFit:
    """How well `anchors` (k, 2) fit boxes of `sizes` (n, 2), n ≥ 1."""
    best = size_iou(sizes, anchors).max(axis=1)
    pairs = tuple((float(width), float(height)) for width, height in anchors)
    return AnchorFit(pairs, float(best.mean()), tuple(float((best >= recall).mean()) for recall in RECALLS))


def find_anchors(sizes: Sizes, count: int, seed: int = 0, start: Sizes | None = None) -> AnchorFit:
    """`count` anchors by k-means with the distance 1 - IoU (Redmon and Farhadi 2017, "YOLO9000", section 2), from
    small to large, rounded to a tenth of a pixel: the best of several starts (k-means++, and `start` where it has
    `count` anchors) by mean IoU. Raises UsageError where there are fewer different sizes than anchors."""
    different = len(np.unique(sizes, axis=0))
    if different < count:
        raise UsageError(f"--anchors {count}: the boxes have only {different} different sizes; use a smaller number")
    random = np.random.default_rng(seed)
    some = sizes if len(sizes) <= _MOST_BOXES else sizes[random.choice(len(sizes), _MOST_BOXES, replace=False)]
    starts = [_spread_out(some, count, random) for _ in range(_RESTARTS)]
    starts += [start] if start is not None and len(start) == count else []
    found = max((_cluster(some, anchors) for anchors in starts), key=lambda anchors: _score(some, anchors))
    rounded = np.maximum(np.round(found, 1), 0.1)
    return measure_anchors(sizes, rounded[np.argsort(rounded.prod(axis=1), kind="stable")])


def _score(sizes: Sizes, anchors: Sizes) -> float:
    return float(size_iou(sizes, anchors).max(axis=1).mean())


def _spread_out(sizes: Sizes, count: int, random: np.random.Generator) -> Sizes:
    """k-means++ (Arthur and Vassilvitskii 2007): each start is drawn with a probability proportional to its squared
    distance."""
    chosen = [sizes[random.integers(len(sizes))]]
    for _ in range(count - 1):
        far = np.square(1 - size_iou(sizes, np.array(chosen)).max(axis=1)) + 1e-12
        chosen.append(sizes[random.choice(len(sizes), p=far / far.sum())])
    return np.array(chosen)


def _cluster(sizes: Sizes, anchors: Sizes) -> Sizes:
    """Lloyd's steps until nothing changes; returns the best anchors of all steps (means do not always raise the mean
    IoU)."""
    best, top, mine = anchors, _score(sizes, anchors), np.full(len(sizes), -1)
    for _ in range(_STEPS):
        closest = size_iou(sizes, anchors).argmax(axis=1)
        if (closest == mine).all():
            break
        mine = closest
        anchors = np.array([_mean(sizes[mine == k], anchors[k]) for k in range(len(anchors))])
        if (score := _score(sizes, anchors)) > top:
            best, top = anchors, score
    return best


def _mean(members: Sizes, otherwise: Sizes) -> Sizes:
    return np.asarray(members.mean(axis=0)) if len(members) else otherwise


def cfg_anchors(netdef: NetDef) -> Sizes:
    """(k, 2) the different anchors that the heads of a network use, in pixels of its input. (A `[region]` lists them in
    cells of its map.) Raises UsageError for a network without a head."""
    if not netdef.heads:
        raise UsageError(f"{netdef.path}: has no detection head, so no anchors; use the cfg of a detector")
    found: dict[tuple[float, float], None] = {}
    for head in netdef.heads:
        cell = _cell(netdef, head)
        found |= dict.fromkeys((width * cell, height * cell) for width, height in head.masked_anchors)
    return np.array(list(found))


def cfg_text(netdef: NetDef, fit: AnchorFit) -> str | None:
    """`fit` as an argument of `prune.adapt --anchors` for this cfg: one pair for each that its heads list, in their
    unit. An anchor that no head uses repeats a neighbour. None where the heads' lists differ, or use another number."""
    first = netdef.heads[0]
    used = sorted({place for head in netdef.heads for place in _used(head)})
    if len({head.anchors for head in netdef.heads}) > 1 or len(used) != len(fit.anchors):
        return None
    cell = _cell(netdef, first)
    places = [min(bisect_left(used, place), len(used) - 1) for place in range(len(first.anchors))]
    return ",".join(f"{round(value / cell, 4):g}" for place in places for value in fit.anchors[place])


def _used(head: Head) -> tuple[int, ...]:
    return head.mask if isinstance(head, Yolo) else tuple(range(len(head.anchors)))


def _cell(netdef: NetDef, head: Head) -> float:
    """Pixels of the network's input per unit of the head's anchors."""
    return netdef.net.width / shapes(netdef)[head.inputs[0]].width if isinstance(head, Region) else 1.0
