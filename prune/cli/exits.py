"""How a command ends: its exit code, and one line for a mistake (CLI.md)."""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Callable
from typing import NoReturn

from prune.errors import PruneError
from prune.report.visible import visible

EXIT_FAILED, EXIT_USAGE, EXIT_INTERRUPTED = 1, 2, 130
PATH_ERRORS = (FileNotFoundError, FileExistsError, IsADirectoryError, NotADirectoryError, PermissionError)


def run_command(main: Callable[[], int | None]) -> NoReturn:
    """Run `main` and leave with its exit code; mistakes become one line on standard error, see CLI.md."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # a path may hold what the terminal's encoding does not
            stream.reconfigure(errors="backslashreplace")
    sys.exit(exit_code(main))


def exit_code(main: Callable[[], int | None]) -> int:
    """The exit code of `main`: 0, or that of the error it ended with (whose line was printed)."""
    try:
        code = main() or 0
        sys.stdout.flush()
        return code
    except PruneError as error:
        return _fail(error.exit_code, str(error))
    except KeyboardInterrupt:
        return _fail(EXIT_INTERRUPTED, "interrupted")
    except BrokenPipeError:  # whoever read our output has seen enough
        sys.stdout = open(os.devnull, "w")  # noqa: SIM115 - the interpreter flushes it on its way out
        return EXIT_FAILED
    except OSError as error:
        usage = isinstance(error, PATH_ERRORS)
        where = f"{error.filename}: " if error.filename is not None else ""
        reason = "no such file; check the path" if isinstance(error, FileNotFoundError) else error.strerror or error
        return _fail(EXIT_USAGE if usage else EXIT_FAILED, f"{where}{reason}")
    except (MemoryError, RuntimeError) as error:
        if not is_out_of_memory(error):
            raise
        return _fail(EXIT_FAILED, "out of memory: take a smaller --img-size or --batch-size, or a larger machine")


def is_out_of_memory(error: Exception) -> bool:
    """Python's, numpy's or torch's word for it; torch has a class of its own on CUDA alone."""
    words = ("can't allocate memory", "not enough memory", "out of memory")
    return isinstance(error, MemoryError) or any(word in str(error).lower() for word in words)


def _fail(code: int, message: str) -> int:
    print("error: " + visible(" ".join(message.split())), file=sys.stderr)
    return code
