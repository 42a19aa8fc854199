"""Conversion between option groups and argparse.

An option group is a frozen dataclass. Each field becomes a flag: its name (spelled with `_` or `-`), its type, its
default and `metadata`: `help`, and where needed `flag` (another name), `flags` (further spellings),
`metavar`, `parse` (text -> value), `choices`, `const` (the value of the bare flag), `once` and `off` (a bool's second
flag): what `prune.settings.option` writes. The settings of the library declare their flags in the same way, without
argparse.
"""

from __future__ import annotations

import argparse
import dataclasses
import math
import re
import sys
import types
import typing
from collections.abc import Mapping, Sequence
from typing import Any, NoReturn, TypeVar

from prune.cli.program import fitting, usage_name
from prune.report.visible import visible

T = TypeVar("T")
EXIT_USAGE = 2


def parse_finite(text: str) -> float:
    """A float that is neither infinite nor NaN."""
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(text)
    return value


@dataclasses.dataclass(frozen=True, slots=True)
class Later:
    """A default that the command settles once it knows the other arguments: None until then, `text` in the help."""

    text: str


class Parser(argparse.ArgumentParser):
    """argparse with `_` and `-` equivalent in flags, defaults in --help, a worked example, errors in one line."""

    def __init__(self, description: str, example: str) -> None:
        super().__init__(
            prog=usage_name(),
            description=description,
            allow_abbrev=False,
            epilog=f"example:\n  {fitting(example)}",
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        return super().parse_known_args(dashed(sys.argv[1:] if args is None else args), namespace)

    def error(self, message: str) -> NoReturn:
        line = " ".join(message.split()).replace("invalid parse_", "invalid ")  # argparse shows the function's name
        self.exit(EXIT_USAGE, f"{self.prog}: {visible(line)} (--help explains the flags)\n")


def dashed(args: Sequence[str]) -> list[str]:
    """`--batch_size=8` as `--batch-size=8`; values, and everything after `--`, are unchanged."""
    stop = args.index("--") if "--" in args else len(args)
    return [dashed_flag(arg) if arg.startswith("--") else arg for arg in args[:stop]] + list(args[stop:])


def dashed_flag(arg: str) -> str:
    name, equals, value = arg.partition("=")
    return name.replace("_", "-") + equals + value


def add_options(
    parser: argparse.ArgumentParser,
    group: type[Any],
    *,
    title: str | None = None,
    omit: Sequence[str] = (),
    required: Sequence[str] = (),
    defaults: Mapping[str, Any] | None = None,
) -> None:
    """Add the flags of option group `group` (a dataclass), except the fields in `omit`.

    `required` fields must be given; `defaults` replaces defaults of fields for this command.
    """
    target = parser.add_argument_group(title) if title else parser
    hints = typing.get_type_hints(group)
    for item in dataclasses.fields(group):
        if item.name not in omit:
            default = (defaults or {}).get(item.name, item.default)
            _add_option(target, item, hints[item.name], default, item.name in required)


def _add_option(target: Any, item: dataclasses.Field[Any], hint: Any, default: Any, required: bool) -> None:
    meta, kind = item.metadata, _plain_type(hint)
    flags = [meta.get("flag", "--" + item.name.replace("_", "-")), *meta.get("flags", ())]
    required = required or default is dataclasses.MISSING
    later = default if isinstance(default, Later) else None
    default = None if later else default
    shown = "" if required or default in (None, ()) or kind is bool else f" (default: {_shown(default)})"
    shown = f" (default: {later.text})" if later else shown
    about = re.sub(r" \(default: [^)]*\)$", "", meta.get("help", "")) if shown else meta.get("help", "")
    options: dict[str, Any] = {"dest": item.name, "help": (about + shown).replace("%", "%%")}
    if not required:
        options["default"] = default
    if kind is bool:
        _add_switch(target, flags, options, default, meta)
        return
    if typing.get_origin(kind) is typing.Literal:
        options.update(choices=typing.get_args(kind), type=meta.get("parse", str))
    elif "choices" in meta:
        options.update(choices=tuple(meta["choices"]), type=meta.get("parse", kind))
    else:
        options["type"] = meta.get("parse", parse_finite if kind is float else kind)
    if "metavar" in meta:
        options["metavar"] = meta["metavar"]
    if "const" in meta:
        options.update(nargs="?", const=meta["const"])
    if "once" in meta:
        options["action"] = _Once
    target.add_argument(*flags, required=required, **options)


class _Once(argparse.Action):
    """Stores a value; a second one is an error."""

    def __call__(self, parser: Any, namespace: Any, values: Any, option_string: str | None = None) -> None:
        if getattr(namespace, self.dest, None) is not None:
            raise argparse.ArgumentError(self, "is given twice; give it once")
        setattr(namespace, self.dest, values)


def _add_switch(target: Any, flags: list[str], options: dict[str, Any], default: Any, meta: Mapping[str, Any]) -> None:
    """A bool: `--x`; with `off`, or if it is on by default, `--OFF` or `--no-x` turns it off."""
    off = meta.get("off", f"no-{flags[0][2:]}" if default is True else None)
    if off and default is True:
        options["help"] += f" (on; --{off} turns it off)"
    target.add_argument(*flags, action="store_true", **options)
    if off:
        target.add_argument(
            f"--{off}",
            dest=options["dest"],
            action="store_false",
            help=argparse.SUPPRESS,
            default=options.get("default"),
        )


def _plain_type(hint: Any) -> Any:
    """The type without `| None`."""
    if typing.get_origin(hint) in (typing.Union, types.UnionType):
        return next(arg for arg in typing.get_args(hint) if arg is not type(None))
    return hint


def _shown(value: Any) -> str:
    return ",".join(map(str, value)) if isinstance(value, (tuple, list)) else str(value)


def take(namespace: argparse.Namespace, group: type[T], **fixed: Any) -> T:
    """The option group `group` filled from parsed arguments; omitted fields are taken from `fixed` or defaults.

    Raises UsageError if the group's own checks fail.
    """
    given = vars(namespace)
    names = [item.name for item in dataclasses.fields(group)]  # type: ignore[arg-type]
    return group(**{name: given[name] for name in names if name in given} | fixed)


def take_row(namespace: argparse.Namespace, table: Mapping[str, type[T]], name: str) -> T:
    """The option group `name` of `table`, filled from parsed arguments. Raises UsageError if the checks of any of the
    groups fail: a wrong flag is an error even if its group is not chosen."""
    return {row: take(namespace, group) for row, group in table.items()}[name]
