"""The reference of `benchmarks.train_speed`: a plain loop around the same module, as a training is usually written.

Eager, contiguous, float32; images are decoded at each use, by the loop itself; the losses are read at each step; L1,
clipping, AdamW and the average with torch's defaults, parameter by parameter.
"""

from __future__ import annotations

import copy
import time
from collections.abc import Callable, Iterator, Mapping

import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader

from prune.darknet.netdef import read_netdef
from prune.detect.loss import YoloLoss
from prune.loading.dataset import TrainDataset
from prune.loading.loaders import BatchPlan, Shard, collate
from prune.model.build import DarknetModel
from prune.train.inputs import read_sets, trained_netdef
from prune.train.job import Job

Seconds = tuple[float, float]
"""By the clock, and of the processor (all threads): equal or more, unless the machine has other work."""


class PlainLoop:
    """The loop and its parts."""

    def __init__(self, job: Job, s: float) -> None:
        self.device, self.s = torch.device(job.device), s
        samples, _ = read_sets(job)
        netdef = trained_netdef(read_netdef(job.cfg), job, samples)
        torch.manual_seed(job.seed)
        self.size = netdef.net.width, netdef.net.height
        self.model = DarknetModel(netdef).to(self.device).train()
        self.average = copy.deepcopy(self.model).eval()
        self.loss = YoloLoss(netdef.heads, job.loss, self.size)
        self.optimizer = torch.optim.AdamW(self.model.parameters(), lr=1e-6)
        dataset = TrainDataset(samples, job.augment, self.size, job.letterbox, job.seed, channels=netdef.net.channels)
        plan = BatchPlan(dataset, job.batch_size, job.seed, Shard())
        self.loader = DataLoader(dataset, batch_sampler=plan, collate_fn=collate)
        self.fixed = next(self.batches())

    def batches(self) -> Iterator[tuple[Tensor, Tensor]]:
        """Batches for ever."""
        while True:
            yield from self.loader

    def forward_backward(self, batch: tuple[Tensor, Tensor]) -> list[float]:
        """Gradients of the loss on a batch; its parts."""
        imgs, targets = batch[0].to(self.device).float() / 255, batch[1].to(self.device)
        parts = self.loss(self.model(imgs), targets, self.size)
        parts.total.backward()  # type: ignore[no-untyped-call]
        return torch.stack([parts.total, parts.box, parts.obj, parts.cls]).tolist()

    def step(self, batch: tuple[Tensor, Tensor]) -> None:
        """One whole step on a batch."""
        self.optimizer.zero_grad()
        self.forward_backward(batch)
        for module in self.model.modules():
            if isinstance(module, nn.BatchNorm2d) and module.weight.grad is not None:
                module.weight.grad.add_(self.s * torch.sign(module.weight.detach()))
        nn.utils.clip_grad_norm_(self.model.parameters(), 10.0)
        self.optimizer.step()
        with torch.no_grad():
            state = self.model.state_dict()
            for name, value in self.average.state_dict().items():
                if value.is_floating_point():
                    value.mul_(0.999).add_(state[name], alpha=0.001)

    def measure(self, steps: int) -> Mapping[str, list[Seconds]]:
        """Seconds of each step, by part."""
        self.step(self.fixed)
        batches, found = self.batches(), dict[str, list[Seconds]]()
        found["loading alone"] = timed(steps, lambda: next(batches))
        self.model.zero_grad()
        found["forward + backward alone"] = timed(steps, lambda: self.forward_backward(self.fixed))
        found["all together"] = timed(steps, lambda: self.step(next(batches)))
        return found


def timed(count: int, action: Callable[[], object]) -> list[Seconds]:
    """How long each of `count` calls takes; on a GPU until it has finished."""
    seconds = []
    for _ in range(count):
        start, used = time.perf_counter(), time.process_time()
        action()
        if torch.cuda.is_available():
            torch.cuda.synchronize()
        seconds.append((time.perf_counter() - start, time.process_time() - used))
    return seconds
