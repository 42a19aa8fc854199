"""Checkpoints of other programs: their tensors, found by layer number or by order, as the parameters of a cfg's layers.

Of a name only the layer number is used. What a module is follows from its tensors: four dimensions are a kernel, a
running mean is batch norm. A checkpoint is accepted only if every convolution of the cfg is found exactly, with
matching shapes and nothing left over.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor

from prune.darknet.layers import Connected, Convolutional
from prune.darknet.layout import Slot, slots
from prune.darknet.netdef import NetDef
from prune.darknet.records import ConvParams, Floats, Header, Record, Weights
from prune.errors import WeightsError

logger = logging.getLogger(__name__)
_NUMBERED = re.compile(r"(?P<prefix>.*?)(?<![^.])(?P<index>\d+)(?![^.])", re.DOTALL)
Module = Mapping[str, Tensor]
_NORM = ("bias", "weight", "running_mean", "running_var")

PROGRAMS = (
    (r"module_list\.\d+\.(Conv2d|BatchNorm2d)\.", "the PyTorch YOLOv3 of Ultralytics and its descendants"),
    (r"module_list\.\d+\.(conv|batch_norm)_\d+\.", "PyTorch-YOLOv3 (eriklindernoren's) and its descendants"),
    (r"models\.\d+\.", "pytorch-YOLOv4 and its descendants"),
    (r"model\.(model\.)?\d+\.", "Ultralytics' YOLOv5 or a later one"),
    (r"(backbone|neck|bbox_head)\.", "MMDetection or a descendant"),
)
"""How the parameter names of popular programs begin, and their programs."""


@dataclass(frozen=True, slots=True)
class _Found:
    """A kernel and the vectors that belong to it: bias (C,) or batch norm's beta, gamma, mean and variance."""

    name: str
    weight: Tensor
    vectors: tuple[Tensor, ...]

    def obstacle(self, slot: Slot) -> str:
        """Why it does not fit the layer of a slot; empty where it does."""
        shape, wanted = tuple(self.weight.shape), slot.shape
        if shape != wanted:
            return f"layer {slot.layer.index} needs a kernel {_text(wanted)}, {self.name} has {_text(shape)}"
        normal = isinstance(slot.layer, Convolutional) and slot.layer.batch_normalize
        if len(self.vectors) != (4 if normal else 1):
            wants = "batch norm with all four vectors" if normal else "a bias and no batch norm"
            return f"layer {slot.layer.index} needs {wants}, unlike {self.name}"
        if any(tuple(vector.shape) != wanted[:1] for vector in self.vectors):
            return f"layer {slot.layer.index} needs vectors of {wanted[0]} numbers, {self.name} has others"
        return ""

    def record(self) -> ConvParams:
        return ConvParams(_array(self.weight), *map(_array, self.vectors))


def is_ours(state: Mapping[str, Tensor]) -> bool:
    """Whether the names are those of this project's networks."""
    return any(name.startswith(("blocks.", "shortcuts.")) for name in state)


def peer_weights(path: Path, state: Mapping[str, Tensor], netdef: NetDef) -> Weights:
    """The weights of `netdef` from the tensors of another program.

    Raises WeightsError, which names the program and what does not fit.
    """
    wanted, modules = slots(netdef), _modules(state)
    obstacles = [_unreadable(wanted)]
    numbered, ordered = _by_number(modules), _in_order(modules)
    if not obstacles[0] and numbered is not None:
        kernels = [numbered.get(slot.layer.index) for slot in wanted]
        obstacles.append(_compared(wanted, kernels, len(numbered)))
        if not obstacles[-1]:
            logger.info("%s: parameter names of %s, read by layer number", path, _program(state))
            return _weights(wanted, kernels)
    if not obstacles[0]:
        obstacles.append(_compared(wanted, ordered, len(ordered)))
        if not obstacles[-1]:
            logger.warning("%s: parameter names of %s, read in their order; check the result", path, _program(state))
            return _weights(wanted, ordered)
    obstacle, example = next(filter(None, obstacles)), next(iter(state))[:60]
    message = f"has parameter names of {_program(state)} ({example}) and does not fit {netdef.path}: {obstacle}"
    raise WeightsError(path, f"{message}; export it as .weights with that program and pass that file")


