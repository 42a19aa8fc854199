"""Training of one network by several processes:

`python -m torch.distributed.run --standalone --nproc-per-node=N train.py …`.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

import torch
from torch import Tensor, distributed, nn
from torch.nn.parallel import DistributedDataParallel

from prune.errors import UsageError

T = TypeVar("T")
BACKENDS = {"cuda": "cpu:gloo,cuda:nccl", "cpu": "gloo"}
"""By device. Objects are exchanged by gloo, whatever the device."""


@dataclass(frozen=True, slots=True)
class World:
    """This process among all. `rank` counts from 0; the process of rank 0 writes, logs and measures."""

    rank: int = 0
    size: int = 1
    local_rank: int = 0

    @property
    def writes(self) -> bool:
        """Whether this process writes files."""
        return self.rank == 0

    def mean(self, values: Mapping[str, float]) -> dict[str, float]:
        """The mean of each value over the processes, all of which must call this with the same names."""
        if self.size == 1:
            return dict(values)
        joint = torch.tensor(list(values.values()), dtype=torch.float64)
        distributed.all_reduce(joint)
        return dict(zip(values, (joint / self.size).tolist(), strict=True))

    def gather(self, item: T) -> list[T]:
        """The items of all processes, by rank; each must call this."""
        if self.size == 1:
            return [item]
        found: list[Any] = [None] * self.size
        distributed.all_gather_object(found, item)
        return found

    def share(self, module: nn.Module) -> None:
        """Give all processes the parameters and statistics that the one of rank 0 has."""
        for tensor in module.state_dict().values():
            self.agree(tensor)

    def agree(self, tensor: Tensor) -> None:
        """Give all processes the values of a tensor that the one of rank 0 has."""
        if self.size > 1:
            distributed.broadcast(tensor, 0)


ALONE = World()
"""A single process."""


def join_world(device: torch.device) -> World:
    """Join the processes that torch.distributed.run started; a world of one process if it started none."""
    if int(os.environ.get("WORLD_SIZE", "1")) == 1:
        return ALONE
    if not distributed.is_initialized():
        distributed.init_process_group(BACKENDS[device.type])
    return World(distributed.get_rank(), distributed.get_world_size(), int(os.environ.get("LOCAL_RANK", "0")))


def device_of(world: World, device: torch.device) -> torch.device:
    """The device of this process: each has its own CUDA device."""
    return torch.device("cuda", world.local_rank) if device.type == "cuda" and world.size > 1 else device


def wrap(model: nn.Module, world: World, device: torch.device) -> nn.Module:
    """The model to call in training: gradients are averaged over the processes."""
    if world.size == 1:
        return model
    return DistributedDataParallel(model, device_ids=[device.index] if device.type == "cuda" else None)


def leave_world(world: World) -> None:
    """Wait until rank 0 has written its last files, then leave."""
    if world.size > 1:
        distributed.barrier()
        distributed.destroy_process_group()


def check_world(world: World, batch_size: int, before: Mapping[str, Any]) -> str | None:
    """Compare with `before`, the settings in a checkpoint: a note where the number of processes has changed and the
    images of a step are as many as before. Raises UsageError where they are not, since the learning rate and the
    strength of a penalty are chosen for them.
    """
    processes, each = before.get("processes", world.size), before.get("batch_size", batch_size)
    if processes == world.size:
        return None
    was = f"{processes} × --batch-size {each}"
    now = f"{world.size} × {batch_size}"
    step, rest = divmod(processes * each, world.size)
    if step == batch_size and not rest:
        return f"the checkpoint was trained by {was}, now {now}: as many images per step"
    fix = f"start {processes} processes" if rest else f"pass --batch-size {step}"
    raise UsageError(f"--resume: the checkpoint was trained by {was}, but now {now} are asked for: {fix}")
