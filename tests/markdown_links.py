"""Links of Markdown pages: where they lead, and which headings a page has."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import unquote

_LINK = re.compile(r"!?\[(?:[^\]\[]|\[[^\]]*\])*\]\(\s*<?([^)\s>]+)>?(?:\s+\"[^\"]*\")?\s*\)")
_FENCE = re.compile(r"^ {0,3}(```|~~~).*?^ {0,3}\1", re.M | re.S)
_CODE = re.compile(r"`[^`\n]*`")


def broken_links(page: Path) -> list[str]:
    """The relative links of a page that lead to no file or to no heading: "page.md: target"."""
    return [f"{page.name}: {target}" for target in _relative(page) if not _leads_somewhere(page, target)]


def anchors(text: str) -> set[str]:
    """The anchors that GitHub gives the headings of a page, and those of its `id`s and `name`s."""
    found: set[str] = set()
    for heading in re.findall(r"^#{1,6}\s+(.*?)\s*#*$", _FENCE.sub("", text), re.M):
        words = re.sub(r"!?\[([^\]]*)\]\([^)]*\)", r"\1", heading)
        plain = re.sub(r"[^\w\- ]", "", words.lower()).replace(" ", "-")
        numbered = (plain, *(f"{plain}-{number}" for number in range(1, 1000)))
        found.add(next(anchor for anchor in numbered if anchor not in found))
    return found | set(re.findall(r'<a (?:id|name)="([^"]+)"', text))


def _relative(page: Path) -> Iterator[str]:
    text = _CODE.sub("``", _FENCE.sub("", page.read_text(encoding="utf-8")))
    yield from (target for target in _LINK.findall(text) if not re.match(r"[a-z][a-z0-9+.-]*:", target, re.I))


def _leads_somewhere(page: Path, target: str) -> bool:
    name, _, anchor = unquote(target).partition("#")
    file = page.parent / name if name else page
    if not anchor or file.suffix != ".md":
        return file.exists()
    return file.is_file() and anchor in anchors(file.read_text(encoding="utf-8"))
