"""A dataset description of Ultralytics (`data.yaml`), given where a `.data` file is expected."""

from __future__ import annotations

import re

_KEY = re.compile(r"(?P<key>path|train|val|test|nc|names|download)\s*:(?:\s+(?P<value>.*))?$")
_ITEM = re.compile(r"\s*(?:-\s+|\d+\s*:\s+)(?P<name>[^#]+?)\s*(?:#.*)?$")
_NEEDED = frozenset({"train", "val", "nc", "names"})
_MOST_NAMES, _LONGEST = 20, 400


def ultralytics_message(text: str) -> str | None:
    """The error message for a descriptor that is such a YAML: the lines that a `.data` file needs, with the values of
    the YAML where they are simple to find. None for any other text.

    This is not a YAML reader: it knows `key: value` at the start of a line, and names in one bracket or one per line.
    """
    values = _top_level(text)
    if values.keys().isdisjoint(_NEEDED):
        return None
    names = _names(text)
    count = values.get("nc", "") or (str(len(names)) if names else "")
    lines = [
        f"'classes = {count if count.isascii() and count.isdigit() else 'N'}'",
        f"'train = LIST' (a text file with one image path per line{_here(values.get('train'))})",
        f"'valid = LIST' (the same{_here(values.get('val'))})",
        f"'names = FILE' (one class name per line{_here(_shown(names))})",
    ]
    known = "is a dataset description of Ultralytics (YAML), not a .data file of Darknet"
    return f"{known}; write a .data file with the lines {', '.join(lines)}"


def _top_level(text: str) -> dict[str, str]:
    """The keys at the start of a line; empty where a line is `key = value`, so that this is a `.data` file."""
    found: dict[str, str] = {}
    for line in text.removeprefix("\ufeff").splitlines():
        if re.match(r"\w+\s*=", line):
            return {}
        if match := _KEY.match(line.rstrip()):
            found.setdefault(match["key"], _plain(match["value"] or ""))
    return found


def _names(text: str) -> list[str]:
    """The class names, where they are in one bracket or one per line."""
    bracket = re.search(r"^names\s*:\s*[\[{]([^\]}]*)[\]}]", text, re.MULTILINE)
    if bracket:
        parts = (re.sub(r"^\s*\d+\s*:\s*", "", part) for part in bracket[1].split(","))
        return [name for part in parts if (name := _plain(part))]
    names: list[str] = []
    _, _, rest = text.partition("\nnames:") if not text.startswith("names:") else ("", "", text[len("names:") :])
    for line in rest.splitlines()[1:]:
        item = _ITEM.match(line)
        if item is None:
            break
        names.append(_plain(item["name"]))
    return names


def _plain(value: str) -> str:
    return value.partition(" #")[0].strip().strip("'\"")


def _here(value: str | None) -> str:
    return f"; here {value[:_LONGEST]}" if value else ""


def _shown(names: list[str]) -> str:
    return ", ".join(names[:_MOST_NAMES]) + (", …" if len(names) > _MOST_NAMES else "")
