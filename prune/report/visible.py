"""Text of the user's (names, paths, keys) on its way to a terminal or a page: what would act there is made visible."""

from __future__ import annotations

import re

# Control characters (C0, DEL, C1), line separators, and the marks that turn the direction of what follows (Unicode
# Technical Report 36, "Bidirectional text spoofing"). Joiners are letters' own business and stay.
_ACTING = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]")


def visible(text: str) -> str:
    """`text` with control characters and marks of direction as escapes (`\\x1b`, `\\u202e`); line ends, too."""
    return _ACTING.sub(_escape, text)


def visible_lines(text: str) -> str:
    """As `visible`, for text of several lines: their ends (`\\n`) stay."""
    return "\n".join(map(visible, text.split("\n")))


def visible_json(text: str) -> str:
    """JSON with such characters as JSON's own escapes: it means the same. (Outside of its strings there are none but
    line ends, which stay.)"""
    return "\n".join(_ACTING.sub(lambda found: f"\\u{ord(found[0]):04x}", line) for line in text.split("\n"))


def _escape(found: re.Match[str]) -> str:
    return found[0].encode("unicode_escape").decode("ascii")
