"""A folder to train in, and the training commands run in this process."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
import pytest

from prune.cli import exit_code

CONV = "[convolutional]\nbatch_normalize=1\nfilters={}\nsize=3\nstride={}\npad=1\nactivation=leaky\n\n"
HEAD = "[convolutional]\nfilters=14\nsize=1\nstride=1\npad=1\nactivation=linear\n\n"
YOLO = "[yolo]\nmask=0,1\nanchors=12,12, 24,24\nclasses=2\nnum=2\n"


def cfg_text(width: int = 8, shortcut: bool = False) -> str:
    """Stride 8, one head of two classes, without or with a shortcut."""
    body = CONV.format(width, 2) + CONV.format(width, 2) + CONV.format(width, 2)
    residual = CONV.format(width, 1) + "[shortcut]\nfrom=-2\nactivation=linear\n\n" if shortcut else ""
    return "[net]\nwidth=32\nheight=32\nchannels=3\n\n" + body + residual + HEAD + YOLO


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with pictures, their labels, `a.cfg` and `a.data`, which is the working directory."""
    rng = np.random.default_rng(0)
    (tmp_path / "images").mkdir()
    (tmp_path / "labels").mkdir()
    for number in range(10):
        image = rng.integers(0, 80, (40, 48, 3), dtype=np.uint8)
        kind, (x, y) = number % 2, rng.integers(2, 20, 2)
        image[y : y + 16, x : x + 20] = (250, 40, 40) if kind else (40, 250, 40)
        cv2.imwrite(str(tmp_path / f"images/{number}.png"), image)
        line = f"{kind} {(x + 10) / 48} {(y + 8) / 40} {20 / 48} {16 / 40}\n"
        (tmp_path / f"labels/{number}.txt").write_text(line)
    paths = [str(tmp_path / f"images/{number}.png") for number in range(10)]
    (tmp_path / "train.txt").write_text("\n".join(paths[:8]))
    (tmp_path / "valid.txt").write_text("\n".join(paths[6:]))
    (tmp_path / "a.names").write_text("green\nred\n")
    (tmp_path / "a.data").write_text("classes=2\ntrain=train.txt\nvalid=valid.txt\nnames=a.names\n")
    (tmp_path / "a.cfg").write_text(cfg_text())
    monkeypatch.chdir(tmp_path)
    return tmp_path


BASE = "--cfg a.cfg --data a.data --batch-size 4 --epochs 2 --device cpu --quiet --out"


def run(monkeypatch: pytest.MonkeyPatch, command: object, args: str, extra: Sequence[str] = ()) -> int:
    """Run a command's main in this process, as its script does."""
    name = command.__name__  # type: ignore[attr-defined]
    monkeypatch.setattr("sys.argv", [f"{name}.py", *args.split(), *extra])
    return exit_code(command.main)  # type: ignore[attr-defined]
