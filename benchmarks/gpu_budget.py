"""A time budget that is kept: a part that takes longer than it may is interrupted, and the next one begins."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

Result = dict[str, Any]
SKIPPED, FAILED = "skipped", "failed"


class OutOfTime(BaseException):
    """The time of a part is over; not an Exception, which the interrupted code might handle."""


class Budget:
    """`seconds` from now on. Limits may be nested: the one that ends first counts."""

    def __init__(self, seconds: float) -> None:
        self._ends = [time.monotonic() + seconds]
        signal.signal(signal.SIGALRM, _interrupt)

    @property
    def left(self) -> float:
        """Seconds left of the innermost limit."""
        return self._ends[-1] - time.monotonic()

    @contextmanager
    def limit(self, seconds: float) -> Iterator[None]:
        """Raises OutOfTime in the block after that many seconds, or when an outer limit ends."""
        if self.left <= 0:
            raise OutOfTime
        self._ends.append(min(self._ends[-1], time.monotonic() + seconds))
        self._arm()
        try:
            yield
        finally:
            self._ends.pop()
            self._arm()

    def attempt(self, seconds: float, run: Callable[[], Result]) -> Result:
        """What `run` returns; {"skipped": …} where its time is over, {"failed": …} where it raises an error."""
        try:
            with self.limit(seconds):
                return run()
        except OutOfTime:
            return {SKIPPED: "no time left"}
        except Exception as error:
            return {FAILED: " ".join(f"{type(error).__name__}: {error}".split())[:300]}

    def _arm(self) -> None:
        """Set the alarm to the end of the innermost limit. There is none outside of a limit, nor within one that is
        over already: it has raised its exception, and `attempt` begins nothing more."""
        signal.setitimer(signal.ITIMER_REAL, max(0.0, self.left) if len(self._ends) > 1 else 0.0)


def _interrupt(_signal: int, _frame: object) -> None:
    raise OutOfTime


def flawed(found: Result, key: str) -> bool:
    """Whether a part or one of its rows has the `key` SKIPPED or FAILED."""
    return key in found or any(key in row for row in found.get("rows", []))
