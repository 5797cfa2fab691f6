"""Looking into incoming folders. Polling is the truth: network disks send no notices."""

from __future__ import annotations

import os
import stat
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from roque.instruments.plugins import plugins
from roque.spool.ultra_files import is_ultra_name

__all__ = ["Scanner", "Stat", "is_raw", "is_sidecar", "scan", "shown", "walk"]

RAW = (".fits", ".fit", ".fts", ".hcm")
PACKED = (".gz", ".fz")
SIDECARS = (".ape", ".red")

YOUNG_SECONDS = 2.0
"""Age below which the time of a folder tells nothing: it moves in steps, of two seconds on some disks."""


class Stat(NamedTuple):
    """What tells whether a file has changed."""

    size: int
    mtime_ns: int


class _Folder(NamedTuple):
    """Files that lie in a folder itself, and its time before they were looked up."""

    mtime_ns: int
    files: dict[str, Stat]


def scan(folders: Iterable[Path], keep_out: Path) -> dict[str, Stat]:
    """Size and time of every file that may concern us, by its absolute path.

    Hidden files and folders are passed over (copying programs write under such names), and so is `keep_out`, the folder of
    our own products. Links to folders are not followed: they may lead round in a circle.
    """
    return Scanner(folders, keep_out).look()


def shown(path: str) -> str:
    """Write a path as text; bytes in it that are none come as backslashes and digits, and then it does not lead there."""
    return os.fsencode(path).decode("utf-8", "backslashreplace")


def is_raw(path: str) -> bool:
    """Whether a file is taken for raw data, by its name alone."""
    name = path.lower()
    if is_ultra_name(os.path.basename(path)):  # noqa: PTH119 - thousands of times
        return True
    for ending in PACKED:
        name = name.removesuffix(ending)
    return name.endswith(RAW) or path.lower().endswith(plugins().endings)


def is_sidecar(path: str) -> bool:
    """Whether a file may hold the apertures or the reduce file of a run beside it."""
    return path.lower().endswith(SIDECARS)


class Scanner:
    """Folders that are looked into again and again; the arguments are those of `scan`."""

    def __init__(self, folders: Iterable[Path], keep_out: Path) -> None:
        self._tops = [str(folder.absolute()) for folder in folders]
        self._keep_out = str(keep_out)
        self._known: dict[str, _Folder] = {}

    @property
    def found(self) -> dict[str, Stat]:
        """Every file, as it was when it was last looked at."""
        return {path: stat for folder in self._known.values() for path, stat in folder.files.items()}

    def look(self) -> dict[str, Stat]:
        """Look at every file."""
        self._known.clear()
        for top in self._tops:
            self._list(top)
        return self.found

    def look_for_news(self, watched: Iterable[str]) -> dict[str, Stat]:
        """Look at folders in which a file was made or removed, and at the files watched; returns those looked at.

        A file that is written anew in its place is not seen, unless it is watched: for these, `look` now and then.
        """
        seen: dict[str, Stat] = {}
        for path in dict.fromkeys([*self._tops, *self._known]):
            if _may_have_changed(path, self._known.get(path)):
                seen |= self._list(path)
        for path in watched:
            folder = self._known.get(os.path.dirname(path))  # noqa: PTH120 - many times a second
            if folder is None or path in seen or path not in folder.files:
                continue
            try:
                found = os.stat(path)  # noqa: PTH116 - as above
            except OSError:
                continue  # gone, as its folder will show
            seen[path] = folder.files[path] = Stat(found.st_size, found.st_mtime_ns)
        return seen

    def _list(self, path: str) -> dict[str, Stat]:
        """Look up a folder, and those in it that are not known yet."""
        self._known.pop(path, None)
        if path == self._keep_out:
            return {}
        try:
            mtime_ns = os.stat(path).st_mtime_ns  # noqa: PTH116 - first: what comes while it is read is then seen next time
            entries = list(os.scandir(path))
        except OSError:
            return {}  # not there yet, or gone again: the next look will tell
        found: dict[str, Stat] = {}
        files, inner = _sorted_out(entries)
        self._known[path] = _Folder(mtime_ns, files)
        for other in inner:
            found |= self._list(other) if other not in self._known else {}
        return found | files


def walk(top: Path, keep_out: Path) -> Iterator[dict[str, Stat]]:
    """Give what `scan` finds folder by folder, each with the files in it itself: an archive does not fit into memory."""
    left = [str(top.absolute())]
    while left:
        path = left.pop()
        if path == str(keep_out):
            continue
        try:
            with os.scandir(path) as entries:
                files, inner = _sorted_out(entries)
        except OSError:
            continue
        left += sorted(inner, reverse=True)
        if files:
            yield dict(sorted(files.items()))


def _sorted_out(entries: Iterable[os.DirEntry[str]]) -> tuple[dict[str, Stat], list[str]]:
    """Files of a folder that may concern us, and the folders in it."""
    files: dict[str, Stat] = {}
    inner: list[str] = []
    for entry in entries:
        if entry.name.startswith("."):
            continue
        try:
            if entry.is_dir(follow_symlinks=False):
                inner.append(entry.path)
            elif is_raw(entry.name) or is_sidecar(entry.name):
                told = _status(entry)
                if stat.S_ISREG(told.st_mode) or stat.S_ISLNK(told.st_mode):  # reading a pipe would wait for ever
                    files[entry.path] = Stat(told.st_size, told.st_mtime_ns)
        except OSError:
            continue
    return files, inner


def _status(entry: os.DirEntry[str]) -> os.stat_result:
    """Status of a file; of the link itself where it leads to none: whoever put it there is to know."""
    try:
        return entry.stat()
    except OSError:
        return entry.stat(follow_symlinks=False)


def _may_have_changed(path: str, known: _Folder | None) -> bool:
    if known is None:
        return True
    try:
        mtime_ns = os.stat(path).st_mtime_ns  # noqa: PTH116 - many times a second
    except OSError:
        return True
    return mtime_ns != known.mtime_ns or abs(time.time() - 1e-9 * mtime_ns) < YOUNG_SECONDS
