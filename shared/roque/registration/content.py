"""Digests of raw bytes: of whole files for provenance, of frames alone to tell growth from change."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any, BinaryIO

from roque.errors import Transient

__all__ = ["Content", "file_digest", "file_digests"]

BLOCK = 1 << 20


def file_digest(path: Path) -> str:
    """SHA-256 of a file as it lies there."""
    return _read(path, 0, [path.stat().st_size], 0, hashlib.sha256())[0]


def file_digests(path: Path, start: int, sizes: Sequence[int]) -> tuple[list[str], str]:
    """SHA-256 of the first n bytes after `start`, for each n of `sizes`, ascending, and of the whole file, which is read once.

    Raises
    ------
    Transient
        The file became shorter while it was read.
    """
    whole, part = hashlib.sha256(), hashlib.sha256()
    found = []
    with path.open("rb") as file:
        whole.update(file.read(start))
        done = 0
        for size in sizes:
            _feed(file, path, start + done, size - done, whole, part)
            done = size
            found.append(part.hexdigest())
        while block := file.read(BLOCK):
            whole.update(block)
    return found, whole.hexdigest()


class Content:
    """Digests of the frames of files, with what was computed so far of growing ones."""

    def __init__(self) -> None:
        self._growing: dict[Path, tuple[int, int, Any]] = {}

    def digests(self, path: Path, start: int, sizes: Sequence[int], *, afresh: bool) -> list[str]:
        """SHA-256 of the first n bytes after `start`, for each n of `sizes`, ascending.

        While a file grows, its earlier bytes are not read again: that would cost the square of its length. `afresh` reads
        all, once, when it has ended, and so finds out whether they were changed meanwhile.

        Raises
        ------
        Transient
            The file became shorter while it was read.
        """
        begun = self._growing.pop(path, None)
        if afresh or begun is None or begun[0] != start or begun[1] > sizes[0]:
            done, state = 0, hashlib.sha256()
        else:
            _, done, state = begun
        found = _read(path, start, sizes, done, state)
        if not afresh:
            self._growing[path] = (start, sizes[-1], state)
        return found

    def forget(self, path: Path) -> None:
        """Forget what was computed of a file that has ended."""
        self._growing.pop(path, None)


def _read(path: Path, start: int, sizes: Sequence[int], done: int, state: Any) -> list[str]:
    """Feed bytes ``start + done ...`` into a digest; it is left as it is after the last size."""
    found = []
    with path.open("rb") as file:
        file.seek(start + done)
        for size in sizes:
            _feed(file, path, start + done, size - done, state)
            done = max(done, size)
            found.append(state.copy().hexdigest())
    return found


def _feed(file: BinaryIO, path: Path, place: int, size: int, *digests: Any) -> None:
    """Feed the next bytes of a file into digests."""
    while size > 0:
        block = file.read(min(BLOCK, size))
        if not block:
            raise Transient("the file became shorter while it was read", file=str(path), place=f"byte {place}")
        for digest in digests:
            digest.update(block)
        place, size = place + len(block), size - len(block)
