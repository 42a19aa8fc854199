"""darknet-prune doctor: what is installed, what is missing, and what it is for."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from prune.commands import machine
from prune.commands.doctor import Diagnosis, format_diagnosis
from prune.commands.packages import Finding, Package, inspect, release
from prune.model import processor
from tests.shared import REPOSITORY


def doctor(*flags: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """Run it with the modules in `folder` in front of those that are installed."""
    environment = os.environ | {"PYTHONPATH": f"{folder}:{REPOSITORY}"}
    command = [sys.executable, "-m", "prune", "doctor", *flags]
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)


def test_a_whole_installation_is_exit_0_and_its_json_names_everything(tmp_path: Path) -> None:
    done = doctor("--json", "-", folder=tmp_path)
    assert done.returncode == 0
    summary = json.loads(done.stdout)
    assert (summary["command"], summary["problems"]) == ("doctor.py", [])
    found = summary["diagnosis"]
    needed = {item["name"].removesuffix("-headless"): item["state"] for item in found["packages"] if item["needed"]}
    assert set(needed) == {"torch", "numpy", "opencv-python", "pycocotools", "tqdm"}
    assert set(needed.values()) == {"ok"}
    assert found["torch"]["threads"] >= 1
    assert found["cpu"]["usable_cores"] >= 1
    assert "all required packages are installed" in done.stderr
    assert f"instructions {found['torch']['cpu_capability']}" in done.stderr


@pytest.mark.parametrize("module", ["numpy", "cv2", "torch"])
def test_a_package_that_cannot_be_imported_is_named_and_exit_1(tmp_path: Path, module: str) -> None:
    (tmp_path / f"{module}.py").write_text("raise ImportError('libGL.so.1: cannot open\\nshared object file')\n")
    done = doctor(folder=tmp_path)
    assert (done.returncode, done.stderr) == (1, "")
    name = {"cv2": "opencv-python"}.get(module, module)
    lines = [line.replace("-headless", "") for line in done.stdout.splitlines()]
    assert f"{name} is broken: cannot be imported: libGL.so.1: cannot open shared object file" in lines


def test_a_quiet_doctor_still_warns_of_what_is_missing(tmp_path: Path) -> None:
    (tmp_path / "tqdm.py").write_text("raise ImportError('no')\n")
    done = doctor("--quiet", folder=tmp_path)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == "warning: tqdm is broken: cannot be imported: no\n"


def test_an_absent_package_is_missing_with_what_is_not_possible_without_it() -> None:
    absent = Package("no_such_module", ("no-such-distribution",), "no colours")
    said = "no colours; pip install no-such-distribution"
    assert inspect(absent) == Finding("no-such-distribution", "missing", None, False, said)


def test_a_package_whose_own_import_is_missing_is_broken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "half_there.py").write_text("import no_such_module\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    found = inspect(Package("half_there", ("half-there",), "nothing"))
    assert found.state == "broken"
    assert "no_such_module" in found.detail


def test_an_old_package_is_named_with_the_required_version() -> None:
    found = inspect(Package("numpy", ("numpy",), "nothing", minimum="999.1"))
    assert (found.state, found.detail) == ("old", "999.1 or newer is required")
    assert release("2.13.0+cpu") > release("2.6")
    assert release("2.0.8rc1") == (2, 0, 8)
    assert release("unknown") == ()


def test_only_required_packages_are_a_problem() -> None:
    packages = [Finding("a", "missing", None, True, "x"), Finding("b", "missing", None, False, "y")]
    packages.append(Finding("c", "old", "1", True, "2 or newer is needed"))
    found = Diagnosis(packages, machine.cpu(), None)
    assert found.problems == ["a is missing: x", "c is old: 2 or newer is needed"]
    shown = format_diagnosis(found)
    assert "missing: y" in shown
    assert "all required packages are installed" not in shown


def test_a_command_that_cannot_be_imported_is_a_problem() -> None:
    found = Diagnosis([], machine.cpu(), None, commands={"train": "no module"})
    assert found.problems == ["darknet-prune train cannot start: no module"]


def test_a_gpu_is_shown_with_its_memory() -> None:
    gpu = {"device": "cuda:0", "name": "X1", "memory_bytes": 24 << 30, "compute_capability": "9.0", "cuda": "12.8"}
    shown = format_diagnosis(Diagnosis([], machine.cpu(), None, [gpu]))
    assert "GPU: cuda:0 X1, 24 GiB, compute capability 9.0, CUDA 12.8" in shown


@pytest.mark.parametrize(
    ("text", "features", "bf16"),
    [
        ("flags\t\t: fpu avx2 amx_bf16 avx512f\nflags\t\t: sve\n", ["avx2", "avx512f", "amx_bf16"], True),
        ("flags\t\t: fpu avx2 avx512f\n", ["avx2", "avx512f"], False),
        ("Features\t: fp asimd sve\n", ["asimd", "sve"], False),
        ("Features\t: fp asimd bf16\n", ["asimd", "bf16"], True),
        ("", [], False),
    ],
)
def test_the_features_of_a_processor_come_from_its_flags(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, features: list[str], bf16: bool
) -> None:
    monkeypatch.setattr(processor, "CPUINFO", tmp_path / "cpuinfo")
    if text:
        (tmp_path / "cpuinfo").write_text(f"model name\t: Some CPU\n{text}")
    found = machine.cpu()
    assert (found["features"], found["bf16"]) == (features, bf16)
    assert not text or found["model"] == "Some CPU"
