"""The first thing a started command does, before anything slow is imported: set how its threads wait, and how Ctrl-C or
SIGTERM end it.

Only a script that was started calls `start`. Importing the package changes neither the environment nor a signal.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from types import FrameType

EXIT_INTERRUPTED = 130
SIGNALS = (signal.SIGINT, signal.SIGTERM)
MESSAGE = b"error: interrupted\n"
cleanups: list[Callable[[], None]] = []
"""What must be done even where an interrupted command cannot end by an exception."""
_owner: int | None = None
_interrupted = False


def start() -> None:
    """Set how threads wait and how signals end the command. Calling it again does nothing."""
    global _owner
    if _owner == os.getpid():
        return
    _owner = os.getpid()
    wait_passively()
    for number in SIGNALS:
        if signal.getsignal(number) is not signal.SIG_IGN:  # as nohup and shells ask for in the background
            signal.signal(number, _interrupt)


def wait_passively() -> None:
    """Let OpenMP threads sleep while they wait, unless the user has chosen otherwise.

    Where two trainings share the cores, spinning threads take them from each other: a step takes twice as long. The
    libraries read the environment when torch is loaded. GOMP_SPINCOUNT would defeat a user's OMP_WAIT_POLICY=ACTIVE.
    """
    policy = os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    if policy.strip().upper() == "PASSIVE":
        os.environ.setdefault("GOMP_SPINCOUNT", "0")


def was_interrupted() -> bool:
    """Whether a signal has asked this process to end."""
    return _interrupted


def ignore_signals() -> None:
    """The exit code is decided: interrupting the interpreter's shutdown would only print a traceback."""
    for number in SIGNALS:
        signal.signal(number, signal.SIG_IGN)


def _interrupt(number: int, frame: FrameType | None) -> None:
    """Raise KeyboardInterrupt; end at once the second time, and during an import: its callbacks swallow exceptions."""
    global _interrupted
    if os.getpid() != _owner:
        _end_child(number)
    elif _interrupted or _imports(frame):
        os.write(2, MESSAGE)
        for cleanup in cleanups:
            cleanup()
        os._exit(EXIT_INTERRUPTED)
    else:
        _interrupted = True
        raise KeyboardInterrupt


def _end_child(number: int) -> None:
    """In a forked process that loads images: Ctrl-C is for the parent, which ends its children itself."""
    if number == signal.SIGTERM:
        signal.signal(number, signal.SIG_DFL)
        os.kill(os.getpid(), number)


def _imports(frame: FrameType | None) -> bool:
    while frame is not None:
        if frame.f_code.co_filename.startswith("<frozen importlib"):
            return True
        frame = frame.f_back
    return False
