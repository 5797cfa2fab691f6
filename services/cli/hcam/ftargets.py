"""`ftargets`: a table of the targets of many frames."""

from __future__ import annotations

from typing import TYPE_CHECKING

from services.cli.hcam.command import Tell, hcam_command
from services.cli.hcam.common import CALIBRATION, TRIM, ccd_choice, first, run_or_list
from services.cli.hcam.parameters import FLAG, NUMBER, TEXT, WHOLE, Parameter, Values, out_file

if TYPE_CHECKING:
    from collections.abc import Iterator

    from roque.frames import Frame
    from roque.photometry.targets import Search, Targets

__all__ = ["ftargets"]

_SOURCE, *_RUN = run_or_list(first())


def _display(name: str, kind: object, default: object, *, hidden: bool = False) -> Parameter:
    return Parameter(name, kind, default, "of displays: accepted, and not drawn", hidden=hidden)  # type: ignore[arg-type]


@hcam_command(
    _SOURCE,
    *(_display("device", TEXT, "1/xs", hidden=True), _display("width", NUMBER, 0.0, hidden=True)),
    _display("height", NUMBER, 0.0, hidden=True),
    *_RUN,
    *TRIM,
    ccd_choice(),
    _display("nx", WHOLE, 3),
    _display("pause", NUMBER, 0.0, hidden=True),
    Parameter("thresh", NUMBER, 3.0, "threshold of detections, RMS of the background"),
    Parameter("fwhm", NUMBER, 4.0, "FWHM of the detection's kernel, binned pixels"),
    Parameter("minpix", WHOLE, 3, "fewest pixels above the threshold"),
    Parameter("rmin", NUMBER, 20.0, "distance between targets that are fitted, half width of fits"),
    Parameter("pmin", NUMBER, 5.0, "least peak to fit, in thresholds"),
    Parameter("pmax", NUMBER, 60000.0, "largest peak to fit, counts"),
    Parameter("emax", NUMBER, 1.2, "largest ratio of axes to fit", least=1.0),
    Parameter("nmax", WHOLE, 10, "most fits of a window", least=1),
    Parameter("gain", NUMBER, 1.0, "electrons per count", least=0.0),
    Parameter("rej", NUMBER, 6.0, "rejection threshold of fits, RMS", least=2.0),
    CALIBRATION["bias"],
    CALIBRATION["flat"],
    Parameter("output", out_file(".sep"), "sources", "table to write"),
    _display("msub", FLAG, True),
    _display("iset", TEXT, "a"),
    *(_display(name, NUMBER, level) for name, level in {"ilo": 0.0, "ihi": 1000.0, "plo": 5.0, "phi": 95.0}.items()),
    Parameter("xlo", NUMBER, -1e6, "left limit of the search"),
    Parameter("xhi", NUMBER, 1e6, "right limit"),
    Parameter("ylo", NUMBER, -1e6, "lower limit"),
    Parameter("yhi", NUMBER, 1e6, "upper limit"),
)
def ftargets(values: Values, tell: Tell) -> None:
    """Find the stars of each frame of a run, fit profiles to the brightest, and write a FITS table for each CCD.

    \b
    Example:
      roque hcam ftargets run=run0012 first=1 flat=none thresh=4 output=run0012 \\\\
    """
    import numpy as np

    from roque.frames.files import write_whole
    from roque.lightcurves.fits_table import write_primary, write_table
    from roque.photometry.targets import Search

    names = ("thresh", "fwhm", "minpix", "rmin", "pmin", "pmax", "emax", "nmax", "gain", "rej")
    tables: dict[str, list[Targets]] = {}
    for ccd, found in _find(values, Search(**{name: values[name] for name in names}), tell):
        tables.setdefault(ccd, []).append(found)
    with write_whole(values["output"]) as part, part.open("wb") as file:
        write_primary(file, {"NUMCCD": (len(tables), "CCDs with tables")})
        for ccd, parts in sorted(tables.items()):
            table = np.concatenate(parts)
            tell.say(f"CCD {ccd}: {len(table)} targets in {len(parts)} windows, {int(table['nfev'].sum())} fitted")
            write_table(file, f"CCD {ccd}", table, {"CCDNAME": (ccd, "CCD name")})
    tell.made(values["output"])


def _find(values: Values, search: Search, tell: Tell) -> Iterator[tuple[str, Targets]]:
    """Targets of every window of every frame, with the labels of their CCDs."""
    from roque.calibration.whole import FrameCalibrator
    from services.cli.hcam.runs import frames_of, masters_of, open_run, selected

    masters = masters_of({name: values[name] for name in ("bias", "flat")})
    calibrate: FrameCalibrator | None = None
    with open_run(values) as source:
        for _, frame in frames_of(values, source, tell):
            calibrate = calibrate or FrameCalibrator(masters, frame)
            wanted = selected(values["ccd"], list(frame.ccds), "0", "CCD")
            yield from _of_frame(calibrate(frame), wanted, values, search)


def _of_frame(frame: Frame, wanted: list[str], values: Values, search: Search) -> Iterator[tuple[str, Targets]]:
    from roque.photometry.targets import find_targets

    for name in (name for name in wanted if frame.ccds[name].data_ok):
        for label, window in frame.ccds[name].windows.items():
            box = window.geometry.box(*(values[limit] for limit in ("xlo", "xhi", "ylo", "yhi")))
            if not box.empty:
                counts, geometry = window.data[box.slices], window.geometry.cut(box)
                yield name, find_targets(counts, geometry, search, frame=frame.number, window=label)
