"""What is remembered of files between two looks, and which of them are one run."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from roque.errors import BadInput, RoqueError, Transient
from roque.instruments import CameraDescription
from roque.spool import Inspected, inspect
from roque.spool.folders import Stat, is_raw, shown

__all__ = ["Group", "Groups", "Seen", "refuse_name"]

Group = tuple[Any, ...]
"""Key of a run: files of a folder with the same one are frames of one run."""


@dataclass
class Seen:
    """What is remembered of a file."""

    stat: Stat
    changed: float  # monotonic time of the last change that was seen
    inspected: Inspected | None = None
    done: bool = False  # registered as ended, or recorded as bad: nothing to do until it changes
    registered: bool = False  # the record has something of it
    refused: bool = False  # the world keeps it from being read, and that is recorded
    tried: float = 0.0  # monotonic time when it was last due
    again: float | None = None  # monotonic time to look again, after something that was not the file's fault
    announced: int | None = None  # frames that its header announced when it was last read
    frames: int = 0  # of the run that it is part of, when it was last registered as growing


class Groups:
    """Tells which files are one run, from their headers.

    Parameters
    ----------
    files : dict of str to Seen
        What is remembered of files, by path; what their headers say is kept there.
    cameras : mapping of str to CameraDescription
        What files may be.
    cache : Path
        Folder of unpacked files.
    """

    def __init__(self, files: dict[str, Seen], cameras: Mapping[str, CameraDescription], cache: Path) -> None:
        self._files = files
        self._cameras = cameras
        self._cache = cache

    def key(self, path: str) -> Group:
        """Key of the run that a file belongs to.

        Raises
        ------
        RoqueError, OSError
            It is none, or cannot be read.
        """
        refuse_name(path)
        told = self.inspected(path)
        return (told.source, told.camera, str(Path(path).parent), *(told.group or (path,)))

    def inspected(self, path: str) -> Inspected:
        """What a file is, by its headers."""
        known = self._files[path]
        if known.inspected is None:
            # without its header: a folder may hold 10^5 files
            known.inspected = replace(inspect(Path(path), self._cameras, self._cache), info=None)
        return known.inspected

    def members(self, key: Group, path: str, found: Mapping[str, Stat]) -> list[str]:
        """All files of a run, those that have not changed too, in the order of their frames."""
        first = self.inspected(path)
        if first.group is None:
            return [path]
        if first.files:
            return self._named(first.files, key, found)
        folder = str(Path(path).parent)
        members = []
        for other in found:
            if not is_raw(other) or os.path.dirname(other) != folder:  # noqa: PTH120 - thousands of times
                continue
            if self._files[other].refused and other != path:
                continue  # the run goes on without it
            try:
                if self.key(other) == key:
                    members.append(other)
            except (RoqueError, OSError):
                continue  # recorded when it was looked at itself
        return sorted(members, key=lambda other: (_order(self._files[other].inspected), other))

    def is_science(self, path: str) -> bool:
        """Whether a file that was inspected holds data of the sky."""
        told = self._files[path].inspected
        return told is not None and told.kind == "science"

    def _named(self, files: Sequence[Path], key: Group, found: Mapping[str, Stat]) -> list[str]:
        """Files of a run of several, each looked at."""
        names = [str(file) for file in files]
        for name in names:
            if name not in found or self.key(name) != key:
                raise Transient("the file was not seen yet, or is being changed", file=name)
        return names


def refuse_name(path: str) -> None:
    """Refuse a name that the record cannot hold.

    Raises
    ------
    BadInput
        It is not text.
    """
    if shown(path) != path:
        raise BadInput("the name of the file is not text (UTF-8)", file=shown(path), place="file name", remedy="rename it")


def _order(told: Inspected | None) -> float:
    return told.order if told is not None and told.order == told.order else float("inf")  # NaN is not itself
