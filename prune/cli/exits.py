"""How a command ends: its exit code, and one line for an error (CLI.md)."""

from __future__ import annotations

import errno
import io
import sys
from collections.abc import Callable
from typing import NoReturn

from prune import startup
from prune.cli.lock import release_all
from prune.errors import LostProcessError, PruneError
from prune.report.visible import visible

EXIT_FAILED, EXIT_USAGE, EXIT_INTERRUPTED = 1, 2, startup.EXIT_INTERRUPTED
PATH_ERRORS = (FileNotFoundError, FileExistsError, IsADirectoryError, NotADirectoryError, PermissionError)


def run_command(main: Callable[[], int | None]) -> NoReturn:
    """Run `main` and exit with its exit code; errors are reported in one line on standard error, see CLI.md."""
    startup.start()
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # a path may contain characters that the terminal's encoding lacks
            stream.reconfigure(errors="backslashreplace")
    code = exit_code(main)
    startup.ignore_signals()
    sys.exit(code)


def exit_code(main: Callable[[], int | None]) -> int:
    """The exit code of `main`: 0, or that of the error that ended it (already printed)."""
    try:
        code = main() or 0
        sys.stdout.flush()
        return code
    except KeyboardInterrupt:
        return _fail(EXIT_INTERRUPTED, "interrupted")
    except Exception as error:
        # An extension or a child process may turn the signal into another error; but where several processes train, a
        # launcher interrupts those that are left when one has ended.
        if startup.was_interrupted() and not isinstance(error, LostProcessError):
            return _fail(EXIT_INTERRUPTED, "interrupted")
        return _code_of(error)
    finally:
        release_all()


def _code_of(error: Exception) -> int:
    """Print the line of an expected error and return its exit code; raise any other."""
    if isinstance(error, PruneError):
        return _fail(error.exit_code, str(error))
    if isinstance(error, BrokenPipeError):  # the reader of our output has closed it
        _drop_output()
        return EXIT_FAILED
    if isinstance(error, OSError):
        return _fail_to_access(error)
    if isinstance(error, MemoryError | RuntimeError) and is_out_of_memory(error):
        return _fail(EXIT_FAILED, "out of memory: use a smaller --img-size or --batch-size, or a larger machine")
    raise error


def _fail_to_access(error: OSError) -> int:
    usage = isinstance(error, PATH_ERRORS)
    name = error.filename if error.filename is not None else _full_stream(error)
    where = f"{name}: " if name is not None else ""
    reason = "no such file; check the path" if isinstance(error, FileNotFoundError) else error.strerror or error
    return _fail(EXIT_USAGE if usage else EXIT_FAILED, f"{where}{reason}")


def _full_stream(error: OSError) -> str | None:
    """If a full disk is reported without a file's name, standard output is on it. The rest of the output is dropped, as
    the interpreter would fail to flush it on exit."""
    if error.errno != errno.ENOSPC:
        return None
    _drop_output()
    return "standard output"


def _drop_output() -> None:
    """The interpreter flushes standard output on exit: let that succeed."""
    sys.stdout = io.StringIO()


def is_out_of_memory(error: Exception) -> bool:
    """Whether Python, numpy or torch ran out of memory; torch has its own error class only for CUDA."""
    words = ("can't allocate memory", "not enough memory", "out of memory")
    return isinstance(error, MemoryError) or any(word in str(error).lower() for word in words)


def _fail(code: int, message: str) -> int:
    print("error: " + visible(" ".join(message.split())), file=sys.stderr)
    return code
