"""Runs of hcm files: named in a list, or given one by one."""

from __future__ import annotations

import math
import os
import re
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self

from roque.errors import BadInput, NotFound
from roque.frames import Frame
from roque.frames.handle import read_text
from roque.frames.hcm import read_hcm, scan_hcm
from roque.frames.images import FitsFile
from roque.instruments import CameraDescription
from roque.spool.hcm_runs import hcm_info, sequence_name
from roque.spool.naming import run_name
from roque.spool.source import RunInfo, Times, frames_from, no_frame, rows
from roque.spool.unpack import unpack

__all__ = ["HcmList", "read_list", "read_names"]

_MOST_BYTES, _MOST_NAMES = 8 << 20, 200_000  # of a list
_LONGEST_NAME = 200  # characters that file systems surely take
_A_LIST = "give a text with one file name a line"
_HCM = re.compile(r"\.hcm(\.[gf]z)?$")


class HcmList:
    """A run of hcm files in the order given; a `FrameSource`.

    Parameters
    ----------
    resource : path or sequence of paths
        A list (.lis), or the files themselves.
    first : int
        Place of the first frame that iteration gives, from 1.
    camera : CameraDescription
        Whose site tells the night.
    cache : Path or None
        Folder for unpacked files (.gz, .fz); None: one of its own, removed when the source is closed.

    Raises
    ------
    BadInput
        The list cannot be read or is empty.
    NotFound
        There is no such list.
    """

    def __init__(
        self,
        resource: str | os.PathLike[str] | Sequence[str | os.PathLike[str]],
        first: int,
        camera: CameraDescription,
        cache: Path | None = None,
    ) -> None:
        if isinstance(resource, str | os.PathLike):
            self._list: Path | None = Path(resource)
            self._paths = read_list(self._list)
        else:
            self._list = None
            self._paths = [Path(path) for path in resource]
        if not self._paths:
            raise BadInput("a run of no files", file=str(self._list) if self._list else None, remedy="name at least one")
        self._first = first
        self._camera = camera
        packed = any(map(_is_packed, self._paths))
        self._own = tempfile.TemporaryDirectory(prefix="roque-") if cache is None and packed else None
        self._cache = Path(self._own.name) if self._own else cache or Path()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def __iter__(self) -> Iterator[Frame]:
        return frames_from(self, self._first)

    def close(self) -> None:
        """Remove unpacked files, if they are the source's own; others are open only while they are read."""
        if self._own is not None:
            self._own.cleanup()

    @property
    def available(self) -> int:
        """Frames."""
        return len(self._paths)

    @property
    def paths(self) -> list[Path]:
        """Files in the order of the frames."""
        return list(self._paths)

    @property
    def problems(self) -> list[BadInput]:
        """Files of the list that do not exist, and headers that were changed after their checksum was written."""
        found: list[BadInput] = []
        for i, path in enumerate(self._paths, start=1):
            if not path.exists():
                remedy = "take it off the list, or bring it back"
                found.append(BadInput("no such file", file=str(path), place=f"frame {i}", remedy=remedy))
                continue
            # a file that cannot be read is told of where its frame is asked for
            with suppress(BadInput), FitsFile(self._plain(path), str(path)) as file:
                found += file.altered()
        return found

    @property
    def info(self) -> RunInfo:
        """What the run is, from its first frame."""
        name = run_name(self._list) if self._list else sequence_name(self._paths[0])[0]
        first, *others = self._paths
        return hcm_info(self._scanned(first), first, name, self._camera, others, self._scanned)

    def refresh(self) -> int:
        """Read the list again, and give `available`; while it is being written anew what it said holds."""
        if self._list:
            with suppress(BadInput, NotFound):
                self._paths = read_list(self._list)
        return self.available

    def frame(self, number: int) -> Frame:
        """Frame at a place in the list, which is its number too.

        Raises
        ------
        NotFound
            The list is shorter, or the file does not exist.
        BadInput
            The file cannot be read.
        """
        if not 1 <= number <= self.available:
            raise no_frame(number, self.available, str(self._list or self._paths[0].parent))
        path = self._paths[number - 1]
        frame = read_hcm(self._plain(path), str(path))
        frame.number = number
        return frame

    def load(self, number: int) -> Frame:
        """Frame at a place in the run: `frame` reads all pixels as it is."""
        return self.frame(number)

    def times(self) -> Times:
        """Mid-times and exposures of all frames; CCDs are those of the first."""
        frames = [self._scanned(path) for path in self._paths]
        labels = tuple(frames[0].ccds)
        for frame, path in zip(frames, self._paths, strict=True):
            if tuple(frame.ccds) != labels:
                raise BadInput(
                    f"CCDs {', '.join(frame.ccds)} where the first frame has {', '.join(labels)}",
                    file=str(path),
                    place=f"CCD {next(iter({*frame.ccds} ^ {*labels}), labels[0])}",
                    remedy="take it off the list: it is of another run",
                )
        table = [[frame.ccds[label] for label in labels] for frame in frames]
        return rows(
            len(frames),
            labels,
            frame=range(1, len(frames) + 1),
            mjd_int=[[c.mjd_int for c in ccds] for ccds in table],
            mjd_frac=[[c.mjd_frac for c in ccds] for ccds in table],
            exposure=[[c.exposure for c in ccds] for ccds in table],
            time_ok=[[c.time_ok and not math.isnan(c.mjd_frac) for c in ccds] for ccds in table],
            data_ok=[[c.data_ok for c in ccds] for ccds in table],
        )

    def _plain(self, path: Path) -> Path:
        return unpack(path, self._cache) if _is_packed(path) else path

    def _scanned(self, path: Path) -> Frame:
        return scan_hcm(self._plain(path), str(path))


def _is_packed(path: Path) -> bool:
    return path.suffix.lower() in {".gz", ".fz"}


def read_list(path: Path) -> list[Path]:
    """Read a list of hcm files.

    One name a line, relative to the folder of the list; '.hcm' is added where it is missing; lines that start with # and
    blank ones are left out.

    Raises
    ------
    BadInput, NotFound
        As for `read_names`.
    """
    return [path.parent / (name if _HCM.search(name) else f"{name}.hcm") for name in read_names(path)]


def read_names(path: Path) -> list[str]:
    """Read names from a text, one a line; lines that start with # and blank ones are left out.

    Raises
    ------
    BadInput
        Not a text, or far too long.
    NotFound
        There is no such file.
    """
    names = [line.strip() for line in read_text(path, "a list", _A_LIST, _MOST_BYTES).splitlines()]
    if len(names) > _MOST_NAMES:
        message, place = f"a list of more than {_MOST_NAMES} names", f"line {_MOST_NAMES + 1}"
        raise BadInput(message, file=str(path), place=place, remedy="make several lists of it")
    for number, name in enumerate(names, start=1):
        if not name.startswith("#") and (max(map(len, name.split("/"))) > _LONGEST_NAME or not name.isprintable()):
            raise BadInput(f"{name[:40]!r} is no name of a file", file=str(path), place=f"line {number}", remedy=_A_LIST)
    return [name for name in names if name and not name.startswith("#")]
