"""The benchmark of training in a small setting, so that it is known to work."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from benchmarks.train_speed import report, summarize
from tests.shared import REPOSITORY
from tests.torch.small_trainings import cfg_text

SMALL = "--size 32 --batch-size 2 --steps 2 --rounds 1 --images 4 --json"


def test_the_benchmark_compares_our_training_with_a_plain_loop(tmp_path: Path) -> None:
    (tmp_path / "a.cfg").write_text(cfg_text())
    command = [sys.executable, "-m", "benchmarks.train_speed", "--cfg", str(tmp_path / "a.cfg"), *SMALL.split()]
    done = subprocess.run([*command, "-"], cwd=REPOSITORY, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    figures = json.loads(done.stdout)
    assert set(figures["ratios"]) == {"loading alone", "forward + backward alone", "all together"}
    assert all(value > 0 for value in (*figures["ratios"].values(), *figures["ours"].values()))
    assert all(0 < share < 1 for share in figures["shares"].values())
    assert figures["facts"]["precision"] == "float32"
    assert "a at 32, batch 2, float32, cache: ram" in report(figures)
    assert "compute" in report(figures)


def test_the_fastest_round_counts_and_of_it_the_median_step() -> None:
    def round_of(*steps: float) -> dict[str, object]:
        names = ("loading alone", "forward + backward alone", "all together")
        others = ("waiting for the loader", "penalty", "evaluation")
        return {"seconds": {name: [(step, 2 * step) for step in steps] for name in (*names, *others)}}

    facts = {"epochs_between_evaluations": 3, "batches_per_epoch": 3}
    rounds = [
        {"plain": round_of(4, 40, 5), "ours": round_of(9, 9, 9) | {"facts": facts}},
        {"plain": round_of(6, 6, 6), "ours": round_of(1, 100, 1) | {"facts": facts}},
    ]
    figures = summarize(rounds)
    assert figures["ratios"]["all together"] == figures["cpu_ratios"]["all together"] == 5
    assert figures["shares"]["evaluation"] == 0.1
