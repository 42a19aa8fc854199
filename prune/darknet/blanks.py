"""Characters that look like a blank or like ASCII and are neither: Darknet takes them for part of a word."""

from __future__ import annotations

import unicodedata

_BLANKS = ("Zs", "Zl", "Zp", "Cf", "Cc")
_LATIN_1_BLANK = "\udca0"
"""The byte of a no-break space in a Latin-1 file, as `prune.files.reading.read_text` hands it on."""
_FULL_WIDTH = range(0xFF01, 0xFF5F)
"""Full-width forms of the ASCII characters from ! to ~."""


def odd_character(text: str) -> str | None:
    """The first character of `text` that Darknet would neither drop nor understand, described; None without one.

    Such are blanks that are not ASCII (no-break, ideographic, zero-width), control characters and full-width forms
    of ASCII characters. Letters of any script are not.
    """
    if text.isascii() and text.isprintable():
        return None
    return next((_described(letter) for letter in text if _is_odd(letter)), None)


def _is_odd(letter: str) -> bool:
    if letter in "\t\r\n ":
        return False
    blank = unicodedata.category(letter) in _BLANKS
    return blank or ord(letter) in _FULL_WIDTH or letter == _LATIN_1_BLANK


def _described(letter: str) -> str:
    if letter == _LATIN_1_BLANK:
        return "byte A0 (a no-break space in Latin-1)"
    name = unicodedata.name(letter, "control character").lower()
    plain = f", not {unicodedata.normalize('NFKC', letter)}" if ord(letter) in _FULL_WIDTH else ""
    return f"U+{ord(letter):04X} ({name}{plain})"
