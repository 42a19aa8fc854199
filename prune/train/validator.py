"""Evaluating a network on the valid split during training."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from torch import nn

from prune.detect.evaluate import examine_loaded, make_loader
from prune.detect.settings import EvaluateSettings
from prune.loading.loaders import EvalLoader, Shard
from prune.metrics.result import Metrics
from prune.model.build import DarknetModel
from prune.samples.issues import Issues
from prune.samples.sample import SampleSet
from prune.train.distributed import ALONE, World
from prune.train.job import Job


class Validator:
    """Evaluates a network on the valid split; keeps the latest metrics and the images that could not be decoded.


    `world`: each process evaluates a part of the images, and has the metrics of all of them afterwards: those of the
    network that the process of rank 0 has.
    """

    def __init__(
        self, samples: SampleSet, settings: EvaluateSettings, cache_images: bool = False, world: World = ALONE
    ) -> None:
        self.samples, self.cache_images, self.world = samples, cache_images, world
        # Worker processes end with their evaluation, and with them what they have kept.
        self.settings = replace(settings, workers=0) if cache_images else settings
        self.loader: EvalLoader | None = None
        self.latest: Metrics | None = None
        self.faults = Issues()

    def __call__(self, model: nn.Module) -> Mapping[str, float]:
        assert isinstance(model, DarknetModel)
        if self.loader is None:
            shard = Shard(self.world.rank, self.world.size)
            self.loader = make_loader(model, self.samples, self.settings, self.cache_images, shard)
        self.world.share(model)
        found = examine_loaded(model, self.samples, self.settings, self.loader, self.world.gather)
        self.latest, _, self.faults = found
        values = {"ap": self.latest.ap, "ap50": self.latest.ap50, "ap75": self.latest.ap75}
        return {name: value for name, value in values.items() if value is not None}


def evaluate_settings(job: Job) -> EvaluateSettings:
    """How the valid split is evaluated during training."""
    return EvaluateSettings(ap=job.ap, letterbox=job.letterbox, batch_size=job.batch_size, workers=job.workers or 0)
