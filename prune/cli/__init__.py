"""What all commands share: option groups, the out folder, the summary, exit codes. Nothing here imports torch.

A command looks like this:

    parser = Parser("what it does", "python command.py --cfg ...")
    add_options(parser, NetworkArgs)
    add_options(parser, RunArgs, required=["out"])
    namespace = parser.parse_args()
    network, run = take(namespace, NetworkArgs), take(namespace, RunArgs)
    command = open_command(namespace, run, inputs=[network.cfg, network.weights], outputs=["pruned.cfg"])
    ...                                    # torch may be imported from here on
    write(command.path("pruned.cfg"))
    command.finish({"before": before, "after": after})

inside `main`, which is run by `run_command(main)`.
"""

from __future__ import annotations

from prune.cli.command import Command, open_command, setup_logging
from prune.cli.exits import exit_code, run_command
from prune.cli.groups import (
    DataArgs,
    ImageArgs,
    MaybeDataArgs,
    NetworkArgs,
    RunArgs,
    StartArgs,
    parse_size,
    require,
)
from prune.cli.parser import Later, Parser, add_options, parse_finite, take, take_row

__all__ = [
    "Command",
    "DataArgs",
    "ImageArgs",
    "Later",
    "MaybeDataArgs",
    "NetworkArgs",
    "Parser",
    "RunArgs",
    "StartArgs",
    "add_options",
    "exit_code",
    "open_command",
    "parse_finite",
    "parse_size",
    "require",
    "run_command",
    "setup_logging",
    "take",
    "take_row",
]
