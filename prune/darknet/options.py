"""Typed reading of a section's options, with Darknet's defaults, and a report of what was not read."""

from __future__ import annotations

import math
import re
from pathlib import Path

from prune.darknet import keys
from prune.darknet.activations import ACTIVATIONS, CONVOLUTIONAL_ONLY, FOREIGN
from prune.darknet.cfg import Line, Section, shown
from prune.darknet.dialects import activation_hint
from prune.errors import CfgError

_COMMENT = re.compile(r"[#;]")
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", re.ASCII)
_INTEGER = re.compile(r"[+-]?\d{1,18}(\.0*)?", re.ASCII)


class Options:
    """The options of one section. Each getter takes a default for an absent key.

    Warnings (duplicate keys, comments after numbers, keys that nothing read) are collected in `warnings`.
    """

    def __init__(self, section: Section, path: Path | str, warnings: list[str]) -> None:
        self.section, self.path, self.warnings = section, path, warnings
        self.kind = shown(section.kind)
        self._lines = section.options
        self._unread = set(self._lines)
        for line in section.ignored_lines():
            self._warn(line, self._why_ignored(line))

    def error(self, key: str | None, message: str) -> CfgError:
        """An error at the key's line, or at the section's header."""
        line = self._lines.get(key) if key else None
        number = line.number if line else self.section.line
        return CfgError(self.path, number, f"[{self.kind}] {message}")

    def warn(self, key: str, message: str) -> None:
        """A warning at the key's line, or at the section's header where the key is absent."""
        self._warn(self._lines.get(key, self.section.lines[0]), message)

    def has(self, key: str) -> bool:
        """True where the section contains `key`."""
        return key in self._lines

    def integer(self, key: str, default: int, low: int, high: int = 1_000_000) -> int:
        """A whole number, within [low, high]."""
        text = self._text(key)
        value = default if text is None else self._integer(key, self._without_comment(key, text))
        if not low <= value <= high:
            raise self.error(key, f"{key}={value} must be at {f'least {low}' if value < low else f'most {high}'}")
        return value

    def number(self, key: str, default: float, low: float | None = None) -> float:
        """A real number, at least `low`."""
        text = self._text(key)
        value = default if text is None else self._float(key, self._without_comment(key, text))
        if low is not None and value < low:
            raise self.error(key, f"{key}={value:g} must be at least {low:g}")
        return value

    def flag(self, key: str, default: bool = False) -> bool:
        """A number as a switch: anything except 0 is True."""
        return bool(self.number(key, default))

    def word(self, key: str, default: str) -> str:
        """A word. A comment after it is an error: Darknet would read it as part of the word."""
        text = self._text(key)
        if text is None:
            return default
        if _COMMENT.search(text):
            message = f"{key}={shown(text)}: Darknet reads the comment as part of the word; put it on its own line"
            raise self.error(key, message)
        return text

    def numbers(self, key: str) -> tuple[float, ...]:
        """Numbers between commas; a comma at the end is ignored."""
        return tuple(self._float(key, part) for part in self._parts(key))

    def integers(self, key: str) -> tuple[int, ...]:
        """Whole numbers between commas; a comma at the end is ignored with a warning."""
        parts = self._parts(key)
        if self._lines[key].value.endswith(","):
            self.warn(key, f"{key} ends in a comma, after which Darknet reads a 0; ignored here: remove it")
        return tuple(self._integer(key, part) for part in parts)

    def activation(self, default: str) -> str:
        """`activation=`, one of Darknet's names."""
        name = self.word("activation", default)
        if name not in ACTIVATIONS:
            message = f"activation={shown(name)} is unknown (Darknet would silently use relu)"
            raise self.error("activation", f"{message}: {activation_hint(name, ACTIVATIONS)}")
        if name in FOREIGN:
            self._warn_once("activation", f"Darknet does not know activation={name}: it would silently use relu")
        if name in CONVOLUTIONAL_ONLY and self.kind not in ("convolutional", "conv"):
            raise self.error("activation", f"activation={name}: Darknet computes it in [convolutional] only")
        if name in ("swish", "mish") and self.kind not in ("convolutional", "conv", "shortcut"):
            self.warn("activation", f"Darknet does not compute {name} in [{self.kind}]: it would write zeros")
        return name

    def sources(self, key: str, index: int) -> tuple[int, ...]:
        """The layers that `from` or `layers` names: negative values count back from this layer."""
        if not self.has(key):
            raise self.error(None, f"needs {key}=")
        return tuple(self.reference(key, value, index) for value in self.integers(key))

    def reference(self, key: str, value: int, index: int) -> int:
        """The absolute index of the layer that `value` names, seen from layer `index`."""
        source = index + value if value < 0 else value
        if not 0 <= source < index:
            where = "before the first layer" if source < 0 else f"to layer {source}, which is not before it"
            choice = f"name one of 0 … {index - 1}" if index else "no layer comes before it"
            raise self.error(key, f"{key}={value} (layer {index}) points {where}; {choice}")
        return source

    def refuse(self, *names: str) -> None:
        """Switches that must be off, because what they switch on is not supported."""
        for key in names:
            if self.flag(key):
                raise self.error(key, f"{key}={shown(self._lines[key].value)} is not supported; set it to 0")

    def ignore(self, *names: str) -> None:
        """Known keys that do not matter for pruning (such as training settings)."""
        self._unread.difference_update(names)

    def report_unread(self) -> None:
        """Warns about each key that no getter asked for, as Darknet's `option_unused` does."""
        self.ignore(*keys.LAYER)
        for key in sorted(self._unread, key=lambda key: self._lines[key].number):
            self.warn(key, f"unknown option '{shown(key)}' in [{self.kind}]; kept, not used")

    def _text(self, key: str) -> str | None:
        self._unread.discard(key)
        line = self._lines.get(key)
        return None if line is None else line.value

    def _parts(self, key: str) -> list[str]:
        text = self._text(key)
        if text is None:
            return []
        bare = self._without_comment(key, text)
        if "," in text[len(bare) :]:
            raise self.error(key, f"{key}: Darknet counts the commas of the comment; put it on its own line")
        return bare.removesuffix(",").split(",")

    def _without_comment(self, key: str, text: str) -> str:
        bare = _COMMENT.split(text, maxsplit=1)[0]
        if bare != text:
            self.warn(key, f"comment after {key}={shown(bare)}; put it on its own line")
        return bare

    def _float(self, key: str, text: str) -> float:
        if not _NUMBER.fullmatch(text):
            raise self.error(key, f"{key}: '{shown(text)}' is not a number")
        value = float(text)
        if not math.isfinite(value):
            raise self.error(key, f"{key}={shown(text)} is too large")
        return value

    def _integer(self, key: str, text: str) -> int:
        if not _INTEGER.fullmatch(text):
            self._float(key, text)
            raise self.error(key, f"{key}={shown(text)} must be a whole number of at most 18 digits")
        return int(text.partition(".")[0])

    def _why_ignored(self, line: Line) -> str:
        key = shown(line.key or "")
        if not line.value:
            return f"'{key}=' in [{self.kind}] has no value; Darknet ignores it"
        return f"duplicate key '{key}' in [{self.kind}]; Darknet uses the first"

    def _warn_once(self, key: str, message: str) -> None:
        """A warning at the first section of a cfg that it applies to, since dozens may be alike."""
        if not any(warning.endswith(message) for warning in self.warnings):
            self.warn(key, message)

    def _warn(self, line: Line, message: str) -> None:
        self.warnings.append(f"{self.path}:{line.number}: {message}")
