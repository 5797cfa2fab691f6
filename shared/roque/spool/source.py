"""What every source of frames has in common, and what a run is."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import combinations
from types import TracebackType
from typing import Any, Protocol, Self

import numpy as np
from numpy.typing import NDArray

from roque.errors import BadInput, Blemish, NotFound
from roque.frames import Frame, Geometry
from roque.frames.frame import Header

__all__ = ["TIMES", "FrameSource", "RunInfo", "Times", "overlaps", "shortened"]

_MOST_PROBLEMS = 100  # of one run: more would say no more

Times = NDArray[np.void]
"""Structured array of dtype `TIMES`."""

TIMES = np.dtype(
    [
        ("frame", "i4"),  # number of the frame: Frame.number, not its place in the run
        ("ccd", "U8"),
        ("mjd_int", "i4"),  # mid-exposure MJD(UTC), integer part
        ("mjd_frac", "f8"),
        ("exposure", "f8"),  # s
        ("time_ok", "?"),
        ("data_ok", "?"),  # read out in this frame
    ]
)


@dataclass(frozen=True, slots=True)
class RunInfo:
    """What a run is, from its header and its name.

    Parameters
    ----------
    instrument : str
        As its camera is called.
    source : str
        Name of the source that reads it: 'hl', 'hf', 'fits'.
    name : str
        Name of the run, made of letters, digits, '.', '_' and '-'.
    night : datetime.date
        Date of the evening at the site.
    kind : str
        'bias', 'dark', 'flat', 'science' or 'other'.
    object : str
        As the observer called it.
    mode : str
        Read-out mode.
    xbin, ybin : int
        Binning.
    speed : str
        Read-out speed.
    filters : dict of str to str
        Filter of each CCD.
    nskips : dict of str to int
        Read-outs skipped between two of a CCD.
    clear : bool or None
        Whether the CCDs were cleared before each exposure; None where that is not known.
    windows : dict of str to dict of str to Geometry
        By CCD and label.
    expected : int or None
        Frames by the header; None where it does not say.
    exposure : float
        s, as asked for.
    header : dict
        The whole header, as JSON can hold it.
    camera : str
        Name of the camera's description.
    """

    instrument: str
    source: str
    name: str
    night: dt.date
    kind: str
    object: str
    mode: str
    xbin: int
    ybin: int
    speed: str
    filters: dict[str, str]
    nskips: dict[str, int]
    clear: bool | None
    windows: dict[str, dict[str, Geometry]]
    expected: int | None
    exposure: float
    header: Header
    camera: str


class FrameSource(Protocol):
    """A run that is read frame by frame. Places count from 1, in the order of the data."""

    @property
    def info(self) -> RunInfo:
        """What the run is."""
        ...

    @property
    def available(self) -> int:
        """Frames that can be read now."""
        ...

    @property
    def problems(self) -> list[BadInput]:
        """What is wrong with the run although it can be read: frames lost, junk, times that cannot be trusted."""
        ...

    def refresh(self) -> int:
        """Look again at a run that may have grown, and give `available`."""
        ...

    def frame(self, number: int) -> Frame:
        """Frame at a place in the run. Its own `number` is higher where frames before it were dropped.

        Raises
        ------
        NotFound
            There is no such frame, or not yet.
        BadInput
            It cannot be read.
        """
        ...

    def load(self, number: int) -> Frame:
        """Frame with all its pixels decoded: quicker than window by window where all are needed.

        Raises
        ------
        NotFound, BadInput
            As for `frame`.
        """
        ...

    def times(self) -> Times:
        """Mid-times and exposures of all frames now available, one row per frame and CCD, without touching pixels."""
        ...

    def close(self) -> None:
        """Close the files."""
        ...

    def __iter__(self) -> Iterator[Frame]: ...

    def __enter__(self) -> Self: ...

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None) -> None: ...


def frames_from(source: FrameSource, first: int) -> Iterator[Frame]:
    """Frames of a source from a place on, until there are no more; from 0 on the newest alone, while there is a newer one.

    Frames that come meanwhile are given too, but not waited for: `follow` does that.
    """
    number = max(1, first)
    while number <= source.available or number <= source.refresh():
        number = number if first else source.available
        yield source.frame(number)
        number += 1


def no_frame(number: int, available: int, file: str) -> NotFound:
    """Make the error for a frame that is not there."""
    return NotFound(f"there is no frame {number}: the run has {available}", file=file, place=f"frame {number}")


def rows(n: int, ccds: tuple[str, ...], **columns: Any) -> Times:
    """Make the table of times of `n` frames from columns of shape (n,) or (n, CCDs)."""
    table = np.zeros((n, len(ccds)), TIMES)
    table["ccd"] = ccds
    for name, values in columns.items():
        array = np.asarray(values)
        table[name] = array[:, None] if array.ndim == 1 else array
    return table.reshape(-1)


def overlaps(windows: Mapping[str, Mapping[str, Geometry]], file: str) -> list[BadInput]:
    """Windows of a CCD that share pixels, which no camera reads twice: one of the two lies elsewhere."""
    found: list[BadInput] = []
    for ccd, own in windows.items():
        for (one, a), (other, b) in combinations(own.items(), 2):
            if a.xlo < b.xhi and b.xlo < a.xhi and a.ylo < b.yhi and b.ylo < a.yhi:
                place, remedy = f"CCD {ccd}, windows {one} and {other}", "the counts are used; check where the windows lie"
                found.append(Blemish("the windows overlap", file=file, place=place, remedy=remedy))
    return found


def shortened(problems: list[BadInput], file: str) -> list[BadInput]:
    """Keep the first problems of a run's file, and say how many more there are."""
    if len(problems) <= _MOST_PROBLEMS:
        return problems
    rest = Blemish(f"{len(problems) - _MOST_PROBLEMS} more problems of this kind", file=file)
    return [*problems[:_MOST_PROBLEMS], rest]
