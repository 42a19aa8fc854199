"""Flags, exit codes, and what is never overwritten."""

from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import pytest

from prune.cli import (
    Command,
    ImageArgs,
    NetworkArgs,
    Parser,
    RunArgs,
    add_options,
    exit_code,
    open_command,
    parse_size,
    take,
)
from prune.errors import PruneError, TargetError, UsageError, VerificationError
from prune.files.writing import atomic_write
from prune.train.settings import TrainSettings
from tests.datasets import write_descriptor, write_noise
from tests.shared import REPOSITORY


@dataclass(frozen=True, slots=True, kw_only=True)
class Own:
    """One of each kind."""

    percent: float = field(default=0.8, metadata={"help": "share in % of all", "flags": ("--global-percent",)})
    layer_keep: int = 3
    rule: Literal["threshold", "share"] = "threshold"
    dry_run: bool = False
    fancy: bool = True
    resume: str | None = field(default=None, metadata={"const": ""})


def parser() -> Parser:
    made = Parser("Prunes.", "python prune.py --cfg a.cfg --weights a.weights --out out")
    for group in (NetworkArgs, ImageArgs, Own, RunArgs):
        add_options(made, group, title=group.__name__)
    return made


BASE = ["--cfg", "a.cfg", "--weights", "a.weights"]


@pytest.fixture(autouse=True)
def restore_logging() -> Iterator[None]:
    logger = logging.getLogger("prune")
    state = logger.handlers[:], logger.propagate, logger.level
    yield
    logger.handlers[:], logger.propagate = state[0], state[1]
    logger.setLevel(state[2])


def test_groups_come_back_as_they_were_declared() -> None:
    namespace = parser().parse_args([*BASE, "--percent", "0.5", "--rule", "share", "--dry-run", "--out", "o"])
    assert take(namespace, NetworkArgs) == NetworkArgs(cfg=Path("a.cfg"), weights=Path("a.weights"))
    assert take(namespace, Own) == Own(percent=0.5, rule="share", dry_run=True)
    assert take(namespace, RunArgs).out == Path("o")


def test_dash_and_underscore_are_the_same_flag() -> None:
    for args in (["--layer-keep", "5", "--batch-size=2"], ["--layer_keep=5", "--batch_size", "2"]):
        namespace = parser().parse_args(BASE + args)
        assert (namespace.layer_keep, namespace.batch_size) == (5, 2)
    assert parser().parse_args([*BASE, "--out=a_b", "--json", "c_d"]).out == Path("a_b")


def test_further_spellings_switches_and_bare_flags() -> None:
    namespace = parser().parse_args([*BASE, "--global-percent", "0.1", "--no-fancy", "--resume"])
    assert take(namespace, Own) == Own(percent=0.1, fancy=False, resume="")
    assert take(parser().parse_args([*BASE, "--resume", "x.pt"]), Own).resume == "x.pt"


def test_letterbox_has_three_states() -> None:
    states = {flag: parser().parse_args([*BASE, *flag.split()]).letterbox for flag in ("", "--letterbox", "--stretch")}
    assert states == {"": None, "--letterbox": True, "--stretch": False}


def test_help_shows_defaults_and_the_example(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="0"):
        parser().parse_args(["--help"])
    shown = " ".join(capsys.readouterr().out.split())
    assert "share in % of all (default: 0.8)" in shown
    assert "images per step (default: 16)" in shown
    assert "example: python prune.py --cfg a.cfg" in shown
    assert "(default: None)" not in shown


def test_a_default_replaces_the_one_that_the_help_text_describes() -> None:
    made = Parser("Trains.", "python train.py")
    add_options(made, TrainSettings, defaults={"lr": 0.02})
    assert "peak learning rate (default: 0.02)" in " ".join(made.format_help().split())


