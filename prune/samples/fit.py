"""Fitting an image into the network's input, and mapping its boxes there and back."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from prune.samples.boxes import Boxes
from prune.samples.images import Image

Pixels = NDArray[np.uint8] | NDArray[np.float32]
"""Of 0 … 255: whole numbers, or fractions with Darknet's resize."""
Resize = Literal["half-pixel", "align-corners"]
"""Where a bilinear resize samples: at pixel centres as in OpenCV, or from corner pixel to corner pixel as in Darknet,
whose values are not rounded to bytes."""

GREY = 127.5
"""The border: Darknet's 0.5."""
FILL = 128
"""The same in bytes: rounded half up, it is off by 0.002."""


@dataclass(frozen=True, slots=True)
class Fit:
    """Where an image of `image_wh` lies in a network input of `net_wh`: `size_wh` pixels large, its left
    upper corner at `offset_xy` (all in whole pixels).

    `half_border`: boxes are mapped back as in Darknet, which subtracts exactly half the border, even where the image
    lies half a pixel off that."""

    image_wh: tuple[int, int]
    net_wh: tuple[int, int]
    size_wh: tuple[int, int]
    offset_xy: tuple[int, int]
    half_border: bool = False

    @property
    def origin_xy(self) -> tuple[float, float]:
        """Where the image is assumed to begin when boxes are mapped back, in pixels of the network input."""
        if not self.half_border:
            return self.offset_xy
        (net_w, net_h), (width, height) = self.net_wh, self.size_wh
        return (net_w - width) / 2, (net_h - height) / 2

    @property
    def scale_xy(self) -> tuple[float, float]:
        """Network pixels per image pixel."""
        return self.size_wh[0] / self.image_wh[0], self.size_wh[1] / self.image_wh[1]

    def to_network(self, boxes: NDArray[np.floating]) -> Boxes:
        """(n, 4) cxcywh as fractions of the image → as fractions of the network input, float64."""
        scale, offset = self._fractions(self.offset_xy)
        return boxes.astype(np.float64) * scale + offset

    def to_image(self, boxes: NDArray[np.floating]) -> Boxes:
        """(n, 4) cxcywh as fractions of the network input → as fractions of the image (unclipped),
        float64."""
        scale, offset = self._fractions(self.origin_xy)
        return (boxes.astype(np.float64) - offset) / scale

    def to_pixels(self, xyxy: NDArray[np.floating], clip: bool = True) -> Boxes:
        """(n, 4) x0, y0, x1, y1 as fractions of the network input → edges in pixels of the image, from 0."""
        offset = np.array(self.origin_xy * 2, np.float64)
        net, scale = np.array(self.net_wh * 2, np.float64), np.array(self.scale_xy * 2, np.float64)
        edges = (xyxy.astype(np.float64) * net - offset) / scale
        return np.clip(edges, 0.0, np.array(self.image_wh * 2, np.float64)) if clip else edges

    def _fractions(self, origin_xy: tuple[float, float]) -> tuple[Boxes, Boxes]:
        """Factor and summand of cxcywh from fractions of the image to fractions of the network input."""
        net = np.array(self.net_wh, np.float64)
        scale, offset = np.array(self.size_wh) / net, np.array(origin_xy) / net
        return np.concatenate((scale, scale)), np.concatenate((offset, np.zeros(2)))


