"""The pages: their links lead somewhere, and the tables of flags are those of the parsers."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from prune.commands.table import SUBCOMMANDS
from scripts import cli_docs
from tests.markdown_links import anchors, broken_links
from tests.shared import REPOSITORY

PAGES = sorted([*REPOSITORY.glob("*.md"), *(REPOSITORY / "docs").glob("**/*.md")])


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_relative_link_leads_to_a_file_and_a_heading(page: Path) -> None:
    assert broken_links(page) == []


def test_a_link_to_a_missing_file_or_heading_is_named(tmp_path: Path) -> None:
    (tmp_path / "b.md").write_text("# One `two`, three?\n\n## A\n\n## A\n\n```\n# no heading\n```\n")
    good = "[x](b.md#one-two-three) ![y [z]](b.md) [q](b.md#a-1) [w](https://x.org/no) [s](#here)\n`[c](no.md)`\n"
    bad = '[x](b.md#two) [y](no.md) [z](b.md#no-heading) [q](#there) [w](no.png "title")\n'
    (tmp_path / "a.md").write_text(f"# Here\n{good}{bad}")
    targets = ["b.md#two", "no.md", "b.md#no-heading", "#there", "no.png"]
    assert broken_links(tmp_path / "a.md") == [f"a.md: {target}" for target in targets]


def test_anchors_keep_letters_of_every_script() -> None:
    assert anchors("# 数据 格式\n## γ & β\n") == {"数据-格式", "γ--β"}


def test_the_tables_of_flags_are_those_of_the_parsers() -> None:
    page = cli_docs.PAGE.read_text(encoding="utf-8")
    assert cli_docs.with_flags(page) == page, "run: python -m scripts.cli_docs"


def test_every_command_of_the_readme_has_a_section() -> None:
    page = cli_docs.PAGE.read_text(encoding="utf-8")
    scripts = {path.name for path in REPOSITORY.glob("*.py")}
    assert scripts <= set(cli_docs.COMMANDS)
    assert all(f"### {name}\n" in page for name in cli_docs.COMMANDS)


def test_every_subcommand_has_a_section_and_one_only() -> None:
    modules = [module.removeprefix("prune.").removeprefix("commands.") for module in cli_docs.COMMANDS.values()]
    assert sorted(modules) == sorted(command.module for command in SUBCOMMANDS)


@pytest.mark.parametrize(("text", "code"), [("old", 1), ("", 0)])
def test_a_page_that_differs_from_the_parsers_is_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, code: int
) -> None:
    page = tmp_path / "cli.md"
    page.write_text(cli_docs.with_flags(f"A\n{cli_docs.BEGIN}{cli_docs.END}\nB\n"))
    page.write_text(page.read_text().replace(cli_docs.END, text + cli_docs.END))
    before = page.read_text()
    monkeypatch.setattr(cli_docs, "PAGE", page)
    monkeypatch.setattr(sys, "argv", ["cli_docs.py", "--check"])
    assert cli_docs.main() == code
    assert page.read_text() == before


def test_a_flag_is_written_with_its_spellings_its_values_and_its_default() -> None:
    found = cli_docs.rows(cli_docs.parser_of("prune_channel"))
    percent = "| `--percent X` `--global-percent X` | the share of channels to cut, in [0, 1) (default: 0.8) |"
    assert percent in found
    assert any(row.startswith("| `--rule threshold\\|share` |") for row in found)
    assert any(row.startswith("| `--cfg FILE` |") and row.endswith("(required) |") for row in found)
