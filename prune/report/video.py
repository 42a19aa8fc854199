"""Writing videos with OpenCV."""

from __future__ import annotations

import os
from pathlib import Path

import cv2

from prune.errors import UsageError
from prune.samples.images import Image


class VideoWriter:
    """An mp4 that appears under its name when it is closed, with the frames added until then."""

    def __init__(self, path: Path, fps: float, size_wh: tuple[int, int]) -> None:
        """`fps`: frames per second. Raises UsageError where this OpenCV cannot write mp4."""
        path.parent.mkdir(parents=True, exist_ok=True)
        self.path, self.size_wh, self.frames = path, size_wh, 0
        self._unfinished = path.with_name(f".{path.stem}.unfinished{path.suffix}")
        code = cv2.VideoWriter.fourcc(*"mp4v")
        self._writer = cv2.VideoWriter(str(self._unfinished), code, fps, size_wh)
        if not self._writer.isOpened():
            raise UsageError(f"{path}: this OpenCV cannot write mp4 videos; install opencv-python with FFmpeg")

    def add(self, image: Image) -> None:
        """Append an RGB frame; one of another size (a stream may change it) is resized."""
        if (image.shape[1], image.shape[0]) != self.size_wh:
            image = cv2.resize(image, self.size_wh)  # type: ignore[assignment]
        self._writer.write(cv2.cvtColor(image, cv2.COLOR_RGB2BGR))
        self.frames += 1

    def close(self) -> None:
        """Finish the file; calling it again has no effect."""
        self._writer.release()
        if self._unfinished.exists():
            os.replace(self._unfinished, self.path)
