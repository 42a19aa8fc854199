"""Random cfg texts whose layers fit each other: every kind of layer, wired in every way the core must support."""

from __future__ import annotations

from random import Random

from tests.rare_moves import RareMoves


class Builder(RareMoves):
    """Grows a cfg by moves of a few layers each; without `gates` none of scale_channels and sam."""

    def __init__(self, random: Random, gates: bool = True) -> None:
        super().__init__(random)
        self.moves = [
            self.plain, self.plain, self.plain_twice, self.residual, self.residual, self.neighbours, self.nested,
            self.depthwise, self.grouped, self.concatenation, self.split, self.pool, self.pyramid, self.jump,
            self.several, self.dropout, self.upsample, self.spp_body, self.doubled, self.regroup, self.regroup_back,
            self.depth_pool, self.local_average, self.classify, self.weighted, self.several_bodies, self.from_body,
            self.twins, self.softmax,
        ]  # fmt: skip
        if gates:
            self.moves += [self.squeeze, self.spatial, self.gated_body, self.plane_gate]

    def network(self) -> str:
        """A whole cfg text with one or two heads, or none."""
        self.conv(filters=self.some([4, 6, 8]), size=3, stride=self.some([1, 2]))
        for _ in range(self.random.randint(1, 6)):
            self.random.choice(self.moves)()
        heads = self.some([0, 1, 1, 2])
        for number in range(heads):
            if number:
                self.add("route", self.random.randrange(len(self.outputs)), layers=None)
                self.random.choice(self.moves)()
            self.head()
        if not heads:
            self.conv(size=1)
        return self.text()

    def plain(self) -> None:
        stride = self.some([1, 1, 2]) if self.side > 4 else 1
        self.conv(stride=stride)

    def plain_twice(self) -> None:
        self.conv()
        self.conv()

    def residual(self, depth: int = 0) -> None:
        """A body of one to four layers; now and then of another width than the skip."""
        skip = self.last
        for _ in range(self.random.randint(0, 3)):
            if self.random.random() < 0.3:
                self.depthwise()
            elif depth < 1 and self.random.random() < 0.2:
                self.residual(depth + 1)
            else:
                self.conv()
        width = self.outputs[skip][0]
        if self.random.random() < 0.2:
            self.conv(width)
            self.depthwise(multiplier=1)
        else:
            self.conv(self.some([width, width, width, max(1, width - 2), width + 3]))
        self.shortcut(skip)

    def neighbours(self) -> None:
        for _ in range(2):
            self.residual()

    def nested(self) -> None:
        """A residual block whose body ends in a residual block."""
        skip = self.last
        self.conv(self.outputs[skip][0])
        inner = self.last
        self.conv()
        self.conv(self.outputs[skip][0])
        self.shortcut(inner)
        self.shortcut(skip)

    def depthwise(self, multiplier: int | None = None) -> None:
        channels = self.width
        if channels < 2 or channels > 12:
            self.conv(4)
            channels = 4
        self.conv(channels * (multiplier or self.some([1, 1, 2])), 3, groups=channels)

    def grouped(self) -> None:
        """A grouped convolution, now and then as a residual body."""
        if self.width % 2:
            self.conv(self.some([4, 6, 8]))
        skip = self.last
        self.conv(self.some([self.width, 8]), groups=2)
        if self.random.random() < 0.5:
            self.shortcut(skip)

    def concatenation(self) -> None:
        self.conv()
        others = self.random.sample(self.alike(), min(2, len(self.alike())))
        sources = [self.last, *others]
        self.random.shuffle(sources)
        self.add("route", *sources, shape=(self.total(sources), self.side), layers=None)
        self.conv()

    def split(self) -> None:
        """One half of the channels, or first one and then the other."""
        if self.width % 2:
            self.conv(self.some([4, 8]))
        whole, width = self.last, self.width
        half = (width // 2, self.side)
        first = self.some([0, 1])
        self.add("route", whole, shape=half, layers=None, groups=2, group_id=first)
        if self.random.random() < 0.6:
            left = self.conv()
            self.add("route", whole, shape=half, layers=None, groups=2, group_id=1 - first)
            right = self.conv(self.outputs[left][0])
            if self.random.random() < 0.5:
                self.shortcut(left)
            else:
                self.add("route", right, left, shape=(self.total([left, right]), self.side), layers=None)
        self.conv()

    def pool(self) -> None:
        size, stride = self.some([(2, 1), (2, 2), (3, 1), (3, 2)]) if self.side > 4 else (2, 1)
        self.add("maxpool", shape=(self.width, self.slid(size, stride, size - 1)), size=size, stride=stride)

    def pyramid(self) -> None:
        """Spatial pyramid pooling."""
        start = self.last
        pools = []
        for size in (5, 3):
            pools.append(self.add("maxpool", size=size, stride=1))
            self.add("route", start, layers=None)
        sources = [*pools, start]
        self.add("route", *sources, shape=(self.total(sources), self.side), layers=None)
        self.conv(size=1)

    def spp_body(self) -> None:
        """A residual body that pools the skip itself and joins it with a convolution of it."""
        skip = self.last
        pool = self.add("maxpool", size=3, stride=1)
        self.add("route", skip, layers=None)
        conv = self.conv()
        self.add("route", pool, conv, shape=(self.total([pool, conv]), self.side), layers=None)
        self.conv(self.outputs[skip][0])
        self.shortcut(skip)

    def jump(self) -> None:
        """A shortcut from far ahead, of any width."""
        self.conv()
        self.shortcut(self.random.choice(self.alike()))
        self.conv()

    def several(self) -> None:
        """A shortcut with two sources."""
        self.conv()
        alike = self.alike()
        self.shortcut(self.random.choice(alike), self.random.choice(alike))

    def doubled(self) -> None:
        """A layer added to itself, or concatenated with itself."""
        if self.random.random() < 0.5:
            self.shortcut(self.last)
        else:
            sources = (self.last, self.last)
            self.add("route", *sources, shape=(2 * self.width, self.side), layers=None)
            self.conv()

    def dropout(self) -> None:
        self.add("dropout", probability=0.3)

    def upsample(self) -> None:
        if self.side > 8:
            return self.plain()
        self.add("upsample", shape=(self.width, 2 * self.side), stride=2, **self.some([{}, {}, {"scale": 0.5}]))
        self.conv()

    def squeeze(self) -> None:
        """Squeeze and excitation: features times a gate of one pixel."""
        features = self.conv()
        width, side = self.outputs[features]
        self.add("avgpool", shape=(width, 1))
        if self.random.random() < 0.5:
            self.conv(size=1)
        if self.random.random() < 0.3:
            self.connected(width, "logistic")
        else:
            self.conv(width, 1, bn=self.random.random() < 0.3, activation="logistic")
        activation = self.some(["linear", "linear", "relu", "logistic"])
        self.add("scale_channels", features, shape=(width, side), **{"from": None}, activation=activation)

    def spatial(self) -> None:
        """A gate for every pixel."""
        features = self.conv()
        self.conv(self.width, bn=self.random.random() < 0.7, activation="logistic")
        self.add("sam", features, **{"from": None})
        self.conv()

    def gated_body(self) -> None:
        """A residual body with squeeze and excitation."""
        skip = self.last
        self.squeeze()
        if self.random.random() < 0.7 or self.width != self.outputs[skip][0]:
            self.conv(self.outputs[skip][0])
        self.shortcut(skip)
