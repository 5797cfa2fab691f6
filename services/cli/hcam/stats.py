"""`stats` and `mstats`: statistics of windows."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from services.cli.hcam.command import Tell, hcam_command
from services.cli.hcam.common import CALIBRATION, RUN_SOURCE, first, last, run_or_list
from services.cli.hcam.parameters import Kind, Parameter, Values, in_file, out_file

if TYPE_CHECKING:
    from roque.frames import Frame
    from roque.frames.statistics import Statistics

__all__ = ["mstats", "stats"]


def _number_format(text: str) -> str:
    format(1.0, text)
    return text


_FORMAT = Parameter(
    "format", Kind("a number format as Python knows them", _number_format), "9.3f", "of the numbers", hidden=True
)


@hcam_command(Parameter("input", in_file(".hcm"), "hcam", "frame"), _FORMAT)
def stats(values: Values, tell: Tell) -> None:
    """Print minimum, maximum, mean, median and standard deviation of each window of a frame.

    \b
    Example:
      roque hcam stats bias
    """
    from roque.frames.hcm import read_hcm

    form = values["format"]
    for ccd, window, found in _statistics(read_hcm(values["input"])):
        numbers = ", ".join(f"{name} = {value:{form}}" for name, value in found._asdict().items())
        tell.line(f"CCD {ccd}, window {window}: {numbers}", ccd=ccd, window=window, **found._asdict())


@hcam_command(
    *run_or_list(first(0), last(), source=RUN_SOURCE),
    CALIBRATION["bias"],
    _FORMAT,
    Parameter("outfile", out_file(".stats"), "stats", "table to write"),
)
def mstats(values: Values, tell: Tell) -> None:
    """Write statistics of each window of many frames as a table, less a bias if there is one.

    \b
    Example:
      roque hcam mstats run=run0012 first=1 last=0 bias=none outfile=run0012
    """
    from roque.calibration.whole import FrameCalibrator
    from roque.frames.files import write_whole
    from services.cli.hcam.runs import frames_of, masters_of, open_run

    form, masters = values["format"], masters_of(values)
    calibrate: FrameCalibrator | None = None
    with open_run(values) as source, write_whole(values["outfile"]) as part, part.open("w") as table:
        table.write(
            f"#\n# Statistics of the windows of {values['run']}, by mstats of roque\n#\n"
            "# frame ccd window minimum maximum mean median rms\n#\n"
        )
        for place, frame in frames_of(values, source, tell):
            calibrate = calibrate or FrameCalibrator(masters, frame)
            for ccd, window, found in _statistics(calibrate(frame)):
                table.write(f"{place:5d}   {ccd:5s} {window:5s} {' '.join(f'{value:{form}}' for value in found)}\n")
    tell.made(values["outfile"])


def _statistics(frame: Frame) -> Iterator[tuple[str, str, Statistics]]:
    from roque.frames.statistics import statistics

    for name, ccd in frame.ccds.items():
        for label, window in ccd.windows.items():
            yield name, label, statistics(window.data)
