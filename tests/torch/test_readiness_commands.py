"""What a user sees of readiness: its command, the end of a sparse training, and --percent auto."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
import pytest

import prune_channel
import train_sparse
from prune import readiness
from prune.cli.readiness import PICTURE, READINESS
from prune.darknet.netdef import read_netdef
from prune.darknet.weights import read_weights, write_weights
from prune.graph.channels import trace_groups
from prune.plan.readiness import assess
from prune.train.hooks import Hook
from prune.train.sparsity import SparsityHook
from tests.given_gammas import with_gammas
from tests.strategies import as_float32
from tests.torch.small_trainings import BASE, cfg_text, folder, run

__all__ = ["folder"]  # a fixture
SMALL = {"dead": [1e-4] * 3 + [1.0] * 5, "even": list(np.geomspace(0.004, 1, 8)), "large": [1.0] * 8, "zero": [0.0] * 8}


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with `a.cfg` and weights of three layers for each kind of γ in SMALL, the working directory."""
    monkeypatch.chdir(tmp_path)
    Path("a.cfg").write_text(cfg_text())
    netdef = read_netdef("a.cfg")
    graph = trace_groups(netdef)
    for name, gamma in SMALL.items():
        weights = as_float32(with_gammas(graph, dict.fromkeys(graph.cbl, gamma)))
        write_weights(f"{name}.weights", weights, netdef)
    return tmp_path


