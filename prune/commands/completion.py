"""`darknet-prune completion SHELL`: a completion script, generated from the parsers of all commands."""

from __future__ import annotations

from prune.cli import Parser
from prune.cli.json_out import print_json
from prune.commands.flags import command_lines
from prune.commands.shells import bash, fish, zsh

EXAMPLE = "source <(darknet-prune completion bash)"
SHELLS = {"bash": bash, "zsh": zsh, "fish": fish}


def make_parser() -> Parser:
    parser = Parser("Print a completion script, to be loaded by your shell's start-up file.", EXAMPLE)
    parser.add_argument("shell", choices=list(SHELLS), help="the shell to complete for")
    return parser


def main() -> int:
    shell = make_parser().parse_args().shell
    print_json(SHELLS[shell](command_lines()))
    return 0
