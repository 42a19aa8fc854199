"""The flags and values of a command line, read from its parser, for completion scripts."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from prune.commands.table import SUBCOMMANDS

FILES = {"FILE", "DIR", "PATH", "CFG", "DATA", "WEIGHTS", "NEW.cfg", "FILE.onnx"}
"""The metavars of values that are paths."""


@dataclass(frozen=True, slots=True)
class Value:
    """A value: its name, its choices (empty: any), and whether it is a path."""

    name: str
    choices: tuple[str, ...]
    is_path: bool


@dataclass(frozen=True, slots=True)
class Flag:
    """A flag with all its spellings, its help (may be empty) and the values that follow it."""

    spellings: tuple[str, ...]
    about: str
    values: tuple[Value, ...]


@dataclass(frozen=True, slots=True)
class Line:
    """The command line of a subcommand. `positional`: its positional argument, or None."""

    name: str
    about: str
    flags: tuple[Flag, ...]
    positional: Value | None


def command_lines() -> list[Line]:
    """The command lines of all subcommands, in the order of the table; imports their modules."""
    return [read_line(command.name, command.about, command.load().make_parser()) for command in SUBCOMMANDS]


def read_line(name: str, about: str, parser: argparse.ArgumentParser) -> Line:
    """The command line that a parser accepts (`_actions` is the only list of it that argparse has)."""
    actions = parser._actions
    flags = tuple(_flag(action) for action in actions if action.option_strings)
    positional = [value for action in actions if not action.option_strings for value in _values(action)]
    return Line(name, about, flags, positional[0] if positional else None)


def _flag(action: argparse.Action) -> Flag:
    shown = action.help if action.help and action.help != argparse.SUPPRESS else ""
    return Flag(tuple(action.option_strings), " ".join(shown.replace("%%", "%").split()), tuple(_values(action)))


def _values(action: argparse.Action) -> list[Value]:
    if action.nargs == 0:
        return []
    names = action.metavar if isinstance(action.metavar, tuple) else (action.metavar or action.dest,)
    choices = tuple(map(str, action.choices or ()))
    return [Value(name, choices, action.type is Path or name in FILES) for name in names]


def first_words(lines: Sequence[Line]) -> list[str]:
    """The words that may follow the program's name."""
    return [*(line.name for line in lines), "--help", "--version"]
