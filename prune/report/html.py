"""Parts of a self-contained page: no script, no other file, readable on a phone."""

from __future__ import annotations

import base64
from collections.abc import Iterable, Sequence
from html import escape
from importlib import resources

import cv2
import numpy as np

from prune.report.visible import visible
from prune.samples.fit import resize
from prune.samples.images import Image

LONG_SIDE, QUALITY = 640, 80
GENERATOR = '<meta name="generator" content="darknet-prune">'
"""Marks a page as one of this project; it is in the head of the template."""


def text(value: object) -> str:
    """Escaped, control characters made visible; what is not UTF-8 (file names may contain any bytes) becomes a question
    mark."""
    return escape(visible(str(value)).encode("utf-8", errors="replace").decode("utf-8"))


def page(title: str, sections: Iterable[str]) -> str:
    """A whole page from the template page.html."""
    template = resources.files("prune.report").joinpath("page.html").read_text(encoding="utf-8")
    return template.replace("{{title}}", text(title)).replace("{{body}}", "\n".join(sections))


def is_page(content: str) -> bool:
    """Whether the text is a page of this project."""
    return GENERATOR in content.partition("</head>")[0]


def section(title: str, *parts: str) -> str:
    """A heading and the parts below it."""
    return f"<section><h2>{text(title)}</h2>\n" + "\n".join(parts) + "</section>"


def table(header: Sequence[object], rows: Iterable[Sequence[object]]) -> str:
    """Cells are escaped, except `Raw`; the first column is a heading, the others are right-aligned. Wide tables scroll
    by themselves."""
    head = "".join(f"<th>{_cell(cell)}</th>" for cell in header)
    body = "\n".join(
        f"<tr><th>{_cell(row[0])}</th>" + "".join(f"<td>{_cell(cell)}</td>" for cell in row[1:]) + "</tr>"
        for row in rows
    )
    return f'<div class="wide"><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>'


class Raw(str):
    """Markup that is not to be escaped."""

    __slots__ = ()


def _cell(value: object) -> str:
    if isinstance(value, Raw):
        return value
    return text(f"{value:,}" if isinstance(value, int) else value)


def thumbnail(image: Image) -> Image:
    """(H, W, 3) RGB, its longer side at most `LONG_SIDE` pixels."""
    height, width = image.shape[:2]
    share = min(1.0, LONG_SIDE / max(width, height))
    size = max(1, round(width * share)), max(1, round(height * share))
    if size == (width, height):
        return image
    small = resize(image, size) if share > 0.5 else cv2.resize(image, size, interpolation=cv2.INTER_AREA)
    return np.asarray(small, np.uint8)


def data_uri(image: Image) -> str:
    """A (H, W, 3) RGB image as a JPEG within the page."""
    done, data = cv2.imencode(".jpg", image[:, :, ::-1], [cv2.IMWRITE_JPEG_QUALITY, QUALITY])
    if not done:
        raise ValueError(f"an image of shape {image.shape} cannot be encoded")
    return "data:image/jpeg;base64," + base64.b64encode(data.tobytes()).decode("ascii")
