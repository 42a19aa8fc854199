from __future__ import annotations

from pathlib import Path

import pytest

from prune.darknet.datafile import read_datafile
from prune.darknet.ultralytics import ultralytics_message
from prune.errors import DataError

COCO8 = """# a set
path: ../datasets/coco8  # root
train: images/train # relative to path
val: images/val
test:

names:
  0: person
  1: 'traffic light'  # two words

download: |
  from x import y
  segments = True
"""


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (COCO8, ["classes = 2", "here images/train", "here images/val", "here person, traffic light"]),
        ("nc: 2\nnames: [red, 'blue']\ntrain: t\nval: v\n", ["classes = 2", "here red, blue"]),
        ("names: {0: red, 1: blue}\r\ntrain: t\r\n", ["classes = 2", "here red, blue"]),
        ("train: t\nnc: 3\nnames:\n- red\n- blue\n", ["classes = 3", "here red, blue"]),
        ("names:\n  - red\n", ["classes = 1", "here red"]),
        ("val: v\n", ["classes = N", "one class name per line)"]),
    ],
)
def test_a_yaml_is_answered_with_the_lines_of_a_data_file(tmp_path: Path, text: str, said: list[str]) -> None:
    (tmp_path / "data.yaml").write_text(text)
    with pytest.raises(DataError, match=r"data\.yaml: is a dataset description of Ultralytics \(YAML\)") as caught:
        read_datafile(tmp_path / "data.yaml")
    assert all(part in str(caught.value) for part in said), str(caught.value)


@pytest.mark.parametrize("text", ["classes = 2\ntrain = a:b.txt\n", "train: x\nclasses = 2\n", "", "{}", "width: 3\n"])
def test_other_descriptors_are_not_reported_as_one(text: str) -> None:
    assert ultralytics_message(text) is None
