"""A network on a set of images: its detections and their metrics."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

from prune.darknet.layers import Yolo
from prune.darknet.shapes import largest_stride, network_size
from prune.detect.decode import decode
from prune.detect.nms import nms_batch
from prune.detect.settings import EvaluateSettings, NmsSettings
from prune.errors import DataError, UsageError
from prune.loading.dataset import EvalDataset
from prune.loading.loaders import WHOLE, EvalBatch, EvalLoader, Shard, eval_loader
from prune.metrics.detections import Detected
from prune.metrics.measure import measure
from prune.metrics.result import Inference, Metrics
from prune.model.build import DarknetModel
from prune.model.fused import fused
from prune.runtimes.exported import Detector, device_of
from prune.samples.channels import check_classes
from prune.samples.fit import Fit
from prune.samples.images import none_decodes
from prune.samples.issues import Issues
from prune.samples.sample import SampleSet

Placed = tuple[int, Detected]
"""The position of an image in its set, and what was detected in it."""
Part = tuple[list[Placed], Issues]
"""What a process has found, and the images that it could not decode."""
Gather = Callable[[Part], list[Part]]


def alone(part: Part) -> list[Part]:
    """The parts of a single process."""
    return [part]


def evaluate(model: Detector, samples: SampleSet, settings: EvaluateSettings) -> Metrics:
    """Measure a network on a set of images; it is run in eval mode and left in the mode it was in.

    Images that cannot be decoded are left out and counted. Raises UsageError where the network and the data
    have different classes, or the network cannot take that input size; DataError where no image can be decoded.
    """
    return examine(model, samples, settings)[0]


def examine(model: Detector, samples: SampleSet, settings: EvaluateSettings) -> tuple[Metrics, list[Detected], Issues]:
    """As `evaluate`; besides the metrics the detections, and the images that could not be decoded."""
    return examine_loaded(model, samples, settings, make_loader(model, samples, settings))


def examine_loaded(
    model: Detector, samples: SampleSet, settings: EvaluateSettings, loader: EvalLoader, gather: Gather = alone
) -> tuple[Metrics, list[Detected], Issues]:
    """As `examine`, over the images of a `make_loader` that is kept for several evaluations.

    `gather`: what this process has found → what each has, where several evaluate a part of the images each.
    """
    settings = settings.for_source(samples.source)
    chosen = nms_settings(model, settings)
    runner = fused(model) if settings.fuse and isinstance(model, DarknetModel) else model
    # Darknet's own map does not clip boxes to the image; the files of the other protocols contain only clipped ones.
    placed = detect_placed(runner, loader, chosen, settings.progress, clip=settings.ap != "darknet")
    parts, faults = gather((placed, loader.dataset.faults)), Issues()
    for _, found in parts:
        faults.merge(found)
    detected = in_order(entry for part, _ in parts for entry in part)
    if not detected:
        raise DataError(samples.samples[0].image, None, none_decodes(samples.samples[0].image))
    metrics = measure(detected, samples, settings, _inference(settings, chosen, loader.dataset))
    return metrics, detected, faults


def nms_settings(model: Detector, settings: EvaluateSettings) -> NmsSettings:
    """How detections are selected. Darknet's protocol takes the kind from the last head, as Darknet does: its
    `greedynms` is DIoU with an exponent of 0.6, its `diounms` DIoU with `beta_nms`, all else is by IoU."""
    if settings.ap != "darknet" or settings.nms_kind is not None:
        return settings.nms
    head = model.heads[-1]
    if not isinstance(head, Yolo) or head.nms_kind not in ("greedynms", "diounms"):
        return settings.nms
    return replace(settings.nms, kind="diou", beta=0.6 if head.nms_kind == "greedynms" else head.beta_nms)


def make_loader(
    model: Detector,
    samples: SampleSet,
    settings: EvaluateSettings,
    cache_images: bool = False,
    shard: Shard = WHOLE,
) -> EvalLoader:
    """The images, fitted as the settings say, by default as the network's cfg says. For several evaluations, keep
    it. `shard`: the part of the images that this process evaluates."""
    check_classes(model.netdef, samples)
    settings = settings.for_source(samples.source)
    net, stride = model.netdef.net, largest_stride(model.netdef)
    letterbox = net.letter_box if settings.letterbox is None else settings.letterbox
    size = network_size(model.netdef, settings.img_size)
    if settings.rect and not letterbox:
        raise UsageError("--rect is a letterbox without border, but the cfg asks for stretching; add --letterbox")
    dataset = EvalDataset(
        samples,
        size,
        letterbox,
        cache_images,
        resize=settings.resize or "half-pixel",
        rect_stride=stride if settings.rect else None,
        channels=net.channels,
    )
    pinned = device_of(model).type == "cuda"
    return eval_loader(dataset, settings.batch_size, settings.workers, pinned, shard)


def detect(
    model: Detector,
    batches: Iterable[EvalBatch],
    settings: NmsSettings,
    progress: bool = False,
    clip: bool = True,
) -> list[Detected]:
    """Run the network on batches of images; the detections are in the order of the set, and clipped to the images if
    `clip`. The progress bar is written to standard error if that is a terminal."""
    return in_order(detect_placed(model, batches, settings, progress, clip))


def detect_placed(
    model: Detector, batches: Iterable[EvalBatch], settings: NmsSettings, progress: bool, clip: bool
) -> list[Placed]:
    """As `detect`, with the position of each image in the set, in any order."""
    training = model.training
    model.eval()
    found: list[Placed] = []
    try:
        for batch in tqdm(batches, desc="evaluate", leave=False, disable=None if progress else True):
            places = batch.indices or range(len(found), len(found) + len(batch.samples))
            found += zip(places, _detect_batch(model, batch, settings, clip), strict=True)
    finally:
        model.train(training)
    return found


def in_order(found: Iterable[Placed]) -> list[Detected]:
    """The detections in the order of the set."""
    return [detected for _, detected in sorted(found, key=lambda entry: entry[0])]


@torch.inference_mode()
def _detect_batch(model: Detector, batch: EvalBatch, settings: NmsSettings, clip: bool) -> list[Detected]:
    imgs = network_input(batch.imgs, device_of(model))
    raw = model(imgs)
    with one_thread():
        decoded = decode(raw, model.heads, (imgs.shape[3], imgs.shape[2]))
        return select(decoded, batch, settings, clip)


@contextmanager
def one_thread() -> Iterator[None]:
    """Compute in one thread: many small steps gain nothing from more, and on a busy machine each would wait for the
    slowest of them (selection took ten times as long)."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def network_input(imgs: Tensor, device: torch.device) -> Tensor:
    """(B, C, H, W) of 0 … 255 → float32 in [0, 1], channels last."""
    return imgs.to(device, non_blocking=True).to(torch.float32, memory_format=torch.channels_last) / 255


