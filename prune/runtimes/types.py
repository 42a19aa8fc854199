"""What a runtime is: a program that reads a network's files and computes the raw maps of its heads."""

from __future__ import annotations

import importlib.util
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float32]
Shape = tuple[int, int, int, int]
"""B, C, H, W of the input."""


@dataclass(frozen=True, slots=True)
class NetworkFiles:
    """The files of one network: the Darknet pair, the exported file, or both; None: there is none.

    `unexported`: why there is no exported file. `heads`: the layer index of each detection head, in the order of the
    cfg (without [net], from 0). `folder`: where a runtime may write what it converts for itself.
    """

    folder: Path
    heads: tuple[int, ...]
    cfg: Path | None = None
    weights: Path | None = None
    onnx: Path | None = None
    unexported: str = "there is no exported file: export the network with export.py"


class Loaded(ABC):
    """A network in a runtime. `feed`, then `infer` as often as wanted (this alone is timed), then `maps`."""

    precision: str = "f32"
    """What it computes in: f32, bf16, f16."""

    @abstractmethod
    def feed(self, imgs: Array) -> None:
        """Prepare the input (B, C, H, W) in [0, 1] in the form that the runtime reads."""

    @abstractmethod
    def infer(self) -> None:
        """Run the network once on what was fed."""

    @abstractmethod
    def maps(self) -> list[Array]:
        """The outputs of the last run: of each head its raw input (B, C, H', W'), in the order of the cfg."""

    def run(self, imgs: Array) -> list[Array]:
        """imgs (B, C, H, W) in [0, 1] → the raw input of each head (B, C, H', W')."""
        self.feed(imgs)
        self.infer()
        return self.maps()


Load = Callable[[NetworkFiles, Shape, int], Loaded]
"""(files, shape of the input, threads) → the loaded network. Raises whatever the runtime's own library raises, and
DeploymentError where there is no file that it reads."""


@dataclass(frozen=True, slots=True)
class Runtime:
    """A runtime: its name, the modules it imports, what pip installs them by, whether it reads the exported file (else
    the Darknet pair), and how it loads a network."""

    name: str
    modules: tuple[str, ...]
    pip: str
    reads_onnx: bool
    load: Load

    def missing(self) -> str | None:
        """The first of its modules that is not installed; None where it can be used."""
        return next((name for name in self.modules if importlib.util.find_spec(name) is None), None)


def is_exported(path: Path) -> bool:
    """Whether a file is an exported network, by its suffix."""
    return path.suffix.lower() == ".onnx"


def as_maps(outputs: Any) -> list[Array]:
    """A runtime's outputs as float32 arrays."""
    return [np.asarray(output, np.float32) for output in outputs]
