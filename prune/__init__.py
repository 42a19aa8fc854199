"""Pruning of Darknet/YOLO detectors: a pure function from (cfg, weights) to (cfg, weights)."""

from __future__ import annotations

__version__ = "0.1.0"
