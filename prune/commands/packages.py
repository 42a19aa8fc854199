"""The packages that this program requires or can use, and whether they are installed and work."""

from __future__ import annotations

import importlib
import re
from collections.abc import Iterable
from contextlib import redirect_stderr
from dataclasses import dataclass
from importlib import metadata
from io import StringIO
from typing import Literal

State = Literal["ok", "missing", "broken", "old"]


@dataclass(frozen=True, slots=True)
class Package:
    """A package: its module, its names for pip (any one of `distributions`), and what is not possible `without` it.

    `minimum`: the oldest usable version of a required package, None for an optional one.
    """

    module: str
    distributions: tuple[str, ...]
    without: str
    minimum: str | None = None


@dataclass(frozen=True, slots=True)
class Finding:
    """The finding about a package. `detail`: what is not possible without it, or why it does not work."""

    name: str
    state: State
    version: str | None
    needed: bool
    detail: str


PACKAGES = (
    Package("torch", ("torch",), "nothing can be trained, evaluated or verified", minimum="2.6"),
    Package("numpy", ("numpy",), "nothing can be read or pruned", minimum="1.26"),
    Package("cv2", ("opencv-python", "opencv-python-headless"), "no image can be read", minimum="4.10"),
    Package("pycocotools", ("pycocotools",), "no AP by the COCO protocol", minimum="2.0.8"),
    Package("tqdm", ("tqdm",), "no progress bars and no training", minimum="4.66"),
    Package("matplotlib", ("matplotlib",), "no plots, only ASCII class names in pictures"),
    Package("hotcoco", ("hotcoco",), "COCO metrics are computed by pycocotools: same numbers, slower"),
    Package("tensorboard", ("tensorboard",), "no scalars for TensorBoard while training"),
    Package("onnx", ("onnx",), "no network can be exported"),
    Package("onnxruntime", ("onnxruntime", "onnxruntime-gpu"), "an exported file is not compared with its network"),
)


def inspect(package: Package) -> Finding:
    """Import a package, and compare its version with the minimum."""
    found = installed(package.distributions)
    name, version = next(iter(found.items()), (package.distributions[0], None))
    state, detail = _state(package, version)
    if state == "missing":
        detail += f"; pip install {name}"
    elif len(found) > 1:
        detail = f"{' and '.join(found)} share one folder: remove one of them"
    return Finding(name, state, version, package.minimum is not None, detail)


def installed(distributions: Iterable[str]) -> dict[str, str]:
    """Name and version of the installed distributions."""
    found = {}
    for name in distributions:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found


def _state(package: Package, version: str | None) -> tuple[State, str]:
    try:
        with redirect_stderr(StringIO()):  # onnxruntime prints a traceback where numpy is broken
            module = importlib.import_module(package.module)
    except ModuleNotFoundError as error:
        if error.name == package.module:
            return "missing", package.without
        return "broken", f"cannot be imported: {error}"
    except Exception as error:  # a missing library, another version of numpy: any error is the reason to report
        return "broken", f"cannot be imported: {' '.join(str(error).split())}"
    version = version or str(getattr(module, "__version__", ""))
    if package.minimum and version and release(version) < release(package.minimum):
        return "old", f"{package.minimum} or newer is required"
    return "ok", ""


def release(version: str) -> tuple[int, ...]:
    """The numbers a version begins with: `2.13.0+cpu` as (2, 13, 0)."""
    match = re.match(r"\d+(\.\d+)*", version)
    return tuple(map(int, match[0].split("."))) if match else ()
