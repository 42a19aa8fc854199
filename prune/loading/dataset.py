"""Images and targets as inputs of the network: for training (augmented) and for evaluation (only fitted)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from numpy.random import Generator
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset

from prune.errors import DataError
from prune.loading import augment
from prune.loading.augment import AugmentSettings, Matrix
from prune.loading.image_cache import DecodedImages, Samples, Wh
from prune.loading.mosaic import compose, mosaic_corners
from prune.samples.boxes import Boxes, to_centres, to_edges
from prune.samples.fit import Fit, Pixels, Resize, fit_as_darknet, fit_for, fit_image, planes, rect_for, size_of
from prune.samples.images import Image, image_size, none_decodes
from prune.samples.issues import Issues
from prune.samples.sample import Sample


@dataclass(frozen=True, slots=True)
class Draw:
    """All that one training item depends on. It is passed with the index, so that it is valid in worker processes,
    too."""

    index: int
    epoch: int
    net_wh: Wh
    settings: AugmentSettings


class TrainDataset(Dataset[tuple[Tensor, Tensor]]):
    """Augmented training images.

    An item is (img uint8 (3, H, W) RGB or with `channels=1` (1, H, W) grayscale, targets float32 (n, 5): class, cx,
    cy, w, h as fractions of the network input). It only depends on `seed`, epoch, index and settings, whatever the
    workers and the cache. Crowd and difficult objects are not targets (`voc_label.py` drops the latter, too). An image
    that cannot be decoded is replaced by the next one that can, and counted in `faults`.

    Before it is augmented, an image is shrunk to fit into `fit_wh` (None: `img_size_wh`), the largest input that will
    be used. `cache_images`: True: it is then kept in memory; a path: in that file.
    """

    def __init__(
        self,
        samples: Samples,
        settings: AugmentSettings,
        img_size_wh: Wh,
        letterbox: bool = True,
        seed: int = 0,
        cache_images: bool | Path = False,
        channels: int = 3,
        fit_wh: Wh | None = None,
    ) -> None:
        self.settings, self.img_size_wh, self.letterbox, self.seed = settings, img_size_wh, letterbox, seed
        self.epoch = 0
        self.images = DecodedImages(samples, letterbox, fit_wh or img_size_wh, channels, cache_images)
        self._targets = [_trainable(sample) for sample in self.images.samples]

    def __len__(self) -> int:
        return len(self._targets)

    def set_epoch(self, epoch: int) -> None:
        """The epoch (from 0) for plain indices."""
        self.epoch = epoch

    def set_img_size(self, img_size_wh: Wh) -> None:
        """The network size (w, h) for plain indices."""
        self.img_size_wh = img_size_wh

    @property
    def faults(self) -> Issues:
        """Images that could not be decoded so far."""
        return self.images.faults

    def __getitem__(self, key: int | Draw) -> tuple[Tensor, Tensor]:
        if not isinstance(key, Draw):
            key = Draw(key, self.epoch, self.img_size_wh, self.settings)
        rng = np.random.default_rng((self.seed, key.epoch, key.index))
        image, edges, classes = self._augmented(rng, key)
        image = augment.jitter_colours(rng, image, key.settings)
        return _to_tensor(image), _to_targets(edges, classes, key.net_wh)

    def _augmented(self, rng: Generator, draw: Draw) -> tuple[Image, Boxes, NDArray[np.int64]]:
        """The image and its remaining boxes: edges (n, 4) in pixels of the network input, classes (n,)."""
        mosaic = bool(rng.random() < draw.settings.mosaic)
        partners = rng.integers(len(self), size=3).tolist() if mosaic else []
        loaded = [self._load(index) for index in (draw.index, *partners)]
        images, indices = [image for image, _ in loaded], [index for _, index in loaded]
        affine = augment.random_affine(rng, draw.settings, draw.net_wh)
        fits = [fit_for(size_of(image), draw.net_wh, self.letterbox) for image in images]
        matrices = _matrices(rng, fits, affine)
        if mosaic:
            image = compose(images, matrices, draw.net_wh)
        elif augment.only_flips(affine):
            image = augment.flip(fit_image(images[0], fits[0]), affine)
        else:
            image = augment.warp(images[0], matrices[0], draw.net_wh)
        boxes = [self._boxes(*piece) for piece in zip(indices, fits, matrices, strict=True)]
        edges, keep = augment.clip_and_choose(np.concatenate(boxes), draw.net_wh, draw.settings)
        classes = np.concatenate([self._targets[index][0] for index in indices])
        return image, edges[keep], classes[keep]

    def _boxes(self, index: int, fit: Fit, matrix: Matrix) -> Boxes:
        """The boxes of one image, in pixels of the network input, unclipped."""
        pixels = self._targets[index][1] * (fit.image_wh * 2)
        return augment.transform_edges(pixels, matrix)

    def check_decodes(self) -> None:
        """Raise DataError where no image can be decoded: here, since such an error does not leave a worker intact."""
        self._load(0)

    def _load(self, index: int) -> tuple[Image, int]:
        """The pixels of image `index`, or of the next one that can be decoded, and its index."""
        for step in range(len(self)):
            candidate = (index + step) % len(self)
            image = self.images[candidate]
            if image is not None:
                return image, candidate
        raise DataError(self.images.samples[0].image, None, none_decodes(self.images.samples[0].image))


@dataclass(frozen=True, slots=True)
class EvalItem:
    """One image fitted for evaluation: img (3, H, W) RGB or (1, H, W) grayscale of 0 … 255, uint8 or with Darknet's
    resize float32; None where it cannot be decoded."""

    index: int
    img: Tensor | None
    fit: Fit | None


class EvalDataset(Dataset[EvalItem]):
    """Images fitted into the network input, in their order. Those that cannot be decoded are counted in `faults`.

    With `cache_images` each is kept in memory once it is fitted. With `rect_stride` (letterbox only) the border is
    left out as far as that stride allows: inputs then differ in size, see `input_wh`. `channels`: of the network,
    3 (RGB) or 1 (grayscale).
    """

    def __init__(
        self,
        samples: Samples,
        img_size_wh: Wh,
        letterbox: bool,
        cache_images: bool = False,
        resize: Resize = "half-pixel",
        rect_stride: int | None = None,
        channels: int = 3,
    ) -> None:
        self.img_size_wh, self.letterbox = img_size_wh, letterbox
        self.resize = resize
        self.images = DecodedImages(samples, letterbox, channels=channels)
        self._inputs = (
            None if rect_stride is None else [self._rect(sample, rect_stride) for sample in self.images.samples]
        )
        self._kept: dict[int, EvalItem] | None = {} if cache_images else None

    def __len__(self) -> int:
        return len(self.images.samples)

    @property
    def faults(self) -> Issues:
        """Images that could not be decoded so far."""
        return self.images.faults

    def input_wh(self, index: int) -> Wh:
        """The size in pixels of the network input that an image is fitted into."""
        return self.img_size_wh if self._inputs is None else self._inputs[index]

    def _rect(self, sample: Sample, stride: int) -> Wh:
        size = sample.size_wh or image_size(sample.image)
        return self.img_size_wh if size is None else rect_for(size, self.img_size_wh, stride)

    def __getitem__(self, index: int) -> EvalItem:
        """The item; its Fit maps back to the annotated size where the source gives one (`Sample.size_wh`)."""
        if self._kept is None:
            return self._fitted(index)
        if index not in self._kept:
            self._kept[index] = self._fitted(index)
        return self._kept[index]

    def _fitted(self, index: int) -> EvalItem:
        image = self.images[index]
        if image is None:
            return EvalItem(index, None, None)
        darknet = self.resize == "align-corners"
        fit = fit_for(size_of(image), self.input_wh(index), self.letterbox)
        fitted = fit_as_darknet(image, fit) if darknet else fit_image(image, fit)
        annotated = self.images.samples[index].size_wh or size_of(image)
        return EvalItem(index, _to_tensor(fitted), replace(fit, image_wh=annotated, half_border=darknet))

    def sample(self, index: int, fit: Fit) -> Sample:
        """The sample of an item, with its size where the source does not state it."""
        sample = self.images.samples[index]
        return sample if sample.size_wh else replace(sample, size_wh=fit.image_wh)


def _matrices(rng: Generator, fits: Sequence[Fit], affine: Matrix) -> list[Matrix]:
    """From pixels of each image to pixels of the network input: fitted and centred, or as a mosaic, then
    transformed."""
    net_w, net_h = fits[0].net_wh
    back = augment.translation(net_w / 2, net_h / 2) @ affine
    if len(fits) == 1:
        left, top = fits[0].offset_xy
        places = [augment.translation(left - net_w / 2, top - net_h / 2)]
    else:
        places = mosaic_corners(rng, [fit.size_wh for fit in fits], (net_w, net_h))
    return [back @ place @ augment.scaling(*fit.scale_xy) for place, fit in zip(places, fits, strict=True)]


def _trainable(sample: Sample) -> tuple[NDArray[np.int64], Boxes]:
    """Classes (n,) and edges (n, 4) as fractions of the image, of the objects to train on."""
    chosen = ~(sample.crowd | sample.difficult)
    return sample.classes[chosen], to_edges(sample.boxes[chosen])


def _to_tensor(image: Pixels) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(planes(image)))


def _to_targets(edges: Boxes, classes: NDArray[np.int64], net_wh: Wh) -> Tensor:
    fractions = to_centres(edges / np.array(net_wh * 2, np.float64))
    return torch.from_numpy(np.column_stack((classes, fractions)).astype(np.float32))
