"""Cfg text ↔ sections, lossless: what is not changed is written back byte for byte.

Read as Darknet reads it: every blank inside a line is dropped, comments start at the beginning of a
line, of duplicate keys the first is used, and a key without a value is ignored.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from prune.darknet.blanks import odd_character
from prune.errors import CfgError

_LINE = re.compile(r"[^\n]*\n|[^\n]+")
_COMMENT = re.compile(r"[#;]")
_BLANKS = re.compile(r"[ \t\r\n]+")
_BYTE_ORDER_MARK = "\ufeff"
LONGEST_CFG = 500_000
"""In characters: far more than any network needs, and still read in a second."""


@dataclass(frozen=True, slots=True)
class Line:
    """One line of a cfg: its text with its line end, and key and value where it is an option."""

    text: str
    number: int
    key: str | None = None
    value: str = ""

    def with_value(self, value: str) -> Line:
        """The same line with another value; blanks, a comment after it and the line end are kept."""
        head, equals, rest = self.text.partition("=")
        old = _COMMENT.split(rest, maxsplit=1)[0]
        start, end = len(old) - len(old.lstrip(" \t")), len(old.rstrip(" \t\r\n"))
        return replace(self, text=head + equals + rest[:start] + value + rest[max(start, end) :], value=value)


@dataclass(frozen=True, slots=True)
class Section:
    """A `[kind]` header and the lines up to the next one. `line` is the header's, from 1."""

    kind: str
    line: int
    lines: tuple[Line, ...]

    @property
    def options(self) -> dict[str, Line]:
        """The first line of each key that has a value, in order: the one Darknet uses."""
        found: dict[str, Line] = {}
        for line in self.lines:
            if line.key is not None and line.value:
                found.setdefault(line.key, line)
        return found

    def ignored_lines(self) -> Iterator[Line]:
        """Option lines that Darknet ignores: duplicate keys, and keys without a value."""
        counted = self.options
        return (line for line in self.lines if line.key is not None and counted.get(line.key) is not line)

    def with_option(self, key: str, value: str) -> Section:
        """The section with `key` set to `value`: in place where it exists, else after the last option."""
        current = self.options.get(key)
        if current is None:
            return self._inserted(key, value)
        if current.value == value:
            return self
        lines = tuple(line.with_value(value) if line is current else line for line in self.lines)
        return replace(self, lines=lines)

    def without_option(self, key: str) -> Section:
        """The section without any line of `key`, duplicates included."""
        return replace(self, lines=tuple(line for line in self.lines if line.key != key))

    def _inserted(self, key: str, value: str) -> Section:
        last = max(i for i, line in enumerate(self.lines) if i == 0 or line.key is not None)
        before = self.lines[last]
        end = "\r\n" if before.text.endswith("\r\n") else "\n"
        if not before.text.endswith("\n"):
            before = replace(before, text=before.text + end)
        new = Line(f"{key}={value}{end}", before.number, key, value)
        return replace(self, lines=(*self.lines[:last], before, new, *self.lines[last + 1 :]))


@dataclass(frozen=True, slots=True)
class Document:
    """A whole cfg: the text before the first section, and the sections."""

    preamble: str
    sections: tuple[Section, ...]


def parse_document(text: str, path: Path | str = "<text>") -> Document:
    """Splits cfg text into sections. Raises CfgError on a line that is neither section, option nor comment."""
    if len(text) > LONGEST_CFG:
        raise CfgError(
            path, None, f"contains {len(text):,} characters, more than {LONGEST_CFG:,}; is it a Darknet cfg?"
        )
    mark = _BYTE_ORDER_MARK if text.startswith(_BYTE_ORDER_MARK) else ""
    preamble, sections = [mark], list[list[Line]]()
    for number, match in enumerate(_LINE.finditer(text[len(mark) :]), start=1):
        line = _parse_line(match.group(), number, path)
        if _bare(line.text).startswith("["):
            sections.append([line])
        elif sections:
            sections[-1].append(line)
        elif line.key is None:
            preamble.append(line.text)
        else:
            raise CfgError(path, number, f"option '{shown(line.key)}' appears before the first [section]")
    if not sections:
        raise CfgError(path, None, "contains no [section]; is it a Darknet cfg?")
    return Document("".join(preamble), tuple(_section(lines, path) for lines in sections))


def format_document(document: Document) -> str:
    """The cfg text; equals the parsed text where nothing was changed."""
    return document.preamble + "".join(line.text for section in document.sections for line in section.lines)


def shown(text: str) -> str:
    """The beginning of a text, made safe for a message of one line."""
    return "".join(character if character.isprintable() else "?" for character in text.strip(" \t\r\n")[:60])


def _bare(text: str) -> str:
    return _BLANKS.sub("", text)


def _parse_line(text: str, number: int, path: Path | str) -> Line:
    bare = _bare(text)
    if not bare or bare[0] in "#;\0":
        return Line(text, number)
    if odd := odd_character(_COMMENT.split(text, maxsplit=1)[0]):
        raise CfgError(path, number, f"Darknet reads {odd} as part of the word; retype this line in plain ASCII")
    if bare[0] == "[":
        return Line(text, number)
    key, equals, value = bare.partition("=")
    if not equals or not key:
        raise CfgError(path, number, f"'{shown(text)}' is neither an option (key=value), a [section] nor a # comment")
    return Line(text, number, key, value)


def _section(lines: list[Line], path: Path | str) -> Section:
    header = lines[0]
    kind, bracket, rest = _bare(header.text)[1:].partition("]")
    if not bracket or not kind:
        raise CfgError(path, header.number, f"'{shown(header.text)}' is not a section header; write [name]")
    if rest:
        message = f"Darknet reads '{shown(header.text)}' as a section of that whole name; write [{shown(kind)}] alone"
        raise CfgError(path, header.number, message)
    return Section(kind, header.number, tuple(lines))
