"""pyproject.toml agrees with the package."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest

from prune.commands.packages import PACKAGES
from prune.commands.shipped import shipped
from tests.shared import REPOSITORY


def project() -> Any:
    return tomllib.loads((REPOSITORY / "pyproject.toml").read_text(encoding="utf-8"))


def names(requirements: list[str]) -> dict[str, str]:
    """Names of packages and their lower bounds."""
    return dict(re.findall(r"^([\w-]+)>=([\d.]+)", "\n".join(requirements), re.MULTILINE))


def test_every_package_is_in_the_wheel() -> None:
    folders = {path.parent.relative_to(REPOSITORY) for path in (REPOSITORY / "prune").rglob("__init__.py")}
    found = {".".join(folder.parts) for folder in folders}
    listed = set(project()["tool"]["setuptools"]["packages"])
    assert listed == found | {"prune.resources.cfg", "prune.resources.data"}


def test_the_required_packages_are_those_that_doctor_looks_for() -> None:
    needed = {package.distributions[0]: package.minimum for package in PACKAGES if package.minimum}
    assert names(project()["project"]["dependencies"]) == needed


def test_every_extra_is_an_optional_package_that_doctor_looks_for() -> None:
    extras = project()["project"]["optional-dependencies"]
    assert set(extras) == {"report", "log", "fast-eval", "export", "runtimes", "dev"}
    optional = {package.distributions[0] for package in PACKAGES if not package.minimum}
    assert {name for extra in extras if extra != "dev" for name in names(extras[extra])} == optional


def test_the_files_of_an_installed_package_come_from_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert (shipped("cfg"), shipped("data")) == (REPOSITORY / "cfg", REPOSITORY / "data")
    (tmp_path / "prune/resources/cfg").mkdir(parents=True)
    monkeypatch.setattr("prune.__file__", str(tmp_path / "prune/__init__.py"))
    assert shipped("cfg") == tmp_path / "prune/resources/cfg"
