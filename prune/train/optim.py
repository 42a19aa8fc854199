"""The optimiser and its parameter groups."""

from __future__ import annotations

from torch import nn
from torch.optim import SGD, AdamW, Optimizer

from prune.train.schedule import Schedule
from prune.train.settings import TrainSettings


def make_optimizer(model: nn.Module, settings: TrainSettings, scaled: bool = False) -> Optimizer:
    """SGD with Nesterov momentum, or AdamW; weight decay acts on convolution kernels only.

    Decay on gamma, beta or biases would change exactly the values on which pruning decides. A step is one kernel for
    all parameters, on the CPU a quarter of the time of torch's default. `scaled`: a GradScaler may skip steps; torch's
    fused SGD would then, if the first step is skipped, continue from a momentum that was never set.
    """
    kernels = {id(m.weight): m.weight for m in model.modules() if isinstance(m, (nn.Conv2d, nn.Linear))}
    others = [p for p in model.parameters() if id(p) not in kernels]
    groups = [  # a kernel that several layers share is listed once
        {"params": list(kernels.values()), "weight_decay": settings.weight_decay},
        {"params": others, "weight_decay": 0.0},
    ]
    groups = [group for group in groups if group["params"]]
    if settings.optimizer == "adamw":
        return AdamW(groups, lr=settings.top_lr, betas=(settings.momentum, 0.999), **kernels_of(scaled))
    nesterov = settings.momentum > 0
    return SGD(groups, lr=settings.top_lr, momentum=settings.momentum, nesterov=nesterov, **kernels_of(scaled))


def kernels_of(scaled: bool) -> dict[str, bool]:
    """Which of torch's implementations an optimiser uses."""
    return {"foreach": True} if scaled else {"fused": True}


def set_rates(optimizer: Optimizer, schedule: Schedule, step: int) -> float:
    """Give every group the learning rate and momentum of `step`; returns the learning rate."""
    lr, momentum = schedule.lr_at(step), schedule.momentum_at(step)
    for group in optimizer.param_groups:
        group["lr"] = lr
        if "betas" in group:
            group["betas"] = (momentum, group["betas"][1])
        else:
            group["momentum"] = momentum
    return lr
