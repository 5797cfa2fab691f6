"""`add`, `sub`, `mul`, `div`, `cadd`, `csub`, `cmul`, `cdiv`, `splice`, `hfilter`: frames from frames."""

from __future__ import annotations

import operator
from typing import TYPE_CHECKING, Any

from services.cli.hcam.command import HcamCommand, Tell, hcam_command
from services.cli.hcam.common import CLOBBER, ccd_choice, output
from services.cli.hcam.parameters import FLAG, NUMBER, TEXT, Parameter, Values, in_file

if TYPE_CHECKING:
    from roque.frames import Frame

__all__ = ["add", "cadd", "cdiv", "cmul", "csub", "div", "hfilter", "mul", "splice", "sub"]

_WHERE = (
    Parameter("ccd", TEXT, "all", "labels of CCDs, separated by blanks", hidden=True),
    Parameter("win", TEXT, "all", "labels of windows, separated by blanks", hidden=True),
)


def _of_frames(name: str, operation: Any, doing: str) -> HcamCommand:
    @hcam_command(
        Parameter("input1", in_file(".hcm"), "hcam", "first frame"),
        Parameter("input2", in_file(".hcm"), "hcam", "second frame"),
        *_WHERE,
        Parameter("crop", FLAG, False, "cut the second frame to the windows of the first", hidden=True),
        output(),
    )
    def command(values: Values, tell: Tell) -> None:
        from roque.calibration.crop import crop
        from roque.frames.arithmetic import combine_pairs
        from roque.frames.hcm import read_hcm

        one, two = read_hcm(values["input1"]), read_hcm(values["input2"])
        if values["crop"]:
            two = crop(two, one, what="second frame")
        _write(values, tell, combine_pairs(operation, one, two, **_where(values, one)))

    command.name = name
    command.help = f"""{doing}, window by window; headers are those of the first.

    \b
    Example:
      roque hcam {name} input1=run0012_001 input2=bias output=result
    """
    return command


def _of_number(name: str, operation: Any, doing: str) -> HcamCommand:
    @hcam_command(
        Parameter("input", in_file(".hcm"), "hcam", "frame"),
        Parameter("const", NUMBER, 0.0, "the number"),
        *_WHERE,
        output(),
    )
    def command(values: Values, tell: Tell) -> None:
        from roque.frames.arithmetic import combine_with
        from roque.frames.hcm import read_hcm

        frame = read_hcm(values["input"])
        _write(values, tell, combine_with(operation, frame, values["const"], **_where(values, frame)))

    command.name = name
    command.help = f"""{doing}, in the CCDs and windows named; the rest stays as it is.

    \b
    Example:
      roque hcam {name} input=flat const=1.25 ccd='1 2' output=result
    """
    return command


add = _of_frames("add", operator.add, "Add two frames")
sub = _of_frames("sub", operator.sub, "Subtract a frame from another")
mul = _of_frames("mul", operator.mul, "Multiply two frames")
div = _of_frames("div", operator.truediv, "Divide a frame by another")
cadd = _of_number("cadd", operator.add, "Add a number to a frame")
csub = _of_number("csub", operator.sub, "Subtract a number from a frame")
cmul = _of_number("cmul", operator.mul, "Multiply a frame by a number")
cdiv = _of_number("cdiv", operator.truediv, "Divide a frame by a number")


@hcam_command(
    Parameter("input1", in_file(".hcm"), "frame1", "first frame"),
    Parameter("input2", in_file(".hcm"), "frame2", "second frame"),
    ccd_choice("1"),
    Parameter("win", TEXT, "0", "windows to take; 0 all", hidden=True),
    output("output"),
)
def splice(values: Values, tell: Tell) -> None:
    """Replace CCDs, or windows of CCDs, of a frame by those of another.

    \b
    Example:
      roque hcam splice input1=day input2=night ccd='2 3' output=result
    """
    from roque.frames.arithmetic import splice as splice_frames
    from roque.frames.hcm import read_hcm

    one, two = read_hcm(values["input1"]), read_hcm(values["input2"])
    _write(values, tell, splice_frames(one, two, **_where(values, one, "0")))


@hcam_command(
    Parameter("input", in_file(".hcm"), "hcam", "frame"),
    ccd_choice(),
    Parameter("filter", TEXT, "g", "kind of filter: g Gaussian", choices=("g",)),
    Parameter("fwhm", NUMBER, 4.0, "FWHM, binned pixels", least=0.01),
    CLOBBER,
    output("filtered"),
)
def hfilter(values: Values, tell: Tell) -> None:
    """Smooth windows with a Gaussian; what leaves a window on one side comes in on the other.

    \b
    Example:
      roque hcam hfilter input=run0012_001 ccd=0 filter=g fwhm=4 output=smooth
    """
    from roque.frames.filters import smooth_periodic
    from roque.frames.hcm import read_hcm
    from services.cli.hcam.runs import insist_on_room

    insist_on_room(values)
    frame = read_hcm(values["input"])
    only = _where(values | {"win": "0"}, frame, "0")["ccds"]
    wanted = None if only is None else dict.fromkeys(only)
    _write(values, tell, frame.map(lambda _ccd, _label, window: smooth_periodic(window.data, values["fwhm"]), wanted))


def _where(values: Values, frame: Frame, everything: str = "all") -> dict[str, list[str] | None]:
    """CCDs and windows that are meant, None for all."""
    from services.cli.hcam.runs import selected

    windows = list(dict.fromkeys(label for ccd in frame.ccds.values() for label in ccd.windows))
    ccds = selected(values["ccd"], list(frame.ccds), everything, "CCD")
    labels = selected(values["win"], windows, everything, "window")
    return {
        "ccds": None if ccds == list(frame.ccds) else ccds,
        "windows": None if labels == windows else labels,
    }


def _write(values: Values, tell: Tell, frame: Frame) -> None:
    from roque.frames.hcm import write_hcm

    write_hcm(values["output"], frame, overwrite=True)
    tell.made(values["output"])