def _modules(state: Mapping[str, Tensor]) -> dict[str, Module]:
    """Module name → its tensors, in the order of the state."""
    modules = dict[str, dict[str, Tensor]]()
    for name, tensor in state.items():
        module, _, leaf = name.rpartition(".")
        modules.setdefault(module, {})[leaf] = tensor
    return dict(modules)


def _in_order(modules: Mapping[str, Module]) -> list[_Found]:
    """The kernels in their order, each with its bias or the batch norm after it."""
    groups = list[dict[str, Module]]()
    for name, tensors in modules.items():
        if _is_kernel(tensors):
            groups.append({name: tensors})
        elif "running_mean" in tensors and groups:
            groups[-1][name] = tensors
    return [_of_one_layer(group)[0] for group in groups]


def _by_number(modules: Mapping[str, Module]) -> dict[int, _Found | None] | None:
    """Layer number → its kernel, None where it has only batch norm.

    None for all where names have no number, several roots or several kernels per number.
    """
    layers: dict[tuple[str, int], dict[str, Module]] = {}
    for name, tensors in modules.items():
        if _is_kernel(tensors) or "running_mean" in tensors:
            match = _NUMBERED.match(name)
            if match is None or len(match["index"]) > 6:
                return None
            layers.setdefault((match["prefix"], int(match["index"])), {})[name] = tensors
    found = {key: _of_one_layer(members) for key, members in layers.items()}
    if len({prefix for prefix, _ in layers}) != 1 or any(len(kernels) > 1 for kernels in found.values()):
        return None
    return {index: next(iter(kernels), None) for (_, index), kernels in found.items()}


def _of_one_layer(members: Mapping[str, Module]) -> list[_Found]:
    """The kernels among the modules of one layer, each with its bias and the vectors of all batch norms."""
    norms = [tensors for tensors in members.values() if not _is_kernel(tensors)]
    vectors = [tensors[leaf] for tensors in norms for leaf in _NORM if leaf in tensors]
    kernels = {name: tensors for name, tensors in members.items() if _is_kernel(tensors)}
    return [
        _Found(name, tensors["weight"], (*([tensors["bias"]] if "bias" in tensors else []), *vectors))
        for name, tensors in kernels.items()
    ]


def _is_kernel(tensors: Module) -> bool:
    return "weight" in tensors and tensors["weight"].ndim == 4


def _unreadable(wanted: Sequence[Slot]) -> str:
    for slot in wanted:
        if not isinstance(slot.layer, Convolutional) or isinstance(slot.layer, Connected):
            return f"other programs store [{slot.layer.kind}] (layer {slot.layer.index}) differently"
    return ""


def _compared(wanted: Sequence[Slot], found: Sequence[_Found | None], total: int) -> str:
    """The first difference between what was found and what is needed; empty where there is none."""
    for slot, kernel in zip(wanted, found, strict=False):
        if kernel is None:
            return f"it has no convolution {slot.layer.index}"
        if obstacle := kernel.obstacle(slot):
            return obstacle
    return "" if total == len(wanted) else f"it has {total} convolutions, the cfg {len(wanted)}"


def _weights(wanted: Sequence[Slot], found: Sequence[_Found | None]) -> Weights:
    pairs = zip(wanted, found, strict=True)
    records: dict[int, Record] = {slot.layer.index: kernel.record() for slot, kernel in pairs if kernel is not None}
    return Weights(Header(), records)


def _program(state: Mapping[str, Tensor]) -> str:
    return next(_programs(state), "another program")


def _programs(state: Mapping[str, Tensor]) -> Iterator[str]:
    return (program for pattern, program in PROGRAMS for name in state if re.match(pattern, name))


def _array(tensor: Tensor) -> Floats:
    return tensor.detach().float().contiguous().numpy()


def _text(shape: tuple[int, ...]) -> str:
    return "×".join(map(str, shape))
