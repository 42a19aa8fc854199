"""darknet-prune completion: each shell offers what the parsers accept."""

from __future__ import annotations

import shutil
import subprocess
from argparse import SUPPRESS, ArgumentParser
from functools import cache
from pathlib import Path

import pytest

from prune.commands.flags import Flag, Line, Value, command_lines, read_line
from prune.commands.shells import bash, fish, zsh


@cache
def lines() -> list[Line]:
    """The command lines of all commands, whose modules are imported for it."""
    return command_lines()


def needs(shell: str) -> pytest.MarkDecorator:
    return pytest.mark.skipif(shutil.which(shell) is None, reason=f"{shell} is not installed")


def run(*command: str) -> str:
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def in_bash(*words: str) -> list[str]:
    """What the function offers for the last of `words`, as bash splits them (`--flag=x` is three)."""
    quoted = " ".join(f"'{word}'" for word in ("darknet-prune", *words))
    ask = f"COMP_WORDS=({quoted})\nCOMP_CWORD={len(words)}\n_darknet_prune\nprintf '%s\\n' \"${{COMPREPLY[@]}}\"\n"
    return run("bash", "-c", bash(lines()) + ask).split()


def in_fish(line: str) -> list[str]:
    asked = [word.split("\t")[0] for word in run("fish", "-c", f"{fish(lines())}\ncomplete -C '{line}'").splitlines()]
    return [word for word in asked if "/" not in word]


def test_a_parser_is_read_with_its_flags_choices_and_files() -> None:
    parser = ArgumentParser(add_help=False)
    parser.add_argument("cfg", type=Path, metavar="CFG")
    parser.add_argument("--tie", "-t", choices=("a", "b"), help="50 %%\nof all")
    parser.add_argument("--pair", nargs=2, metavar=("CFG", "N"))
    parser.add_argument("--no-x", action="store_true", help=SUPPRESS)
    assert read_line("go", "goes", parser) == Line(
        "go",
        "goes",
        (
            Flag(("--tie", "-t"), "50 % of all", (Value("tie", ("a", "b"), False),)),
            Flag(("--pair",), "", (Value("CFG", (), True), Value("N", (), False))),
            Flag(("--no-x",), "", ()),
        ),
        Value("CFG", (), True),
    )


@needs("bash")
@pytest.mark.parametrize(
    ("words", "offered"),
    [
        (["train"], ["train", "train-sparse"]),
        (["--v"], ["--version"]),
        (["prune-layer", "--sho"], ["--shortcuts"]),
        (["train", "--optimizer", ""], ["sgd", "adamw"]),
        (["train", "--optimizer", "=", "s"], ["sgd"]),
        (["train", "--optimizer", "="], ["sgd", "adamw"]),
        (["train", "--cfg", ""], []),
        (["train", "--resume", "--ov"], ["--overwrite"]),
        (["completion", ""], ["bash", "zsh", "fish"]),
        (["data", "get"], ["get-coco", "get-voc"]),
        (["explain", ""], []),
        (["nonsense", "--"], []),
    ],
)
def test_bash_offers_subcommands_flags_and_choices(words: list[str], offered: list[str]) -> None:
    assert in_bash(*words) == offered


@needs("bash")
def test_bash_offers_every_flag_of_every_subcommand() -> None:
    for line in (lines()[0], lines()[4], lines()[-1]):
        assert in_bash(line.name, "-") == [word for flag in line.flags for word in flag.spellings]


@needs("fish")
def test_fish_offers_subcommands_flags_and_choices() -> None:
    assert {line.name for line in lines()} <= set(in_fish("darknet-prune "))
    assert in_fish("darknet-prune train --optimizer ") == ["adamw", "sgd"]
    assert in_fish("darknet-prune prune-layer --sho") == ["--shortcuts"]
    assert in_fish("darknet-prune completion z") == ["zsh"]


@needs("zsh")
def test_zsh_understands_its_script(tmp_path: Path) -> None:
    (tmp_path / "_darknet-prune").write_text(zsh(lines()), encoding="utf-8")
    load = "autoload -Uz compinit && compinit -u -D && source _darknet-prune && print ${_comps[darknet-prune]}"
    done = subprocess.run(
        ["zsh", "-f", "-c", load], cwd=tmp_path, env={"HOME": str(tmp_path)}, capture_output=True, text=True, check=True
    )
    assert (done.stdout, done.stderr) == ("_darknet_prune\n", "")


def test_characters_that_a_shell_would_interpret_are_quoted() -> None:
    flag = Flag(("--x",), "it's [a:b] \\ $HOME", (Value("N", (), False),))
    line = Line("go", "it's", (flag,), None)
    assert "'--x[it'\\''s \\[a\\:b\\] \\\\ $HOME]:N:'" in zsh([line])
    assert "-l x -x -d 'it\\'s [a:b] \\\\ $HOME'" in fish([line])
    assert "it's" not in bash([line])
