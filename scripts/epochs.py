"""How long to train on a dataset: `python -m scripts.epochs DATA` prints the epochs of each stage, which
follow from the number of training images.
"""

from __future__ import annotations

import sys
from pathlib import Path

from prune.cli import run_command
from prune.darknet.datafile import read_datafile
from prune.errors import UsageError
from prune.samples.read import read_samples

IMAGES = 15_000
"""About as many images a network sees in a stage: small sets are repeated more often, large ones less."""
FEWEST, MOST = 20, 100
"""Fewer epochs end before the learning rate has come down, more repeat the same images."""


def epochs_for(images: int) -> int:
    """The epochs of a training on so many images."""
    return min(max(round(IMAGES / max(1, images)), FEWEST), MOST)


def main() -> int:
    if len(sys.argv) != 2:
        raise UsageError("python -m scripts.epochs DATA: pass one .data file")
    epochs = epochs_for(len(read_samples(read_datafile(Path(sys.argv[1])), "train")))
    print(epochs)
    return 0


if __name__ == "__main__":
    run_command(main)
