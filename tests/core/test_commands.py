"""The program darknet-prune: its table of subcommands, how each is started, and the files shipped with it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from argparse import Namespace
from pathlib import Path

import pytest

from prune import __version__
from prune.cli import RunArgs, exit_code, open_command
from prune.cli.program import command_name, fitting, usage_name
from prune.commands import cfg
from prune.commands.start import dispatch
from prune.commands.table import SUBCOMMANDS
from prune.darknet.netdef import read_netdef
from tests.shared import REPOSITORY

NAMES = [command.name for command in SUBCOMMANDS]
SCRIPTS = sorted(path.stem for path in REPOSITORY.glob("*.py"))


def darknet_prune(*arguments: str, folder: Path, **own: str) -> subprocess.CompletedProcess[str]:
    """The program as it is started outside the checkout."""
    command = [sys.executable, "-m", "prune", *arguments]
    environment = os.environ | {"PYTHONPATH": str(REPOSITORY)} | own
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)


def run_here(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    """The exit code of the program, started in this process."""
    monkeypatch.setattr(sys, "argv", ["/somewhere/bin/darknet-prune", *arguments])
    return exit_code(dispatch)


def test_every_script_of_the_checkout_is_a_subcommand() -> None:
    assert {name.replace("_", "-") for name in SCRIPTS} < set(NAMES)
    assert {"explain", "adapt", "convert", "check", "compare"} < set(NAMES)
    assert len(set(NAMES)) == len(NAMES)


def test_every_module_of_a_command_is_in_the_table() -> None:
    folder = REPOSITORY / "prune/commands"
    modules = {path.stem for path in folder.glob("*.py") if "def make_parser()" in path.read_text(encoding="utf-8")}
    assert modules == {command.module for command in SUBCOMMANDS}


def test_the_help_of_every_subcommand_needs_no_torch(tmp_path: Path) -> None:
    (tmp_path / "torch.py").write_text("raise SystemExit('torch is imported')\n")
    code = (
        "import sys\nfrom prune.commands.start import dispatch\n"
        f"for name in {NAMES}:\n"
        "    sys.argv[:] = ['darknet-prune', name, '--help']\n"
        "    try:\n        dispatch()\n"
        "    except SystemExit as left:\n        assert left.code == 0, (name, left.code)\n"
    )
    environment = os.environ | {"PYTHONPATH": f"{tmp_path}:{REPOSITORY}"}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    for name in NAMES:
        assert f"usage: darknet-prune {name} " in done.stdout
    assert done.stdout.count("example:\n  darknet-prune ") == len(NAMES) - 1  # completion's is `source <(…)`


def test_the_program_lists_its_commands_and_shows_its_version(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_here(monkeypatch, "--help") == 0
    shown = capsys.readouterr().out
    for command in SUBCOMMANDS:
        assert f"\n  {command.name} " in shown
        assert command.about in shown
    assert run_here(monkeypatch, "--version") == 0
    assert capsys.readouterr().out == f"darknet-prune {__version__}\n"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["trian"], "unknown command 'trian': did you mean 'train'?"),
        (["x" * 30], f"unknown command '{'x' * 30}': choose from train, train-sparse, "),
        (["--weights"], "unknown command '--weights': "),
        ([], "a command is missing: choose from train, "),
    ],
)
def test_what_is_not_a_command_is_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], arguments: list[str], said: str
) -> None:
    assert run_here(monkeypatch, *arguments) == 2
    error = capsys.readouterr().err
    assert error.startswith(f"error: {said}")
    assert error.count("\n") == 1


def test_a_wrong_flag_is_reported_with_the_name_of_the_subcommand(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit, match="2"):
        run_here(monkeypatch, "prune_channel", "--cfg", "a.cfg")
    error = capsys.readouterr().err
    assert error.startswith("darknet-prune prune-channel: the following arguments are required: --weights")
    assert error.count("\n") == 1


def test_an_example_fits_how_the_command_was_started(monkeypatch: pytest.MonkeyPatch) -> None:
    script, module = "python train_sparse.py --cfg a.cfg --out train.py", "python -m prune.adapt a.cfg"
    monkeypatch.setattr(sys, "argv", ["train_sparse.py"])
    assert (fitting(script), fitting(module)) == (script, module)
    monkeypatch.setattr(sys, "argv", ["darknet-prune train-sparse"])
    assert fitting(script) == "darknet-prune train-sparse --cfg a.cfg --out train.py"
    assert fitting(module) == "darknet-prune adapt a.cfg"


def test_a_command_has_the_same_name_however_it_was_started(monkeypatch: pytest.MonkeyPatch) -> None:
    for started, shown in (("/a/prune_channel.py", "prune_channel.py"), ("darknet-prune prune-channel",) * 2):
        monkeypatch.setattr(sys, "argv", [started, "--cfg"])
        assert (command_name(), usage_name()) == ("prune_channel.py", shown)


def test_a_run_of_the_script_is_replaced_by_one_of_the_program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for started, name in (("train.py", "old.csv"), ("darknet-prune train", "new.csv")):
        monkeypatch.setattr(sys, "argv", [started])
        run = RunArgs(out=tmp_path, overwrite=True)
        command = open_command(Namespace(out=tmp_path), run, inputs=[], outputs=[name])
        command.path(name).write_text(name)
        command.finish({})
    assert json.loads((tmp_path / "summary.json").read_text())["command"] == "train.py"
    assert {path.name for path in tmp_path.glob("*.csv")} == {"new.csv"}


def test_the_program_works_in_another_folder(tmp_path: Path) -> None:
    done = darknet_prune("cfg", "yolov3-nano.cfg", folder=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == (REPOSITORY / "cfg/yolov3-nano.cfg").read_text()
    (tmp_path / "my.cfg").write_text(done.stdout)
    done = darknet_prune("adapt", "my.cfg", "--classes", "2", "--out", "two.cfg", folder=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert read_netdef(tmp_path / "two.cfg").heads[0].classes == 2


def test_the_cfgs_are_listed(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    assert run_here(monkeypatch, "cfg") == 0
    listed = [line.split()[0] for line in capsys.readouterr().out.splitlines()[2:]]
    assert listed == cfg.names() == sorted(path.stem for path in (REPOSITORY / "cfg").glob("*.cfg"))


def test_a_cfg_that_is_not_shipped_is_one_line(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(SystemExit, match="2"):
        run_here(monkeypatch, "cfg", "yolov9")
    error = capsys.readouterr().err
    assert "invalid choice: 'yolov9' (choose from" in error
    assert error.count("\n") == 1


def test_the_demo_dataset_is_made_in_the_requested_folder(tmp_path: Path) -> None:
    flags = ("--train", "2", "--valid", "1", "--size", "64")
    done = darknet_prune("data", "shapes", "--out", "my", *flags, folder=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert "my/shapes.data" in done.stdout
    assert len(list(tmp_path.glob("my/images/train/*.jpg"))) == 2
    wrong = darknet_prune("data", "shapes", "--colour", "red", folder=tmp_path)
    assert wrong.returncode == 2
    assert wrong.stderr.startswith("darknet-prune data shapes: unrecognized arguments: --colour red")
    assert wrong.stderr.count("\n") == 1


@pytest.mark.parametrize(("name", "size"), [("coco", 80), ("voc", 20)])
def test_a_download_is_written_to_its_folder_and_ends_as_its_script(tmp_path: Path, name: str, size: int) -> None:
    nowhere = {f"{name.upper()}_URL": f"file://{tmp_path}/nowhere"}
    (tmp_path / "sets").mkdir()
    (tmp_path / f"sets/{name}.data").write_text("mine")
    done = darknet_prune("data", f"get-{name}", "--out", "sets", folder=tmp_path, **nowhere)
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].startswith("error: could not fetch file://")
    assert (tmp_path / f"sets/{name}.data").read_text() == "mine"
    assert len((tmp_path / f"sets/{name}.names").read_text().splitlines()) == size
    assert not (REPOSITORY / "data" / name / "archives").exists()


def test_shapes_among_the_flags_of_a_download_is_a_usage_error(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert run_here(monkeypatch, "data", "--out", "x", "shapes") == 2
    assert capsys.readouterr().err == "error: shapes must be the first argument, before its flags\n"
