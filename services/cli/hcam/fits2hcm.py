"""`fits2hcm`: FITS images of other cameras as hcm files."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from services.cli.hcam.command import Tell, hcam_command
from services.cli.hcam.parameters import FLAG, TEXT, Parameter, Values, in_file

if TYPE_CHECKING:
    from roque.frames import Frame
    from roque.instruments import CameraDescription

__all__ = ["ORIGINS", "fits2hcm"]

ORIGINS = {
    "HICKS": "hicks",
    "INTWFC": "intwfc",
    "LTRISE": "ltrise",
    "LTIO": "ltio",
    "PT5M": "pt5m",
    "ROSA": "rosa",
    "LCOGT": "lcogt",
    "WHTCAM": "whtcam",
    "OSIRIS+": "osirisplus",
}
"""Description of the camera that each origin stands for."""

_DAY = 86400.0


@hcam_command(
    Parameter("flist", in_file(".lis"), "files", "list of FITS files"),
    Parameter("origin", TEXT, "LTRISE", "kind of camera", choices=tuple(ORIGINS)),
    Parameter("overwrite", FLAG, True, "replace files that are there"),
)
def fits2hcm(values: Values, tell: Tell) -> None:
    """Make an hcm file of each FITS image of a list, in the current folder: its name up to the first dot, with .hcm.

    Headers are read by the descriptions of cameras that come with roque ('roque camera list').

    \b
    Example:
      roque hcam fits2hcm flist=night.lis origin=LTRISE overwrite=no
    """
    from roque.frames.hcm import write_hcm
    from roque.instruments import load_camera
    from roque.spool.hcm_list import read_names

    camera = load_camera(ORIGINS[values["origin"]])
    for number, name in enumerate(read_names(values["flist"]), start=1):
        path = Path(name)
        if not path.exists() and Path(f"{name}.fits").exists():
            path = Path(f"{name}.fits")
        made = Path(f"{path.name.partition('.')[0]}.hcm")
        write_hcm(made, _read(path, camera, number), overwrite=values["overwrite"])
        tell.made(made)


def _read(path: Path, camera: CameraDescription, number: int) -> Frame:
    """Read an image by itself: the files of a list need not be one run."""
    from roque.spool import data_source
    from roque.spool.stamps import iso_time

    with data_source("fits", path, camera=camera) as source:
        frame = source.frame(1)
        if not all(ccd.time_ok for ccd in frame.ccds.values()):
            raise source.problems[0]  # a time that cannot be read
    ((label, ccd),) = frame.ccds.items()
    milliseconds = round(ccd.mjd_frac * _DAY * 1e3)
    stamp = iso_time(ccd.mjd_int, milliseconds / (_DAY * 1e3)).removesuffix("000000")
    times = {"TIMSTAMP": stamp, "MJDUTC": ccd.mjd}
    # the Liverpool Telescope's time stamp is its start; the middle stands with the CCD
    if camera.site.telescope == "LT" and "DATE-OBS" in frame.header:
        times["TIMSTAMP"] = frame.header["DATE-OBS"]
    # gain and limits are those of a description, not of the file
    return replace(
        frame, ccds={label: replace(ccd, header={})}, number=number, header=frame.header | {"NFRAME": number} | times
    )
