"""Command lines in the fenced bash blocks of Markdown pages."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

_BLOCK = re.compile(r"^( *)```bash\n(.*?)^\1```", re.M | re.S)
_FILE = re.compile(r"\b(?:bash|python) ([a-z_\d/]+\.(?:sh|py))\b")
_MODULE = re.compile(r"\bpython -m ((?:benchmarks|prune|scripts)(?:\.[a-z_\d]+)+)")


def command_lines(page: Path) -> Iterator[list[str]]:
    """The words of each command in the bash blocks of a page, without variables, comments and redirections.

    Lines with an ellipsis are skipped: they are not complete.
    """
    for _, block in _BLOCK.findall(page.read_text(encoding="utf-8")):
        for line in block.replace("\\\n", " ").splitlines():
            words = shlex.split(re.sub(r" [<>] ?\S+$", "", line.partition("  #")[0]), comments=True)
            while words and re.match(r"\w+=", words[0]):
                words.pop(0)
            if words and "…" not in line:
                yield words


def named_files(page: Path) -> Iterator[str]:
    """The scripts and modules that a page calls anywhere, as paths relative to the repository."""
    text = page.read_text(encoding="utf-8")
    yield from _FILE.findall(text)
    yield from (f"{module.replace('.', '/')}.py" for module in _MODULE.findall(text))
