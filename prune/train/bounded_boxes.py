"""The squared error of the student's boxes where it exceeds the teacher's."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from prune.darknet.layers import Head
from prune.detect.decode import HeadGeometry, decode_wh, decode_xy, head_geometry
from prune.detect.heads import split_head
from prune.train.hooks import Batch
from prune.train.matching import matched_cells


def bounded_boxes(
    student: list[Tensor], teacher: list[Tensor], heads: Sequence[Head], batch: Batch, margin: float
) -> Tensor:
    """Mean (a scalar) over matched cells of the student's squared box error, 0 where error + margin <= the teacher's.

    Boxes are compared as centre offsets in cells and logarithms of sizes, as heads regress them. The
    uncertainties of `[Gaussian_yolo]` are trained by the student's own loss only.
    """
    total, count = student[0].new_zeros(()), 0
    matches = matched_cells(batch.targets, heads, [(r.shape[-2], r.shape[-1]) for r in student], batch.size_wh)
    for ours, theirs, head, match in zip(student, teacher, heads, matches, strict=True):
        geometry = head_geometry(head, ours, batch.size_wh)
        error = box_error(match.select(split_head(ours, head)), match.boxes, geometry)
        bound = box_error(match.select(split_head(theirs, head)), match.boxes, geometry)
        total = total + error[error + margin > bound].sum()
        count += len(error)
    return total / max(1, count)


def box_error(values: Tensor, truth: Tensor, geometry: HeadGeometry) -> Tensor:
    """Squared distance (n,) of boxes.

    `values` (n, 5+C) raw; `truth` (n, 5): offsets in cells, sizes in pixels, anchor.
    """
    xy = decode_xy(values[:, :2], geometry)
    wh = decode_wh(values[:, 2:4], geometry.anchors[truth[:, 4].long()], geometry.new_coords)
    sizes = (wh.clamp_min(1e-6).log() - truth[:, 2:4].clamp_min(1e-6).log()).square()
    return (xy - truth[:, :2]).square().sum(1) + sizes.sum(1)
