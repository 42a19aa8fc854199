"""Opening what detects: a Darknet pair, or an exported file alone."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from prune.darknet.netdef import NetDef, read_netdef
from prune.errors import DeploymentError, UsageError
from prune.export.metadata import ExportedInfo
from prune.runtimes.table import RUNTIMES

if TYPE_CHECKING:
    from prune.runtimes.exported import Detector


@dataclass(frozen=True, slots=True)
class DetectorSource:
    """A network whose weights are still to be read. `exported`: what the exported file says about itself; None for a
    Darknet pair."""

    netdef: NetDef
    weights: Path
    exported: ExportedInfo | None

    @property
    def names(self) -> tuple[str, ...] | None:
        """The class names in an exported file, if it has them."""
        return None if self.exported is None else self.exported.names

    def open(self, device: str) -> Detector:
        """The network on `device` (auto, cpu, cuda, cuda:N); an exported file is run by onnxruntime on the CPU. From
        here on torch is needed. Raises WeightsError, FileError, UsageError."""
        if self.exported is None:
            from prune.model.files import load_network

            return load_network(self.netdef, self.weights, device)
        if device not in ("auto", "cpu"):
            raise UsageError(f"--device {device}: {self.weights} runs on the CPU; leave it out")
        from prune.runtimes.exported import ExportedModel

        return ExportedModel(self.weights, self.exported)


def read_detector(cfg: Path | None, weights: Path) -> DetectorSource:
    """The network of `cfg`, or without a cfg that of the exported file `weights`. Raises CfgError, FileError, and
    DeploymentError where a package that reads the exported file is not installed."""
    if cfg is not None:
        return DetectorSource(read_netdef(cfg), weights, None)
    row = RUNTIMES["onnxruntime"]
    if missing := row.missing():
        raise DeploymentError(f"{weights}: {missing} is not installed; pip install {row.pip}")
    info = read_info(weights)
    return DetectorSource(info.network(weights), weights, info)


def read_info(path: Path) -> ExportedInfo:
    """What an exported file says about itself. Raises FileError, and DeploymentError where onnx is not installed."""
    if find_spec("onnx") is None:
        raise DeploymentError(f"{path}: onnx is not installed; pip install onnx")
    from prune.export.build import read_exported

    return read_exported(path)
