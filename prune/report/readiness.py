"""Readiness as a table for a terminal, and as JSON."""

from __future__ import annotations

from typing import Any

from prune.plan.readiness import THRESHOLDS, LayerReadiness, Readiness
from prune.report.tables import format_table

HEADER = ("layer", "channels", *(f"< {threshold:g}" for threshold in THRESHOLDS), "cut", "loses")


def readiness_table(readiness: Readiness) -> str:
    """A row per layer that can be cut or reads something that can: shares of its γ, what a cut in the valley takes of
    it, and how much of what it reads goes."""
    return format_table(HEADER, [_row(layer) for layer in readiness.layers if layer.below or layer.lost])


def _row(layer: LayerReadiness) -> list[object]:
    below = [f"{layer.below[threshold]:6.1%}" if layer.below else None for threshold in THRESHOLDS]
    return [layer.layer, layer.channels, *below, f"{layer.cut:6.1%}" if layer.below else None, f"{layer.lost:7.3%}"]


def readiness_facts(readiness: Readiness) -> dict[str, Any]:
    """The fields of readiness.json. Shares are within 0 … 1; `percent` is what --percent auto takes."""
    return {
        "advice": readiness.advice(),
        "ready": readiness.ready,
        "separated": readiness.separated,
        "asked": readiness.asked,
        "reached": readiness.reached,
        "percent": readiness.percent,
        "share": readiness.share,
        "parameters": readiness.parameters,
        "valley": {"threshold": readiness.valley.threshold, "inside": readiness.valley.inside},
        "smallest": readiness.smallest,
        "largest": readiness.largest,
        "emptiest_layer": readiness.emptiest.layer,
        "most_lost_layer": readiness.most_lost.layer,
        "layers": [
            {
                "layer": layer.layer,
                "channels": layer.channels,
                "below": {f"{threshold:g}": share for threshold, share in layer.below.items()} or None,
                "cut": layer.cut,
                "lost": layer.lost,
            }
            for layer in readiness.layers
        ],
    }
