"""Seeded damage to weights files."""

from __future__ import annotations

from random import Random


def mutate_weights(data: bytes, random: Random) -> bytes:
    """The bytes of a weights file after one change to length, header or values; sometimes unchanged."""
    cut = random.randrange(len(data) + 1)
    match random.randrange(8):
        case 0:
            return data[:cut]
        case 1:
            return data[: cut // 4 * 4]
        case 2:
            return data + random.randbytes(random.choice((1, 4, 400)))
        case 3:
            return random.randbytes(20) + data[20:]
        case 4:
            return _overwritten(data, random.randrange(0, 20, 4), random.choice(_WORDS_OF_FOUR))
        case 5 | 6:
            return _overwritten(data, random.randrange(0, max(4, len(data)), 4), random.choice(_WORDS_OF_FOUR))
        case _:
            return data


def _overwritten(data: bytes, at: int, word: bytes) -> bytes:
    return data[:at] + word + data[at + len(word) :]


_WORDS_OF_FOUR = (
    b"\x00\x00\xc0\x7f",  # NaN
    b"\x00\x00\x80\x7f",  # inf
    b"\xff\xff\x7f\x7f",  # the largest float
    b"\x01\x00\x00\x00",  # 1 as an integer, a denormal as a float
    b"\xff\xff\xff\xff",
    b"\x00\x00\x00\x80",
    b"\x00\x00\x80\xbf",  # -1: e.g. a negative variance
)
