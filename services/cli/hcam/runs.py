"""Frames that a command is asked to read."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from services.cli.hcam.common import from_list, named_like_input
from services.cli.hcam.parameters import Values

if TYPE_CHECKING:
    from roque.calibration.apply import Masters
    from roque.frames import Frame
    from roque.spool import FrameSource
    from services.cli.hcam.command import Tell

__all__ = [
    "Trimmed", "frames_of", "hcm_names", "insist_on_room", "is_served", "masters_of", "open_run", "places_of", "read_frame",
    "selected",
]  # fmt: skip


def open_run(values: Values) -> FrameSource:
    """Open the run or list that the parameters name.

    Raises
    ------
    NotFound
        There is no such run, or no such source.
    BadInput
        It cannot be read.
    click.UsageError
        The last frame comes before the first.
    """
    from roque.spool import data_source

    if from_list(values):
        return data_source("hf", hcm_names(values["flist"]))
    if 0 < values.get("last", 0) < values["first"]:
        raise click.UsageError(f"last={values['last']} comes before first={values['first']}: say 0 for the end of the run")
    return data_source(values["source"], values["run"].removesuffix(".fits"), values["first"])


def hcm_names(path: Path) -> list[Path]:
    """Files that a list names, as users of the HiPERCAM pipeline write it: relative to the current folder.

    Raises
    ------
    BadInput
        Not a list, or an empty one.
    """
    from roque.errors import BadInput
    from roque.spool.hcm_list import read_names

    names = [Path(name if name.endswith(".hcm") else f"{name}.hcm") for name in read_names(path)]
    if not names:
        raise BadInput("the list names no file", file=str(path), remedy="give one file name a line")
    return names


def frames_of(values: Values, source: FrameSource, tell: Tell) -> Iterator[tuple[int, Frame]]:
    """Frames that are asked for, trimmed and counted from the first; new ones are waited for where they may come.

    The count is the place in the run, unless the first frame asked for is the newest, or one before it: it goes on from `first`
    then. A server that is away for as long as new frames are waited for ends the run, if it gave a frame at all.

    Raises
    ------
    NotFound
        There is not even the first.
    Unreachable
        The server that has the run does not answer.
    """
    count, last = values.get("first", 1), values.get("last", 0)
    frames = _served(values, source, tell) if is_served(source) else _read(values, source, tell)
    while not last or count <= last:
        frame = next(frames, None)
        if frame is None:
            return
        if count == values.get("first", 1):
            _warn_of_trimming(frame, values, tell)
        yield count, _trimmed(frame, values)
        count += 1


def is_served(source: FrameSource) -> bool:
    """Whether a run is on a file server: its end is known by its silence alone."""
    return getattr(source, "remote", False)


def places_of(values: Values, source: FrameSource, available: int | None = None) -> Sequence[int]:
    """Places in the run of the frames that are asked for, of as many as are `available`; None: of all that can be read.

    Frames of a server are waited for until the last that is asked for is there.

    Raises
    ------
    NotFound
        The run ends before the first of them.
    BadInput
        It never had any.
    """
    from roque.errors import NotFound

    first, last = max(1, values.get("first", 1)), values.get("last", 0)
    if is_served(source):
        available = _all_there(values, source)
    available = source.available if available is None else available
    end = min(last, available) if last else available
    if first > end:
        if available == 0:
            source.frame(1)  # which says more
        raise NotFound(f"no frame from {first} to {last or 'the end'}: the run has {available}", file=named_like_input(values))
    if is_served(source):
        source.frame(end)  # a number that a server says is soon said
    return range(first, end + 1)


class Trimmed:
    """Frames of a source with their windows trimmed, for combining.

    Parameters
    ----------
    source : FrameSource
    values : Values
        With the parameters of trimming; without them frames are as they are.
    """

    def __init__(self, source: FrameSource, values: Values) -> None:
        self._source = source
        self._values = values

    @property
    def available(self) -> int:
        """Number of frames."""
        return self._source.available

    def frame(self, number: int) -> Frame:
        """Give one frame."""
        return _trimmed(self._source.frame(number), self._values)


def read_frame(path: Path | None) -> Frame | None:
    """Read a calibration frame, if there is one."""
    from roque.frames.hcm import read_hcm

    return None if path is None else read_hcm(path)


def masters_of(values: Values) -> Masters:
    """Read the calibration frames that the parameters name."""
    from roque.calibration.apply import Masters
    from roque.calibration.fringe import read_fringe_pairs

    fringes = read_fringe_pairs(values["fpair"]) if values.get("fmap") is not None else None
    return Masters(
        bias=read_frame(values.get("bias")),
        dark=read_frame(values.get("dark")),
        flat=read_frame(values.get("flat")),
        fringe_map=read_frame(values.get("fmap")),
        fringe_pairs=fringes,
    )


def insist_on_room(values: Values) -> None:
    """Refuse to go on where the output would replace a file that must stay.

    Raises
    ------
    Conflict
        It is there, and `clobber` is not set.
    """
    from roque.errors import Conflict

    if values["output"].exists() and not values["clobber"]:
        remedy = "name another output, or say clobber=yes"
        raise Conflict("the file exists already", file=str(values["output"]), remedy=remedy)


def selected(words: str, known: list[str], everything: str, what: str) -> list[str]:
    """Labels in a text, all that are known for the word that says so.

    Raises
    ------
    NotFound
        There is none of that label.
    """
    from roque.errors import NotFound

    wanted = words.split()
    if wanted in ([everything], []):
        return known
    for label in wanted:
        if label not in known:
            raise NotFound(f"there is no {what} {label}", remedy=f"there are {', '.join(known)}")
    return wanted


def _trimmed(frame: Frame, values: Values) -> Frame:
    from roque.frames.trim import trim

    return trim(frame, values["ncol"], values["nrow"]) if values.get("trim") else frame


def _warn_of_trimming(frame: Frame, values: Values, tell: Tell) -> None:
    """Tell of windows that cannot be trimmed, as HiPERCAM's, whose amplifiers are not known."""
    from roque.frames.trim import AMPLIFIERS

    amplifiers = {window.outamp for ccd in frame.ccds.values() for window in ccd.windows.values()}
    if values.get("trim") and (values["ncol"] or values["nrow"]) and not amplifiers <= set(AMPLIFIERS):
        tell.say("warning: windows whose amplifier is not known are not trimmed")


