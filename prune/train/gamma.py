"""Statistics of all gammas of batch norm: shares, quantiles, histograms, and how far L1 can move them."""

from __future__ import annotations

import io
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from prune.errors import DataError
from prune.files.reading import read_bytes
from prune.files.writing import atomic_write
from prune.train.schedule import Schedule
from prune.train.settings import SparsitySettings

THRESHOLDS = (0.001, 0.01, 0.1)
QUANTILES = (0.0, 0.1, 0.25, 0.5, 0.75, 0.8, 0.9, 1.0)
BINS = 100
ROUNDING = 1e-9
"""Tolerance of the reach: a sum of learning rates in floating point."""
Array = NDArray[np.float64]
NOT_A_HISTORY = (
    ValueError,
    TypeError,
    KeyError,
    AttributeError,
    EOFError,
    OSError,
    BadZipFile,
    zlib.error,
    NotImplementedError,
)
"""What numpy and zipfile raise for other contents."""


def magnitudes(gammas: Sequence[Tensor]) -> Array:
    """|gamma| of all layers, concatenated, float64."""
    return torch.cat([g.detach().abs().flatten() for g in gammas]).double().cpu().numpy()


def shares_below(values: Array, thresholds: Sequence[float] = THRESHOLDS) -> dict[str, float]:
    """The share of gammas below each threshold, keyed `gamma<0.01`."""
    return {f"gamma<{t:g}": float((values < t).mean()) for t in thresholds}


@dataclass(frozen=True, slots=True)
class Reach:
    """How far L1 can move the gammas in the remaining steps.

    `travel`: how far a gamma moves for s = 1 with no other gradient. `needed`: |gamma| at the target `percent`.
    """

    s: float
    travel: float
    needed: float
    percent: float
    quantiles: dict[float, float]

    @property
    def distance(self) -> float:
        """How far `s` can move a gamma in total."""
        return self.s * self.travel

    @property
    def enough(self) -> bool:
        """Whether the gamma at the target percent can reach 0."""
        return self.distance >= self.needed * (1 - ROUNDING)

    @property
    def sufficient_s(self) -> float:
        """The smallest s whose reach covers the target percent, rounded up to two digits."""
        return _round_up(self.needed / self.travel) if self.travel > 0 else float("inf")

    def lines(self) -> list[str]:
        """What is printed before training starts."""
        table = "  ".join(f"{100 * q:g}%: {value:.3g}" for q, value in self.quantiles.items())
        return [
            f"|gamma| quantiles  {table}",
            f"reach: s = {self.s:g} can move a gamma by {self.distance:.3g} in the remaining steps; "
            f"{100 * self.percent:g} % of the gammas lie within {self.needed:.3g}",
        ]

    def warning(self) -> str:
        """The warning for an insufficient reach, with the fix."""
        return (
            f"s = {self.s:g} cannot make {100 * self.percent:g} % of the gammas sparse: its reach is "
            f"{self.distance:.3g}, but {self.needed:.3g} is needed; use --s {self.sufficient_s:g}, more epochs "
            f"or a higher --lr"
        )


def measure_reach(
    values: Array,
    schedule: Schedule,
    settings: SparsitySettings,
    *,
    epochs: int,
    first_step: int = 0,
    adaptive: bool = False,
) -> Reach:
    """Reach = s * sum of lr/(1-momentum) over the remaining steps, global decay included.

    Under local decay the smallest gammas keep s, so their reach is that of the constant mode. `adaptive`: the
    proximal step, used with optimisers other than SGD, moves by s*lr, without momentum.
    """
    total = 0.0
    for step in range(first_step, schedule.steps):
        travel = schedule.lr_at(step) if adaptive else schedule.travel(step)
        decays = settings.sr_mode == "global-decay" and is_late(step // schedule.steps_per_epoch, epochs, settings)
        total += travel * (settings.alpha if decays else 1.0)
    quantiles = {q: float(np.quantile(values, q)) for q in QUANTILES}
    needed = float(np.quantile(values, settings.planned_percent))
    return Reach(settings.given_s, total, needed, settings.planned_percent, quantiles)


def is_late(epoch: int, epochs: int, settings: SparsitySettings) -> bool:
    """Whether `epoch` (from 0) comes after the decay point: epoch > decay_at * epochs."""
    return epoch > settings.decay_at * epochs + 1e-9  # 0.29 * 100 is slightly less than 29


def _round_up(value: float) -> float:
    if value <= 0:
        return 0.0
    scale = 10.0 ** (int(np.floor(np.log10(value))) - 1)
    return float(f"{np.ceil(value / scale - ROUNDING) * scale:.2g}")


class GammaHistory:
    """Histograms of |gamma| after each epoch, in gamma_history.npz: `epochs` (E,), `edges` (101,), `counts` (E,
    100).

    The first histogram sets the edges; values beyond the last edge are counted in the last bin.
    """

    def __init__(self, path: Path, edges: Array | None = None, rows: Mapping[int, Array] | None = None) -> None:
        self.path, self.edges, self.rows = path, edges, dict(rows or {})

    def append(self, epoch: int, values: Array) -> None:
        """Add the histogram after `epoch` and write the file."""
        if self.edges is None:
            self.edges = np.linspace(0.0, max(float(values.max(initial=0.0)), 1e-6) * 1.25, BINS + 1)
        clipped = np.minimum(values, self.edges[-1])
        self.rows[epoch] = np.histogram(clipped, self.edges)[0].astype(np.float64)
        buffer = io.BytesIO()
        np.savez_compressed(
            buffer,
            epochs=np.array(list(self.rows)),
            edges=self.edges,
            counts=np.stack(list(self.rows.values())).astype(np.int64),
        )
        atomic_write(self.path, buffer.getvalue())


def resume_history(path: Path, epoch: int) -> GammaHistory:
    """The history at `path` up to, not including, `epoch`; an empty one if there is no file.

    Raises DataError if the file is not such a history.
    """
    if epoch == 0 or not path.is_file():
        return GammaHistory(path)
    try:
        with np.load(io.BytesIO(read_bytes(path, DataError))) as stored:
            epochs, edges, counts = (np.asarray(stored[name]) for name in ("epochs", "edges", "counts"))
        _check_history(epochs, edges, counts)
    except NOT_A_HISTORY as cause:
        message = "is damaged; restore the file, or remove it to continue without the earlier histograms"
        raise DataError(path, None, message) from cause
    rows = {int(e): row.astype(np.float64) for e, row in zip(epochs, counts, strict=True) if e < epoch}
    return GammaHistory(path, edges, rows)


def _check_history(epochs: NDArray[Any], edges: NDArray[Any], counts: NDArray[Any]) -> None:
    """Raises ValueError if one of the three arrays cannot belong to a history."""
    whole = epochs.dtype.kind in "iu" and counts.dtype.kind in "iu"
    shaped = epochs.ndim == 1 and edges.shape == (BINS + 1,) and counts.shape == (len(epochs), BINS)
    if not (whole and shaped and edges.dtype == np.float64):
        raise ValueError("arrays of other types or shapes")
    if not (np.isfinite(edges).all() and (np.diff(edges) > 0).all() and (counts >= 0).all()):
        raise ValueError("impossible values")
