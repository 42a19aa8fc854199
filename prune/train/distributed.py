"""Training of one network by several processes:

`python -m torch.distributed.run --standalone --nproc-per-node=N train.py …`.
"""

from __future__ import annotations

import os
from dataclasses import dataclass

import torch
from torch import distributed, nn
from torch.nn.parallel import DistributedDataParallel


@dataclass(frozen=True, slots=True)
class World:
    """This process among all. `rank` counts from 0; the process of rank 0 writes, logs and evaluates."""

    rank: int = 0
    size: int = 1
    local_rank: int = 0

    @property
    def writes(self) -> bool:
        """Whether this process writes files."""
        return self.rank == 0


def join_world(device: torch.device) -> World:
    """Join the processes that torch.distributed.run started; a world of one process if it started none."""
    if int(os.environ.get("WORLD_SIZE", "1")) == 1:
        return World()
    if not distributed.is_initialized():
        distributed.init_process_group("nccl" if device.type == "cuda" else "gloo")
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
