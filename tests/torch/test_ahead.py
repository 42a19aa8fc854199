"""The thread that loads ahead of the network."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator

import pytest

from prune.loading.loaders import ahead


def test_items_come_in_their_order_from_another_thread() -> None:
    makers = set[str]()

    def items() -> Iterator[int]:
        for number in range(10):
            makers.add(threading.current_thread().name)
            yield number

    assert list(ahead(items())) == list(range(10))
    assert makers.isdisjoint({threading.current_thread().name})


def test_no_more_than_the_depth_is_made_in_advance() -> None:
    made = list[int]()

    def items() -> Iterator[int]:
        for number in range(100):
            made.append(number)
            yield number

    taken = ahead(items(), depth=2)
    assert next(taken) == 0
    deadline = time.monotonic() + 10
    while len(made) < 3 and time.monotonic() < deadline:
        time.sleep(0.01)
    assert made == [0, 1, 2]
    taken.close()  # type: ignore[attr-defined]
    assert len(made) <= 4


def test_an_error_is_raised_after_the_items_before_it() -> None:
    def items() -> Iterator[int]:
        yield 1
        raise OSError("gone")

    taken = ahead(items())
    assert next(taken) == 1
    with pytest.raises(OSError, match="gone"):
        next(taken)
    assert list(ahead([])) == []
