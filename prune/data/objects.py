"""Suspect boxes of one image: duplicates, and those that reach beyond the image."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice, product

import numpy as np
from numpy.typing import NDArray

from prune.samples.sample import Sample

SAME = 0.1
"""Two boxes are the same if their edges differ by at most this, in pixels: the error of rounding."""
OVERHANG = 1.0
"""How far beyond the image a box may reach, in pixels: conventions differ by one."""

MOST_PAIRS = 1000
_CELL = 2.5 * SAME

Pairs = NDArray[np.int64]


def same_boxes(sample: Sample, size_wh: tuple[int, int]) -> tuple[Pairs, Pairs]:
    """Pairs (n, 2) of objects with the same box, the earlier first: of one class, and of two.

    All pairs of an image, in the order of their left edges, up to `MOST_PAIRS` of them: k equal boxes are k(k − 1)/2
    pairs. Beyond that an object is paired with only one of those with its box.
    """
    edges = sample.pixel_edges(size_wh)
    order = np.argsort(edges[:, 0], kind="stable")
    pairs = list(islice(_equal_pairs(edges[order]), MOST_PAIRS + 1))
    if len(pairs) > MOST_PAIRS:
        pairs = list(_equal_pairs(edges[order], one_for_all=True))
    table = np.sort(order[np.array(sorted(pairs), np.int64).reshape(-1, 2)], axis=1)
    alike = sample.classes[table[:, 0]] == sample.classes[table[:, 1]]
    return table[alike], table[~alike]


def _equal_pairs(edges: NDArray[np.float64], one_for_all: bool = False) -> Iterator[tuple[int, int]]:
    """(earlier, later) places of equal boxes among edges (n, 4). `one_for_all`: a box that equals an earlier one is
    paired with the first such, and later ones are not compared with it.

    Boxes are sorted into cells a little wider than twice `SAME`, so that in each of the four directions those equal to
    a box lie in one of two cells. A cell has room for no more than 3⁴ boxes that are all different, so `one_for_all`
    takes time linear in the number of boxes.
    """
    cells: dict[tuple[int, ...], list[int]] = {}
    rows = edges.tolist()
    own, low, high = (np.floor((edges + shift) / _CELL).astype(np.int64).tolist() for shift in (0.0, -SAME, SAME))
    for at, row in enumerate(rows):
        near = product(*({*ends} for ends in zip(low[at], high[at], strict=True)))
        members = (other for cell in near for other in cells.get(cell, ()))
        equal = (other for other in members if all(abs(a - b) <= SAME for a, b in zip(rows[other], row, strict=True)))
        found = list(islice(equal, 1 if one_for_all else None))
        yield from ((other, at) for other in found)
        if not (one_for_all and found):
            cells.setdefault(tuple(own[at]), []).append(at)


def overhanging(sample: Sample, size_wh: tuple[int, int]) -> NDArray[np.int64]:
    """The objects whose box, as annotated in pixels, reaches beyond the image by more than `OVERHANG`; none where the
    source has fractions (they were clipped, see `labels.overhangs`)."""
    if sample.edges_xyxy is None:
        return np.zeros(0, np.int64)
    low, high = sample.edges_xyxy[:, :2], sample.edges_xyxy[:, 2:]
    beyond = np.maximum(-low, high - np.array(size_wh, np.float64)).max(axis=1, initial=-np.inf)
    return np.asarray(np.flatnonzero(beyond > OVERHANG), np.int64)
