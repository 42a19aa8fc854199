"""Settings of an export: plain values, without the packages that it needs."""

from __future__ import annotations

from dataclasses import dataclass

from prune.errors import UsageError
from prune.settings import option

DYNAMIC = "dynamic"
IMAGES, DETECTIONS, BATCH = "images", "detections", "batch"
"""The names of the input, of the output of decoded boxes, and of their first dimension where it is dynamic."""
OPSET = 13
"""The oldest in which all that is written here exists, and which onnxruntime, OpenVINO, OpenCV and pnnx read."""
IR_VERSION = 7
"""The version of the file format that came with the opset: older programs refuse a newer one."""


def parse_batch(text: str) -> int | str:
    """A number, or `dynamic`."""
    return text if text == DYNAMIC else int(text)


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportSettings:
    """What an exported file computes. `batch`: images per run, or DYNAMIC."""

    batch: int | str = option(
        1, "images per run; dynamic: any number of them, chosen at each run", metavar="N|dynamic", parse=parse_batch
    )
    decode: bool = option(
        False, "one output of boxes, objectness and class scores, decoded; default: the raw map of each head"
    )
    fold_bn: bool = option(True, "fold the batch norms into their convolutions")

    def __post_init__(self) -> None:
        if self.batch != DYNAMIC and (not isinstance(self.batch, int) or self.batch < 1):
            raise UsageError(f"--batch {self.batch} must be at least 1, or dynamic")

    @property
    def fixed_batch(self) -> int | None:
        """Images per run; None where that is chosen at each run."""
        return self.batch if isinstance(self.batch, int) else None
