"""The files shipped with the program: `cfg/` and `data/` of the checkout, inside the package in the wheel."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import prune


def shipped(kind: Literal["cfg", "data"]) -> Path:
    """The folder of this kind: `prune/resources/KIND` of an installed package, else that of the checkout."""
    package = Path(prune.__file__).resolve().parent
    installed = package / "resources" / kind
    return installed if installed.is_dir() else package.parent / kind
