"""Parity with OpenCV's Darknet reader: head inputs and decoded boxes of the same pair of files.

OpenCV divides by sqrt(var + 1e-6), Darknet by sqrt(var + 1e-5): OpenCV gets var + 9e-6. It drops class scores at or
below a head's `thresh`, and those that its own NMS removes: both are switched off in the copy that it reads; for
`[region]`, where NMS cannot be switched off, scores that it dropped are ignored. It does not support
`[Gaussian_yolo]`: it gets a `[yolo]` with as many channels instead, and only the head's input is compared.

Where OpenCV is known to differ from Darknet, `deviations` describes it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from prune.darknet.cfg import Section
from prune.darknet.layers import (
    Connected,
    Convolutional,
    GaussianYolo,
    Head,
    Layer,
    Maxpool,
    Region,
    Reorg,
    Shortcut,
    Softmax,
    Upsample,
)
from prune.darknet.netdef import NetDef, from_sections, write_netdef
from prune.darknet.records import ConvParams, Weights
from prune.darknet.weights import write_weights
from prune.detect.decode import decode_head
from prune.model.build import DarknetModel
from prune.model.state import load_weights

Array = NDArray[np.float32]
EPSILON_GAP = np.float32(9e-6)
_THRESH = "0.00001"
_UNCERTAINTIES = 4


class UnreadError(Exception):
    """OpenCV does not read the cfg; the text is its reason."""


@dataclass(frozen=True, slots=True)
class HeadParity:
    """max|a−b| / max|b| of one head, ours (a) against OpenCV's (b): of its input, its boxes (with objectness) and its
    class scores times objectness; None where OpenCV does not support the head."""

    layer: int
    raw: float
    boxes: float | None
    scores: float | None

    @property
    def worst(self) -> float:
        """The largest of the three."""
        return max(self.raw, self.boxes or 0.0, self.scores or 0.0)


@dataclass(frozen=True, slots=True)
class ParityResult:
    """`heads` in the order of the cfg, the `worst` deviation of all, and the known deviations of OpenCV."""

    heads: tuple[HeadParity, ...]
    worst: float
    note: str


def parity(netdef: NetDef, weights: Weights, workdir: Path, seed: int = 0) -> ParityResult:
    """Runs both on one random image of the cfg's size. `workdir` gets a copy of the pair.

    Raises UnreadError where OpenCV does not read the cfg, ValueError where the network has no head.
    """
    if not netdef.heads:
        raise ValueError(f"{netdef.path}: has no detection head to compare")
    net = netdef.net
    image = np.random.default_rng(seed).random((1, net.channels, net.height, net.width), np.float32)
    theirs = opencv_outputs(netdef, weights, workdir, image)
    ours = our_outputs(netdef, weights, image)
    heads = tuple(_compared(head, *pair) for head, *pair in zip(netdef.heads, ours, theirs, strict=True))
    return ParityResult(heads, max(head.worst for head in heads), "; ".join(deviations(netdef)))


@dataclass(frozen=True, slots=True)
class HeadOutput:
    """raw (C, H, W): the head's input. decoded (A, H, W, 5 + classes): boxes, objectness, class scores times it."""

    raw: Array
    decoded: Array


def our_outputs(netdef: NetDef, weights: Weights, image: Array) -> list[HeadOutput]:
    """The outputs of this project in float32, head by head. image (1, C, H, W)."""
    model = DarknetModel(netdef).eval()
    load_weights(model, weights)
    size = (netdef.net.width, netdef.net.height)
    outputs = []
    with torch.inference_mode():
        for head, raw in zip(model.heads, model(torch.from_numpy(image)), strict=True):
            decoded = decode_head(raw, head, size)[0]
            decoded[:, 5:] *= decoded[:, 4:5]
            grid = decoded.view(head.boxes, raw.shape[2], raw.shape[3], -1)
            outputs.append(HeadOutput(raw[0].numpy(), grid.numpy()))
    return outputs


def opencv_outputs(netdef: NetDef, weights: Weights, workdir: Path, image: Array) -> list[HeadOutput]:
    """The outputs of OpenCV from its own files in `workdir`. Raises UnreadError."""
    try:
        net = opencv_network(netdef, weights, workdir)
        net.setInput(image)
        names = [name for head in netdef.heads for name in (f"permute_{head.index}", _output_name(head))]
        outputs = net.forward(names)
    except cv2.error as error:
        raise UnreadError(" ".join(str(error.err or error).split())) from error
    maps = [np.array(output, np.float32) for output in outputs]
    return [_head_output(head, *maps[2 * n : 2 * n + 2]) for n, head in enumerate(netdef.heads)]


