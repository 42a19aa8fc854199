"""The box of a COCO annotation: its `bbox`, or without one the box around its polygons."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from prune.samples.boxes import Edges, edges_around

NO_NUMBERS = "box is not four finite numbers"
POLYGON = "object without a box, the box around its polygon is used"


def finite(value: object) -> float | None:
    """A number of a JSON as a float; None for anything that is not a number, or too large for a float."""
    if not isinstance(value, int | float) or isinstance(value, bool):
        return None
    try:
        number = float(value)
    except OverflowError:  # an integer may have any number of digits
        return None
    return number if math.isfinite(number) else None


def finite_list(values: object) -> list[float] | None:
    """A JSON list of finite numbers; None for anything else."""
    if not isinstance(values, list):
        return None
    numbers = [number for value in values if (number := finite(value)) is not None]
    return numbers if len(numbers) == len(values) else None


def has_box(annotation: Mapping[str, Any]) -> bool:
    """Whether `bbox` contains anything; without a box some tools write null or an empty list."""
    return annotation.get("bbox") not in (None, [])


def annotated_edges(annotation: Mapping[str, Any]) -> Edges | str:
    """x0, y0, x1, y1 in pixels, counted from 0; or the fault in words."""
    if not has_box(annotation):
        return _around(annotation.get("segmentation"))
    sides = finite_list(annotation["bbox"])
    if sides is None or len(sides) != 4:
        return NO_NUMBERS
    x, y, width, height = sides
    return x, y, x + width, y + height


def _around(segmentation: object) -> Edges | str:
    if isinstance(segmentation, dict):
        return "it has no box, and its segmentation is run-length encoded"
    if not isinstance(segmentation, list) or not segmentation:
        return "it has no box and no polygon"
    polygons = segmentation if isinstance(segmentation[0], list) else [segmentation]
    numbers = [finite_list(polygon) for polygon in polygons]
    known = [points for points in numbers if points is not None and len(points) >= 6 and len(points) % 2 == 0]
    if len(known) != len(polygons):
        return "it has no box, and its polygon is not a list of at least three points x, y"
    return edges_around([value for points in known for value in points])
