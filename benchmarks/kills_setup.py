"""Inputs of the trainings that are killed: a dataset of a few pictures, a network of three convolutions."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np

from benchmarks.places import ROOT
from prune.darknet.netdef import read_netdef
from prune.darknet.weights import random_weights, write_weights

CFG = (
    "[net]\nwidth=32\nheight=32\nchannels=3\n\n"
    + "[convolutional]\nbatch_normalize=1\nfilters=8\nsize=3\nstride=4\npad=1\nactivation=leaky\n\n" * 2
    + "[convolutional]\nfilters=8\nsize=1\nactivation=linear\n\n[yolo]\nmask=0\nanchors=12,12\nclasses=3\nnum=1\n"
)
SHARED = "--cfg a.cfg --epochs 3 --batch-size 4 --eval-interval 1 --device cpu --quiet"
OWN = {
    "train": "--data shapes/shapes.data --optimizer sgd",
    "train_sparse": "--data shapes/shapes.data -s 0.05",
    "train_sparse-auto": "--data shapes/shapes.data --target-params 0.6x --epochs 4 --accumulate 2 --cache-images",
    "train_sparse-group": "--data shapes/shapes.data -s 0.05 --penalty group --equalize --sr-mode 3",
    "train_sparse-polar": "--data shapes/shapes.data -s 0.05 --penalty polarization --equalize --sr-mode 2 --workers 1 "
    "--multi-scale",
    "finetune": "--data shapes/train.data --weights a.weights",  # no valid images: each epoch is the best so far
    "distill": "--data shapes/shapes.data --weights a.weights --t-cfg a.cfg --t-weights a.weights",
}
COMMANDS = tuple(OWN)
"""The runs that are killed: the name of a command, and after a hyphen that of a variant."""


def make_inputs(folder: Path) -> None:
    """The dataset, a cfg and weights in `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    size = ["--train", "8", "--valid", "4", "--size", "64"]
    made = [sys.executable, str(ROOT / "data/make_shapes.py"), "--out", str(folder / "shapes"), *size]
    subprocess.run(made, check=True, stdout=subprocess.DEVNULL)
    lines = (folder / "shapes/shapes.data").read_text().splitlines(keepends=True)
    (folder / "shapes/train.data").write_text("".join(line for line in lines if not line.startswith("valid")))
    (folder / "a.cfg").write_text(CFG)
    netdef = read_netdef(folder / "a.cfg")
    write_weights(folder / "a.weights", random_weights(netdef, np.random.default_rng(0)), netdef)


def arguments(command: str) -> list[str]:
    """The flags of a training command, except those of its output folder."""
    return [*SHARED.split(), *OWN[command].split()]
