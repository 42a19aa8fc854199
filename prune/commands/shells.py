"""Completion scripts for bash, zsh and fish, all with the same contents."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from prune.cli.program import SUITE
from prune.commands.flags import Flag, Line, Value, first_words

BASH = """\
# bash completion for {suite}; load it with:  source <({suite} completion bash)
_darknet_prune() {{
    local word=${{COMP_WORDS[COMP_CWORD]}} before=${{COMP_WORDS[COMP_CWORD - 1]}} words=
    COMPREPLY=()
    if [ "$before" = = ]; then before=${{COMP_WORDS[COMP_CWORD - 2]}}; fi # --flag=value is three words
    if [ "$word" = = ]; then word=; fi
    if [ "$COMP_CWORD" -eq 1 ]; then
        words='{first}'
    else
        case $word in
        -*)
            case ${{COMP_WORDS[1]}} in
{flags}
            esac
            ;;
        *)
            case "${{COMP_WORDS[1]}} $before" in
{values}
            esac
            ;;
        esac
    fi
    COMPREPLY=($(compgen -W "$words" -- "$word")) # none: files, by -o default
}}
complete -o default -F _darknet_prune {suite}
"""

ZSH = """\
#compdef {suite}
# zsh completion for {suite}; load it with:  source <({suite} completion zsh)
_darknet_prune() {{
    if (( CURRENT == 2 )); then
        local -a commands=(
{commands}
        )
        _describe command commands
        return
    fi
    local command=$words[2]
    shift words
    (( CURRENT-- ))
    case $command in
{cases}
    esac
}}
if [ "$funcstack[1]" = _darknet_prune ]; then _darknet_prune "$@"; else compdef _darknet_prune {suite}; fi
"""


def bash(lines: Sequence[Line]) -> str:
    """The script for bash 3.2 or newer."""
    flags = [f"            {line.name}) words='{' '.join(_spellings(line))}' ;;" for line in lines]
    values = [f"            {case} ;;" for line in lines for case in _bash_values(line)]
    return BASH.format(
        suite=SUITE, first=" ".join(first_words(lines)), flags="\n".join(flags), values="\n".join(values)
    )


def _bash_values(line: Line) -> Iterable[str]:
    """Completions of a word that is not a flag: the choices of the flag before it, else those of the line; or files."""
    free = []
    for flag in (flag for flag in line.flags if flag.values):
        pattern = " | ".join(f"'{line.name} {spelling}'" for spelling in flag.spellings)
        if flag.values[0].choices:
            yield f"{pattern}) words='{' '.join(flag.values[0].choices)}'"
        else:
            free.append(pattern)
    if free:
        yield f"{' | '.join(free)})"
    if line.positional is None:
        yield f"'{line.name} '*) words='{' '.join(_spellings(line))}'"
    elif line.positional.choices:
        yield f"'{line.name} '*) words='{' '.join(line.positional.choices)}'"


def zsh(lines: Sequence[Line]) -> str:
    """The script for zsh."""
    commands = [f"            {_quoted(f'{line.name}:{line.about}')}" for line in lines]
    return ZSH.format(suite=SUITE, commands="\n".join(commands), cases="\n".join(map(_zsh_case, lines)))


def _zsh_case(line: Line) -> str:
    specs = [spec for flag in line.flags for spec in _zsh_flag(flag)]
    if line.positional is not None:
        specs.append("*" + _zsh_value(line.positional))
    arguments = " \\\n            ".join(map(_quoted, specs))
    return f"    {line.name})\n        _arguments \\\n            {arguments}\n        ;;"


def _zsh_flag(flag: Flag) -> Iterable[str]:
    about = f"[{_escaped(flag.about, '[]:')}]" if flag.about else ""
    for spelling in flag.spellings:
        yield spelling + about + "".join(map(_zsh_value, flag.values))


def _zsh_value(value: Value) -> str:
    action = f"({' '.join(value.choices)})" if value.choices else "_files" if value.is_path else ""
    return f":{_escaped(value.name, ':')}:{action}"


def fish(lines: Sequence[Line]) -> str:
    """The script for fish."""
    head = f"# fish completion for {SUITE}; load it with:  {SUITE} completion fish | source\ncomplete -c {SUITE} -f\n"
    first = [f"complete -c {SUITE} -n __fish_use_subcommand -l {name} -d {name}" for name in ("help", "version")]
    first += [
        f"complete -c {SUITE} -n __fish_use_subcommand -a {line.name} -d {_fish_quoted(line.about)}" for line in lines
    ]
    rest = [part for line in lines for part in _fish_line(line)]
    return head + "\n".join([*first, *rest]) + "\n"


def _fish_line(line: Line) -> Iterable[str]:
    when = f"complete -c {SUITE} -n '__fish_seen_subcommand_from {line.name}'"
    if line.positional is not None:
        yield f"{when} {_fish_value(line.positional, '-k')}".rstrip()
    for flag in line.flags:
        named = " ".join(map(_fish_spelling, flag.spellings))
        about = f" -d {_fish_quoted(flag.about)}" if flag.about else ""
        takes = f" {_fish_value(flag.values[0], '-r')}" if flag.values else ""
        yield f"{when} {named}{takes}{about}"


def _fish_spelling(spelling: str) -> str:
    if spelling.startswith("--"):
        return f"-l {spelling[2:]}"
    return f"-s {spelling[1:]}" if len(spelling) == 2 else f"-o {spelling[1:]}"


def _fish_value(value: Value, other: str) -> str:
    if value.choices:
        return f"-x -a {_fish_quoted(' '.join(value.choices))}"
    return f"{other} -F" if value.is_path else "-x"


def _spellings(line: Line) -> list[str]:
    return [spelling for flag in line.flags for spelling in flag.spellings]


def _escaped(text: str, letters: str) -> str:
    return re.sub(f"([\\\\{re.escape(letters)}])", r"\\\1", text)


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "'\\''") + "'"


def _fish_quoted(text: str) -> str:
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"
