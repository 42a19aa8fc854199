"""The sources of images: every reader of the package is reached from a `.data` file, and has an example here."""

from __future__ import annotations

import ast
from collections.abc import Callable
from pathlib import Path

import pytest

from prune.darknet.datafile import DataFile, read_datafile
from prune.data.choice import Choice
from prune.data.convert import ConvertSettings, Format, convert
from prune.samples import read
from prune.samples.read import read_samples
from prune.samples.sample import SampleSet
from tests.datasets import Picture, Thing, write_coco
from tests.shared import REPOSITORY


def dataset(folder: Path, to: Format) -> DataFile:
    """One image of 20 × 10 pixels with a dog between the edges 5 and 9 of both axes."""
    (folder / "in").mkdir()
    source = write_coco(folder / "in", [Picture("a.png", (20, 10), [Thing(1, (5, 5, 4, 4))])])
    return read_datafile(convert(source, ConvertSettings(to=to), Choice(), folder / "out").data)


EXAMPLES: dict[str, Callable[[Path], DataFile]] = {
    "image_list": lambda folder: dataset(folder, "darknet"),
    "coco": lambda folder: dataset(folder, "coco"),
    "voc": lambda folder: dataset(folder, "voc"),
}
"""A dataset for each reader `read_NAME` in prune/samples."""


def readers() -> set[str]:
    """The names of the functions that read a `SampleSet` from a file."""
    files = (path for path in (REPOSITORY / "prune/samples").glob("*.py") if path.name != "read.py")
    defined = (node for path in files for node in ast.parse(path.read_text(encoding="utf-8")).body)
    functions = (node for node in defined if isinstance(node, ast.FunctionDef) and node.name.startswith("read_"))
    return {node.name.removeprefix("read_") for node in functions if unparsed(node) == "SampleSet"}


def unparsed(function: ast.FunctionDef) -> str:
    return ast.unparse(function.returns) if function.returns else ""


def test_every_reader_is_reached_from_a_data_file_and_has_an_example() -> None:
    assert EXAMPLES.keys() == readers()
    assert {f"read_{name}" for name in readers()} <= vars(read).keys()


def noting(called: list[str], name: str, reader: Callable[..., SampleSet]) -> Callable[..., SampleSet]:
    """The reader, noted in `called` when it is used."""

    def noted(*given: object) -> SampleSet:
        called.append(name)
        return reader(*given)

    return noted


@pytest.mark.parametrize("name", EXAMPLES)
def test_a_source_is_read_as_what_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    datafile, called = EXAMPLES[name](tmp_path), list[str]()
    for other in readers():
        monkeypatch.setattr(read, f"read_{other}", noting(called, other, getattr(read, f"read_{other}")))
    (sample,) = read_samples(datafile, "train").samples
    assert called == [name]
    assert sample.classes.tolist() == [1]
    assert sample.pixel_edges((20, 10)).tolist() == [pytest.approx([5, 5, 9, 9], abs=1e-4)]
