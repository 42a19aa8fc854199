"""The pages: their links lead somewhere, and the tables of flags are those of the parsers."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest

from prune.commands.table import SUBCOMMANDS
from scripts import cli_docs
from tests.markdown_commands import command_lines, named_files
from tests.markdown_links import anchors, broken_links
from tests.shared import REPOSITORY

PAGES = sorted([*REPOSITORY.glob("*.md"), *(REPOSITORY / "docs").glob("**/*.md")])
CALLED = cli_docs.COMMANDS | {
    f"darknet-prune {command.name}": f"prune.commands.{command.module}" for command in SUBCOMMANDS
}
READMES = [REPOSITORY / name for name in ("README.md", "README.zh-CN.md")]


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


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_complete_command_line_of_a_page_is_understood_by_its_parser(page: Path) -> None:
    for words in command_lines(page):
        line = " ".join(words)
        name = next((name for name in CALLED if f"{line} ".startswith(f"{name} ")), "")
        assert name or words[0] != "darknet-prune", f"{page.name}: {line}"
        given = words[len(name.split()) :]
        if name and "--help" not in words:
            cli_docs.parser_of(CALLED[name]).parse_args(given[:1] if name == "darknet-prune data" else given)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_script_that_a_page_calls_exists(page: Path) -> None:
    missing = [file for file in named_files(page) if not (REPOSITORY / file).is_file()]
    assert missing == []


def test_the_readmes_have_the_same_headings_tables_links_numbers_and_commands() -> None:
    english, chinese = (page.read_text(encoding="utf-8") for page in READMES)
    assert [*command_lines(READMES[0])] == [*command_lines(READMES[1])]
    for pattern in (r"^#+(?= )", r"^\|[-|]+\|$", r"\]\([^)]+\)", r"\d+[.,]\d+|−\d+|\d+ s\b|\d+ MB"):
        found = [sorted(re.findall(pattern, page.replace(".zh-CN", ""), re.M)) for page in (english, chinese)]
        assert found[0] == found[1]


def test_incomplete_lines_variables_comments_and_redirections_are_no_part_of_a_command(tmp_path: Path) -> None:
    page = tmp_path / "a.md"
    page.write_text(
        "```bash\nA=1 bash scripts/no.sh x \\\n y  # z\npython a.py …\nr=1\n # c\nls > b\n```\n`python -m prune.no`\n"
    )
    assert list(command_lines(page)) == [["bash", "scripts/no.sh", "x", "y"], ["ls"]]
    assert list(named_files(page)) == ["scripts/no.sh", "a.py", "prune/no.py"]


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
    keep = "| `--layer-keep X` | minimum fraction of channels kept per layer (default: 0.01) |"
    assert keep in found
    assert any(row.startswith("| `--percent X` `--global-percent X` | the share of channels to cut") for row in found)
    assert any(row.startswith("| `--rule threshold\\|share` |") for row in found)
    assert any(row.startswith("| `--cfg FILE` |") and row.endswith("(required) |") for row in found)
