"""Writes the tables of flags in docs/cli.md from the parsers of the commands.

    python -m scripts.cli_docs [--check]

The text between the marks `<!-- flags -->` and `<!-- end of flags -->` is replaced; the text around them is written by
hand. --check: change nothing; exit code 1 if the file does not match the parsers.
"""

from __future__ import annotations

import argparse
import importlib
import sys
from collections.abc import Collection, Sequence
from pathlib import Path
from unittest.mock import patch

from prune.cli.parser import Parser
from prune.commands.table import SUBCOMMANDS

REPOSITORY = Path(__file__).resolve().parent.parent
PAGE = REPOSITORY / "docs" / "cli.md"
BEGIN, END = "<!-- flags -->", "<!-- end of flags -->"
CALLED = {
    "train.py": "train",
    "train_sparse.py": "train_sparse",
    "prune_channel.py": "prune_channel",
    "prune_layer.py": "prune_layer",
    "finetune.py": "finetune",
    "distill.py": "distill",
    "evaluate.py": "evaluate",
    "detect.py": "detect",
    "benchmark.py": "benchmark",
    "export.py": "export",
    "python -m prune.explain": "prune.explain",
    "python -m prune.readiness": "prune.readiness",
    "python -m prune.adapt": "prune.adapt",
    "python -m prune.compare": "prune.compare",
    "python -m prune.convert": "prune.convert",
    "python -m prune.check": "prune.check",
}
"""How a command with its own script or module is called, and the module that contains its `main`."""
COMMANDS = CALLED | {
    f"darknet-prune {command.name}": f"prune.commands.{command.module}"
    for command in SUBCOMMANDS
    if command.module not in {module.removeprefix("prune.") for module in CALLED.values()}
}
"""How every command is called: those of `CALLED`, then those that are subcommands only."""
TRAINING = "train.py"
BEYOND_TRAINING = ("train_sparse.py", "finetune.py", "distill.py")
"""Their tables omit the rows of train.py's table."""
NO_ROW = (argparse.SUPPRESS, "show this help message and exit")


class _Built(Exception):  # noqa: N818  # not an error: it ends a command at its parser
    """Carries the parser that a command has built."""

    def __init__(self, parser: Parser) -> None:
        self.parser = parser


def main() -> int:
    check = "--check" in sys.argv[1:]
    written = PAGE.read_text(encoding="utf-8")
    made = with_flags(written)
    if not check:
        PAGE.write_text(made, encoding="utf-8")
    elif made != written:
        print(f"{PAGE}: does not match the parsers; run: python -m scripts.cli_docs", file=sys.stderr)
        return 1
    return 0


def with_flags(page: str) -> str:
    """The page with new tables. Raises ValueError if a mark is missing."""
    before, after = page.index(BEGIN) + len(BEGIN), page.index(END)
    return f"{page[:before]}\n\n{flag_tables()}\n{page[after:]}"


def flag_tables() -> str:
    """A section for each command: its description, its example, its flags."""
    training = rows(parser_of(COMMANDS[TRAINING]))
    known = dict.fromkeys(BEYOND_TRAINING, training)
    return "\n".join(section(name, parser_of(module), known.get(name, ())) for name, module in COMMANDS.items())


def parser_of(module: str) -> Parser:
    """The parser of a command: its `main` is run up to the point where it would parse arguments."""
    command = importlib.import_module(module).main
    with patch.object(Parser, "parse_args", _stop), patch.object(sys, "argv", [f"{module}.py"]):
        try:
            command()
        except _Built as built:
            return built.parser
    raise ValueError(f"{module}: main builds no parser")


def _stop(parser: Parser, *_: object) -> None:
    raise _Built(parser)


def section(name: str, parser: Parser, known: Collection[str] = ()) -> str:
    """Heading, description, example and table of a command, without the rows in `known` (those of train.py)."""
    example = (parser.epilog or "").removeprefix("example:").strip()
    own = [row for row in rows(parser) if row not in known]
    lead = [f"All flags of `{TRAINING}`, and these, or these instead:"] if known else []
    table = "\n".join(["| flag | meaning |", "|---|---|", *own])
    return "\n\n".join([f"### {name}", str(parser.description), f"```bash\n{example}\n```", *lead, table]) + "\n"


def rows(parser: Parser) -> list[str]:
    """One row per flag: its spellings and its meaning; required ones are marked."""
    shown = [action for action in parser._actions if action.help not in NO_ROW]
    return [f"| {_spelled(action)} | {_meaning(action)} |" for action in shown]


def _spelled(action: argparse.Action) -> str:
    value = _value(action)
    names: Sequence[str] = action.option_strings or [""]
    return " ".join(f"`{f'{name} {value}'.strip()}`" for name in names).replace("|", "\\|")


def _value(action: argparse.Action) -> str:
    if action.nargs == 0:
        return ""
    default = action.dest.upper()
    names = [action.metavar] if isinstance(action.metavar, str) else list(action.metavar or ())
    if action.choices and not names:
        names = ["|".join(map(str, action.choices))]
    value = " ".join(map(str, names or [default]))
    return {"+": f"{value} …", "?": f"[{value}]"}.get(str(action.nargs), value)


def _meaning(action: argparse.Action) -> str:
    text = (action.help or "").replace("%%", "%").replace("|", "\\|").replace("<", "&lt;")
    return f"{text} (required)" if action.required and action.option_strings else text


if __name__ == "__main__":
    sys.exit(main())
