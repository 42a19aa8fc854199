"""The program `darknet-prune`: finds the subcommand in the table, imports its module and runs it."""

from __future__ import annotations

import difflib
import sys
from itertools import groupby
from typing import NoReturn

from prune import __version__
from prune.startup import start


def main() -> NoReturn:
    """Run `darknet-prune` with the arguments of this process, and exit with its exit code."""
    start()  # before the slow imports

    from prune.cli.exits import run_command

    run_command(dispatch)


def dispatch() -> int:
    """Run the requested subcommand; returns its exit code. Raises UsageError if there is no such subcommand."""
    from prune.cli.program import SUITE, start_as
    from prune.commands.table import SUBCOMMANDS

    first, *rest = sys.argv[1:] or [""]
    if first in ("--help", "-h"):
        print(overview())
        return 0
    if first == "--version":
        print(f"{SUITE} {__version__}")
        return 0
    chosen = {command.name: command for command in SUBCOMMANDS}.get(first.replace("_", "-"))
    if chosen is None:
        refuse(first, [command.name for command in SUBCOMMANDS])
    start_as(chosen.name, rest)
    return int(chosen.load().main())


def refuse(word: str, names: list[str]) -> NoReturn:
    """Raise UsageError for a word that is not the name of a subcommand."""
    from prune.errors import UsageError

    wrong = f"unknown command '{word}'" if word else "a command is missing"
    near = difflib.get_close_matches(word, names, 1)
    choice = f"did you mean '{near[0]}'?" if near else f"choose from {', '.join(names)}"
    raise UsageError(f"{wrong}: {choice} (darknet-prune --help explains them)")


def overview() -> str:
    """The text of `darknet-prune --help`."""
    from prune.cli.program import SUITE
    from prune.commands.table import SUBCOMMANDS

    width = max(len(command.name) for command in SUBCOMMANDS)
    lines = [f"usage: {SUITE} COMMAND ...", "", "Prune Darknet/YOLO detectors and verify the result."]
    for group, commands in groupby(SUBCOMMANDS, lambda command: command.group):
        lines += ["", f"{group}:", *(f"  {command.name:{width}}  {command.about}" for command in commands)]
    lines += ["", f"  {SUITE} COMMAND --help     the flags of a command, their defaults, an example"]
    lines += [f"  {SUITE} --version          the version"]
    return "\n".join(lines)