def fit_for(image_wh: tuple[int, int], net_wh: tuple[int, int], letterbox: bool) -> Fit:
    """How an image of `image_wh` pixels is fitted into `net_wh`.

    Letterbox, as Darknet's `letterbox_image`: scale = min(w/W, h/H), integer size `W·h//H` or `H·w//W` (at
    least 1), centred with `//2`. Stretch: the whole input.
    """
    if not letterbox:
        return Fit(image_wh, net_wh, net_wh, (0, 0))
    (width, height), (net_w, net_h) = image_wh, net_wh
    if net_w * height < net_h * width:
        size = net_w, max(1, height * net_w // width)
    else:
        size = max(1, width * net_h // height), net_h
    return Fit(image_wh, net_wh, size, ((net_w - size[0]) // 2, (net_h - size[1]) // 2))


def rect_for(image_wh: tuple[int, int], net_wh: tuple[int, int], stride: int) -> tuple[int, int]:
    """The smallest input (w, h), in multiples of `stride`, for an image letterboxed into `net_wh`."""
    (width, height), (net_w, net_h) = image_wh, net_wh
    if net_w * height < net_h * width:
        return net_w, min(net_h, -(-height * net_w // (width * stride)) * stride)
    return min(net_w, -(-width * net_h // (height * stride)) * stride), net_h


def fit_image(image: Image, fit: Fit) -> Image:
    """(H, W, 3) or (H, W) uint8 → the same of the network's size: bilinear as OpenCV, the border filled with FILL."""
    resized = resize(image, fit.size_wh)
    if fit.size_wh == fit.net_wh:
        return resized
    canvas = grey(fit.net_wh, image)
    _put(resized, canvas, fit)
    return canvas


def fit_as_darknet(image: Image, fit: Fit) -> NDArray[np.float32]:
    """(H, W, 3) or (H, W) uint8 → the same in float32, 0 … 255, of the network's size: Darknet's `resize_image`, or
    its `letterbox_image` where the fit has a border."""
    resized = resize_between_corners(image, fit.size_wh)
    if fit.size_wh == fit.net_wh:
        return resized
    canvas = np.full((fit.net_wh[1], fit.net_wh[0], *image.shape[2:]), GREY, np.float32)
    _put(resized, canvas, fit)
    return canvas


def _put(resized: Pixels, canvas: Pixels, fit: Fit) -> None:
    (left, top), (width, height) = fit.offset_xy, fit.size_wh
    canvas[top : top + height, left : left + width] = resized


def resize(image: Image, size_wh: tuple[int, int]) -> Image:
    """OpenCV's bilinear resize; the image itself where it already has that size."""
    if size_wh == size_of(image):
        return image
    return np.asarray(cv2.resize(image, size_wh, interpolation=cv2.INTER_LINEAR), np.uint8)


def resize_between_corners(image: Image, size_wh: tuple[int, int]) -> NDArray[np.float32]:
    """Bilinear with the corner pixels of one image on those of the other: Darknet's `resize_image`. (h, w, 3)
    or (h, w) float32, 0 … 255.

    Not by OpenCV's remap, whose weights have steps of 1/32.
    """
    return _interpolate(_interpolate(image.astype(np.float32), 1, size_wh[0]), 0, size_wh[1])


def _interpolate(values: NDArray[np.float32], axis: int, size: int) -> NDArray[np.float32]:
    """`values` read at `size` places along an axis, evenly from its first to its last."""
    last = values.shape[axis] - 1
    at = np.arange(size) * (last / (size - 1)) if size > 1 else np.array([float(last)])
    low = np.minimum(at.astype(np.int64), max(last - 1, 0))
    share = (at - low).astype(np.float32).reshape((-1,) + (1,) * (values.ndim - 1 - axis))
    first, second = values.take(low, axis), values.take(np.minimum(low + 1, last), axis)
    return np.asarray(first + (second - first) * share, np.float32)


def grey(size_wh: tuple[int, int], like: Image) -> Image:
    """An image of FILL with as many channels as `like`: (h, w, 3) or (h, w)."""
    return np.full((size_wh[1], size_wh[0], *like.shape[2:]), FILL, np.uint8)


def planes(image: Pixels) -> Pixels:
    """A view (C, H, W), the layout of network inputs, of an image (H, W, 3) or (H, W)."""
    return image.transpose(2, 0, 1) if image.ndim == 3 else image[None]


def size_of(image: Image) -> tuple[int, int]:
    """(width, height) of a (H, W, 3) or (H, W) image."""
    return image.shape[1], image.shape[0]
