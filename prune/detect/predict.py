"""One or several networks on images and videos."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice

import numpy as np
import torch

from prune.darknet.shapes import network_size
from prune.detect.evaluate import detect
from prune.detect.predict_settings import DetectSettings
from prune.loading.loaders import EvalBatch
from prune.runtimes.exported import Detector
from prune.samples.boxes import Boxes, area
from prune.samples.fit import fit_for, fit_image, planes
from prune.samples.frames import Frame
from prune.samples.labels import no_labels
from prune.samples.sample import Sample


@dataclass(frozen=True, slots=True, eq=False)
class FrameDetections:
    """A frame and each network's detections in it: (n, 6) x0 y0 x1 y1 in its pixels, score, class; best first."""

    frame: Frame
    found: tuple[Boxes, ...]


def predict(models: Sequence[Detector], frames: Iterable[Frame], settings: DetectSettings) -> Iterator[FrameDetections]:
    """Run each network on the frames, in their order, `settings.batch_size` at a time.

    Raises UsageError for an input size that a network cannot take.
    """
    sizes = [network_size(model.netdef, settings.img_size) for model in models]
    waiting = iter(frames)
    while batch := list(islice(waiting, settings.batch_size)):
        found = [_found(model, batch, size, settings) for model, size in zip(models, sizes, strict=True)]
        for frame, *boxes in zip(batch, *found, strict=True):
            yield FrameDetections(frame, tuple(boxes))


def _found(model: Detector, frames: Sequence[Frame], size_wh: tuple[int, int], settings: DetectSettings) -> list[Boxes]:
    letterbox = model.netdef.net.letter_box if settings.letterbox is None else settings.letterbox
    fits = [fit_for(frame.size_wh, size_wh, letterbox) for frame in frames]
    pixels = [frame.pixels(model.netdef.net.channels) for frame in frames]
    images = np.stack([planes(fit_image(image, fit)) for image, fit in zip(pixels, fits, strict=True)])
    imgs = torch.from_numpy(np.ascontiguousarray(images))
    batch = EvalBatch(imgs, tuple(fits), tuple(_unlabelled(frame) for frame in frames))
    found = [detected.found for detected in detect(model, [batch], settings.nms)]
    return [boxes[area(boxes[:, :4]) > 0] for boxes in found]  # what lies outside the image cannot be shown


def _unlabelled(frame: Frame) -> Sample:
    classes, boxes, _ = no_labels()
    none = np.zeros(0, np.bool_)
    return Sample(frame.source.path, boxes, classes, none, none, image_id=frame.source.key, size_wh=frame.size_wh)
