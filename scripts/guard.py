"""Whether a stage of the pipeline did its work: `python -m scripts.guard STAGE REFERENCE` ends with exit code 3 and the
next step where the AP50 of STAGE is less than half of that of REFERENCE.
"""

from __future__ import annotations

import sys
from pathlib import Path

from prune.cli import run_command
from prune.commands.compare import Stage, read_stage
from prune.errors import TargetError, UsageError

LEAST = 0.5
"""A stage that leaves less than this share of the AP50 has broken the network: what follows cannot repair it well."""
ADVICE = {
    "sparse": 'train longer (SPARSE_ARGS="--epochs N") or ask for less (TARGET=0.4x)',
    "channels": "prune less (TARGET=0.4x), or train sparsely for longer first",
}
"""By the name of the stage's folder."""


def fall(stage: Stage, reference: Stage) -> tuple[float, float] | None:
    """AP50 before and after, where a stage lost more than half of that of the stage before; else None."""
    now, before = stage.facts.get("ap50"), reference.facts.get("ap50")
    return None if now is None or before is None or now >= LEAST * before else (before, now)


def check_stage(folder: Path, reference: Path) -> None:
    """Raise TargetError where a stage lost more than half of the AP50 of the stage before, DataError where one of the
    folders describes no network."""
    stage = read_stage(folder)
    if (lost := fall(stage, read_stage(reference))) is None:
        return
    before, now = lost
    advice = ADVICE.get(stage.name, "look at its results.csv")
    raise TargetError(
        f"{folder}: AP50 fell from {before:.3f} to {now:.3f}; {advice}, remove {folder} and run this again"
    )


def main() -> int:
    if len(sys.argv) != 3:
        raise UsageError("python -m scripts.guard STAGE REFERENCE: pass the folders of two stages")
    check_stage(Path(sys.argv[1]), Path(sys.argv[2]))
    return 0


if __name__ == "__main__":
    run_command(main)
