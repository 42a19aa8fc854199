"""The project's named errors.

Every mistake a user can make ends in one of these. `str(error)` is a single line that names
the file, the line where there is one, what is wrong and how to fix it; the command layer prints
it and exits with `exit_code`.
"""

from __future__ import annotations

from os import PathLike

Path = str | PathLike[str]


class PruneError(Exception):
    """Base of all errors this project raises on purpose."""

    exit_code = 2


class FileError(PruneError):
    """A fault in one file: `path:line: message`. Lines count from 1; None where a file has none."""

    def __init__(self, path: Path, line: int | None, message: str) -> None:
        self.path, self.line, self.message = str(path), line, message
        where = self.path if line is None else f"{self.path}:{line}"
        super().__init__(f"{where}: {message}")

    def __reduce__(self) -> tuple[object, ...]:
        """Copies are made from the error's own arguments, so that it can be pickled out of a worker process."""
        return type(self), (self.path, self.line, self.message)


class CfgError(FileError):
    """A network definition that cannot be read, or that Darknet would read as something else."""


class WeightsError(FileError):
    """A weights file that does not fit, is truncated or is not a weights file."""

    def __init__(self, path: Path, message: str) -> None:
        super().__init__(path, None, message)

    def __reduce__(self) -> tuple[object, ...]:
        return type(self), (self.path, self.message)


class DataError(FileError):
    """A data descriptor, image list or annotation file that cannot be used."""


class UsageError(PruneError):
    """Arguments that make no sense together or are out of range."""


class PlanError(PruneError):
    """A plan that does not fit its network, or that asks for what cannot be done."""


class DeploymentError(PruneError):
    """A runtime is not installed, or cannot read or run a network."""


class VerificationError(PruneError):
    """The pruned network does not compute what the plan promised; nothing was written."""

    exit_code = 1


class TrainingError(PruneError):
    """Training stopped: the loss or a weight is no longer finite."""

    exit_code = 1


class LostProcessError(PruneError):
    """Another of the processes that train together has ended or does not answer."""

    exit_code = 1


class TargetError(PruneError):
    """A target or a guard the user asked for was not met."""

    exit_code = 3
