"""Errors that answer one question, whether it is safe to try again.

`BadInput` says that the data are at fault: it is recorded with its place and remedy, and never retried. `Transient` says
that the world is at fault (database, broker, disk, a file still growing): the job is put back. Anything else is a fault
of the program: it is recorded with its traceback and tried again up to the job's limit.
"""

from __future__ import annotations

__all__ = [
    "BadInput",
    "Blemish",
    "Conflict",
    "NoData",
    "NotFound",
    "RoqueError",
    "Superseded",
    "Transient",
    "Unreachable",
    "Unreadable",
]


class RoqueError(Exception):
    """Base of every error that is meant for a person.

    Parameters
    ----------
    message : str
        What is wrong, in a sentence without a full stop.
    file : str or None
        The file concerned, as the user knows it.
    place : str or None
        Where in the file or in the data: "frame 217", "byte 5760", "CCD 3, window E1", "keyword EXPTIME".
    remedy : str or None
        What to do next.
    """

    code = "error"
    """Stable name of the kind of error, for tests, `--json` and the record."""

    def __init__(self, message: str, *, file: str | None = None, place: str | None = None, remedy: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.file = file
        self.place = place
        self.remedy = remedy

    def __str__(self) -> str:
        where = ", ".join(part for part in (self.file, self.place) if part)
        text = f"{where}: {self.message}" if where else self.message
        return f"{text}; {self.remedy}" if self.remedy else text

    def __reduce__(self) -> tuple[object, ...]:
        # the default would lose the keyword-only parts on the way between processes
        return _rebuild, (type(self), self.message, self.file, self.place, self.remedy)


class BadInput(RoqueError):
    """The data are at fault: recorded, never retried."""

    code = "bad_input"


class Blemish(BadInput):
    """Something a person should know of data that can be used all the same: frames dropped, times not to be trusted."""

    code = "blemish"


class NoData(BadInput):
    """A run that was never meant to hold data: it switched the power of the CCDs."""

    code = "no_data"


class NotFound(RoqueError):
    """What was named does not exist (exit status 4 on the command line)."""

    code = "not_found"


class Conflict(RoqueError):
    """What is asked for contradicts what is recorded."""

    code = "conflict"


class Superseded(RoqueError):
    """What was to be done is not wanted any more: nobody's fault, and nothing to do."""

    code = "superseded"


class Transient(RoqueError):
    """The world is at fault: trying again later is safe."""

    code = "transient"


class Unreachable(Transient):
    """A service that is needed does not answer (exit status 3 on the command line)."""

    code = "unreachable"


class Unreadable(Transient):
    """The world keeps a file from being read: its disk or its network fails."""

    code = "unreadable"


def _rebuild(kind: type[RoqueError], message: str, file: str | None, place: str | None, remedy: str | None) -> RoqueError:
    return kind(message, file=file, place=place, remedy=remedy)
