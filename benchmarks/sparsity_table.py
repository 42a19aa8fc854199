"""The rows of benchmarks.sparsity, in a file that grows, and as a table of means and spreads.

python -m benchmarks.sparsity_table [docs/results/sparsity.json]
"""

from __future__ import annotations

import json
import platform
import sys
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import mean
from typing import Any

from prune.files.writing import atomic_write
from prune.report.tables import format_table

STAGES = ("baseline", "sparse", "cut", "finetuned")


@dataclass(frozen=True)
class Row:
    """One recipe with one seed; `stages`: ap50, parameters and bflops on the test split."""

    name: str
    net: str
    recipe: str
    seed: int
    size: int
    epochs: int
    target: str
    stages: dict[str, dict[str, Any]]

    @property
    def key(self) -> tuple[object, ...]:
        """What distinguishes rows of the file."""
        return self.name, self.net, self.recipe, self.seed, self.size, self.epochs, self.target


def read_rows(path: Path) -> list[Row]:
    """The rows of a file; none where there is no file."""
    return [Row(**entry["row"]) for entry in json.loads(path.read_text())] if path.is_file() else []


def write_rows(path: Path, rows: Iterable[Row]) -> None:
    """Add rows to the file, in the place of those of the same key; each with the machine that computed it."""
    import torch

    stored = json.loads(path.read_text()) if path.is_file() else []
    new = {row.key: row for row in rows}
    kept = [entry for entry in stored if Row(**entry["row"]).key not in new]
    machine = {"processor": platform.processor() or platform.machine(), "torch": torch.__version__}
    kept += [{"row": asdict(row), "machine": machine} for row in new.values()]
    path.parent.mkdir(parents=True, exist_ok=True)
    atomic_write(path, json.dumps(kept, indent=1) + "\n")


def format_rows(rows: Sequence[Row]) -> str:
    """Mean and spread (half the range) of AP50 over the seeds; parameters and BFLOPs of the cut."""
    cells: dict[tuple[object, ...], list[Row]] = {}
    for row in rows:
        cells.setdefault((row.name, row.net, row.recipe, row.size, row.epochs), []).append(row)
    lines = [
        [*key, len(group), *(_spread(group, stage) for stage in STAGES), *_cost(group)] for key, group in cells.items()
    ]
    return format_table(["set", "network", "recipe", "px", "epochs", "seeds", *STAGES, "parameters", "BFLOPs"], lines)


def _spread(group: Sequence[Row], stage: str) -> str | None:
    values = [float(row.stages[stage]["ap50"]) for row in group if stage in row.stages]
    if not values:
        return None
    return f"{mean(values):.4f}" + (f" ± {(max(values) - min(values)) / 2:.4f}" if len(values) > 1 else "")


def _cost(group: Sequence[Row]) -> list[str]:
    def change(name: str) -> str:
        return f"{mean(row.stages['cut'][name] / row.stages['baseline'][name] for row in group) - 1:+.1%}"

    return [change("parameters"), change("bflops")]


if __name__ == "__main__":
    default = Path(__file__).resolve().parents[1] / "docs" / "results" / "sparsity.json"
    print(format_rows(read_rows(Path(sys.argv[1]) if len(sys.argv) > 1 else default)))
