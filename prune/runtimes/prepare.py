"""What is measured: networks as they are given on the command line, and the files that runtimes read."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from prune.darknet.netdef import NetDef, read_netdef, write_netdef
from prune.darknet.shapes import network_size
from prune.darknet.weights import write_weights
from prune.errors import FileError, PruneError, UsageError
from prune.graph.cost import Cost, network_cost
from prune.runtimes.open import read_info
from prune.runtimes.types import NetworkFiles, Shape, is_exported

if TYPE_CHECKING:
    from prune.darknet.records import Weights


@dataclass(frozen=True, slots=True)
class Given:
    """A network as it is given: a Darknet pair, or an exported file alone (`cfg` None)."""

    name: str
    cfg: Path | None
    weights: Path


@dataclass(frozen=True, slots=True, eq=False)
class Prepared:
    """A network ready to be measured. `imgs`: the input, an .npy; `shape`: that of the input. `reference`: the maps
    that our forward pass in float64 computes from it, None where the files do not tell. `digest`: of the pair."""

    name: str
    netdef: NetDef
    shape: Shape
    cost: Cost
    files: NetworkFiles
    imgs: Path
    digest: str
    reference: tuple[NDArray[np.float64], ...] | None


@dataclass(frozen=True, slots=True)
class InputSetting:
    """The input: `size_wh` in pixels (None: the cfg's), images per run, and the seed of their random pixels."""

    size_wh: tuple[int, int] | None
    batch: int
    seed: int


def match_pairs(cfgs: Sequence[Path], weights: Sequence[Path]) -> list[Given]:
    """The networks in the order of `weights`: exported files alone, all others each with the next cfg.

    Raises UsageError where their numbers differ.
    """
    alone = [is_exported(path) for path in weights]
    if not weights or len(cfgs) != len(weights) - sum(alone):
        counts = f"{len(cfgs)} --cfg, but {len(weights) - sum(alone)} --weights of Darknet networks"
        raise UsageError(f"{counts}: give --cfg and --weights once per network; an exported .onnx needs no --cfg")
    waiting = iter(cfgs)
    named = zip(short_names(weights), weights, alone, strict=True)
    return [Given(name, None if single else next(waiting), path) for name, path, single in named]


def short_names(paths: Sequence[Path]) -> list[str]:
    """The last parts of each path without the suffix, as few as tell them apart; equal ones are numbered."""
    parts = [path.absolute().with_suffix("").parts for path in paths]
    different = len({tuple(own) for own in parts})
    count = next(n for n in range(1, 1000) if len({own[-n:] for own in parts}) == different)
    names = ["/".join(own[-count:]) for own in parts]
    return [
        name if names.count(name) == 1 else f"{name} ({names[:place].count(name) + 1})"
        for place, name in enumerate(names)
    ]


def prepare(given: Given, setting: InputSetting, folder: Path, export: bool) -> Prepared:
    """Write what the runtimes read to `folder`; `export`: the exported file of a pair, too.

    Raises UsageError, CfgError, WeightsError, FileError.
    """
    folder.mkdir(parents=True)
    return _exported(given, setting, folder) if given.cfg is None else _pair(given, given.cfg, setting, folder, export)


def share_references(networks: Sequence[Prepared]) -> list[tuple[NDArray[np.float64], ...] | None]:
    """The reference of each network: its own, or for an exported file that of the pair that it was made from, where
    that is among them and has the same input."""
    known = {(network.digest, network.shape): network.reference for network in networks if network.reference}
    return [network.reference or known.get((network.digest, network.shape)) for network in networks]


def _pair(given: Given, cfg: Path, setting: InputSetting, folder: Path, export: bool) -> Prepared:
    from prune.model.files import read_exact
    from prune.plan.types import digest

    netdef = read_netdef(cfg)
    width, height = network_size(netdef, setting.size_wh)
    _check_heads(netdef)
    weights = read_exact(given.weights, netdef)
    sized = netdef.with_size(width, height)
    write_netdef(folder / "net.cfg", sized)
    write_weights(folder / "net.weights", weights, sized)
    files = NetworkFiles(folder, _heads(netdef), folder / "net.cfg", folder / "net.weights")
    if export:
        files = _with_export(files, netdef, weights, (setting.batch, width, height))
    imgs = _random(setting, (setting.batch, netdef.net.channels, height, width))
    reference = _reference(sized, weights, imgs)
    return _prepared(given.name, netdef, files, imgs, digest(netdef, weights), reference)


def _exported(given: Given, setting: InputSetting, folder: Path) -> Prepared:
    info = read_info(given.weights)
    netdef = info.network(given.weights)
    _check_heads(netdef)
    fixed = info.width, info.height
    if setting.size_wh not in (None, fixed):
        message = f"takes images of {fixed[0]}x{fixed[1]} only: leave out --img-size, or export it for another size"
        raise FileError(given.weights, None, message)
    if info.batch not in (None, setting.batch):
        raise FileError(given.weights, None, f"takes {info.batch} images per run: pass --batch-size {info.batch}")
    imgs = _random(setting, (setting.batch, info.channels, info.height, info.width))
    files = NetworkFiles(folder, _heads(netdef), onnx=given.weights.resolve())
    return _prepared(given.name, netdef, files, imgs, "" if info.decoded else info.digest, None)


def _prepared(
    name: str,
    netdef: NetDef,
    files: NetworkFiles,
    imgs: NDArray[np.float32],
    digest: str,
    reference: tuple[NDArray[np.float64], ...] | None,
) -> Prepared:
    np.save(path := files.folder / "imgs.npy", imgs)
    batch, channels, height, width = imgs.shape
    cost = network_cost(netdef, width, height)
    return Prepared(name, netdef, (batch, channels, height, width), cost, files, path, digest, reference)


def _with_export(files: NetworkFiles, netdef: NetDef, weights: Weights, batch_wh: tuple[int, int, int]) -> NetworkFiles:
    """With the exported file, or with the reason why the network cannot be expressed in one."""
    from prune.export.build import write_network
    from prune.export.settings import ExportSettings
    from prune.export.source import Source

    batch, width, height = batch_wh
    path = files.folder / "net.onnx"
    try:
        with path.open("wb") as file:
            write_network(file, Source(netdef, weights, ExportSettings(batch=batch), (width, height)))
    except PruneError as error:
        return replace(files, unexported=f"cannot be exported: {error}")
    return replace(files, onnx=path)


def _reference(netdef: NetDef, weights: Weights, imgs: NDArray[np.float32]) -> tuple[NDArray[np.float64], ...]:
    import torch

    from prune.model.build import DarknetModel
    from prune.model.state import load_weights

    load_weights(model := DarknetModel(netdef).double().eval(), weights)
    with torch.inference_mode():
        return tuple(output.numpy() for output in model(torch.from_numpy(imgs).double()))


def _random(setting: InputSetting, shape: Shape) -> NDArray[np.float32]:
    """Pixels in [0, 1)."""
    return np.random.default_rng(setting.seed).random(shape, np.float32)


def _heads(netdef: NetDef) -> tuple[int, ...]:
    return tuple(head.index for head in netdef.heads)


def _check_heads(netdef: NetDef) -> None:
    if not netdef.heads:
        raise UsageError(f"{netdef.path} has no detection head: there is no output to compare")
