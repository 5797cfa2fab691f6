"""`grab`: frames of a run as files."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from services.cli.hcam.command import Tell, hcam_command
from services.cli.hcam.common import CALIBRATION, FRINGES, TRIM, first, from_list, from_run, last, run_or_list
from services.cli.hcam.parameters import FLAG, TEXT, WHOLE, Parameter, Values

if TYPE_CHECKING:
    from roque.frames import Frame
    from roque.spool import FrameSource

__all__ = ["grab"]

_SOURCE, *_RUN = run_or_list(
    first(0), last(), Parameter("ndigit", WHOLE, 3, "digits of the numbers in names", least=0, when=from_run)
)


@hcam_command(
    _SOURCE,
    Parameter("temp", FLAG, False, "write temporary files and name a list of them", hidden=True),
    *_RUN,
    Parameter("prefix", TEXT, "pfx_", "what names begin with, for lists", when=from_list),
    *TRIM,
    *CALIBRATION.values(),
    *FRINGES,
    Parameter("verbose", FLAG, False, "tell what stays uncalibrated", hidden=True),
    Parameter("dtype", TEXT, "f32", "type of the counts", hidden=True, choices=("f32", "f64", "u16")),
)
def grab(values: Values, tell: Tell) -> None:
    """Write frames of a run, or of a list, as hcm files: RUN_NNN.hcm in the current folder, numbered by place in the run.

    Files that are there are replaced. With dtype=u16 counts must lie within 0 and 65535; they are rounded.

    \b
    Example:
      roque hcam grab run=run0012 first=1 last=3 trim=no bias=bias \\\\
    """
    import tempfile

    from services.cli.hcam.runs import open_run

    folder = Path(tempfile.mkdtemp(prefix="roque-grab-")) if values["temp"] else Path()
    with open_run(values) as source:
        written = [folder / name for name in _write(values, source, folder, tell)]
    if values["temp"]:
        names = folder / "files.lis"
        names.write_text("".join(f"{path}\n" for path in written))
        tell.made(names)
        return
    for path in written:
        tell.made(path)


def _write(values: Values, source: FrameSource, folder: Path, tell: Tell) -> Iterator[str]:
    from roque.calibration.whole import FrameCalibrator
    from roque.frames.hcm import write_hcm
    from services.cli.hcam.runs import frames_of, masters_of

    masters = masters_of(values)
    calibrate: FrameCalibrator | None = None
    for place, frame in frames_of(values, source, tell):
        if calibrate is None:
            calibrate = FrameCalibrator(masters, frame, nhalf=values.get("nhalf", 2))
            for note in calibrate.notes if values["verbose"] else ():
                tell.say(note)
        name = _name(values, source, place)
        write_hcm(folder / name, _converted(calibrate(frame), values["dtype"], name), overwrite=True)
        yield name


def _name(values: Values, source: FrameSource, place: int) -> str:
    if from_list(values):
        return f"{values['prefix']}{source.paths[place - 1].name}"  # type: ignore[attr-defined]
    run = os.path.basename(values["run"]).removesuffix(".fits")  # noqa: PTH119 - a text
    return f"{run}_{place:0{values['ndigit']}d}.hcm"


def _converted(frame: Frame, dtype: str, name: str) -> Frame:
    import numpy as np

    from roque.errors import BadInput

    if dtype == "f32":
        return frame.map(lambda _ccd, _label, window: window.data.astype(np.float32, copy=False))
    if dtype == "f64":
        return frame.map(lambda _ccd, _label, window: window.data.astype(np.float64))
    for ccd, label, window in ((c, w, window) for c, own in frame.ccds.items() for w, window in own.windows.items()):
        if not (np.rint(window.data.min()) >= 0 and np.rint(window.data.max()) <= 65535):
            place = f"CCD {ccd}, window {label}"
            raise BadInput("counts outside 0 and 65535", file=name, place=place, remedy="say dtype=f32, or leave out the bias")
    return frame.map(lambda _ccd, _label, window: np.rint(window.data).astype(np.uint16))
