"""What a network is apart from the text it was read from: `NetDef` is one, read from a cfg."""

from __future__ import annotations

from typing import Protocol

from prune.darknet.layers import Layer


class Network(Protocol):
    """Layers in order, and what identifies them. A plan belongs to a network, not to a cfg file."""

    @property
    def label(self) -> str:
        """What messages call it: a path, or the name of a class."""
        ...

    @property
    def image(self) -> tuple[int, int, int]:
        """The shape of its input: channels, height, width."""
        ...

    @property
    def layers(self) -> tuple[Layer, ...]:
        """Its layers; each reads the outputs of earlier ones by their index, or the image."""
        ...

    @property
    def fingerprint(self) -> bytes:
        """What the digest of a plan is made of: equal for equal networks only."""
        ...