def opencv_network(netdef: NetDef, weights: Weights, workdir: Path) -> cv2.dnn.Net:
    """The network as OpenCV reads it from files in `workdir`, with Darknet's epsilon and with every score. Raises
    cv2.error where it cannot read them."""
    cfg, binary = workdir / "opencv.cfg", workdir / "opencv.weights"
    write_weights(binary, _with_darknets_epsilon(weights), netdef)
    write_netdef(cfg, _with_all_scores(netdef))
    return cv2.dnn.readNetFromDarknet(str(cfg), str(binary))


def deviations(netdef: NetDef) -> list[str]:
    """How OpenCV 4.14 is known to read or compute parts of this cfg differently from Darknet."""
    found = dict.fromkeys(text for layer in netdef.layers for text in _deviations_of(layer))
    return list(found)


def _deviations_of(layer: Layer) -> Iterator[str]:
    match layer:
        case GaussianYolo():
            yield "OpenCV does not support [Gaussian_yolo]: only its input is compared"
        case Connected():
            yield "OpenCV does not read [connected] after a map"
        case Convolutional(share=int()) | Convolutional(stored=False) | Convolutional(flipped=True):
            yield "OpenCV reads floats for every convolution and ignores share_index, dontload and flipped"
        case Convolutional() if layer.dilation > 1 or layer.stride_x != layer.stride_y:
            yield "OpenCV reads neither dilation nor stride_x and stride_y"
        case Shortcut() if layer.weights != "none":
            yield "OpenCV does not read shortcut weights"
        case Shortcut() if len(layer.inputs) > 2:
            yield "OpenCV only adds the first layer of from"
        case Upsample() if layer.scale != 1:
            yield "OpenCV ignores scale of [upsample]"
        case Maxpool() if layer.depth or layer.stride_x != layer.stride_y:
            yield "OpenCV ignores maxpool_depth, stride_x and stride_y"
        case Reorg(reverse=True):
            yield "OpenCV ignores reverse of [reorg]"
        case Softmax():
            yield "OpenCV computes the softmax over channels"


def _with_darknets_epsilon(weights: Weights) -> Weights:
    records = {
        index: replace(record, var=record.var + EPSILON_GAP)
        if isinstance(record, ConvParams) and record.var is not None
        else record
        for index, record in weights.records.items()
    }
    return Weights(weights.header, records)


def _with_all_scores(netdef: NetDef) -> NetDef:
    """A copy in which OpenCV supports every head and drops no scores."""
    sections = [netdef.net.section, *(layer.section for layer in netdef.layers)]
    return from_sections(netdef.document.preamble, tuple(map(_keeping_scores, sections)), netdef.path)


def _keeping_scores(section: Section) -> Section:
    if section.kind == "Gaussian_yolo":
        header = replace(section.lines[0], text=section.lines[0].text.replace("Gaussian_yolo", "yolo"))
        section = replace(section, kind="yolo", lines=(header, *section.lines[1:]))
        classes = int(section.options["classes"].value or 0)
        section = section.with_option("classes", str(classes + _UNCERTAINTIES))
    if section.kind == "yolo":
        return section.with_option("thresh", _THRESH).with_option("nms_threshold", "0")
    return section.with_option("thresh", _THRESH) if section.kind == "region" else section


def _output_name(head: Head) -> str:
    return "detection_out" if isinstance(head, Region) else f"yolo_{head.index}"


def _head_output(head: Head, permuted: Array, decoded: Array) -> HeadOutput:
    """permuted (1, H, W, C); decoded (H·W·A, 5 + classes), cell by cell."""
    raw = permuted[0].transpose(2, 0, 1)
    height, width = raw.shape[1:]
    return HeadOutput(raw, decoded.reshape(height, width, head.boxes, -1).transpose(2, 0, 1, 3))


def _compared(head: Head, ours: HeadOutput, theirs: HeadOutput) -> HeadParity:
    raw = relative(ours.raw, theirs.raw)
    if isinstance(head, GaussianYolo):
        return HeadParity(head.index, raw, None, None)
    boxes, their_boxes = ours.decoded[..., :5], theirs.decoded[..., :5]
    scores, their_scores = ours.decoded[..., 5:], theirs.decoded[..., 5:]
    kept = np.where(their_scores > 0, scores, 0) if scores.shape == their_scores.shape else scores
    return HeadParity(head.index, raw, relative(boxes, their_boxes), relative(kept, their_scores))


def relative(a: Array, b: Array) -> float:
    """max|a−b| / max|b|; infinite where shapes differ or a value is not finite."""
    if a.shape != b.shape or not (np.isfinite(a).all() and np.isfinite(b).all()):
        return float("inf")
    return float(np.abs(a - b).max() / max(float(np.abs(b).max()), 1e-30))
