"""What sparse training costs, and what it buys: penalties, and none at all, on two datasets and two networks.

    python -m benchmarks.sparsity [--out DIR] [--sets bccd,cards] [--nets yolov3-tiny,yolov3-nano] [--seeds 0,1,2]
                                  [--recipes prox-l1,none,none-bflops,group,polarization] [--size 160] [--epochs N]

Every cell is trained by the commands with their defaults: baseline, sparse training towards the target, the cut in the
gap, fine-tuning; all are measured on the test split, which nothing was chosen by. `none` cuts the baseline at once to
the same parameters, by |γ| × the norm of what reads a channel, and gives the epochs of the sparse training to
fine-tuning; `none-bflops` cuts it to the BFLOPs of the first recipe instead.
Finished stages and rows are not repeated: a table of many hours grows over several runs, in docs/results/sparsity.json.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.places import ROOT, SHARED, require
from benchmarks.sparsity_control import cut_at_once
from benchmarks.sparsity_table import Row, format_rows, write_rows
from prune.darknet.datafile import read_datafile
from prune.files.reading import read_json
from prune.samples.read import read_samples
from scripts.epochs import epochs_for

SETS = {"bccd": ("RBC", "WBC", "Platelets"), "cards": ("nine", "ten", "jack", "queen", "king", "ace")}
TARGETS = {"yolov3-tiny": "0.15x", "yolov3-nano": "0.25x"}
RECIPES = ("prox-l1", "none", "none-bflops", "group", "polarization")
"""With AdamW, `l1` takes the same steps as `prox-l1`."""
RESULTS = ROOT / "docs" / "results" / "sparsity.json"


@dataclass(frozen=True)
class Cell:
    """One network on one dataset with one seed, in its own folder."""

    out: Path
    name: str
    net: str
    seed: int
    size: int
    epochs: int
    more: tuple[str, ...] = field(default=())

    @property
    def folder(self) -> Path:
        return self.out / f"{self.name}-{self.net}-{self.seed}"

    @property
    def data(self) -> Path:
        return self.out / f"{self.name}-val.data"

    def run(self, stage: str, command: str, *flags: object) -> Path:
        """Run a command unless its stage is finished; returns the folder of the stage."""
        folder = self.folder / stage
        if not (folder / "summary.json").is_file():
            again = "--resume" if (folder / "last.pt").is_file() else "--overwrite"
            shared = ("--data", self.data, "--img-size", self.size, "--seed", self.seed, "--out", folder)
            call([command, *flags, *shared, again])
        return folder

    def train(self, stage: str, command: str, *flags: object, epochs: int | None = None) -> Path:
        """The same for a training."""
        return self.run(stage, command, *flags, "--epochs", epochs or self.epochs, *self.more)

    def tested(self, stage: str, cfg: Path, weights: Path) -> dict[str, Any]:
        """The facts of a network on the test split."""
        folder = self.folder / f"test-{stage}"
        if not (folder / "summary.json").is_file():
            data = self.out / f"{self.name}-test.data"
            call(["evaluate.py", "--cfg", cfg, "--weights", weights, "--data", data, "--ap", "voc10", "--quiet",
                  "--img-size", self.size, "--out", folder])  # fmt: skip
        facts = read_json(folder / "summary.json")
        return {key: facts[key] for key in ("ap50", "parameters", "bflops")}


def call(arguments: list[object]) -> None:
    """Run a command of this project; its own messages say what is wrong."""
    print("==", *arguments, flush=True)
    subprocess.run([sys.executable, str(ROOT / str(arguments[0])), *map(str, arguments[1:])], check=True)


def prepare(out: Path, name: str, net: str) -> None:
    """The .data files of a dataset and the cfg of a network for it."""
    lists = SHARED / name / "ImageSets" / "Main"
    require(lists / "train.txt")
    out.mkdir(parents=True, exist_ok=True)
    (out / f"{name}.names").write_text("".join(f"{label}\n" for label in SETS[name]))
    for split in ("val", "test"):
        lines = (f"classes={len(SETS[name])}", f"train={lists / 'train.txt'}", f"valid={lists / f'{split}.txt'}")
        (out / f"{name}-{split}.data").write_text("\n".join((*lines, f"names={name}.names", "")))
    cfg = out / f"{name}-{net}.cfg"
    if not cfg.is_file():
        source, classes = str(ROOT / "cfg" / f"{net}.cfg"), str(len(SETS[name]))
        adapt = ["prune.adapt", source, "--classes", classes, "--out", str(cfg.resolve())]
        subprocess.run([sys.executable, "-m", *adapt], check=True, cwd=ROOT)


def baseline(cell: Cell) -> Path:
    """yolov3-tiny from the official weights, others from random ones."""
    start: tuple[object, ...] = ()
    if cell.net == "yolov3-tiny":
        weights = SHARED / "weights" / "yolov3-tiny.weights"
        require(weights)
        start = ("--weights", weights, "--weights-cfg", ROOT / "cfg" / "yolov3-tiny.cfg")
    return cell.train("baseline", "train.py", "--cfg", cell.out / f"{cell.name}-{cell.net}.cfg", *start)


def same_bflops(cell: Cell, target: str) -> tuple[str, str]:
    """What the first recipe left."""
    facts = read_json(cell.folder / f"test-{RECIPES[0]}-cut" / "summary.json")
    return "bflops", f"{1e9 * facts['bflops']:.0f}"


CONTROLS: dict[str, Callable[[Cell, str], tuple[str, str]]] = {
    "none": lambda cell, target: ("parameters", target),
    "none-bflops": same_bflops,
}


def row_of(cell: Cell, recipe: str) -> Row:
    """Train and measure one row."""
    base, target = baseline(cell), TARGETS[cell.net]
    stages = {"baseline": cell.tested("baseline", base / "model.cfg", base / "best.weights")}
    cut = cell.folder / f"{recipe}-cut"
    epochs = cell.epochs
    if recipe in CONTROLS:
        cut_at_once(base / "model.cfg", base / "best.weights", *CONTROLS[recipe](cell, target), cut)
        epochs *= 2
    else:
        flags = ("--cfg", base / "model.cfg", "--weights", base / "best.weights", "--target-params", target)
        sparse = cell.train(f"{recipe}-sparse", "train_sparse.py", *flags, "--penalty", recipe)
        stages["sparse"] = cell.tested(f"{recipe}-sparse", sparse / "model.cfg", sparse / "best.weights")
        pair = ("--cfg", sparse / "model.cfg", "--weights", sparse / "best.weights", "--percent", "auto")
        cell.run(f"{recipe}-cut", "prune_channel.py", *pair)
    stages["cut"] = cell.tested(f"{recipe}-cut", cut / "pruned.cfg", cut / "pruned.weights")
    pruned = ("--cfg", cut / "pruned.cfg", "--weights", cut / "pruned.weights")
    tuned = cell.train(f"{recipe}-finetune", "finetune.py", *pruned, epochs=epochs)
    stages["finetuned"] = cell.tested(f"{recipe}-finetune", tuned / "model.cfg", tuned / "best.weights")
    return Row(cell.name, cell.net, recipe, cell.seed, cell.size, cell.epochs, target, stages)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=ROOT / "runs" / "sparsity")
    parser.add_argument("--results", type=Path, default=RESULTS)
    parser.add_argument("--sets", default=",".join(SETS))
    parser.add_argument("--nets", default=",".join(TARGETS))
    parser.add_argument("--recipes", default=",".join(RECIPES))
    parser.add_argument("--seeds", default="0,1,2")
    parser.add_argument("--size", type=int, default=160)
    parser.add_argument("--epochs", type=int, help="of each stage (default: by the number of images, as compress.sh)")
    parser.add_argument("--train-args", default="", help="further flags of every training")
    args = parser.parse_args()
    rows: list[Row] = []
    for seed in map(int, args.seeds.split(",")):
        for name in args.sets.split(","):
            for net in args.nets.split(","):
                prepare(args.out, name, net)
                images = len(read_samples(read_datafile(args.out / f"{name}-val.data"), "train"))
                epochs = args.epochs or epochs_for(images)
                cell = Cell(args.out, name, net, seed, args.size, epochs, tuple(args.train_args.split()))
                for recipe in args.recipes.split(","):
                    rows.append(row_of(cell, recipe))
                    write_rows(args.results, rows[-1:])
    print(format_rows(rows))
    print(json.dumps({"results": str(args.results)}))


if __name__ == "__main__":
    main()
