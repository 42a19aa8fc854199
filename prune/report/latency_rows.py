"""From what was measured to the rows of a benchmark."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from prune.errors import DeploymentError
from prune.report.latency import Latency, quartiles
from prune.runtimes.measure import Measured, difference
from prune.runtimes.prepare import Prepared, share_references


def latencies(runtimes: Sequence[str], networks: Sequence[Prepared], found: Sequence[Measured]) -> list[Latency]:
    """A row for each of `found`, which is ordered by runtime, then by network."""
    references = share_references(networks)
    rows = []
    for start, runtime in zip(range(0, len(found), len(networks)), runtimes, strict=True):
        first = found[start]
        for n, network in enumerate(networks):
            row = _one(runtime, network, found[start + n], references[n])
            rows.append(_compared(row, first, networks[0]) if n else row)
    return rows


def _one(runtime: str, network: Prepared, found: Measured, reference: Sequence[NDArray[np.float64]] | None) -> Latency:
    basis: dict[str, Any] = {"runtime": runtime, "network": network.name}
    basis |= {"parameters": network.cost.parameters, "bflops": network.cost.bflops}
    try:
        if found.failure is not None:
            raise DeploymentError(found.failure)
        gap = None if reference is None else difference(found.outputs, reference)
    except DeploymentError as error:
        return Latency(**basis, failure=str(error))
    low, median, high = quartiles(found.seconds)
    return Latency(
        **basis,
        precision=found.precision,
        milliseconds=median,
        first_quartile=low,
        third_quartile=high,
        load_seconds=found.load_seconds,
        peak_bytes=found.peak_bytes,
        difference=gap,
    )


def _compared(row: Latency, first: Measured, network: Prepared) -> Latency:
    """The row with what it gained over the first network in the same runtime."""
    reduction = network.cost.bflops / row.bflops if row.bflops else None
    if row.milliseconds is None or first.failure is not None:
        return row
    return replace(row, speedup=quartiles(first.seconds)[1] / row.milliseconds, bflops_reduction=reduction)
