"""What the parts of the GPU benchmark share: the device, sizes, the data, and how a command is run."""

from __future__ import annotations

import importlib
import importlib.util
import io
import logging
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

from benchmarks.places import ROOT

if TYPE_CHECKING:
    import torch

NAMES = ("RBC", "WBC", "Platelets")
SMALL_IMAGES = 16


@dataclass(frozen=True, slots=True)
class Setting:
    """`tiny` and `full`: the cfgs of this project that are measured; `size`: of the input in pixels."""

    device: torch.device
    out: Path
    weights: Path | None
    small: bool
    tiny: Path
    full: Path
    size: int
    batches: tuple[int, ...]
    workers: int
    seconds: float
    """Of one measurement of speed."""

    @property
    def data(self) -> Path:
        """The .data file of the images, classes of `adapted` cfgs."""
        return self.out / "bccd.data"

    def adapted(self, cfg: Path) -> Path:
        """The cfg for the classes of the data."""
        return self.out / cfg.name

    def sync(self) -> None:
        """Wait until the device has done what was asked."""
        import torch

        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)


def make_setting(data: Path, out: Path, weights: Path | None, small: bool) -> Setting:
    """Write the .data file and the cfgs for its classes into `out`."""
    import torch

    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    tiny, full = ROOT / "cfg/yolov3-tiny.cfg", ROOT / ("cfg/yolov3-nano.cfg" if small else "cfg/yolov3.cfg")
    workers = max(0, min(8, (os.cpu_count() or 1) - 1)) if device.type == "cuda" else 0
    batches = (2, 4) if small else (16, 64)
    setting = Setting(
        device, out, weights, small, tiny, full, 96 if small else 416, batches, workers, 0.5 if small else 2.5
    )
    out.mkdir(parents=True, exist_ok=True)
    (out / "bccd.names").write_text("\n".join(NAMES) + "\n", encoding="utf-8")
    splits = {split: _split(data, split, out, small) for split in ("train", "val")}
    text = f"classes={len(NAMES)}\ntrain={splits['train']}\nvalid={splits['val']}\nnames=bccd.names\n"
    setting.data.write_text(text, encoding="utf-8")
    for cfg in (tiny, full):
        command("adapt", str(cfg), "--classes", str(len(NAMES)), "--out", str(setting.adapted(cfg)), "--overwrite")
    return setting


def _split(data: Path, split: str, out: Path, small: bool) -> Path:
    """The image set of a split; in a small setting, one of its first images in a VOC folder of links to the data."""
    whole = (data / "ImageSets" / "Main" / f"{split}.txt").resolve()
    if not small:
        return whole
    folder = out / "bccd"
    (folder / "ImageSets" / "Main").mkdir(parents=True, exist_ok=True)
    for name in ("Annotations", "JPEGImages"):
        if not (folder / name).exists():
            (folder / name).symlink_to((data / name).resolve())
    few = folder / "ImageSets" / "Main" / f"{split}.txt"
    few.write_text("\n".join(whole.read_text(encoding="utf-8").split()[:SMALL_IMAGES]) + "\n", encoding="utf-8")
    return few


def command(name: str, *arguments: str) -> str:
    """Run a command of this project in this process; its output. Raises RuntimeError with its last line if it fails."""
    from prune.cli import exit_code

    printed = io.StringIO()
    with _arguments(name, arguments), redirect_stdout(printed), redirect_stderr(printed):
        code = exit_code(importlib.import_module(f"prune.commands.{name}").main)
    logging.getLogger("prune").handlers[:] = [logging.NullHandler()]  # the command has set up its own
    if code:
        lines = printed.getvalue().strip().splitlines() or [""]
        raise RuntimeError(f"{name} ended with exit code {code}: {lines[-1]}")
    return printed.getvalue()


@contextmanager
def _arguments(name: str, arguments: tuple[str, ...]) -> Iterator[None]:
    before, sys.argv = sys.argv, [f"{name}.py", *arguments]
    try:
        yield
    finally:
        sys.argv = before


def machine(device: torch.device) -> dict[str, Any]:
    """The device and the versions that figures depend on."""
    import torch

    cuda = device.type == "cuda"
    name = torch.cuda.get_device_name(device) if cuda else f"CPU, {torch.get_num_threads()} threads"
    return {"device": name, "torch": torch.__version__, "cuda": torch.version.cuda if cuda else None}


def stand_in_for_tqdm() -> None:
    """Without tqdm there are no progress bars: the loops run over the items themselves."""
    if importlib.util.find_spec("tqdm") is None:
        module = ModuleType("tqdm")
        module.tqdm = _NoBar  # type: ignore[attr-defined]
        sys.modules["tqdm"] = module


class _NoBar:
    """What the project uses of tqdm."""

    def __init__(self, items: Any = (), **_options: Any) -> None:
        self.items = items

    def __iter__(self) -> Iterator[Any]:
        return iter(self.items)

    def __enter__(self) -> _NoBar:
        return self

    def __exit__(self, *_error: object) -> None:
        """Nothing to close."""

    def update(self, _count: int = 1) -> None:
        """Nothing to show."""
