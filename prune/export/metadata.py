"""What an exported file says about itself: enough to run it, and to read its boxes, without the cfg beside it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from types import NoneType
from typing import Any

from prune.darknet.layers import Head, Yolo
from prune.darknet.netdef import NetDef, parse_netdef
from prune.errors import FileError

KEY = "darknet-prune"
"""The key of the metadata under which everything is stored, as JSON."""
FORMAT = 1
_KINDS: dict[str, type | tuple[type, ...]] = {"str": str, "int": int, "bool": bool, "int | None": (int, NoneType)}
"""The types of plain fields, by their annotation."""


@dataclass(frozen=True, slots=True)
class HeadInfo:
    """A detection head: its layer (from 0, without [net]), its kind, and what its boxes are made of.

    `anchors` are all of the cfg's, (w, h) in its unit; `mask` are the indices of those it uses.
    """

    layer: int
    kind: str
    classes: int
    anchors: tuple[tuple[float, float], ...]
    mask: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class ExportedInfo:
    """What an exported file contains. Sizes are in pixels of the network's input.

    `version`: of the program that wrote it. `digest`: of the pair it was made from, as in plan.json. `cfg`: the text of
    its cfg, byte for byte (bytes that are not UTF-8 as in `prune.files.reading`). `batch`: images per run; None: any
    number. `letterbox`: how images are fitted (else stretched). `names`: of the classes, where they were given.
    """

    version: str
    digest: str
    cfg: str
    width: int
    height: int
    channels: int
    batch: int | None
    letterbox: bool
    decoded: bool
    folded: bool
    outputs: tuple[str, ...]
    heads: tuple[HeadInfo, ...]
    names: tuple[str, ...] | None = None

    def network(self, path: Path | str) -> NetDef:
        """Its network; messages name `path`. Raises CfgError."""
        return parse_netdef(self.cfg, path)


def head_info(head: Head) -> HeadInfo:
    """What the file says about a head."""
    mask = head.mask if isinstance(head, Yolo) else tuple(range(len(head.anchors)))
    return HeadInfo(head.index, head.kind, head.classes, head.anchors, mask)


def format_info(info: ExportedInfo) -> str:
    """The JSON text of the metadata, in ASCII."""
    return json.dumps({"format": FORMAT, **asdict(info)})


def parse_info(properties: Mapping[str, str], path: Path | str) -> ExportedInfo:
    """The metadata of a file, from all of its properties. Raises FileError where they are not of this project, or of a
    newer version of it."""
    if KEY not in properties:
        raise FileError(path, None, "was not exported by darknet-prune; export the network with export.py")
    try:
        found = json.loads(properties[KEY])
        if found.pop("format") != FORMAT:
            raise FileError(path, None, f"has metadata of another format than {FORMAT}; export the network again")
        return _info(found)
    except (AttributeError, KeyError, TypeError, ValueError, RecursionError) as cause:
        raise FileError(path, None, "has damaged metadata; export the network again") from cause


def _info(found: dict[str, Any]) -> ExportedInfo:
    heads, outputs = tuple(map(_head, found.pop("heads"))), tuple(map(str, found.pop("outputs")))
    names = found.pop("names")
    info = ExportedInfo(**found, heads=heads, outputs=outputs, names=None if names is None else tuple(map(str, names)))
    for field in fields(info):
        kind = _KINDS.get(str(field.type))
        if kind is not None and not isinstance(getattr(info, field.name), kind):
            raise TypeError(field.name)
    return info


def _head(found: dict[str, Any]) -> HeadInfo:
    anchors = tuple((float(w), float(h)) for w, h in found["anchors"])
    mask = tuple(map(int, found["mask"]))
    return HeadInfo(int(found["layer"]), str(found["kind"]), int(found["classes"]), anchors, mask)
