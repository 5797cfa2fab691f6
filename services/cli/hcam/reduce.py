"""`reduce`: photometry of a run by a reduce file."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import chain, islice, takewhile
from pathlib import Path
from threading import Event
from typing import TYPE_CHECKING, Any

from services.cli.hcam.command import Tell, hcam_command
from services.cli.hcam.common import TRIM, first, from_list, last, named_like_input, run_or_list
from services.cli.hcam.parameters import FLAG, NUMBER, TEXT, WHOLE, Parameter, Values, in_file, out_file

if TYPE_CHECKING:
    from roque.calibration.apply import Masters
    from roque.frames import Frame
    from roque.photometry.measurements import Measurements
    from roque.photometry.recipe import Recipe
    from roque.photometry.reduce import Reducer
    from roque.photometry.reduce_file import ReduceFile
    from roque.spool import FrameSource

__all__ = ["reduce"]

_RANGE = 512  # frames measured before their rows are written


def _with_images(values: Values) -> bool:
    shown: bool = values["implot"]
    return shown


def _display(name: str, kind: Any, default: Any, meaning: str, *, when: Any = _with_images) -> Parameter:
    return Parameter(name, kind, default, meaning, when=when)


def _levels(*letters: str) -> Any:
    return lambda values: _with_images(values) and values["iset"] in letters


@hcam_command(
    *run_or_list(first(), last(hidden=True)),
    *TRIM,
    Parameter("rfile", in_file(".red"), named_like_input, "reduce file"),
    Parameter("log", out_file(".log"), named_like_input, "log to write, over what is there"),
    Parameter("tkeep", NUMBER, 0.0, "minutes kept in plots, 0 for all", least=0.0),
    Parameter("lplot", FLAG, True, "plot light curves while reducing: not done, 'plog' plots the log"),
    Parameter("implot", FLAG, True, "plot images while reducing: not done"),
    _display("ccd", TEXT, "0", "CCDs to show"),
    _display("nx", WHOLE, 3, "panels across"),
    _display("msub", FLAG, True, "subtract medians for display"),
    _display("iset", TEXT, "a", "levels of display: a, d, p"),
    _display("ilo", NUMBER, 0.0, "lower level", when=_levels("d")),
    _display("ihi", NUMBER, 1000.0, "upper level", when=_levels("d")),
    _display("plo", NUMBER, 5.0, "lower percentile", when=_levels("p")),
    _display("phi", NUMBER, 95.0, "upper percentile", when=_levels("p")),
    _display("xlo", NUMBER, None, "left limit"),
    _display("xhi", NUMBER, None, "right limit"),
    _display("ylo", NUMBER, None, "lower limit"),
    _display("yhi", NUMBER, None, "upper limit"),
)
def reduce(values: Values, tell: Tell) -> None:
    """Reduce a run by a reduce file: the log that the HiPERCAM pipeline would write, number by number.

    \b
    Example:
      roque hcam reduce run=run0012 first=1 trim=no rfile=run0012 log=run0012 \\\\
    """
    from roque import __version__
    from roque.lightcurves.log_writer import LogHeader, write_log
    from roque.photometry.apertures import read_apertures
    from roque.photometry.recipe import Recipe
    from roque.photometry.recipe_files import aperture_file
    from roque.photometry.reduce import Reducer
    from roque.photometry.reduce_file import check_plots, read_reduce_file
    from services.cli.hcam.runs import open_run

    file = read_reduce_file(values["rfile"])
    apertures = read_apertures(aperture_file(file))
    check_plots(file, apertures)
    if values["lplot"] or values["implot"]:
        tell.say("nothing is drawn while reducing: 'roque hcam plog' draws the log")
    recipe = Recipe.from_reduce_file(file)
    reducer = Reducer(recipe, apertures, _masters(file, recipe), side_by_side=True)
    header = LogHeader(
        version=f"roque {__version__}",
        parameters={name: _told(value) for name, value in values.items()},
        reduce_file=file.lines,
        offset=recipe.general.toffset,
    )
    stop = Event()
    with open_run(values) as source:
        rows = _rows(file, reducer, _until(stop, _frames(values, source, tell)), tell)
        write_log(values["log"], _ahead(rows, stop), apertures, header)
    tell.made(values["log"])


def _ahead(rows: Iterator[Measurements], stop: Event) -> Iterator[Measurements]:
    """Have the next rows measured by a thread while the last ones are written; an interrupt ends the reading of frames."""
    with ThreadPoolExecutor(1, thread_name_prefix="reduce") as thread:
        try:
            following = thread.submit(next, rows, None)
            while (some := following.result()) is not None:
                following = thread.submit(next, rows, None)
                yield some
        finally:
            stop.set()


def _until(stop: Event, frames: Iterator[Frame]) -> Iterator[Frame]:
    return takewhile(lambda _: not stop.is_set(), frames)


def _rows(file: ReduceFile, reducer: Reducer, frames: Iterator[Frame], tell: Tell) -> Iterator[Measurements]:
    """Measure range after range, and give the rows in the order in which the HiPERCAM pipeline writes them."""
    from roque.lightcurves.groups import by_ccd

    together = file.integer("general", "ngroup") if file.integer("general", "ncpu") > 1 else 0
    state = None
    for frame in frames:
        # one by one as they are read: a range of large windows would fill the memory
        some = chain((frame,), islice(frames, (together or _RANGE) - 1))
        rows, state, notes = reducer.reduce_range(some, state)
        for note in notes:
            tell.say(str(note))
        yield from by_ccd(rows, frame.ccds) if together else (rows,)


def _frames(values: Values, source: FrameSource, tell: Tell) -> Iterator[Frame]:
    """Frames to the last that is asked for; it is meant by number, which is above the place where frames were dropped."""
    from dataclasses import replace

    from services.cli.hcam.runs import frames_of

    last = values.get("last", 0)
    for _, frame in frames_of(values | {"last": 0}, source, tell):
        number = frame.header.get("NFRAME", frame.number) if from_list(values) else frame.number
        if last and number > last:
            return
        yield replace(frame, number=number)


def _masters(file: ReduceFile, recipe: Recipe) -> Masters:
    """Calibration frames, frames of read noise and gain, and bad pixels that the reduce file names."""
    from dataclasses import replace

    from roque.calibration.defects import read_defects
    from roque.frames.hcm import read_hcm
    from roque.photometry.recipe_files import calibration_names
    from services.cli.hcam.runs import masters_of

    names = {kind: Path(name) if name else None for kind, name in calibration_names(file).items()}
    readers: dict[str, Any] = {"readout": read_hcm, "gain": read_hcm, "defects": read_defects}
    more = {kind: readers[kind](Path(name)) for kind, name in recipe.named_files().items()}
    return replace(masters_of(names), **more)


def _told(value: Any) -> str:
    """Value as logs of the HiPERCAM pipeline have it: files without their extensions."""
    return str(value.with_suffix("")) if isinstance(value, Path) else str(value)
