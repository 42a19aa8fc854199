"""Cfg texts as untidy as people write them."""

from __future__ import annotations

from random import Random


def dressed(text: str, random: Random) -> str:
    """The same network in untidy text: blanks, comments, unknown and duplicate keys, line ends, a BOM."""
    end, lines = random.choice(["\n", "\r\n"]), []
    for line in text.splitlines():
        blank = random.choice(["", "", " ", "\t ", "   "])
        if "=" in line:
            key, value = line.split("=")
            lines.append(f"{blank}{key}{blank}={blank}{value}{random.choice(['', ' ', chr(9)])}")
            if random.random() < 0.1:
                lines.append(f"{key}={value}{value}")
        else:
            lines.append(line and f"{blank}{line}{blank}")
        if random.random() < 0.2 and line:
            lines.append(random.choice(["# größer = besser", "; note", "", "  ", "my_key = 1", " # filters=7"]))
    mark, tail = random.choice(["", "", "\ufeff"]), random.choice(["", end, end + end])
    head = random.choice(["", f"# a network{end}", end])
    return mark + head + end.join(lines) + tail