def test_the_command_shows_a_table_and_one_sentence(
    here: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(monkeypatch, readiness, "a.cfg dead.weights") == 0
    *table, sentence = capsys.readouterr().out.splitlines()
    assert table[0].split() == ["layer", "channels", "<", "0.001", "<", "0.01", "<", "0.1", "cut", "loses"]
    assert table[2].split() == ["0", "8", "37.5%", "37.5%", "37.5%", "37.5%", "0.000%"]
    assert table[-1].split()[:-1] == ["3", "14", "-", "-", "-", "-"]
    assert sentence.startswith("safe to cut 37.5% of the channels (")
    assert sorted(path.suffix for path in here.iterdir()) == [".cfg", *[".weights"] * 4], "nothing is written"


def test_the_answer_is_in_the_summary_and_in_the_out_folder(
    here: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(monkeypatch, readiness, "a.cfg dead.weights --out out --json -") == 0
    summary = json.loads(capsys.readouterr().out)
    assert sorted(path.name for path in (here / "out").iterdir()) == [PICTURE, READINESS, "summary.json"]
    facts = json.loads((here / "out" / READINESS).read_text())
    assert summary["readiness"] == facts
    assert summary == json.loads((here / "out/summary.json").read_text())
    assert facts["ready"] is facts["separated"] is True
    assert facts["percent"] == facts["share"] == 0.375
    assert facts["layers"][0]["below"] == {"0.001": 0.375, "0.01": 0.375, "0.1": 0.375}
    assert "below" not in facts["layers"][-1], "the head has no γ"
    picture = cv2.imread(str(here / "out" / PICTURE))
    assert picture is not None
    assert picture.shape[1] == 900


@pytest.mark.parametrize("name", SMALL)
def test_require_ready_ends_with_3_where_a_cut_is_not_safe(
    here: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    assert run(monkeypatch, readiness, f"a.cfg {name}.weights --out one") == 0
    sentence = capsys.readouterr().out.splitlines()[-1]
    assert run(monkeypatch, readiness, f"a.cfg {name}.weights --out two --require-ready") == (
        0 if name == "dead" else 3
    )
    if name != "dead":
        assert capsys.readouterr().err == f"error: --require-ready: {sentence}\n"
    for file in (READINESS, PICTURE):
        assert (here / "one" / file).read_bytes() == (here / "two" / file).read_bytes()


def test_a_checkpoint_and_the_scope_are_understood(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(monkeypatch, train_sparse, f"{BASE} out") == 0
    capsys.readouterr()
    assert run(monkeypatch, readiness, "out/model.cfg out/last.pt --keep-layers 0") == 0
    from_checkpoint = capsys.readouterr().out
    assert run(monkeypatch, readiness, "out/model.cfg out/last.weights --keep-layers 0") == 0
    assert capsys.readouterr().out == from_checkpoint
    assert not any(line.startswith("    0 ") for line in from_checkpoint.splitlines())


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ("a.cfg none.weights", "none.weights: no such file"),
        ("a.cfg a.cfg", "a.cfg: "),
        ("none.cfg dead.weights", "none.cfg: no such file"),
        ("a.cfg dead.weights --history none.npz --out out", "none.npz: no such file"),
        ("a.cfg dead.weights --history a.cfg --out out", "a.cfg: is not the gamma_history.npz of a sparse training"),
        ("a.cfg dead.weights --history a.cfg", "--history needs --out"),
        ("a.cfg dead.weights --keep-layers 99", "--keep-layers 99: a.cfg has the layers 0 to 4"),
        ("a.cfg dead.weights --keep-layers 0-4", "no channel can be pruned; python -m prune.explain says why"),
    ],
)
def test_bad_input_is_one_line_and_writes_nothing(
    here: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], arguments: str, words: str
) -> None:
    assert run(monkeypatch, readiness, arguments) == 2
    error = capsys.readouterr().err
    assert words in error
    assert error.count("\n") == 1
    assert not (here / "out").exists()


def test_an_empty_history_is_one_line(
    here: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    np.savez(
        here / "h.npz",
        epochs=np.zeros(0, np.int64),
        edges=np.linspace(0, 1, 101),
        counts=np.zeros((0, 100), np.int64),
    )
    assert run(monkeypatch, readiness, "a.cfg dead.weights --history h.npz --out out") == 2
    assert "h.npz: is not the gamma_history.npz" in capsys.readouterr().err


def test_a_sparse_training_ends_with_its_readiness(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(monkeypatch, train_sparse, f"{BASE.replace(' --quiet', '')} out --s 0.001") == 0
    netdef = read_netdef("out/model.cfg")
    found = assess(trace_groups(netdef), read_weights("out/last.weights", netdef))
    assert capsys.readouterr().out.splitlines()[-1] == found.advice()
    facts = json.loads((folder / "out" / READINESS).read_text())
    summary = json.loads((folder / "out/summary.json").read_text())
    assert facts["advice"] == found.advice()
    assert summary["readiness"] == facts
    assert {READINESS, PICTURE} <= {Path(entry["path"]).name for entry in summary["outputs"]}
    assert run(monkeypatch, readiness, "out/model.cfg out/last.weights --history out/gamma_history.npz --out on") == 0
    for file in (READINESS, PICTURE):
        assert (folder / "out" / file).read_bytes() == (folder / "on" / file).read_bytes()


def test_a_sparse_training_that_had_to_be_ready_and_is_not_ends_with_3_and_all_files(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(monkeypatch, train_sparse, f"{BASE} out --s 0 --require-ready") == 3
    error = capsys.readouterr().err.splitlines()[-1]
    assert error.startswith("error: --require-ready: nothing to cut: no gamma is nearly 0, the smallest is ")
    names = {path.name for path in (folder / "out").iterdir()}
    assert {"last.weights", "summary.json", READINESS, PICTURE} <= names


class Stop(Hook):
    """Ctrl-C in the middle of a run."""

    def epoch_start(self, epoch: int) -> None:
        raise KeyboardInterrupt


def files_of(out: Path, names: Sequence[str] = (READINESS, PICTURE)) -> list[bytes]:
    return [(out / name).read_bytes() for name in names]


def test_readiness_is_made_again_when_a_finished_run_is_resumed(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert run(monkeypatch, train_sparse, f"{BASE} out") == 0
    before = files_of(folder / "out")
    for name in (READINESS, "summary.json"):
        (folder / "out" / name).unlink()  # as if it had been killed between two files
    assert run(monkeypatch, train_sparse, f"{BASE} out --resume") == 0
    assert files_of(folder / "out") == before


def test_a_run_that_is_trained_on_has_no_readiness_of_an_earlier_epoch(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert run(monkeypatch, train_sparse, f"{BASE} out") == 0
    with monkeypatch.context() as patch:
        patch.setattr(SparsityHook, "epoch_start", Stop.epoch_start)
        assert run(monkeypatch, train_sparse, f"{BASE} out --resume --epochs 3") == 130
    assert not {READINESS, PICTURE, "summary.json"} & {path.name for path in (folder / "out").iterdir()}
    assert run(monkeypatch, train_sparse, f"{BASE} out --resume --epochs 3") == 0
    assert (folder / "out" / READINESS).exists()


PAIR = "--cfg a.cfg --weights {}.weights --percent auto"


def test_percent_auto_cuts_what_readiness_found_and_says_so_everywhere(
    here: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(monkeypatch, prune_channel, f"{PAIR.format('dead')} --out auto") == 0
    assert "--percent auto takes 0.375: safe to cut 37.5% of the channels" in capsys.readouterr().out
    plan, summary = (json.loads((here / "auto" / name).read_text()) for name in ("plan.json", "summary.json"))
    assert plan["policy"]["percent"] == summary["percent"] == 0.375
    assert plan["policy"]["auto"] is summary["auto"] is True
    by_hand = f"{PAIR.format('dead').replace('auto', '0.375')} --out by-hand"
    assert run(monkeypatch, prune_channel, by_hand) == 0
    assert files_of(here / "auto", ["pruned.weights"]) == files_of(here / "by-hand", ["pruned.weights"])
    assert json.loads((here / "by-hand/summary.json").read_text())["auto"] is False
    replay = "--cfg a.cfg --weights dead.weights --plan auto/plan.json --out replay --percent auto"
    assert run(monkeypatch, prune_channel, replay) == 0
    assert files_of(here / "auto", ["plan.json"]) == files_of(here / "replay", ["plan.json"])


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (PAIR.format("even"), "--percent auto: not separated: no gap between small and large gammas"),
        (PAIR.format("large"), "--percent auto: nothing to cut: no gamma is nearly 0, the smallest is 1"),
        (PAIR.format("zero"), "--percent auto: nothing to cut by: every gamma is 0"),
        (f"{PAIR.format('dead')} --rule share", "it needs --rule threshold"),
        (f"{PAIR.format('dead')} --sweep 0.1:0.2:0.1 --data x", "--sweep tries several: choose one of them"),
        (f"{PAIR.format('dead')} --layer-keep 2", "--layer-keep 2"),
        (f"{PAIR.format('dead')} --keep-layers 0-4", "no channel can be pruned"),
    ],
)
def test_where_there_is_no_percent_to_take_one_line_says_why(
    here: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], arguments: str, words: str
) -> None:
    assert run(monkeypatch, prune_channel, f"{arguments} --out out") == 2
    error = capsys.readouterr().err
    assert words in error
    assert error.count("\n") == 1
    assert not (here / "out").exists()


def test_percent_auto_warns_where_a_layer_would_lose_much(
    here: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    netdef = read_netdef("a.cfg")
    graph = trace_groups(netdef)
    gammas = {0: [0.001] * 8, 1: SMALL["large"], 2: SMALL["large"]}
    write_weights("lost.weights", as_float32(with_gammas(graph, gammas)), netdef)
    assert run(monkeypatch, prune_channel, f"{PAIR.format('lost')} --out out --quiet") == 0
    assert "warning: --percent auto takes 0.3333: not safe to cut 29.2% of the channels" in capsys.readouterr().err
