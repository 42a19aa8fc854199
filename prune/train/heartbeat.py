"""Notices when another process of a training has ended or hangs, which would leave the others waiting for it."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from threading import Event, Thread
from typing import Protocol

from torch import distributed

from prune import startup
from prune.errors import LostProcessError
from prune.train.distributed import World

logger = logging.getLogger(__name__)
INTERVAL = 1.0
"""Seconds between two signs of life."""
SILENCE = 40.0
"""A process is given up when it has shown no sign of life for so many seconds."""
LEFT = "left"
"""The last sign of a process that has ended its training."""
_BROKEN = ("gloo", "nccl", "connection closed", "connection reset", "broken pipe", "socket", "timed out")
"""Words in errors of torch when a process that it talks to is gone."""


class Store(Protocol):
    """What all processes can read: torch's TCPStore."""

    def set(self, key: str, value: str) -> None:
        """Write a value."""
        ...

    def get(self, key: str) -> bytes:
        """Read a value."""
        ...

    def check(self, keys: list[str]) -> bool:
        """Whether all keys exist."""
        ...


class Heartbeat:
    """Shows that this process lives, and watches the others. `lost` is called with a message, in another thread."""

    def __init__(self, world: World, store: Store, lost: Callable[[str], None], silence: float = SILENCE) -> None:
        self.world, self.store, self.lost, self.silence = world, store, lost, silence
        self.beats = 0
        self.seen: dict[int, tuple[str, float]] = {}
        self._done = Event()
        self._thread = Thread(target=self._run, name="heartbeat", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> None:
        """End, and let the others know that no further sign of life will come."""
        self._done.set()
        self._thread.join(timeout=5 * INTERVAL)

    def look(self, now: float) -> list[int]:
        """Give a sign of life; the processes that have given none for `silence` seconds."""
        self.beats += 1
        self.store.set(_key(self.world.rank), str(self.beats))
        for rank, sign in self._signs().items():
            if sign != self.seen.get(rank, (None, 0.0))[0]:
                self.seen[rank] = (sign, now)
        return [rank for rank, (sign, at) in self.seen.items() if sign != LEFT and now - at > self.silence]

    def silent_now(self, seconds: float | None = None) -> list[int]:
        """Wait for a new sign of life from each process; those from which none has come, and which have not left."""
        end = time.monotonic() + (3 * INTERVAL if seconds is None else seconds)
        try:
            silent = {rank: sign for rank, sign in self._signs().items() if sign != LEFT}
            while silent and time.monotonic() < end:
                time.sleep(INTERVAL / 10)
                now = self._signs()
                silent = {rank: sign for rank, sign in silent.items() if now[rank] == sign}
        except RuntimeError:  # the store is gone
            return []
        return list(silent)

    def _signs(self) -> dict[int, str]:
        """The last sign of life of each other process; empty where there has been none."""
        keys = {rank: _key(rank) for rank in self.others()}
        return {rank: self.store.get(key).decode() if self.store.check([key]) else "" for rank, key in keys.items()}

    def others(self) -> list[int]:
        """The ranks of the other processes."""
        return [rank for rank in range(self.world.size) if rank != self.world.rank]

    def _run(self) -> None:
        last = time.monotonic()
        try:
            while not self._done.wait(INTERVAL):
                now = time.monotonic()
                if now - last > self.silence / 4:  # this process was stopped itself, and perhaps the others with it
                    self.seen.clear()
                last = now
                if gone := self.look(now):
                    self.lost(message(self.world, gone, f"no sign of life for {self.silence:.0f} s"))
                    return
            self.store.set(_key(self.world.rank), LEFT)
        except (
            RuntimeError
        ):  # the store is gone: the process that kept it has ended, which the next exchange will report
            return


def message(world: World, gone: list[int], why: str) -> str:
    """The line that ends a run, with what to do."""
    named = f"process {', '.join(str(rank + 1) for rank in gone)} of {world.size}" if gone else "another process"
    return f"{named} is gone ({why}); last.pt is intact: start all processes again with --resume"


@contextmanager
def watching(world: World) -> Iterator[None]:
    """Raises LostProcessError in place of torch's errors when another process is gone; ends this process at once where
    it would wait for one that hangs. No file is left half-written: each is replaced by a whole one."""
    if world.size == 1:
        yield
        return
    heartbeat = Heartbeat(world, _connect(), _end)
    heartbeat.start()
    try:
        yield
    except KeyboardInterrupt:
        if gone := heartbeat.silent_now():  # a launcher interrupts those that are left
            raise LostProcessError(message(world, gone, "it has ended")) from None
        raise
    except RuntimeError as cause:
        if not is_broken(cause):
            raise
        gone = _silent(heartbeat)
        if startup.was_interrupted() and not gone:  # all of them were, and another has ended first
            raise KeyboardInterrupt from None
        raise LostProcessError(message(world, gone, "the connection is closed")) from cause
    finally:
        heartbeat.stop()


def _silent(heartbeat: Heartbeat) -> list[int]:
    """Which processes are silent, even if a launcher interrupts this one in the meantime."""
    try:
        return heartbeat.silent_now()
    except KeyboardInterrupt:
        return heartbeat.silent_now()


def is_broken(error: RuntimeError) -> bool:
    """Whether it is torch's error for a process that is gone."""
    text = str(error).lower()
    return isinstance(error, distributed.DistError) or any(word in text for word in _BROKEN)


def _connect() -> Store:
    """A connection of its own to the store at which the processes met."""
    host, port = os.environ["MASTER_ADDR"], int(os.environ["MASTER_PORT"])
    store: Store = distributed.TCPStore(host, port, is_master=False, timeout=timedelta(seconds=10))  # type: ignore[attr-defined]
    return store


def _key(rank: int) -> str:
    return f"alive/{os.environ.get('TORCHELASTIC_RESTART_COUNT', '0')}/{rank}"


def _end(problem: str) -> None:
    """End this process from another thread: its main thread waits in a library for what will not come."""
    logger.error("%s", problem)
    for cleanup in startup.cleanups:
        cleanup()
    os._exit(LostProcessError.exit_code)
