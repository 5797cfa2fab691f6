"""`combine` and `averun`: many frames made into one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from services.cli.hcam.command import Tell, hcam_command
from services.cli.hcam.common import CALIBRATION, CLOBBER, FRINGES, TRIM, first, last, named_like_input, output, run_or_list
from services.cli.hcam.masters import finish
from services.cli.hcam.parameters import FLAG, NUMBER, TEXT, Parameter, Values, in_file

if TYPE_CHECKING:
    from roque.calibration.stack import Stack

__all__ = ["averun", "combine"]

_ADJUST = {"i": "none", "n": "scale", "b": "offset"}


def _method(default: str, *, hidden: bool = False) -> Parameter:
    return Parameter("method", TEXT, default, "c clipped mean, m median", hidden=hidden, choices=("c", "m"))


def _sigma(*, hidden: bool = False) -> Parameter:
    meaning = "clipping threshold, RMS; 0 for a plain mean"
    return Parameter("sigma", NUMBER, 3.0, meaning, hidden=hidden, when=lambda v: v["method"] == "c")


def _adjust(*, hidden: bool = False) -> Parameter:
    meaning = "levels are made equal: i not, n by a factor, b by an offset"
    return Parameter("adjust", TEXT, "i", meaning, hidden=hidden, choices=tuple(_ADJUST))


@hcam_command(
    Parameter("list", in_file(".lis"), "files", "list of hcm files"),
    *CALIBRATION.values(),
    _method("c"),
    _sigma(),
    _adjust(),
    Parameter("usemean", FLAG, True, "the level is the mean, else the median", when=lambda v: v["adjust"] != "i"),
    Parameter("plot", FLAG, False, "accepted, and not followed", hidden=True),
    CLOBBER,
    output(),
)
def combine(values: Values, tell: Tell) -> None:
    """Combine the frames of a list pixel by pixel; CCDs without data in a frame are left out of it.

    \b
    Example:
      roque hcam combine list=frames dark=none flat=none method=m output=mean
    """
    from roque.calibration.stack import Stack
    from roque.spool import data_source
    from services.cli.hcam.runs import hcm_names, insist_on_room, masters_of

    insist_on_room(values)
    with data_source("hf", hcm_names(values["list"])) as frames:
        _combine(values, tell, Stack(frames, masters=masters_of(values)), "mean" if values.get("usemean", True) else "median")


@hcam_command(
    *run_or_list(first(1), last(lambda v: v["first"])),
    *TRIM,
    *CALIBRATION.values(),
    *FRINGES,
    _method("m", hidden=True),
    _sigma(hidden=True),
    _adjust(hidden=True),
    CLOBBER,
    output(named_like_input),
)
def averun(values: Values, tell: Tell) -> None:
    """Average the frames of a run or list, calibrated, to place apertures on; all of a run with last=0.

    \b
    Example:
      roque hcam averun run=run0012 first=1 last=50 dark=none fmap=none \\\\
    """
    from roque.calibration.stack import Stack
    from services.cli.hcam.runs import Trimmed, insist_on_room, masters_of, open_run, places_of

    insist_on_room(values)
    with open_run(values) as source:
        frames, places = Trimmed(source, values), places_of(values, source)
        _combine(values, tell, Stack(frames, places, masters=masters_of(values), nhalf=values.get("nhalf", 2)), "mean")


def _combine(values: Values, tell: Tell, stack: Stack, level: Literal["mean", "median"]) -> None:
    from roque.calibration.combine import combine as combine_frames

    sigma = values.get("sigma", 3.0)  # a median clips nothing
    clipped = "clipped mean" if sigma > 0.0 else "mean"
    made, report = combine_frames(
        stack,
        method="median" if values["method"] == "m" else clipped,
        sigma=sigma,
        adjust=_ADJUST[values["adjust"]],
        level=level,
    )
    finish(values, tell, made, report)
