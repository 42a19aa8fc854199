"""Detection heads → decoded boxes, as nodes: what `prune.detect.decode` computes from the raw maps."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from prune.darknet.head_rules import MAX_SIZE_LOGIT, HeadRules, anchors_in_pixels, head_rules
from prune.darknet.layers import Head
from prune.export.layers import Value
from prune.export.operators import LOWEST, Graph, Operators
from prune.export.settings import DETECTIONS

Array = NDArray[np.float64]


def add_detections(graph: Graph, heads: Sequence[tuple[Head, Value]], size_wh: tuple[int, int]) -> None:
    """Add the decoding of all heads and its output (batch, N, 5 + C).

    Columns are cx, cy, w, h as fractions of the network's input, objectness, and C class scores, which are not
    multiplied by objectness; C is the largest class count, and a class that a head does not know has score 0. N runs
    head by head, in each head anchor by anchor, row by row.
    """
    widest = max(head.classes for head, _ in heads)
    parts = list[str]()
    for head, raw in heads:
        ops, missing = graph.of(head), widest - head.classes
        found = _decoded(ops, head, raw, size_wh)
        parts.append(ops.pad_end(found, 3, 2, missing, 0.0) if missing else found)
    boxes = sum(head.boxes * raw.shape.height * raw.shape.width for head, raw in heads)
    graph.output(Operators(graph, "heads").join(parts, axis=1), DETECTIONS, (boxes, 5 + widest))


def _decoded(ops: Operators, head: Head, raw: Value, size_wh: tuple[int, int]) -> str:
    """(batch, A·(entries + C), H, W) → (batch, A·H·W, 5 + C)."""
    rules, rows = head_rules(head), _rows(ops, head, raw)
    step = 2 if rules.uncertain else 1  # each coordinate is followed by its uncertainty
    xy, wh = ops.slice(rows, 2, 0, 2 * step, step), ops.slice(rows, 2, 2 * step, 4 * step, step)
    objectness = _logistic(ops, ops.slice(rows, 2, head.entries - 1, head.entries), rules)
    if rules.uncertain:
        objectness = ops.add("Mul", objectness, _certainty(ops, rows))
    classes = _classes(ops, ops.slice(rows, 2, head.entries, head.entries + head.classes), rules)
    parts = (_centres(ops, xy, raw, head.boxes, rules), _sizes(ops, wh, head, raw, size_wh), objectness, classes)
    return ops.join(parts, axis=2)


def _rows(ops: Operators, head: Head, raw: Value) -> str:
    """One row for each box: (batch, A·H·W, entries + C), anchor by anchor."""
    columns, cells = head.entries + head.classes, raw.shape.height * raw.shape.width
    by_box = ops.reshape(raw.name, head.boxes, columns, cells)
    return ops.reshape(ops.add("Transpose", by_box, perm=(0, 1, 3, 2)), head.boxes * cells, columns)


def _centres(ops: Operators, xy: str, raw: Value, boxes: int, rules: HeadRules) -> str:
    """(t·s − (s−1)/2 + the cell) / the number of cells, where t is logistic and s is `scale_x_y`."""
    height, width = raw.shape[1:]
    corners = np.stack(np.meshgrid(np.arange(width), np.arange(height)), axis=-1).reshape(-1, 2)
    cells = np.array([width, height], np.float64)
    offsets = np.tile((corners - (rules.scale_x_y - 1) / 2) / cells, (boxes, 1))
    scaled = ops.add("Mul", _logistic(ops, xy, rules), _constant(ops, "cell_sizes", rules.scale_x_y / cells))
    return ops.add("Add", scaled, _constant(ops, "cells", offsets[None]))


def _sizes(ops: Operators, wh: str, head: Head, raw: Value, size_wh: tuple[int, int]) -> str:
    """exp(t) · anchor, or (2p)² · anchor under `new_coords`."""
    height, width = raw.shape[1:]
    anchors = np.array(anchors_in_pixels(head, (height, width), size_wh)) / np.array(size_wh)
    each = np.repeat(anchors, height * width, axis=0)[None]
    if head_rules(head).probable:
        return ops.add("Mul", ops.add("Mul", wh, wh), _constant(ops, "anchors", 4 * each))
    return ops.add("Mul", ops.add("Exp", ops.clip(wh, LOWEST, MAX_SIZE_LOGIT)), _constant(ops, "anchors", each))


def _certainty(ops: Operators, rows: str) -> str:
    """1 − the mean uncertainty of x, y, w and h."""
    doubts = ops.add("Sigmoid", ops.slice(rows, 2, 1, 8, 2))
    mean = ops.add("ReduceMean", doubts, axes=[2], keepdims=1)
    return ops.plus(ops.times(mean, -1.0), 1.0)


def _logistic(ops: Operators, x: str, rules: HeadRules) -> str:
    return x if rules.probable else ops.add("Sigmoid", x)


def _classes(ops: Operators, x: str, rules: HeadRules) -> str:
    if rules.class_kind == "softmax":
        return ops.add("Softmax", x, axis=2)
    return x if rules.class_kind == "linear" else _logistic(ops, x, rules)


def _constant(ops: Operators, name: str, values: Array) -> str:
    return ops.tensor(name, values.astype(np.float32))
