"""Frozen layers keep every bit of their weights; training options of the cfg that are ignored are named."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

import finetune
import train
import train_sparse
from prune.darknet.netdef import NetDef, parse_netdef, read_netdef
from prune.darknet.weights import random_weights, write_weights
from prune.errors import UsageError
from prune.model.build import DarknetModel
from prune.train.checkpoint import Checkpoint, read_checkpoint
from prune.train.frozen import freeze, frozen_layers, unfollowed
from prune.train.start import start_network
from tests.torch.small_trainings import BASE, cfg_text, folder, run
from tests.torch.two_processes import launch

__all__ = ["folder"]
START = f"{BASE} out --weights start.weights --lr 0.05 --warmup 0 --weight-decay 0.1"


def started(folder: Path, text: str) -> tuple[NetDef, dict[str, torch.Tensor]]:
    """Writes `a.cfg` and `start.weights`; returns the network and its initial state."""
    (folder / "a.cfg").write_text(text)
    netdef = read_netdef(folder / "a.cfg")
    write_weights(folder / "start.weights", random_weights(netdef, np.random.default_rng(0)), netdef)
    model, _ = start_network(netdef, folder / "start.weights")
    return netdef, {name: value.clone() for name, value in model.state_dict().items()}


def moved(before: dict[str, torch.Tensor], checkpoint: Checkpoint) -> set[int]:
    """The layers with any changed number in the network or its average."""
    states = (checkpoint.model, checkpoint.ema)
    names = {name for state in states for name in state if not torch.equal(state[name], before[name])}
    return {int(name.split(".")[1]) for name in names}


@pytest.mark.parametrize(
    ("command", "flags"),
    [
        (train, ""),
        (train, "--optimizer adamw"),
        (finetune, "--amp bf16"),
        (train_sparse, "-s 0.5"),
        (train_sparse, "-s 0.5 --optimizer adamw"),
    ],
)
def test_frozen_layers_keep_every_bit_and_the_others_learn(
    folder: Path, monkeypatch: pytest.MonkeyPatch, command: object, flags: str
) -> None:
    _, before = started(folder, cfg_text(shortcut=True))
    assert run(monkeypatch, command, f"{START} --freeze 2 {flags}") == 0
    assert moved(before, read_checkpoint(folder / "out/last.pt")) == {2, 3, 5}


def test_a_weighted_shortcut_can_be_frozen(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = cfg_text(shortcut=True).replace("from=-2\n", "from=-2\nweights_type=per_channel\n")
    _, before = started(folder, text)
    assert run(monkeypatch, train, f"{START} --freeze 5") == 0
    assert moved(before, read_checkpoint(folder / "out/last.pt")) == {5}


def test_a_batch_norm_that_is_shared_with_a_frozen_layer_is_frozen() -> None:
    conv = "[convolutional]\nbatch_normalize=1\nfilters=3\nsize=3\npad=1\nactivation=leaky\n"
    model = DarknetModel(parse_netdef("[net]\nwidth=8\nheight=8\n" + conv + conv + "share_index=0\n" + conv))
    model.freeze(1)
    before = {name: value.clone() for name, value in model.bn_of(0).state_dict().items()}
    model.train()
    model(torch.rand(2, 3, 8, 8))
    assert all(torch.equal(value, before[name]) for name, value in model.bn_of(1).state_dict().items())
    assert model.bn_of(2).training


@pytest.mark.parametrize("where", [0, 1, 4])
def test_stopbackward_freezes_up_to_its_layer(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], where: int
) -> None:
    head, *sections = cfg_text(shortcut=True).split("\n\n")
    sections[where] += "\nstopbackward=1"
    _, before = started(folder, "\n\n".join([head, *sections]))
    assert run(monkeypatch, train, START) == 0
    assert moved(before, read_checkpoint(folder / "out/last.pt")) == {i for i in (0, 1, 2, 3, 5) if i > where}
    assert "stopbackward" not in capsys.readouterr().err


def test_a_resumed_run_freezes_what_it_froze_before(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _, before = started(folder, cfg_text())
    assert run(monkeypatch, train, f"{START} --freeze 2") == 0
    assert run(monkeypatch, train, f"{START} --epochs 3 --resume".replace(" --weights start.weights", "")) == 0
    resumed = read_checkpoint(folder / "out/last.pt")
    assert resumed.epoch == 3
    assert resumed.settings["freeze"] == 2
    assert moved(before, resumed) == {2, 3}


def test_a_resumed_run_may_freeze_more(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _, _ = started(folder, cfg_text())
    assert run(monkeypatch, train, f"{START} --freeze 1") == 0
    first = read_checkpoint(folder / "out/last.pt")
    again = f"{START} --epochs 3 --freeze 3 --resume".replace(" --weights start.weights", "")
    assert run(monkeypatch, train, again) == 0
    then = read_checkpoint(folder / "out/last.pt").model
    changed = {int(name.split(".")[1]) for name in then if not torch.equal(then[name], first.model[name])}
    assert changed == {3}


def test_two_processes_freeze_alike(folder: Path) -> None:
    _, before = started(folder, cfg_text())
    done = launch(folder, "train.py", *START.replace("--device cpu", "").split(), "--freeze", "1")
    assert done.returncode == 0, done.stderr
    assert moved(before, read_checkpoint(folder / "out/last.pt")) == {1, 2, 3}


def test_the_reach_does_not_count_frozen_gammas(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    started(folder, cfg_text())
    flags = START.replace("--quiet ", "")
    assert run(monkeypatch, train_sparse, f"{flags} --freeze 2 -s 0.1") == 0
    assert "l1 acts on 1 of 3 layers; the others are frozen" in capsys.readouterr().err
    with np.load(folder / "out/gamma_history.npz") as history:
        assert history["counts"].sum(axis=1).tolist() == [8, 8]


def test_a_kept_layer_is_not_sparsified(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    started(folder, cfg_text())
    assert run(monkeypatch, train_sparse, f"{START} --keep-layers 0-1 -s 0.1") == 0
    with np.load(folder / "out/gamma_history.npz") as history:
        assert history["counts"].sum(axis=1).tolist() == [8, 8]


@pytest.mark.parametrize(
    ("command", "flags", "what"),
    [
        (train, "--freeze 7", "--freeze 7: a.cfg has 5 layers"),
        (train, "--freeze -1", "--freeze -1 must be 0 or more"),
        (train, "--freeze 4", "nothing is left to train"),
        (train_sparse, "--keep-layers 5", "--keep-layers 5: a.cfg has the layers 0 to 4"),
        (train_sparse, "--keep-layers 0-4", "no layer can be pruned with --tie union and these --keep-layers"),
        (train_sparse, "--freeze 3", "all prunable layers are frozen; lower --freeze"),
    ],
)
def test_freezing_too_much_is_one_line(
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    command: object,
    flags: str,
    what: str,
) -> None:
    started(folder, cfg_text())
    assert run(monkeypatch, command, f"{START} {flags}") == 2
    assert what in capsys.readouterr().err


def test_frozen_layers_without_weights_cause_a_warning(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(monkeypatch, train, f"{BASE} out --epochs 1 --freeze 2") == 0
    assert "warning: layers 0, 1 are frozen with random weights" in capsys.readouterr().err


def test_freezing_all_that_has_weights_is_refused() -> None:
    model = DarknetModel(parse_netdef("[net]\n[convolutional]\nactivation=linear\n"))
    with pytest.raises(UsageError, match="nothing is left to train"):
        freeze(model, 1)


def test_the_later_of_two_stops_counts_and_a_number_of_iterations_does_not() -> None:
    conv = "[convolutional]\nactivation=linear\n"
    netdef = parse_netdef(f"[net]\n{conv}stopbackward=1\n{conv}stopbackward=1\n{conv}stopbackward=800\n{conv}")
    assert frozen_layers(netdef, 0) == 2
    assert frozen_layers(netdef, 1) == 1
    assert "stopbackward" in (unfollowed(netdef) or "")


def test_training_options_that_are_ignored_are_named_once(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    text = cfg_text().replace("channels=3\n", "channels=3\nlearning_rate=0.1\nangle=0\nhue=.1\nburn_in=9\n")
    (folder / "a.cfg").write_text(text + "counters_per_class=3,4\nfocal_loss=1\nlabel_smooth_eps=0.1\nrandom=0\n")
    assert run(monkeypatch, train, f"{BASE} out --epochs 1".replace("--quiet ", "")) == 0
    names = "learning_rate, hue, burn_in, counters_per_class, focal_loss"
    said = capsys.readouterr().err
    assert said.count("these options are ignored") == 1
    assert f"note: a.cfg: training is set by flags; these options are ignored: {names}\n" in said


def test_a_cfg_without_training_options_needs_no_line() -> None:
    assert unfollowed(parse_netdef(cfg_text())) is None
