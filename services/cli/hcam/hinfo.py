"""`hinfo`: what is in a frame."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from services.cli.hcam.command import Tell, hcam_command
from services.cli.hcam.parameters import Parameter, Values, in_file
from services.cli.output import clean

if TYPE_CHECKING:
    from roque.frames import CCD, Window

__all__ = ["hinfo"]

_SHOWN = 4  # rows and columns of counts


@hcam_command(Parameter("input", in_file(".hcm"), "hcam", "frame"))
def hinfo(values: Values, tell: Tell) -> None:
    """Print headers and a part of the data of a frame.

    Keywords of the frame and of each CCD, and the lower left corner of each window.

    \b
    Example:
      roque hcam hinfo bias
    """
    from roque.frames.hcm import read_hcm
    from roque.spool.stamps import iso_time

    frame = read_hcm(values["input"])
    if tell.as_json:
        ccds = {name: _facts(ccd) for name, ccd in frame.ccds.items()}
        tell.line("", file=str(values["input"]), header=frame.header, ccds=ccds)
        return
    tell.line(f"file {values['input']}: {len(frame.ccds)} CCD{'s' * (len(frame.ccds) > 1)}")
    _keywords(tell, frame.header, "  ")
    for name, ccd in frame.ccds.items():
        data, time = "data" if ccd.data_ok else "no data", "good" if ccd.time_ok else "not good"
        pads = f" and pads of {ccd.nxpad} x {ccd.nypad}" if ccd.nxpad or ccd.nypad else ""
        tell.line(f"\nCCD {name}: {ccd.nxtot} x {ccd.nytot} pixels{pads}, {data}")
        if math.isnan(ccd.mjd_frac):
            tell.line(f"  no time, exposure {ccd.exposure:g} s")
        else:
            middle = f"{iso_time(ccd.mjd_int, ccd.mjd_frac)} UTC, MJD {ccd.mjd:.10f}"
            tell.line(f"  middle of the exposure {middle} ({time}), exposure {ccd.exposure:.9g} s")
        _keywords(tell, ccd.header, "  ")
        for label, window in ccd.windows.items():
            g = window.geometry
            where = f"from ({g.llx}, {g.lly}), binned {g.xbin} x {g.ybin}{_amplifier(window)}"
            tell.line(f"  window {label}: {g.nx} x {g.ny} pixels {where}, {window.data.dtype}, from the lower left:")
            for row in window.data[:_SHOWN]:
                more = " ..." if g.nx > _SHOWN else ""
                tell.line("   " + " ".join(f"{value:11.6g}" for value in row[:_SHOWN].tolist()) + more)


def _keywords(tell: Tell, header: dict[str, Any], indent: str) -> None:
    for keyword, value in header.items():
        for line in value if isinstance(value, list) else [value]:
            tell.line(clean(f"{indent}{keyword:8s} {line}"))


def _amplifier(window: Window) -> str:
    return f", amplifier {window.outamp}" if window.outamp else ""


def _facts(ccd: CCD) -> dict[str, Any]:
    windows = {
        label: {
            **{key: getattr(w.geometry, key) for key in ("llx", "lly", "xbin", "ybin", "nx", "ny")},
            "outamp": w.outamp,
            "corner": w.data[:_SHOWN, :_SHOWN].tolist(),
        }
        for label, w in ccd.windows.items()
    }
    times = {
        "mjd": ccd.mjd,
        "mjd_int": ccd.mjd_int,
        "mjd_frac": ccd.mjd_frac,
        "exposure": ccd.exposure,
        "time_ok": ccd.time_ok,
        "data_ok": ccd.data_ok,
    }
    sizes = {"nxtot": ccd.nxtot, "nytot": ccd.nytot, "nxpad": ccd.nxpad, "nypad": ccd.nypad}
    return {**sizes, **times, "header": ccd.header, "windows": windows}
