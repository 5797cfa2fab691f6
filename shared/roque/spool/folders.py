"""Looking into incoming folders. Polling is the truth: network disks send no notices."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

__all__ = ["Stat", "is_raw", "is_sidecar", "scan"]

RAW = (".fits", ".fit", ".fts", ".hcm")
PACKED = (".gz", ".fz")
SIDECARS = (".ape", ".red")


class Stat(NamedTuple):
    """What tells whether a file has changed."""

    size: int
    mtime_ns: int


def scan(folders: Iterable[Path], keep_out: Path) -> dict[str, Stat]:
    """Size and time of every file that may concern us, by its absolute path.

    Hidden files and folders are passed over (copying programs write under such names), and so is `keep_out`, the folder of
    our own products. Links to folders are not followed: they may lead round in a circle.
    """
    found: dict[str, Stat] = {}
    for folder in folders:
        found.update(_walk(folder.absolute(), keep_out))
    return found


def is_raw(path: str) -> bool:
    """Whether a file is taken for raw data, by its name alone."""
    name = path.lower()
    for ending in PACKED:
        name = name.removesuffix(ending)
    return name.endswith(RAW)


def is_sidecar(path: str) -> bool:
    """Whether a file may hold the apertures or the reduce file of a run beside it."""
    return path.lower().endswith(SIDECARS)


def _walk(folder: Path, keep_out: Path) -> Iterator[tuple[str, Stat]]:
    if folder == keep_out:
        return
    try:
        entries = list(os.scandir(folder))
    except OSError:
        return  # not there yet, or gone again: the next look will tell
    for entry in entries:
        if entry.name.startswith("."):
            continue
        try:
            if entry.is_dir(follow_symlinks=False):
                yield from _walk(Path(entry.path), keep_out)
            elif is_raw(entry.name) or is_sidecar(entry.name):
                stat = entry.stat()
                yield entry.path, Stat(stat.st_size, stat.st_mtime_ns)
        except OSError:
            continue
