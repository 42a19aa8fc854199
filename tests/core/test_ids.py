from __future__ import annotations

from prune.samples.ids import Ids, number_id, plain_id


def test_a_number_is_the_same_however_it_is_written() -> None:
    assert [number_id(value) for value in (7, 7.0, "7", " 07 ", -1)] == [7, 7, 7, 7, -1]


def test_what_is_not_a_whole_number_is_not_an_id() -> None:
    values: tuple[object, ...] = (
        True,
        None,
        1.5,
        float("inf"),
        float("nan"),
        "7.0",
        "x",
        "",
        [7],
        {},
        5000 * "9",
        "²",
        "٣",
    )
    assert [number_id(value) for value in values] == [None] * len(values)
    assert (plain_id(2.0), plain_id("a.jpg"), plain_id(False), plain_id([])) == (2, "a.jpg", None, None)


def test_an_id_is_found_by_itself_or_by_its_number() -> None:
    ids = Ids([(1, "one"), ("000012", "twelve"), ("a", "letter")])
    assert [ids.find(value) for value in (1, 1.0, "1", "01", 12, 12.0, "12", "a")] == [
        *("one", "one", "one", "one"),
        *("twelve", "twelve", "twelve"),
        "letter",
    ]
    assert [ids.find(value) for value in (2, "b", None, True, 1.5, [1])] == [None] * 6


def test_an_ambiguous_number_finds_no_id() -> None:
    ids = Ids([("7", "short"), ("07", "long"), (8, "number"), ("8", "text")])
    assert [ids.find(value) for value in (7, 7.0, "007", "008")] == [None] * 4
    assert [ids.find(value) for value in ("7", "07", 8, 8.0, "8")] == ["short", "long", "number", "number", "text"]
