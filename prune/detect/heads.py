"""A common view of detection heads of all kinds: one order of their numbers (`prune.darknet.head_rules`)."""

from __future__ import annotations

from torch import Tensor

from prune.darknet.head_rules import UNCERTAINTIES, HeadRules, head_rules
from prune.darknet.layers import Head


def split_head(raw: Tensor, head: Head) -> Tensor:
    """A head's raw input (B, A·(entries + C), H, W) as (B, A, 5+C, H, W): x, y, w, h, objectness, classes.

    A view where the head has no uncertainties; they are left out, see `uncertainties`.
    Raises ValueError if the channels do not fit the head.
    """
    values = _by_box(raw, head)
    if not head_rules(head).uncertain:
        return values
    return values[:, :, [n for n in range(values.shape[2]) if n not in UNCERTAINTIES]]


def uncertainties(raw: Tensor, head: Head) -> Tensor | None:
    """The uncertainties of x, y, w, h in (0, 1): (B, A, 4, H, W); None where the head has none.

    Choi et al. 2019, "Gaussian YOLOv3", section 3.1: standard deviations of offsets in cells and of logarithms of
    sizes.
    """
    if not head_rules(head).uncertain:
        return None
    return _by_box(raw, head)[:, :, UNCERTAINTIES].sigmoid()


def class_scores(values: Tensor, rules: HeadRules, dim: int) -> Tensor:
    """Class scores (before they are multiplied by objectness) from a head's class numbers along `dim`."""
    if rules.class_kind == "softmax":
        return values.softmax(dim)
    return values if rules.probable or rules.class_kind == "linear" else values.sigmoid()


def _by_box(raw: Tensor, head: Head) -> Tensor:
    batch, channels, height, width = raw.shape
    if channels != head.channels:
        raise ValueError(f"[{head.kind}] layer {head.index} reads {head.channels} channels, not {channels}")
    return raw.reshape(batch, head.boxes, head.entries + head.classes, height, width)
