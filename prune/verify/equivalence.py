"""The equivalence check: the pruned network must compute what the masked original computes, before anything is written.

Masked: original shapes, outputs of cut channels forced to 0, constants absorbed, removed bodies skipped.
Both run in float64 on one random image, side by side, each value dropped after its last reader.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from prune.darknet.layers import Convolutional, Gate, Layer, Shortcut
from prune.darknet.shapes import shapes
from prune.errors import VerificationError
from prune.model.activations import ACTIVATIONS
from prune.surgery.apply import Masked, Pruned
from prune.verify.passes import WeightsDomain, outputs, random_image, relative_deviation

TOLERANCE = 1e-9


class MaskedDomain(WeightsDomain):
    """The masked original: cut channels give 0, a removed block gives its skips, its body is skipped."""

    def __init__(self, imgs: Tensor, masked: Masked) -> None:
        super().__init__(imgs, masked.weights)
        self.masked = masked
        self.blocks = {block.shortcut: block for block in masked.blocks}
        self.bodies = {index for block in masked.blocks for index in block.body}
        self.shapes = shapes(masked.graph.netdef, imgs.shape[3], imgs.shape[2])

    def convolution(self, layer: Convolutional, x: Tensor) -> Tensor:
        if layer.index in self.bodies:
            return x.new_zeros(1).expand(x.shape[0], *self.shapes[layer.index])
        return self._masked(layer, super().convolution(layer, x))

    def shortcut(self, layer: Shortcut, inputs: Sequence[Tensor]) -> Tensor:
        block, value_of = self.blocks.get(layer.index), dict(zip(layer.inputs, inputs, strict=True))
        if block is None:
            return self._masked(layer, super().shortcut(layer, inputs))
        left = [value_of[source] for source in block.skips]
        if block.replaced:
            return self._masked(layer, self._convolved_skip(layer, left[0]))
        return self._masked(layer, super().shortcut(layer, left)) if block.shortcut_stays else left[0]

    def _convolved_skip(self, layer: Shortcut, skip: Tensor) -> Tensor:
        """What the depthwise convolution that replaces a removed shortcut makes of the skip."""
        record = self.masked.weights.conv(layer.index)
        factor, shift = (torch.tensor(array, dtype=skip.dtype).view(1, -1, 1, 1) for array in record.arrays()[::-1])
        return ACTIVATIONS[layer.activation](skip * factor + shift)

    def gate(self, layer: Gate, before: Tensor, source: Tensor) -> Tensor:
        return self._masked(layer, super().gate(layer, before, source))

    def _masked(self, layer: Layer, value: Tensor) -> Tensor:
        """Zero at cut channels, also where the layer's activation does not keep 0."""
        keep = torch.from_numpy(self.masked.kept[self.masked.graph.trace.outputs[layer.index]])
        return value * keep.view(1, -1, 1, 1)


def check_equivalence(pruned: Pruned, seed: int = 0) -> float:
    """The largest deviation at any head input, relative to its largest value.

    Raises VerificationError where it exceeds TOLERANCE or a value is not finite.
    """
    imgs = random_image(pruned.masked.graph.netdef, seed)
    masked = outputs(pruned.masked.graph.netdef, MaskedDomain(imgs, pruned.masked))
    cut = outputs(pruned.netdef, WeightsDomain(imgs, pruned.weights))
    worst = 0.0
    for number, (a, b) in enumerate(zip(masked.values(), cut.values(), strict=True)):
        if not a.isfinite().all():
            raise VerificationError(
                f"equivalence check: head {number} is not finite before the cut; "
                "the weights contain NaN, inf or too large values"
            )
        deviation = relative_deviation(a, b)
        if not deviation <= TOLERANCE:
            raise VerificationError(
                f"equivalence check: head {number} of the pruned network deviates by {deviation:.1e} of its largest "
                f"value (allowed {TOLERANCE:.0e}); nothing was written, please report this cfg"
            )
        worst = max(worst, deviation)
    return worst
