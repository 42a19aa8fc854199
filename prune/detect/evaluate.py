"""A network over a set of images: its detections, and how good they are."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from tqdm import tqdm

from prune.darknet.shapes import largest_stride
from prune.detect.coco import CocoTruth, coco_ap, results_entries, write_results
from prune.detect.dataset import EvalDataset
from prune.detect.decode import decode
from prune.detect.edges import area
from prune.detect.faults import Faults
from prune.detect.loaders import EvalBatch, EvalLoader, eval_loader
from prune.detect.metrics import Metrics
from prune.detect.nms import nms
from prune.detect.sample import Sample, SampleSet
from prune.detect.settings import EvaluateSettings, NmsSettings
from prune.detect.voc import Points, VocTruth, mean_ap, voc_ap
from prune.errors import DataError, UsageError
from prune.model.build import DarknetModel

Floats = NDArray[np.float64]
Wh = tuple[int, int]
_POINTS: dict[str, Points] = {"voc07": "11", "voc10": "area"}


@dataclass(frozen=True, slots=True, eq=False)
class Detected:
    """What was found in one image: (n, 6) x0 y0 x1 y1 in pixels of the image (edges from 0, clipped to it),
    score, class from 0; by falling score. `size_wh`: the image's size in pixels."""

    sample: Sample
    size_wh: Wh
    found: Floats


def evaluate(model: DarknetModel, samples: SampleSet, settings: EvaluateSettings) -> Metrics:
    """Measure a network on a set of images; it is run in eval mode and left in the mode it was in.

    Images that do not decode are left out and counted. Raises UsageError where the network and the data
    have different classes, or the input size is none the network can take;
    DataError where no image decodes.
    """
    return examine(model, samples, settings)[0]


def examine(
    model: DarknetModel, samples: SampleSet, settings: EvaluateSettings
) -> tuple[Metrics, list[Detected], Faults]:
    """As `evaluate`; beside the metrics the detections and which images did not decode."""
    settings = settings.for_source(samples.source)
    loader = make_loader(model, samples, settings)
    detected = detect(model, loader, settings.nms, settings.progress)
    if not detected:
        raise DataError(samples.samples[0].image, None, "does not decode, nor does any other; check the images")
    return measure(detected, samples, settings, loader.dataset), detected, loader.dataset.faults


def make_loader(
    model: DarknetModel, samples: SampleSet, settings: EvaluateSettings, cache_images: bool = False
) -> EvalLoader:
    """The images, fitted as the settings or else the network's cfg say. For several evaluations, keep it."""
    check_classes(model, samples)
    net, stride = model.netdef.net, largest_stride(model.netdef)
    letterbox = net.letter_box if settings.letterbox is None else settings.letterbox
    size = settings.img_size or (net.width, net.height)
    if size[0] % stride or size[1] % stride:
        raise UsageError(f"--img-size {size[0]}x{size[1]} must be multiples of {stride}, the largest stride")
    pinned = next(model.parameters()).is_cuda
    dataset = EvalDataset(samples, size, letterbox, cache_images)
    return eval_loader(dataset, settings.batch_size, settings.workers, pinned)


def check_classes(model: DarknetModel, samples: SampleSet) -> None:
    """Raise UsageError unless the network reads RGB and tells apart as many classes as the data has."""
    path, channels = model.netdef.path, model.netdef.net.channels
    if channels != 3:
        raise UsageError(f"{path}: channels={channels} in [net], but images are read as RGB: 3 channels")
    known = max((head.classes for head in model.heads), default=0)
    if known != len(samples.names):
        raise UsageError(
            f"{model.netdef.path} has {known} classes and the data {len(samples.names)}: "
            "adapt the cfg with python -m prune.adapt, or choose the data it was made for"
        )


def detect(
    model: DarknetModel, batches: Iterable[EvalBatch], settings: NmsSettings, progress: bool = False
) -> list[Detected]:
    """Run the network over batches of images. A progress bar goes to standard error if that is a terminal."""
    training = model.training
    model.eval()
    found: list[Detected] = []
    try:
        for batch in tqdm(batches, desc="evaluate", leave=False, disable=None if progress else True):
            found += _detect_batch(model, batch, settings)
    finally:
        model.train(training)
    return found


