"""User text (names, paths, keys) for a terminal or a page: characters that would control it are made visible."""

from __future__ import annotations

import re

# Control characters (C0, DEL, C1), line separators, and marks that change the text direction (Unicode Technical
# Report 36, "Bidirectional text spoofing"). Joiners belong to letters and are kept.
_CONTROLS = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]")


def visible(text: str) -> str:
    """`text` with control characters and marks of direction as escapes (`\\x1b`, `\\u202e`), and line ends, too."""
    return _CONTROLS.sub(_escape, text)


def visible_lines(text: str) -> str:
    """As `visible`, for text of several lines: line ends (`\\n`) are kept."""
    return "\n".join(map(visible, text.split("\n")))


def visible_json(text: str) -> str:
    """JSON with such characters as JSON escapes, with the same meaning. (Outside of strings there are only line ends,
    which are kept.)"""
    return "\n".join(_CONTROLS.sub(lambda found: f"\\u{ord(found[0]):04x}", line) for line in text.split("\n"))


def _escape(found: re.Match[str]) -> str:
    return found[0].encode("unicode_escape").decode("ascii")
