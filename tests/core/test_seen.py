"""Whether Darknet would continue training from a weights file."""

from __future__ import annotations

import pytest

from prune.darknet.netdef import parse_netdef
from prune.darknet.seen import clear_note


@pytest.mark.parametrize(
    ("net", "seen", "batches"),
    [
        ("batch=64\nmax_batches=500\n", 32_000, "500 batches of 64; max_batches=500"),
        ("batch=64\nsubdivisions=16\nmax_batches=500\n", 2**40, "17,179,869,184 batches of 64; max_batches=500"),
        ("max_batches=9\n", 10, "10 batches of 1; max_batches=9"),
        ("", 1, "1 batches of 1; max_batches=0"),
    ],
)
def test_weights_trained_to_max_batches_need_clear(net: str, seen: int, batches: str) -> None:
    note = clear_note(parse_netdef(f"[net]\n{net}[convolutional]\n"), seen)
    assert note is not None
    assert f"have seen {seen:,} images, {batches}" in note
    assert "pass -clear" in note


@pytest.mark.parametrize(
    ("net", "seen"),
    [("batch=64\nmax_batches=500\n", 31_999), ("batch=64\nmax_batches=500\n", 0), ("", 0), ("max_batches=many\n", 9)],
)
def test_weights_that_have_not_need_nothing(net: str, seen: int) -> None:
    assert clear_note(parse_netdef(f"[net]\n{net}[convolutional]\n"), seen) is None
