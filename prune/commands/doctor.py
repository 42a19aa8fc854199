"""`darknet-prune doctor`: versions, processors, GPU and packages, and what is not possible without the missing ones."""

from __future__ import annotations

import logging
import os
import platform
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from prune import __version__
from prune.cli import Parser, RunArgs, add_options, open_command, take
from prune.commands import machine
from prune.commands.packages import PACKAGES, Finding, inspect
from prune.commands.table import SUBCOMMANDS
from prune.report.tables import format_table

_log = logging.getLogger(__name__)
EXAMPLE = "darknet-prune doctor --json -"
OMITTED = ("out", "overwrite", "device", "workers", "seed")
DARKNET = "the tests and benchmarks that compare with Darknet itself are skipped"
BF16 = {
    True: "this processor computes in it; training with --amp takes about half the time",
    False: "this processor does not compute in it; training with --amp on the CPU is in float32",
}
LIBRARIES = {"mkl": "MKL", "onednn": "oneDNN", "openmp": "OpenMP"}


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """The findings. `commands`: those that cannot be imported, with the reason."""

    packages: Sequence[Finding]
    cpu: dict[str, Any]
    torch: dict[str, Any] | None
    gpus: Sequence[dict[str, Any]] = ()
    no_gpu: str | None = None
    darknet: str | None = None
    commands: dict[str, str] = field(default_factory=dict)

    @property
    def problems(self) -> list[str]:
        """What prevents the program from working, one line each."""
        packages = [finding for finding in self.packages if finding.needed and finding.state != "ok"]
        lines = [f"{finding.name} is {finding.state}: {finding.detail}" for finding in packages]
        return lines or [f"darknet-prune {name} cannot start: {reason}" for name, reason in self.commands.items()]


def make_parser() -> Parser:
    parser = Parser("Show what this installation and this machine can do, and which packages are missing.", EXAMPLE)
    add_options(parser, RunArgs, omit=OMITTED)
    return parser


def main() -> int:
    given = make_parser().parse_args()
    run = take(given, RunArgs)
    command = open_command(given, run, inputs=[])
    found = diagnose()
    command.finish({"diagnosis": found, "problems": found.problems})
    command.echo(format_diagnosis(found))
    for problem in found.problems if run.quiet else ():
        _log.warning("%s", problem)
    return 1 if found.problems else 0


def diagnose() -> Diagnosis:
    """Inspect everything; imports every package and every command."""
    packages = [inspect(package) for package in PACKAGES]
    works = packages[0].state in ("ok", "old")
    gpus = machine.gpus() if works else []
    return Diagnosis(
        packages=packages,
        cpu=machine.cpu(),
        torch=machine.torch_on_cpu() if works else None,
        gpus=gpus,
        no_gpu=machine.no_gpu() if works and not gpus else None,
        darknet=machine.darknet(),
        commands=broken_commands(),
    )


def broken_commands() -> dict[str, str]:
    """The subcommands that cannot be imported, and why."""
    broken = {}
    for command in SUBCOMMANDS:
        try:
            command.load()
        except Exception as error:  # any error is the reason to report
            broken[command.name] = " ".join(str(error).split())
    return broken


def format_diagnosis(found: Diagnosis) -> str:
    """The diagnosis for a terminal."""
    packages = [
        [finding.name, "required" if finding.needed else "optional", finding.version, _state(finding)]
        for finding in found.packages
    ]
    own = [["darknet-prune", "", __version__, ""], ["python", "required", platform.python_version(), ""]]
    tables = [format_table(("package", "", "version", "state"), [*own, *packages]), *machine_lines(found)]
    verdict = found.problems or ["all required packages are installed"]
    return "\n".join([*tables, "", *verdict])


def _state(finding: Finding) -> str:
    if finding.state == "missing":
        return f"missing: {finding.detail}"
    return f"{finding.state}: {finding.detail}" if finding.detail else finding.state


def machine_lines(found: Diagnosis) -> list[str]:
    """Processors, GPU, threads and Darknet."""
    cpu, torch = found.cpu, found.torch
    usable = f"{cpu['usable_cores']} of {cpu['cores']} cores usable"
    lines = ["", f"CPU: {cpu['model']}, {usable}; {' '.join(cpu['features']) or 'features unknown'}"]
    lines.append(f"bf16: {BF16[cpu['bf16']]}")
    if torch is not None:
        libraries = ", ".join(f"{label} {'yes' if torch[name] else 'no'}" for name, label in LIBRARIES.items())
        lines.append(f"torch: {torch['threads']} threads, instructions {torch['cpu_capability']}; {libraries}")
    for gpu in found.gpus:
        size = f"{gpu['memory_bytes'] / 2**30:.0f} GiB"
        about = f"{size}, compute capability {gpu['compute_capability']}, CUDA {gpu['cuda']}"
        lines.append(f"GPU: {gpu['device']} {gpu['name']}, {about}")
    lines += [f"GPU: {found.no_gpu}"] if found.no_gpu else []
    lines.append(f"OpenMP: OMP_WAIT_POLICY={os.environ.get('OMP_WAIT_POLICY', 'not set')}")
    lines.append(f"Darknet: {found.darknet or 'missing (optional): ' + DARKNET}")
    return lines
