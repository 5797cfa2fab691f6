"""Files that appear whole or not at all."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from roque.errors import Conflict

__all__ = ["flush_folder", "write_whole"]


@contextmanager
def write_whole(path: str | os.PathLike[str], *, overwrite: bool = True) -> Iterator[Path]:
    """Write a file so that nobody ever sees a part of it, not even after a power cut.

    The body writes to the path it is given, in the same folder; afterwards that file is flushed to the disk, renamed
    to `path`, and the folder is flushed. If the body raises, nothing is left behind and what stood at `path` stays.

    Parameters
    ----------
    path : path
        The file to appear.
    overwrite : bool
        Whether a file that stands there is replaced.

    Yields
    ------
    Path
        The temporary path to write to. It does not exist yet.

    Raises
    ------
    Conflict
        A file stands there and `overwrite` is false; it is untouched.
    OSError
        The folder cannot be written.
    """
    target = Path(path)
    _refuse(target, overwrite=overwrite)
    # the leading dot keeps half-written files out of every glob for products; the random part keeps two writers apart
    part = target.with_name(f".{target.name[:180]}.{secrets.token_hex(6)}.part")
    try:
        yield part
        with part.open("rb+") as written:
            os.fsync(written.fileno())
        _refuse(target, overwrite=overwrite)
        part.replace(target)
    finally:
        part.unlink(missing_ok=True)
    flush_folder(target.parent)


def flush_folder(folder: Path) -> None:
    """Flush the names in a folder to the disk: a file that was renamed or made there stays, whatever happens."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _refuse(target: Path, *, overwrite: bool) -> None:
    if not overwrite and target.exists():
        raise Conflict("the file exists already", file=str(target), remedy="choose another name, or allow overwriting")