@pytest.mark.parametrize(
    "args",
    [
        ["--cfg", "a.cfg"],
        [*BASE, "--perc", "0.5"],
        [*BASE, "--percent", "nan"],
        [*BASE, "--percent", "x"],
        [*BASE, "--rule", "none"],
        [*BASE, "--img-size", "0"],
        [*BASE, "--unknown"],
    ],
)
def test_wrong_flags_end_in_one_line_and_exit_2(args: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        parser().parse_args(args)
    assert capsys.readouterr().err.count("\n") == 1


def test_sizes_are_square_or_width_by_height() -> None:
    assert parse_size("416") == (416, 416)
    assert parse_size("640x384") == (640, 384)


def test_groups_check_their_values() -> None:
    with pytest.raises(UsageError, match="--batch-size 0"):
        take(parser().parse_args([*BASE, "--batch-size", "0"]), ImageArgs)
    with pytest.raises(UsageError, match="--seed -1"):
        RunArgs(seed=-1)


def failing(error: BaseException) -> int:
    def main() -> int:
        raise error

    return exit_code(main)


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (UsageError("a\nb"), 2),
        (VerificationError("equivalence check"), 1),
        (TargetError("target"), 3),
        (PruneError("x"), 2),
        (KeyboardInterrupt(), 130),
        (FileNotFoundError(2, "No such file", "a.cfg"), 2),
        (OSError(28, "No space left on device"), 1),
        (ConnectionResetError(104, "Connection reset"), 1),
    ],
)
def test_every_error_is_one_line_and_its_exit_code(
    error: BaseException, code: int, capsys: pytest.CaptureFixture[str]
) -> None:
    assert failing(error) == code
    captured = capsys.readouterr()
    assert captured.err.count("\n") == 1
    assert captured.out == ""


def test_a_missing_file_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    assert failing(FileNotFoundError(2, "No such file", "a.cfg")) == 2
    assert capsys.readouterr().err == "error: a.cfg: no such file; check the path\n"


def command_in(
    tmp_path: Path,
    *extra: str,
    outputs: tuple[str, ...] = ("pruned.cfg",),
    inputs: Sequence[Path] = (),
    resume: str | None = None,
    read: Sequence[Path] = (),
) -> Command:
    (tmp_path / "a.cfg").write_text("cfg")
    (tmp_path / "a.weights").write_text("weights")
    args = ["--cfg", str(tmp_path / "a.cfg"), "--weights", str(tmp_path / "a.weights"), *extra]
    namespace = parser().parse_args(args)
    network, run = take(namespace, NetworkArgs), take(namespace, RunArgs)
    path = Path(resume) if resume else None
    return open_command(
        namespace, run, inputs=[network.cfg, network.weights, None, *inputs], outputs=outputs, resume=path, read=read
    )


def test_a_command_writes_its_summary_with_the_hashes_of_its_files(tmp_path: Path) -> None:
    out = tmp_path / "deep" / "out"
    command = command_in(tmp_path, "--out", str(out), "--seed", "5", "--json", str(tmp_path / "s.json"))
    atomic_write(command.path("pruned.cfg"), "x")
    command.path("never-written.cfg")
    command.finish({"before": {"ap": None, "layers": 3}})
    read = json.loads((out / "summary.json").read_text())
    assert [Path(record["path"]).name for record in read["inputs"]] == ["a.cfg", "a.weights"]
    assert [Path(record["path"]).name for record in read["outputs"]] == ["pruned.cfg"]
    assert (read["seed"], read["before"]) == (5, {"layers": 3})
    assert read["arguments"]["percent"] == 0.8
    assert json.loads((tmp_path / "s.json").read_text()) == read


def test_with_json_on_standard_output_nothing_else_is_written_to_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = command_in(tmp_path, "--json", "-", outputs=())
    command.echo("a table")
    command.finish({"layers": 3})
    captured = capsys.readouterr()
    assert json.loads(captured.out)["layers"] == 3
    assert captured.err == "a table\n"


