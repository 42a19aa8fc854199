"""Kill trainings at any moment, resume them, and compare every file with those of an undisturbed run.

    python -m benchmarks.kills --kills 100

Each of the training commands, and variants of them, is killed (SIGKILL) just before or after one of its renames and
removals, or at a random time; in every third case the resumed run is killed as well. Some runs replace an
earlier one (`--overwrite`).
"""

from __future__ import annotations

import argparse
import random
import shutil
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from benchmarks.kills_compare import differences
from benchmarks.kills_run import Kill, Outcome, prepare, run
from benchmarks.kills_setup import COMMANDS, arguments, make_inputs

MOST_KILLS_OF_A_RUN = 3


@dataclass(frozen=True, slots=True)
class Undisturbed:
    """A run that was not killed: its files, how often it renamed or removed one, and the seconds it took."""

    out: Path
    moves: int
    seconds: float


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0], allow_abbrev=False)
    parser.add_argument("--kills", type=int, default=100, metavar="N", help="how many runs are killed (default: 100)")
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="seed of the moments (default: 0)")
    parser.add_argument("--keep", type=Path, metavar="DIR", help="work there and keep the files")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="kills-") as scratch:
        return kill_many(args.keep or Path(scratch), args.kills, random.Random(args.seed))


def kill_many(folder: Path, kills: int, rng: random.Random) -> int:
    """Kill that many runs in `folder`; 1 if one of them did not end like an undisturbed one."""
    prepare()
    make_inputs(folder)
    straight = {command: undisturbed(folder, command) for command in COMMANDS}
    earlier = {command: undisturbed(folder, command, "--seed", "7", out=f"earlier-{command}") for command in COMMANDS}
    wrong, killed, kinds = 0, 0, Counter[str]()
    while killed < kills:
        command = COMMANDS[killed % len(COMMANDS)]
        replaced = earlier[command].out if rng.random() < 0.25 else None
        kills_of_run, found = kill_one(folder, command, straight[command], replaced, rng)
        killed += bool(kills_of_run)  # a moment may come after the end
        kinds.update(kills_of_run)
        wrong += bool(found)
        where = " over an earlier run" if replaced else ""
        print(
            f"{killed:4d} {command}{where}: {', '.join(kills_of_run) or 'ended before'}: {'; '.join(found) or 'equal'}"
        )
        sys.stdout.flush()
    shown = ", ".join(
        f"{count} {kind}" for kind, count in Counter(kind.split()[0] for kind in kinds.elements()).items()
    )
    print(f"{kills} runs killed ({shown}); {wrong} of them did not end with the files of an undisturbed run")
    return 1 if wrong or kills < 1 else 0


def undisturbed(folder: Path, command: str, *more: str, out: str | None = None) -> Undisturbed:
    """A whole run. Raises RuntimeError where it fails."""
    name = out or f"straight-{command}"
    begun = time.monotonic()
    outcome = run(folder, command, [*arguments(command), *more, "--out", name], counted=folder / "moves")
    if outcome.code:
        raise RuntimeError(f"{command} failed: {outcome.output}")
    return Undisturbed(folder / name, int((folder / "moves").read_text()), time.monotonic() - begun)


def kill_one(
    folder: Path, command: str, straight: Undisturbed, replaced: Path | None, rng: random.Random
) -> tuple[list[str], list[str]]:
    """Kill a run, resume it until it ends: how it was killed, and what differs from the undisturbed one."""
    out = folder / "out"
    shutil.rmtree(out, ignore_errors=True)
    if replaced is not None:
        shutil.copytree(replaced, out)
    old = _content(out / "last.pt")
    kills = list[str]()
    for attempt in range(MOST_KILLS_OF_A_RUN + 1):
        dies = attempt == 0 or (attempt < MOST_KILLS_OF_A_RUN and rng.random() < 1 / 3)
        kill = _moment(straight, rng) if dies else None
        begun = (content := _content(out / "last.pt")) is not None and content != old
        flags = ["--resume"] if begun else ["--overwrite"]
        outcome = run(folder, command, [*arguments(command), *flags, "--out", "out"], kill)
        kills += [str(kill)] if kill and outcome.killed else []
        if not outcome.killed:
            return kills, _failure(outcome) or differences(straight.out, out)
    return kills, ["was killed every time"]


def _failure(outcome: Outcome) -> list[str]:
    return [f"exit code {outcome.code}: {outcome.output.strip()[-300:]}"] if outcome.code else []


def _moment(straight: Undisturbed, rng: random.Random) -> Kill:
    kind = rng.choice(("before", "after", "at"))
    if kind == "at":
        return Kill(kind, rng.uniform(0, straight.seconds))
    return Kill(kind, rng.randint(1, straight.moves))


def _content(path: Path) -> bytes | None:
    return path.read_bytes() if path.is_file() else None


if __name__ == "__main__":
    sys.exit(main())
