"""Where the shared test data is (real weights and images; not part of the repository)."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

REPOSITORY: Path = Path(__file__).resolve().parents[1]
"""The root of this checkout: `cfg/`, `data/` and the commands are in it."""


def _find_shared() -> Path:
    """PRUNE_SHARED_DATA where it is set, else `../shared/data` relative to the repository's root."""
    configured = os.environ.get("PRUNE_SHARED_DATA")
    return Path(configured).expanduser().resolve() if configured else REPOSITORY.parent / "shared" / "data"


SHARED: Path = _find_shared()
"""The folder of the shared data; it need not exist: mark what reads it with `needs_shared`."""

needs_shared: pytest.MarkDecorator = pytest.mark.skipif(
    not SHARED.is_dir(),
    reason=f"the shared data is not at {SHARED} (set PRUNE_SHARED_DATA to its folder)",
)
"""Mark for a test (or, as `pytestmark = needs_shared`, for a file) that reads below SHARED."""