def test_quiet_shows_no_tables(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command_in(tmp_path, "--quiet", outputs=()).echo("a table")
    captured = capsys.readouterr()
    assert captured.out + captured.err == ""


def test_an_existing_result_is_kept_unless_overwriting_is_requested(tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    (out / "pruned.cfg").write_text("precious")
    with pytest.raises(UsageError, match=r"exists already.*--overwrite"):
        command_in(tmp_path, "--out", str(out))
    assert command_in(tmp_path, "--out", str(out), "--overwrite").out == out
    assert (out / "pruned.cfg").read_text() == "precious"


def test_files_of_the_replaced_run_that_this_one_does_not_write_are_removed(tmp_path: Path) -> None:
    args = ("--out", str(tmp_path), "--overwrite")
    first = command_in(tmp_path, *args, outputs=("a.csv", "old.csv", "edited.csv", "read.csv"))
    for name in ("a.csv", "old.csv", "edited.csv", "read.csv"):
        first.path(name).write_text(name)
    first.finish({})
    (tmp_path / "edited.csv").write_text("by hand")
    (tmp_path / "mine.txt").write_text("mine")
    second = command_in(tmp_path, *args, outputs=("a.csv",), inputs=[tmp_path / "read.csv"])
    second.path("a.csv").write_text("anew")
    assert (tmp_path / "old.csv").is_file(), "nothing is removed before the new run is finished"
    second.finish({})
    assert sorted(path.name for path in tmp_path.iterdir() if path.is_file()) == sorted(
        ["a.cfg", "a.weights", "a.csv", "edited.csv", "mine.txt", "read.csv", "summary.json"]
    )


def test_files_of_the_replaced_run_that_are_elsewhere_or_links_are_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    first = command_in(tmp_path, "--out", "o", "--overwrite", outputs=("a.csv",))
    for name in ("a.csv", "below/b.csv", "link.csv", "seen.csv", "stale.csv"):
        first.path(name).parent.mkdir(exist_ok=True, parents=True)
        first.path(name).write_text(name)
    first.finish({})
    (tmp_path / "o/link.csv").rename(tmp_path / "mine.csv")
    (tmp_path / "o/link.csv").symlink_to(tmp_path / "mine.csv")
    (tmp_path / "o").rename(tmp_path / "moved")
    (tmp_path / "sub").mkdir()
    monkeypatch.chdir(tmp_path / "sub")
    seen = [tmp_path / "moved/seen.csv"]
    second = command_in(tmp_path, "--out", "../moved", "--overwrite", outputs=("a.csv",), read=seen)
    second.path("a.csv").write_text("anew")
    second.finish({})
    left = {str(path.relative_to(tmp_path / "moved")) for path in (tmp_path / "moved").rglob("*")}
    assert left == {"a.csv", "below", "below/b.csv", "link.csv", "seen.csv", "summary.json"}
    assert (tmp_path / "mine.csv").read_text() == "link.csv"


def test_a_summary_that_is_not_one_is_ignored(tmp_path: Path) -> None:
    for text in ("[" * 200_000, "{}", "[]", '{"command": 1, "outputs": 2}'):
        (tmp_path / "summary.json").write_text(text)
        assert command_in(tmp_path, "--out", str(tmp_path), "--overwrite", outputs=("x",)).earlier == {}


def test_a_pipe_is_not_accepted_as_an_input(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(UsageError, match="pipe: is a pipe or a device"):
        command_in(tmp_path, inputs=[tmp_path / "pipe"])


@pytest.mark.parametrize("target", ["-", "/dev/stdout"])
def test_json_is_written_to_standard_output_wherever_that_leads(tmp_path: Path, target: str) -> None:
    write_noise(tmp_path / "a.png", 0)
    (tmp_path / "a.txt").write_text("0 .5 .5 .2 .2\n")
    (tmp_path / "train.txt").write_text("a.png\n")
    data = write_descriptor(tmp_path, ["train = train.txt"], names=("狗",))
    command = [sys.executable, "-m", "prune.check", str(data.path), "--anchors", "0", "--json", target]
    with (tmp_path / "told.json").open("wb") as file:
        environment = os.environ | {"PYTHONIOENCODING": "ascii"}
        subprocess.run(command, cwd=REPOSITORY, stdout=file, env=environment, check=True)
    assert json.loads((tmp_path / "told.json").read_text(encoding="utf-8"))["names"] == ["狗"]
    assert Path("/dev/stdout").is_symlink()


def test_an_input_is_never_an_output_even_with_overwrite(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="input"):
        command_in(tmp_path, "--out", str(tmp_path), "--overwrite", outputs=("a.weights",))
    with pytest.raises(UsageError, match="input"):
        command_in(tmp_path, "--json", str(tmp_path / "a.cfg"))


def test_a_run_may_continue_in_its_own_folder(tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    (out / "last.pt").write_text("x")
    args = ("--out", str(out))
    command = command_in(tmp_path, *args, outputs=("last.pt",), resume=str(out / "last.pt"))
    assert [Path(record.path).name for record in command.inputs] == ["a.cfg", "a.weights", "last.pt"]
    (tmp_path / "mid.pt").write_text("x")
    with pytest.raises(UsageError, match="exists already"):
        command_in(tmp_path, *args, outputs=("last.pt",), resume=str(tmp_path / "mid.pt"))


def test_a_run_from_the_middle_does_not_replace_the_run_it_comes_from(tmp_path: Path) -> None:
    (tmp_path / "mid.pt").write_text("x")
    args, outputs = ("--out", str(tmp_path), "--overwrite"), ("last.pt", "mid.pt")
    with pytest.raises(UsageError, match="input"):
        command_in(tmp_path, *args, outputs=outputs, resume=str(tmp_path / "mid.pt"))


def test_a_wrong_value_is_reported_without_the_name_of_a_function(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as left:
        parser().parse_args([*BASE, "--percent", "nan"])
    assert left.value.code == 2
    assert "invalid finite value: 'nan'" in capsys.readouterr().err


def test_a_file_in_place_of_the_out_folder_is_a_usage_error(tmp_path: Path) -> None:
    (tmp_path / "out").write_text("x")
    assert exit_code(lambda: (tmp_path / "out").mkdir()) == 2


def test_json_to_a_pipe_leaves_it_a_pipe(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    try:
        command_in(tmp_path, "--json", str(pipe)).finish({"ap": 0.5})
        assert json.loads(os.read(reader, 1 << 16))["ap"] == 0.5
        assert pipe.is_fifo()
    finally:
        os.close(reader)


def test_a_missing_out_folder_is_asked_for_when_it_is_needed(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="--out DIR is missing"):
        command_in(tmp_path).path("pruned.cfg")


def test_the_command_line_does_not_import_torch() -> None:
    code = "import sys, prune.cli, prune.train.settings; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_a_reader_that_closes_our_output_is_not_reported_as_an_error() -> None:
    command = f"'{sys.executable}' -m prune.explain cfg/yolov3.cfg | true"
    left = subprocess.run(["bash", "-c", command], cwd=REPOSITORY, capture_output=True, text=True, check=True)
    assert left.stderr == ""


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        RuntimeError("[enforce fail at alloc_cpu.cpp] DefaultCPUAllocator: can't allocate memory: you tried"),
        RuntimeError("CUDA out of memory. Tried to allocate 2.00 GiB"),
    ],
)
def test_running_out_of_memory_is_one_line(error: Exception, capsys: pytest.CaptureFixture[str]) -> None:
    def main() -> int:
        raise error

    assert exit_code(main) == 1
    assert capsys.readouterr().err.startswith("error: out of memory")


def test_other_errors_of_the_runtime_keep_their_traceback() -> None:
    def main() -> int:
        raise RuntimeError("a fault of ours")

    with pytest.raises(RuntimeError, match="ours"):
        exit_code(main)
