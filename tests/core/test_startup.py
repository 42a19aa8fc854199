"""The first actions of a command: threads that sleep while they wait, and one line on Ctrl-C and SIGTERM."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from prune import startup
from prune.cli import exit_code
from tests.shared import REPOSITORY

NAMES = ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT")
FAKE_TORCH = f"import json, os, sys\nprint(json.dumps([os.environ.get(n) for n in {NAMES}]))\nsys.exit(0)\n"
SCRIPTS = ("train.py", "train_sparse.py", "finetune.py", "distill.py", "prune_channel.py", "prune_layer.py",
           "evaluate.py", "detect.py", "export.py")  # fmt: skip
MODULES = ("adapt", "check", "compare", "convert", "explain")


def environment(**own: str) -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if name not in NAMES} | own


@pytest.mark.parametrize(
    ("own", "seen"),
    [
        ({}, ["PASSIVE", "0"]),
        ({"OMP_WAIT_POLICY": "ACTIVE"}, ["ACTIVE", None]),
        ({"OMP_WAIT_POLICY": "passive"}, ["passive", "0"]),
        ({"GOMP_SPINCOUNT": "500"}, ["PASSIVE", "500"]),
    ],
)
def test_torch_finds_threads_that_sleep_unless_the_user_wants_others(
    tmp_path: Path, own: dict[str, str], seen: list[str | None]
) -> None:
    (tmp_path / "torch.py").write_text(FAKE_TORCH)
    (tmp_path / "a.data").write_text("classes=1\n")
    flags = ["--cfg", str(REPOSITORY / "cfg/yolov3-tiny.cfg"), "--data", str(tmp_path / "a.data"), "--out", "out"]
    done = subprocess.run(
        [sys.executable, str(REPOSITORY / "train.py"), *flags],
        cwd=tmp_path,
        env=environment(**own, PYTHONPATH=f"{tmp_path}:{REPOSITORY}"),
        capture_output=True,
        text=True,
        check=True,
    )
    assert json.loads(done.stdout) == seen, done.stderr


def test_an_import_changes_neither_the_environment_nor_a_signal() -> None:
    code = (
        "import os, signal\nimport train, prune.startup, prune.check, prune.cli\n"
        f"assert not set(os.environ) & set({NAMES})\n"
        "assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=REPOSITORY, env=environment(), capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("script", [*SCRIPTS, *(f"prune/{name}.py" for name in MODULES)])
def test_every_command_starts_before_it_imports(script: str) -> None:
    lines = (REPOSITORY / script).read_text().splitlines()
    imports = [line for line in lines if line.startswith(("from ", "import "))]
    assert imports[0] == "from __future__ import annotations"
    assert lines.index("    start()") < lines.index(imports[1])


def slow_package(folder: Path, name: str) -> None:
    """A package with a slow import, which has begun once the file `begun` exists."""
    code = "import pathlib, time\npathlib.Path(__file__).with_name('begun').touch()\ntime.sleep(60)\n"
    (folder / f"{name}.py").write_text(code)


def interrupted(folder: Path, number: signal.Signals, *command: str) -> subprocess.CompletedProcess[str]:
    """Start a command of the checkout, send it a signal once `folder/begun` exists, and wait for its end."""
    process = subprocess.Popen(
        [sys.executable, *command],
        cwd=REPOSITORY,
        env=environment(PYTHONPATH=f"{folder}:{REPOSITORY}"),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )
    while not (folder / "begun").exists() and process.poll() is None:
        pass
    process.send_signal(number)
    out, err = process.communicate(timeout=60)
    return subprocess.CompletedProcess(process.args, process.returncode, out, err)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize(
    "command",
    ["train.py", "-mprune.explain", "-mprune.check", "evaluate.py", "-mprune train", "-mprune completion bash"],
)
def test_an_interrupted_import_is_one_line_and_exit_130(tmp_path: Path, number: signal.Signals, command: str) -> None:
    slow_package(tmp_path, "numpy")  # of those that the commands import at their top
    done = interrupted(tmp_path, number, *command.split())
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "error: interrupted\n")


def test_torch_interrupted_while_it_is_imported_leaves_no_empty_folder(tmp_path: Path) -> None:
    slow_package(tmp_path, "torch")
    (tmp_path / "a.data").write_text("classes=1\n")
    flags = ["--cfg", "cfg/yolov3-tiny.cfg", "--data", str(tmp_path / "a.data"), "--out", str(tmp_path / "deep/out")]
    done = interrupted(tmp_path, signal.SIGTERM, "train.py", *flags)
    assert (done.returncode, done.stderr) == (130, "error: interrupted\n")
    assert not (tmp_path / "deep").exists()


def test_a_terminated_command_ends_as_an_interrupted_one(tmp_path: Path) -> None:
    code = (
        "import sys, time, pathlib\nfrom prune.cli import run_command\n"
        f"def main():\n    pathlib.Path({str(tmp_path / 'begun')!r}).touch()\n    time.sleep(60)\n"
        "run_command(main)\n"
    )
    done = interrupted(tmp_path, signal.SIGTERM, "-c", code)
    assert (done.returncode, done.stderr) == (130, "error: interrupted\n")


def test_an_error_that_an_interruption_was_turned_into_is_still_an_interruption(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def main() -> int:
        raise RuntimeError("DataLoader worker (pid 1) is killed by signal: Terminated")

    with pytest.raises(RuntimeError, match="worker"):
        exit_code(main)
    monkeypatch.setattr(startup, "_interrupted", True)
    assert exit_code(main) == 130
    assert capsys.readouterr().err == "error: interrupted\n"
