"""Writes the annotated pictures and videos of detect.py and its other files, and counts detections."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

from prune.detect.predict import FrameDetections
from prune.detect.predict_settings import DetectSettings
from prune.metrics.changes import Changes, find_changes
from prune.report.detection_files import RESULTS, Crops, Results, write_labels
from prune.report.draw import Drawn
from prune.report.montage import compare_detections, draw_detections, write_picture
from prune.report.tables import format_table
from prune.report.text import drawable_names
from prune.report.video import VideoWriter
from prune.samples.boxes import Boxes
from prune.samples.frames import DEFAULT_FPS, video_facts
from prune.samples.sources import Source

logger = logging.getLogger(__name__)


class DetectionWriter:
    """Writes the detections frame by frame; a context manager that finishes the last video and the results at its end,
    also when it ends early.

    With two networks each picture shows both, `titles` above them; labels, results and crops are the first one's.
    """

    def __init__(self, out: Path, names: Sequence[str], titles: Sequence[str], settings: DetectSettings) -> None:
        self.out, self.names, self.titles, self.settings = out, tuple(names), tuple(titles), settings
        self.written: list[Path] = []
        self.images = self.frames = self.videos = 0
        self.found, self.second, self.kept = Counter[int](), Counter[int](), Counter[int]()
        self._shown = drawable_names(names)
        self._results, self._crops = Results(names), Crops(out, names)
        self._video: tuple[Source, VideoWriter] | None = None
        self._left_out = 0

    def __enter__(self) -> DetectionWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._close_video()
        if self.settings.save_json and (kind is None or self.images or self.frames):
            self._results.write(self._note(self.out / RESULTS))
        if self._left_out:
            logger.info("%d labels had no room in their pictures and were left out", self._left_out)

    def add(self, detections: FrameDetections) -> None:
        """Draw and write one frame."""
        first = detections.found[0]
        self.found.update(_classes(first))
        drawn = (
            self._compared(detections)
            if len(detections.found) > 1
            else draw_detections(detections.frame.image, first, self._shown)
        )
        self._left_out += drawn.left_out
        self._write_picture(detections, drawn)
        if self.settings.save_txt:
            self._note(write_labels(self.out, detections.frame, first))
        if self.settings.save_json:
            self._results.add(detections.frame, first)
        if self.settings.save_crop:
            self.written += self._crops.write(detections.frame, first)

    def facts(self) -> dict[str, Any]:
        """The fields of summary.json; `detections_per_class` has the classes that were found."""
        facts: dict[str, Any] = {
            "images": self.images,
            "videos": self.videos,
            "frames": self.frames,
            "detections": self.found.total(),
            "detections_per_class": {name: self.found[c] for c, name in enumerate(self.names) if self.found[c]},
        }
        if len(self.titles) > 1:
            facts["compared"] = {
                "detections": self.second.total(),
                "in_both": self.kept.total(),
                "lost": self.found.total() - self.kept.total(),
                "new": self.second.total() - self.kept.total(),
            }
        return facts

    def table(self) -> str:
        """Detections per class; for two networks those found by both, lost and new."""
        shown = [c for c in range(len(self.names)) if self.found[c] or self.second[c]]
        rows = [[self.names[c], *self._counts(Counter({c: 1}))] for c in shown]
        total = ["all", *self._counts(Counter(range(len(self.names))))]
        header = ["class", "detections"]
        if len(self.titles) > 1:
            header = ["class", "original", "pruned", "in both", "lost", "new"]
        return format_table(header, [*rows, total])

    def _counts(self, classes: Counter[int]) -> list[int]:
        found, second, kept = (sum(c[k] for k in classes) for c in (self.found, self.second, self.kept))
        return [found, second, kept, found - kept, second - kept] if len(self.titles) > 1 else [found]

    def _compared(self, detections: FrameDetections) -> Drawn:
        before, after = detections.found
        changes: Changes = find_changes(before, after)
        self.second.update(_classes(after))
        self.kept.update(_classes(before[changes.kept[:, 0]]))
        return compare_detections(
            detections.frame.image, before, after, changes, self._shown, (self.titles[0], self.titles[1])
        )

    def _write_picture(self, detections: FrameDetections, drawn: Drawn) -> None:
        source = detections.frame.source
        path = self.out / source.picture_name
        if not source.video:
            self.images += 1
            write_picture(self._note(path), drawn.image)
            return
        if self._video is None or self._video[0] != source:
            self._close_video()
            facts = video_facts(source.path)
            size_wh = drawn.image.shape[1], drawn.image.shape[0]
            self._video = source, VideoWriter(self._note(path), facts.fps if facts else DEFAULT_FPS, size_wh)
            self.videos += 1
        self._video[1].add(drawn.image)
        self.frames += 1

    def _close_video(self) -> None:
        if self._video is not None:
            self._video[1].close()
            self._video = None

    def _note(self, path: Path) -> Path:
        self.written.append(path)
        return path


def _classes(found: Boxes) -> list[int]:
    return [int(label) for label in found[:, 5]]
