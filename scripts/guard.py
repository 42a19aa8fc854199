"""Whether a stage of the pipeline did its work: `python -m scripts.guard STAGE REFERENCE` ends with exit code 3 and the
next step where the AP50 of STAGE is less than half of that of REFERENCE.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from prune.cli import run_command
from prune.errors import TargetError, UsageError
from prune.files.reading import read_json

LEAST = 0.5
"""A stage that leaves less than this share of the AP50 has broken the network: what follows cannot repair it well."""
ADVICE = {
    "train_sparse.py": 'train longer (SPARSE_ARGS="--epochs N") or ask for less (TARGET=0.4x)',
    "prune_channel.py": "prune less (TARGET=0.4x), or train sparsely for longer first",
}


def ap50_of(summary: dict[str, Any]) -> float | None:
    """The AP50 of the network that a stage leaves."""
    found = summary.get("after", summary).get("ap50")
    return float(found) if isinstance(found, (int, float)) else None


def fall(stage: dict[str, Any], reference: dict[str, Any]) -> tuple[float, float] | None:
    """AP50 before and after, where a stage lost more than half of that of the stage before; else None."""
    now, before = ap50_of(stage), ap50_of(reference)
    return None if now is None or before is None or now >= LEAST * before else (before, now)


def check_stage(stage: Path, reference: Path) -> None:
    """Raise TargetError where a stage lost more than half of the AP50 of the stage before."""
    summary = read_json(stage / "summary.json")
    lost = fall(summary, read_json(reference / "summary.json"))
    if lost is None:
        return
    before, now = lost
    advice = ADVICE.get(str(summary.get("command")), "look at its results.csv")
    raise TargetError(f"{stage}: AP50 fell from {before:.3f} to {now:.3f}; {advice}, remove {stage} and run this again")


def main() -> int:
    if len(sys.argv) != 3:
        raise UsageError("python -m scripts.guard STAGE REFERENCE: pass the folders of two stages")
    check_stage(Path(sys.argv[1]), Path(sys.argv[2]))
    return 0


if __name__ == "__main__":
    run_command(main)
