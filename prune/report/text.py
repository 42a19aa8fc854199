"""Text in pictures: OpenCV's strokes for ASCII, a font for all else where matplotlib is installed."""

from __future__ import annotations

import logging
import unicodedata
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

logger = logging.getLogger(__name__)

Mask = NDArray[np.uint8]

_STROKES = cv2.FONT_HERSHEY_SIMPLEX
_STROKES_CAPITAL = 21.0
"""Height in pixels of that font's capitals at scale 1."""
_FINE = 3
_NOT_PLAIN = ("bold", "black", "heavy", "light", "thin", "italic", "oblique", "last resort")
_LATIN = str.maketrans(
    {"ß": "ss", "æ": "ae", "Æ": "AE", "ø": "o", "Ø": "O", "œ": "oe", "Œ": "OE", "ł": "l", "Ł": "L", "đ": "d"}
    | {"Đ": "D", "þ": "th", "Þ": "Th", "ð": "d", "ı": "i", "–": "-", "—": "-", "‘": "'", "’": "'", "·": "-", "×": "x"}
)


def drawable_names(names: Sequence[str]) -> tuple[str, ...]:
    """`names` in a form that can be drawn. A name beyond ASCII is kept where an installed font has its letters (needs
    matplotlib), else loses its accents; where nothing is left of it, it becomes `class N`. Changes are logged in one
    line."""
    shown = tuple(drawable(name, f"class {number}") for number, name in enumerate(names))
    changed = [f"{name} as '{text}'" for name, text in zip(names, shown, strict=True) if name != text]
    if changed:
        more = ", …" if len(changed) > 3 else ""
        logger.warning(
            "class names that cannot be drawn are spelled differently in the pictures: %s%s; "
            "pip install matplotlib and a font with these letters to have them drawn",
            ", ".join(changed[:3]),
            more,
        )
    return shown


def drawable(text: str, otherwise: str) -> str:
    """`text` where it can be drawn, else without accents, else the ASCII `otherwise`."""
    if (text.isascii() and text.isprintable()) or font_with(text):
        return text
    plain = unicodedata.normalize("NFKD", text.translate(_LATIN))
    plain = "".join(letter for letter in plain if not unicodedata.combining(letter))
    return plain if plain.strip() and plain.isascii() and plain.isprintable() else otherwise


@lru_cache(maxsize=4096)
def text_mask(text: str, capital: int) -> Mask:
    """(h, w) opacity 0 … 255 of one line of text whose capitals are `capital` pixels high; characters without
    a font are drawn as `?`."""
    font = None if text.isascii() else font_with(text)
    mask = _stroked(text, capital) if font is None else _set(text, capital, font)
    mask.setflags(write=False)  # it is shared
    return mask


def fitting_mask(text: str, capital: int, width: int) -> Mask:
    """As `text_mask`, but at most `width` pixels wide: shrunk down to half, then truncated."""
    for size in range(capital, max(6, capital // 2) - 1, -1):
        if text_mask(text, size).shape[1] <= width:
            return text_mask(text, size)
    smallest = max(6, capital // 2)
    for end in range(len(text) - 1, 0, -1):
        mask = text_mask(text[:end].rstrip() + "..", smallest)
        if mask.shape[1] <= width:
            return mask
    return text_mask(text[:1], smallest)[:, : max(1, width)]


def _stroked(text: str, capital: int) -> Mask:
    """OpenCV's strokes, drawn several times as large and averaged, which makes small text readable."""
    scale = capital * _FINE / _STROKES_CAPITAL
    thickness = max(1, round(capital * _FINE / 7.5))
    (width, height), below = cv2.getTextSize(text, _STROKES, scale, thickness)
    margin = thickness // 2 + 1
    size = height + below + 2 * margin, width + 2 * margin
    large = np.zeros((-(-size[0] // _FINE) * _FINE, -(-size[1] // _FINE) * _FINE), np.uint8)
    cv2.putText(large, text, (margin, height + margin), _STROKES, scale, 255, thickness, cv2.LINE_AA)
    small = cv2.resize(large, None, fx=1 / _FINE, fy=1 / _FINE, interpolation=cv2.INTER_AREA)
    inked = np.flatnonzero(small.any(axis=0))  # letters include margins, `1` a wide one
    return np.asarray(small[:, max(0, inked[0] - 1) : inked[-1] + 2] if len(inked) else small, np.uint8)


def _set(text: str, capital: int, path: str) -> Mask:
    """A line set in a font file, with the same height and baseline as `_stroked`."""
    font = _open(path)
    assert font is not None, "font_with has opened it"
    font.set_size(capital / 0.729, 72)  # capitals of DejaVu Sans are 0.729 em high
    font.set_text(text)
    font.draw_glyphs_to_bitmap(antialiased=True)
    bitmap = np.asarray(font.get_image(), np.uint8)
    below = int(np.ceil(font.get_descent() / 64))
    rows = max(capital, len(bitmap) - below) + max(below, round(0.4 * capital)) + 2
    mask = np.zeros((rows, bitmap.shape[1] + 2), np.uint8)
    top = 1 + max(capital, len(bitmap) - below) - (len(bitmap) - below)
    mask[top : top + len(bitmap), 1:-1] = bitmap
    return mask


@lru_cache(maxsize=1024)
def font_with(text: str) -> str | None:
    """The file of an installed font that has all letters of `text`; None where there is none, or no matplotlib."""
    if not text.isprintable():
        return None
    return next((path for path in _font_files() if _has_all(path, text)), None)


@lru_cache(maxsize=1)
def _font_files() -> tuple[str, ...]:
    """The font files there are now (matplotlib's own list is that of its first run, without those installed
    since): its DejaVu Sans first, those with serifs last; empty without matplotlib."""
    try:
        from matplotlib import font_manager
    except ImportError:
        return ()
    installed = sorted(font_manager.findSystemFonts(), key=lambda path: ("serif" in path.lower(), path))
    return (font_manager.findfont("DejaVu Sans"), *installed)


def _has_all(path: str, text: str) -> bool:
    font = _open(path)
    return font is not None and all(letter == " " or font.get_char_index(ord(letter)) for letter in text)


def _is_plain(font: Any) -> bool:
    """Neither bold, light nor slanted, and not "Last Resort", which has a box for every letter."""
    described = f"{font.style_name} {font.family_name}".lower()
    return not any(word in described for word in _NOT_PLAIN)


@lru_cache(maxsize=256)
def _open(path: str) -> Any:
    from matplotlib.ft2font import FT2Font

    try:
        font = FT2Font(path)
    except (OSError, RuntimeError):  # a font file that FreeType cannot read
        return None
    return font if _is_plain(font) else None