def select(decoded: Tensor, batch: EvalBatch, settings: NmsSettings, clip: bool = True) -> list[Detected]:
    """The detections in each image from the decoded boxes (B, N, 5+C) of a batch.

    Boxes compete as fractions of the image, as in Darknet: unlike the IoU, the DIoU depends on the unit.
    """
    decoded = torch.cat((_in_image(decoded[..., :4], batch.fits), decoded[..., 4:]), dim=2)
    kept = [found.cpu().numpy().astype(np.float64) for found in nms_batch(decoded, settings)]
    return [
        Detected(sample, fit.image_wh, _in_pixels(found, fit.image_wh, clip))
        for sample, fit, found in zip(batch.samples, batch.fits, kept, strict=True)
    ]


def _in_image(boxes: Tensor, fits: Sequence[Fit]) -> Tensor:
    """(B, N, 4) cxcywh as fractions of the network input → as fractions of each image."""
    if all(fit.size_wh == fit.net_wh for fit in fits):
        return boxes
    nets, sizes, offsets = (
        boxes.new_tensor([getattr(fit, name) * 2 for fit in fits])[:, None]
        for name in ("net_wh", "size_wh", "origin_xy")
    )
    offsets[..., 2:] = 0
    return (boxes * nets - offsets) / sizes


def _in_pixels(found: np.ndarray, image_wh: tuple[int, int], clip: bool) -> np.ndarray:
    limit = np.array(image_wh * 2, np.float64)
    edges = found[:, :4] * limit
    return np.concatenate((np.clip(edges, 0.0, limit) if clip else edges, found[:, 4:]), axis=1)


def _inference(settings: EvaluateSettings, chosen: NmsSettings, dataset: EvalDataset) -> Inference:
    return Inference(
        img_size=dataset.img_size_wh,
        fit="letterbox" if dataset.letterbox else "stretch",
        resize=dataset.resize,
        rect=settings.rect,
        conf=chosen.conf,
        nms=chosen.iou,
        nms_kind=chosen.kind if chosen.kind == "greedy" else f"diou^{chosen.beta:g}",
        max_detections=chosen.max_detections,
    )
