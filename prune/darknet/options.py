"""Typed reading of a section's options, with Darknet's defaults, and a report of what was not read."""

from __future__ import annotations

import math
import re
from pathlib import Path

from prune.darknet.cfg import Line, Section
from prune.errors import CfgError

_COMMENT = re.compile(r"[#;]")


class Options:
    """The options of one section. Each getter takes a default for an absent key.

    Remarks (repeated keys, comments behind numbers, keys nobody read) gather in `remarks`.
    """

    def __init__(self, section: Section, path: Path | str, remarks: list[str]) -> None:
        self.section, self.path, self.remarks = section, path, remarks
        self._lines = section.options
        self._unread = set(self._lines)
        for line in section.repeated():
            self._remark(line, f"'{line.key}' again in [{section.kind}]; Darknet takes the first")

    def error(self, key: str | None, message: str) -> CfgError:
        """An error at the key's line, or at the section's header."""
        line = self._lines.get(key) if key else None
        number = line.number if line else self.section.line
        return CfgError(self.path, number, f"[{self.section.kind}] {message}")

    def has(self, key: str) -> bool:
        """True where the section holds `key`."""
        return key in self._lines

    def integer(self, key: str, default: int, low: int | None = None, high: int | None = 1_000_000) -> int:
        """A whole number, within [low, high]."""
        value = self.number(key, default)
        if value != math.floor(value):
            raise self.error(key, f"{key}={value} must be a whole number")
        return int(self._bounded(key, value, low, high))

    def number(self, key: str, default: float, low: float | None = None) -> float:
        """A real number, at least `low`."""
        text = self._text(key)
        if text is None:
            return default
        bare = self._without_comment(key, text)
        return self._bounded(key, self._float(key, bare), low, None)

    def flag(self, key: str, default: bool = False) -> bool:
        """A number that switches: anything but 0 is True."""
        return bool(self.number(key, default))

    def word(self, key: str, default: str) -> str:
        """A word. A comment behind it is an error: Darknet would take it for a part of the word."""
        text = self._text(key)
        if text is None:
            return default
        if _COMMENT.search(text):
            raise self.error(key, f"{key}={text}: Darknet reads the comment as part of the word; give it its own line")
        return text

    def numbers(self, key: str, default: tuple[float, ...] = ()) -> tuple[float, ...]:
        """Numbers between commas; a comma at the end is passed over."""
        text = self._text(key)
        if text is None:
            return default
        bare = self._without_comment(key, text)
        if "," in text[len(bare) :]:
            raise self.error(key, f"{key}: Darknet counts the commas of the comment; give it its own line")
        parts = bare.rstrip(",").split(",")
        return tuple(self._float(key, part) for part in parts)

    def integers(self, key: str) -> tuple[int, ...]:
        """Whole numbers between commas."""
        values = self.numbers(key)
        if any(value != math.floor(value) or abs(value) > 1e9 for value in values):
            raise self.error(key, f"{key} must hold whole numbers")
        return tuple(int(value) for value in values)

    def ignore(self, *keys: str) -> None:
        """Keys that are known and carry nothing for pruning (training settings and the like)."""
        self._unread.difference_update(keys)

    def report_unread(self) -> None:
        """Remarks each key that no getter asked for, as Darknet's `option_unused` does."""
        for key in sorted(self._unread, key=lambda key: self._lines[key].number):
            self._remark(self._lines[key], f"unknown option '{key}' in [{self.section.kind}]; kept, not used")

    def _text(self, key: str) -> str | None:
        self._unread.discard(key)
        line = self._lines.get(key)
        return None if line is None else line.value

    def _without_comment(self, key: str, text: str) -> str:
        bare = _COMMENT.split(text, maxsplit=1)[0]
        if bare != text:
            self._remark(self._lines[key], f"a comment behind {key}={bare}; give it its own line")
        return bare

    def _float(self, key: str, text: str) -> float:
        try:
            value = float(text)
        except ValueError:
            raise self.error(key, f"{key}: '{text[:40]}' is not a number") from None
        if not math.isfinite(value):
            raise self.error(key, f"{key}={text} is not finite")
        return value

    def _bounded(self, key: str, value: float, low: float | None, high: float | None) -> float:
        if low is not None and value < low:
            raise self.error(key, f"{key}={value:g} must be at least {low:g}")
        if high is not None and value > high:
            raise self.error(key, f"{key}={value:g} must be at most {high:g}")
        return value

    def _remark(self, line: Line, message: str) -> None:
        self.remarks.append(f"{self.path}:{line.number}: {message}")
