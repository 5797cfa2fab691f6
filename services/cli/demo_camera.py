"""A camera for the demo: writes the files of a simulated night piece by piece, one after another."""

from __future__ import annotations

import shutil
import threading
from pathlib import Path
from types import TracebackType
from typing import Self

from roque.errors import Conflict

__all__ = ["Camera", "fresh_folder"]

MARK = ".roque-demo"
BYTES_A_SECOND = 12_000_000
PIECES_A_SECOND = 8


class Camera:
    """Copies files as a camera would write them, in a thread of its own.

    Parameters
    ----------
    source, target : Path
        Folders: where the files lie, and where the camera writes.
    """

    def __init__(self, source: Path, target: Path) -> None:
        self._source = source
        self._target = target
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._write_all, daemon=True)

    @property
    def done(self) -> bool:
        """Whether every file is written."""
        return not self._thread.is_alive()

    def __enter__(self) -> Self:
        """Begin to write."""
        self._target.mkdir(parents=True, exist_ok=True)
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None) -> None:
        """Stop writing, wherever it is."""
        self._stop.set()
        self._thread.join()

    def _write_all(self) -> None:
        for path in sorted(self._source.iterdir()):
            with path.open("rb") as source, (self._target / path.name).open("wb", buffering=0) as target:
                while piece := source.read(BYTES_A_SECOND // PIECES_A_SECOND):
                    target.write(piece)
                    if self._stop.wait(1.0 / PIECES_A_SECOND):
                        return


def fresh_folder(folder: Path) -> Path:
    """Make an empty folder, removing what an earlier demo left there, and nothing else.

    Raises
    ------
    Conflict
        The folder holds something that no demo made.
    """
    if folder.exists():
        if any(folder.iterdir()) and not (folder / MARK).exists():
            raise Conflict(
                "the folder is not empty, and no demo made it", file=str(folder), remedy="name another with --folder"
            )
        shutil.rmtree(folder)
    folder.mkdir(parents=True)
    (folder / MARK).touch()
    return folder
