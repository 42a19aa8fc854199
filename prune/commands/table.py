"""The subcommands of `darknet-prune`, used by dispatch, help, completion and `doctor`.

A new command is a module of this package with `make_parser() -> Parser` and `main() -> int`, and a row here.
"""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from types import ModuleType
from typing import Literal

Group = Literal["training", "pruning", "results", "networks", "datasets", "installation"]


@dataclass(frozen=True, slots=True)
class Subcommand:
    """A subcommand: its name, its module in this package, and what it does in one line."""

    name: str
    module: str
    about: str
    group: Group

    def load(self) -> ModuleType:
        """Import its module."""
        return importlib.import_module(f"prune.commands.{self.module}")


SUBCOMMANDS = (
    Subcommand("train", "train", "train a network", "training"),
    Subcommand("train-sparse", "train_sparse", "continue with a penalty on the γ of batch norm", "training"),
    Subcommand("finetune", "finetune", "recover the accuracy of a pruned network", "training"),
    Subcommand("distill", "distill", "the same, with the unpruned network as the teacher", "training"),
    Subcommand("prune-channel", "prune_channel", "prune channels by |γ|", "pruning"),
    Subcommand("prune-layer", "prune_layer", "remove whole residual blocks", "pruning"),
    Subcommand("evaluate", "evaluate", "average precision by the protocol of COCO, VOC or Darknet", "results"),
    Subcommand("detect", "detect", "draw what a network detects in images and videos", "results"),
    Subcommand("benchmark", "benchmark", "latency of networks in every runtime that is installed", "results"),
    Subcommand("compare", "compare", "networks of several stages side by side", "results"),
    Subcommand("export", "export", "a network as one ONNX file, checked with onnxruntime", "results"),
    Subcommand("explain", "explain", "layers, costs, and what can be pruned", "networks"),
    Subcommand("readiness", "readiness", "how much can be pruned safely", "networks"),
    Subcommand("adapt", "adapt", "a cfg for another number of classes", "networks"),
    Subcommand("cfg", "cfg", "list the cfgs that come with the program, or print one", "networks"),
    Subcommand("convert", "convert", "a dataset in another format", "datasets"),
    Subcommand("check", "check", "faults, duplicates, leaks and anchors of a dataset", "datasets"),
    Subcommand("data", "data", "make the demo dataset, or download COCO or VOC", "datasets"),
    Subcommand(
        "doctor", "doctor", "what this installation and this machine can do, and what is missing", "installation"
    ),
    Subcommand("completion", "completion", "a completion script for bash, zsh or fish", "installation"),
)
