"""How a command ends: its exit code, and one line for a mistake (CLI.md)."""

from __future__ import annotations

import errno
import io
import sys
from collections.abc import Callable
from typing import NoReturn

from prune import startup
from prune.cli.lock import release_all
from prune.errors import PruneError

EXIT_FAILED, EXIT_USAGE, EXIT_INTERRUPTED = 1, 2, startup.EXIT_INTERRUPTED
PATH_ERRORS = (FileNotFoundError, FileExistsError, IsADirectoryError, NotADirectoryError, PermissionError)


def run_command(main: Callable[[], int | None]) -> NoReturn:
    """Run `main` and leave with its exit code; mistakes become one line on standard error, see CLI.md."""
    startup.start()
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # a path may hold what the terminal's encoding does not
            stream.reconfigure(errors="backslashreplace")
    code = exit_code(main)
    startup.ignore_signals()
    sys.exit(code)


def exit_code(main: Callable[[], int | None]) -> int:
    """The exit code of `main`: 0, or that of the error it ended with (whose line was printed)."""
    try:
        code = main() or 0
        sys.stdout.flush()
        return code
    except KeyboardInterrupt:
        return _fail(EXIT_INTERRUPTED, "interrupted")
    except Exception as error:
        if startup.was_interrupted():  # an extension, or a child that got the signal too, has made it another error
            return _fail(EXIT_INTERRUPTED, "interrupted")
        return _code_of(error)
    finally:
        release_all()


def _code_of(error: Exception) -> int:
    """Prints the line of an error that a user may meet; raises any other."""
    if isinstance(error, PruneError):
        return _fail(error.exit_code, str(error))
    if isinstance(error, BrokenPipeError):  # whoever read our output has seen enough
        _drop_output()
        return EXIT_FAILED
    if isinstance(error, OSError):
        return _fail_to_access(error)
    if isinstance(error, MemoryError | RuntimeError) and is_out_of_memory(error):
        return _fail(EXIT_FAILED, "out of memory: take a smaller --img-size or --batch-size, or a larger machine")
    raise error


def _fail_to_access(error: OSError) -> int:
    usage = isinstance(error, PATH_ERRORS)
    name = error.filename if error.filename is not None else _full_stream(error)
    where = f"{name}: " if name is not None else ""
    reason = "no such file; check the path" if isinstance(error, FileNotFoundError) else error.strerror or error
    return _fail(EXIT_USAGE if usage else EXIT_FAILED, f"{where}{reason}")


def _full_stream(error: OSError) -> str | None:
    """Where a full disk comes without a file's name, what we print goes there: the rest of it is dropped, or the
    interpreter would fail at that on its way out."""
    if error.errno != errno.ENOSPC:
        return None
    _drop_output()
    return "standard output"


def _drop_output() -> None:
    """The interpreter flushes standard output on its way out: let that succeed."""
    sys.stdout = io.StringIO()


def is_out_of_memory(error: Exception) -> bool:
    """Python's, numpy's or torch's word for it; torch has a class of its own on CUDA alone."""
    words = ("can't allocate memory", "not enough memory", "out of memory")
    return isinstance(error, MemoryError) or any(word in str(error).lower() for word in words)


def _fail(code: int, message: str) -> int:
    print("error: " + " ".join(message.split()), file=sys.stderr)
    return code
