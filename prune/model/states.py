"""Compares a network's state dict with a cfg: what does not fit, in the terms of the cfg."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor

from prune.model.build import DarknetModel


def misfit(model: DarknetModel, state: Mapping[str, Tensor]) -> str:
    """The first difference between a state of this project and `model`; empty where it fits.

    Both numbers of classes, where nothing else differs.
    """
    wanted = model.state_dict()
    if missing := [name for name in wanted if name not in state]:
        return f"it has no {missing[0]}"
    if more := [name for name in state if name not in wanted]:
        return f"it has {more[0]}, which the cfg does not have"
    differing = [name for name in wanted if wanted[name].shape != state[name].shape]
    if not differing:
        return ""
    classes = _other_classes(model, state, differing)
    if classes is not None:
        return f"its heads have {classes} classes, not {model.heads[0].classes}"
    name = differing[0]
    return f"its {name} has the shape {_text(state[name])}, the cfg needs {_text(wanted[name])}"


def _other_classes(model: DarknetModel, state: Mapping[str, Tensor], differing: list[str]) -> int | None:
    """The classes of a state that differs only in the convolutions before the heads; None where more differs."""
    heads = {head.inputs[0]: head for head in model.heads}
    classes = set[float]()
    for name in differing:
        head = heads.get(int(name.split(".")[1])) if name.startswith("blocks.") else None
        if head is None or not state[name].ndim:
            return None
        classes.add(len(state[name]) / head.boxes - head.entries)
    (count, *others) = classes
    return int(count) if not others and count == int(count) >= 1 else None


def _text(tensor: Tensor) -> str:
    return "×".join(map(str, tensor.shape)) or "()"
