"""Moves of the random cfg builder: layers and wirings that few cfgs have."""

from __future__ import annotations

from tests.cfg_writer import CfgWriter


class RareMoves(CfgWriter):
    """Each method adds a few layers whose shapes fit."""

    def regroup(self) -> None:
        """Space to depth, by whole channels or Darknet's old way."""
        if self.side % 2:
            return
        self.conv(self.some([4, 8]))
        self.add(self.some(["reorg", "reorg3d"]), shape=(4 * self.width, self.side // 2), stride=2)
        self.conv()

    def regroup_back(self) -> None:
        """Depth to space."""
        if self.side > 8:
            return
        self.conv(self.some([4, 8]))
        self.add("reorg", shape=(self.width // 4, 2 * self.side), stride=2, reverse=1)
        self.conv()

    def depth_pool(self) -> None:
        """The maximum over channels, now and then of a concatenation."""
        self.conv()
        if self.random.random() < 0.5:
            sources = (self.last, self.random.choice(self.alike()))
            self.add("route", *sources, shape=(self.total(sources), self.side), layers=None)
        depth = self.random.randint(1, self.width)
        self.add("maxpool", shape=(depth, self.side), size=1, stride=1, maxpool_depth=1, out_channels=depth)
        self.conv()

    def local_average(self) -> None:
        size, stride = self.some([(2, 1), (2, 2), (3, 1)]) if self.side > 4 else (2, 1)
        self.add("local_avgpool", shape=(self.width, self.slid(size, stride, size - 1)), size=size, stride=stride)

    def classify(self) -> None:
        """Fully connected layers, at the cost of the map."""
        if self.side > 8 or self.random.random() < 0.5:
            return
        for _ in range(self.some([1, 2])):
            self.connected(self.random.randint(2, 8))
        self.conv(size=1)

    def weighted(self) -> None:
        """A shortcut whose inputs are multiplied first."""
        skip = self.last
        self.conv(self.some([self.width, self.width, self.width + 2]))
        sources = self.some([[skip], [skip, self.random.choice(self.alike())]])
        self.shortcut(*sources, weighted=True)
        self.conv()

    def several_bodies(self) -> None:
        """A shortcut with one or two bodies and one or two skips."""
        other, skip = self.last, self.conv(self.width)
        first = self.conv(self.width)
        if self.random.random() < 0.5:
            self.add("route", skip, layers=None)
        self.conv(self.width)
        sources = (
            [self.some([other, first, skip]), skip] if self.outputs[other] == self.outputs[skip] else [first, skip]
        )
        self.random.shuffle(sources)
        self.shortcut(*sources)
        self.conv()

    def from_body(self) -> None:
        """A shortcut that names the body; the skip comes before it."""
        skip = self.last
        self.conv()
        body = self.conv(self.outputs[skip][0])
        self.add("route", skip, layers=None)
        self.shortcut(body)
        self.conv()

    def twins(self) -> None:
        """Two convolutions with the same floats."""
        source, width = self.last, self.width
        first = self.conv(size=1, bn=True)
        if self.random.random() < 0.3:
            source = self.conv(width)
        else:
            self.add("route", source, layers=None)
        self.conv(self.outputs[first][0], 1, bn=True, share=first)
        if self.random.random() < 0.5:
            self.shortcut(first)
        self.conv()

    def softmax(self) -> None:
        if self.random.random() < 0.3:
            self.conv()
            self.add("softmax", groups=1)
        self.conv()

    def plane_gate(self) -> None:
        """One gate for all channels of a pixel."""
        features = self.conv()
        self.conv(1, bn=self.random.random() < 0.7, activation="logistic")
        self.add(
            "scale_channels", features, shape=self.outputs[features], **{"from": None}, scale_wh=1, activation="linear"
        )
        self.conv()
