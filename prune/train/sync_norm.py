"""Batch norm over the images of all processes.

torch.nn.SyncBatchNorm refuses tensors of the CPU. There the same is computed here: means and squared deviations of the
processes are combined exactly (Chan et al. 1979, "Updating Formulae and a Pairwise Algorithm for Computing Sample
Variances"), with one collective call in each direction.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, distributed, nn
from torch.autograd import Function


class CudaBatchNorm(nn.SyncBatchNorm, nn.BatchNorm2d):
    """Torch's own, as a batch norm like any other of the network."""


class CpuBatchNorm(nn.BatchNorm2d):
    """Mean and variance are those of the batches of all processes together; in evaluation the stored ones, as ever."""

    def forward(self, input: Tensor) -> Tensor:
        """(B, C, H, W), B the images of this process; each process must call it."""
        if not self.training:
            return super().forward(input)
        mean, var, count = _joint_moments(input.detach().float())
        with torch.no_grad():
            assert self.running_mean is not None and self.running_var is not None  # noqa: PT018
            assert self.num_batches_tracked is not None and self.momentum is not None  # noqa: PT018
            self.num_batches_tracked.add_(1)
            self.running_mean.lerp_(mean.to(self.running_mean), self.momentum)
            self.running_var.lerp_((var * count / (count - 1)).to(self.running_var), self.momentum)
        scale = (var + self.eps).rsqrt()
        out: Tensor = _Normalize.apply(input, self.weight, self.bias, mean.float(), scale.float(), count)  # type: ignore[no-untyped-call]
        return out


def synchronize(model: nn.Module, device: torch.device) -> None:
    """Replace every batch norm of a network to be trained on `device`; parameters and statistics remain the same
    tensors."""
    kind = CudaBatchNorm if device.type == "cuda" else CpuBatchNorm
    for module in model.modules():
        for name, child in module.named_children():
            if type(child) is nn.BatchNorm2d:
                setattr(module, name, _synced(child, kind))


def _synced(norm: nn.BatchNorm2d, kind: type[CudaBatchNorm] | type[CpuBatchNorm]) -> nn.BatchNorm2d:
    made = kind(norm.num_features, norm.eps, norm.momentum)
    made.weight, made.bias = norm.weight, norm.bias
    made.running_mean, made.running_var = norm.running_mean, norm.running_var
    made.num_batches_tracked = norm.num_batches_tracked
    made.train(norm.training)
    return made


def _joint_moments(values: Tensor) -> tuple[Tensor, Tensor, float]:
    """(B, C, H, W) → mean (C,), variance (C,) and number of values per channel over all processes."""
    count = values.numel() // values.shape[1]
    spread, mean = torch.var_mean(values, (0, 2, 3), correction=0)
    own = torch.stack([mean, spread * count, torch.full_like(mean, float(count))]).double()
    every = [torch.empty_like(own) for _ in range(distributed.get_world_size())]
    distributed.all_gather(every, own)
    means, deviations, counts = torch.stack(every).unbind(1)  # (processes, C) each
    total = counts.sum(0)
    joint = (means * counts).sum(0) / total
    var = (deviations + counts * (means - joint).square()).sum(0) / total
    return joint, var, float(total[0])


class _Normalize(Function):
    """(x - mean) · scale · weight + bias, with the gradient that passes through the joint mean and variance."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor, mean: Tensor, scale: Tensor, count: float) -> Tensor:
        """`scale`: 1 / standard deviation (C,); `count`: values per channel."""
        ctx.save_for_backward(x, weight, mean, scale)
        ctx.count = count
        factor = scale * weight.float()
        return (x.float() * _wide(factor) + _wide(bias.float() - mean * factor)).to(x.dtype)

    @staticmethod
    def backward(ctx: Any, *outputs: Tensor) -> tuple[Tensor | None, ...]:
        """Gradients of weight and bias are those of this process, as all others that are averaged afterwards."""
        x, weight, mean, scale = ctx.saved_tensors
        grad = outputs[0].float()
        normal = (x.float() - _wide(mean)) * _wide(scale)
        own = torch.stack([grad.double().sum((0, 2, 3)), (grad * normal).double().sum((0, 2, 3))])
        joint = own.clone()
        distributed.all_reduce(joint)
        shift, slope = (joint / ctx.count).float()
        back = (grad - _wide(shift) - normal * _wide(slope)) * _wide(scale * weight.float())
        return back.to(x.dtype), own[1].to(weight.dtype), own[0].to(weight.dtype), None, None, None


def _wide(channels: Tensor) -> Tensor:
    """(C,) → (C, 1, 1)."""
    return channels[:, None, None]
