"""How important each channel is: the criteria by name."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from prune.darknet.records import Weights
from prune.graph.channels import ChannelGraph
from prune.plan.score import Scores, gammas

Importance = Callable[[ChannelGraph, Weights], Scores]
"""Scores (ids,) of a network's channels, larger for more important ones; NaN where nothing is known of a channel."""

CRITERIA: Mapping[str, Importance] = {"gamma": gammas}