@torch.inference_mode()
def _detect_batch(model: DarknetModel, batch: EvalBatch, settings: NmsSettings) -> list[Detected]:
    device = next(model.parameters()).device
    imgs = batch.imgs.to(device, non_blocking=True).to(torch.float32, memory_format=torch.channels_last) / 255
    decoded = decode(model(imgs), model.heads, (imgs.shape[3], imgs.shape[2]))
    kept = [nms(image, settings).cpu().numpy().astype(np.float64) for image in decoded]
    return [
        Detected(sample, fit.image_wh, np.concatenate((fit.to_pixels(k[:, :4]), k[:, 4:]), axis=1))
        for sample, fit, k in zip(batch.samples, batch.fits, kept, strict=True)
    ]


def measure(
    detected: Sequence[Detected], samples: SampleSet, settings: EvaluateSettings, dataset: EvalDataset
) -> Metrics:
    """The metrics of detections by the protocol of `settings`; `dataset` tells how the images were fitted."""
    settings = settings.for_source(samples.source)
    base = Metrics(
        protocol=str(settings.ap),
        images=len(detected),
        img_size=dataset.img_size_wh,
        fit="letterbox" if dataset.letterbox else "stretch",
        conf=settings.conf_thres,
        nms=settings.nms_thres,
        skipped=len(samples) - len(detected),
    )
    return _by_coco(base, detected, samples) if settings.ap == "coco" else _by_voc(base, detected, samples)


def _by_coco(base: Metrics, detected: Sequence[Detected], samples: SampleSet) -> Metrics:
    result = coco_ap([d.found for d in detected], [_coco_truth(d) for d in detected], len(samples.names))
    sizes = {"small": result.small, "medium": result.medium, "large": result.large}
    return base.with_values(
        ap=result.ap,
        ap50=result.ap50,
        ap75=result.ap75,
        per_class=_named(samples.names, result.per_class),
        sizes={name: value for name, value in sizes.items() if value is not None},
    )


def _by_voc(base: Metrics, detected: Sequence[Detected], samples: SampleSet) -> Metrics:
    found = [np.concatenate((devkit_boxes(d.found[:, :4]), d.found[:, 4:]), axis=1) for d in detected]
    truths = [
        VocTruth(devkit_boxes(d.sample.pixel_edges(d.size_wh)), d.sample.classes, d.sample.difficult) for d in detected
    ]
    results = voc_ap(found, truths, len(samples.names), _POINTS[base.protocol])
    mean = mean_ap(results)
    return base.with_values(
        ap50=None if math.isnan(mean) else mean, per_class=_named(samples.names, [result.ap for result in results])
    )


def devkit_boxes(edges: Floats) -> Floats:
    """(n, 4) edges in pixels from 0 → xmin ymin xmax ymax of the VOC devkit, which counts pixels from 1 and
    includes both ends: the edges [a, b] enclose the pixels a + 1 … b."""
    return np.asarray(edges + np.array((1.0, 1.0, 0.0, 0.0)))


def _coco_truth(detected: Detected) -> CocoTruth:
    """Where the source has no segments, an object's area is its box's."""
    sample, boxes = detected.sample, detected.sample.pixel_edges(detected.size_wh)
    areas = area(boxes)
    if sample.areas is not None:
        areas = np.where(sample.areas > 0, sample.areas, areas)
    return CocoTruth(boxes, sample.classes, sample.crowd, areas)


def _named(names: Sequence[str], values: Sequence[float]) -> dict[str, float]:
    """Value by class name, of the classes that have one."""
    return {name: value for name, value in zip(names, values, strict=True) if not math.isnan(value)}


def write_detections(path: Path, detected: Sequence[Detected], samples: SampleSet) -> None:
    """Write a COCO results file. Categories have the ids of a COCO source, else count from 1."""
    categories = samples.category_ids or tuple(range(1, len(samples.names) + 1))
    entries = results_entries([d.found for d in detected], [d.sample.image_id for d in detected], categories)
    write_results(path, entries)