def _read(values: Values, source: FrameSource, tell: Tell) -> Iterator[Frame]:
    """Frames of files from the first on, or the newest alone, whenever there is a newer one."""
    newest = values.get("first", 1) == 0
    place, given = (max(1, source.available) if newest else values.get("first", 1)), False
    while True:
        # that there is no first frame is an error, that there are no more the end
        if place > source.available and not (newest and _wait(source, place, values, tell)) and given:
            return
        if newest:
            place = max(1, source.available)
        yield source.frame(place)
        place, given = place + 1, True


def _wait(source: FrameSource, place: int, values: Values, tell: Tell) -> bool:
    """Wait for a frame; whether it came."""
    from roque.spool.waiting import Patience

    patience = Patience(values["twait"], values["tmax"])
    while source.refresh() < place:
        if not patience.wait():
            if values["tmax"] > 0.0:
                tell.say(f"no new frame in {values['tmax']:g} s")
            return False
    return True


def _served(values: Values, source: Any, tell: Tell) -> Iterator[Frame]:
    """Frames of a server from the first on, the newest alone, or those so many before it, waited for."""
    from roque.errors import NotFound, Unreachable
    from roque.spool.waiting import awaited

    tmax, given, lost = values["tmax"], False, ""
    try:
        for frame in awaited(source.cursor, twait=values["twait"], tmax=tmax, tell=tell.say):
            given = True
            yield frame
    except Unreachable as error:
        if not given:
            raise
        lost = f": {error}"
    if not given:
        remedy = "wait for more with tmax=SECONDS"
        raise NotFound(f"no frame came in {tmax:g} s", file=values["run"], remedy=remedy)
    if lost or tmax > 0.0:
        tell.say(f"no new frame in {tmax:g} s{lost}")


def _all_there(values: Values, source: FrameSource) -> int:
    """Wait until a server has the last frame that is asked for, or no new ones; give how many it has."""
    from roque.spool.waiting import Patience

    patience, available = Patience(values["twait"], values["tmax"]), source.refresh()
    while not 0 < values.get("last", 0) <= available and patience.wait():
        if (now := source.refresh()) > available:
            available = now
            patience.restart()
    return available
