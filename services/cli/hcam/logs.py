"""`hlog2fits`, `hlog2col`, `redanal`, `plog`: what is made of logs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from services.cli.hcam.command import Tell, hcam_command
from services.cli.hcam.parameters import FLAG, NUMBER, TEXT, Kind, Parameter, Values, in_file

__all__ = ["hlog2col", "hlog2fits", "plog", "redanal"]


def _folder(text: str) -> Path:
    if not Path(text).is_dir():
        raise ValueError
    return Path(text)


def _origin(*, hidden: bool = False) -> Parameter:
    meaning = "h this pipeline, u the older one of ULTRACAM"
    return Parameter("origin", TEXT, "h", meaning, hidden=hidden, choices=("h", "u"))


def _with_second(values: Values) -> bool:
    second: str = values["ccd2"]
    return second != "!"


def _log(default: str) -> Parameter:
    return Parameter("log", in_file(".log"), default, "reduce log")


@hcam_command(
    _log("red"),
    _origin(hidden=True),
    Parameter("dir", Kind("a folder that exists", _folder), ".", "folder to write to", hidden=True),
)
def hlog2fits(values: Values, tell: Tell) -> None:
    """Write a log as FITS: a table for each CCD, and the comments of the log in the first header. A file that is there stays.

    \b
    Example:
      roque hcam hlog2fits run0012
    """
    log = _read(values)
    made = values["dir"] / f"{values['log'].stem}.fits"
    log.to_fits(made, values["log"].name, comments=log.comments)
    tell.made(made)


@hcam_command(
    _log("run010"),
    _origin(),
    Parameter("offset", NUMBER, 0.7, "days taken off to find the night", hidden=True),
    Parameter("ap1", TEXT, "1", "aperture"),
    Parameter("ap2", TEXT, "2", "aperture to divide by"),
    Parameter("type", TEXT, "l", "l linear ratio, m magnitudes", choices=("l", "m")),
)
def hlog2col(values: Values, tell: Tell) -> None:
    """Write the ratio of two apertures as columns, a file for each CCD: NIGHT_LOG_CCD_AP1_AP2.asc in the current folder.

    \b
    Example:
      roque hcam hlog2col log=run0012 origin=h ap1=1 ap2=2 type=l
    """
    from roque.lightcurves.columns import write_columns

    log, apertures = _read(values), (values["ap1"], values["ap2"])
    for made in write_columns(log, values["log"], Path(), *apertures, kind=values["type"], offset=values["offset"]):
        tell.made(made)


@hcam_command(Parameter("aper", in_file(".ape"), "run001", "aperture file that was used"), _log("run001"))
def redanal(values: Values, tell: Tell) -> None:
    """Tell how well a reduction went: gaps in time, positions that failed, how far stars jumped between frames.

    \b
    Example:
      roque hcam redanal aper=run0012 log=run0012
    """
    from roque.lightcurves.analysis import analyse
    from roque.lightcurves.hlog import Hlog
    from roque.photometry.apertures import read_apertures

    for ccd in analyse(Hlog.from_ascii(values["log"]), read_apertures(values["aper"])):
        gaps = f"{ccd.mean_gap:.2f} / {ccd.largest_gap:.2f} seconds"
        facts = {"mean_gap": ccd.mean_gap, "largest_gap": ccd.largest_gap}
        tell.line(f"\nCCD {ccd.label} mean / maximum time gap = {gaps}", ccd=ccd.label, **facts)
        for star in ccd.stars:
            jumps = "/".join(f"{value:.2f}" for value in star.jumps)
            points = f"{star.good}/{star.total - star.good}/{star.total} OK/NOK/total points"
            words = f"ap {star.label} has {points}. Min/mean/median/max jitter = {jumps} pixels [{star.role}]"
            if star.link:
                words = f"aperture {star.label} is linked to aperture {star.link}"
            tell.line(f"CCD {ccd.label}, {words}", ccd=ccd.label, **star._asdict())


@hcam_command(
    _log("hcam"),
    Parameter("device", TEXT, "term", "file to draw into: .png, .pdf, .svg", hidden=True),
    Parameter("width", NUMBER, 0.0, "width, inches; 0 automatic", hidden=True, least=0.0),
    Parameter("height", NUMBER, 0.0, "height, inches; 0 automatic", hidden=True, least=0.0),
    Parameter("ccd1", TEXT, "1", "first CCD"),
    Parameter("aper1", TEXT, "1", "first aperture"),
    Parameter("param1", TEXT, "c", "x, y, f FWHM, b beta, c counts, s sky, m maximum", choices=tuple("xyfbcsm")),
    Parameter("ccd2", TEXT, lambda v: v["ccd1"], "second CCD; ! for none"),
    Parameter("aper2", TEXT, "1", "second aperture", when=_with_second),
    Parameter("param2", TEXT, "c", "as param1", choices=tuple("xyfbcs"), when=_with_second),
    Parameter("scheme", TEXT, "b", "b both, d difference, r ratio, s scatter", choices=tuple("bdrs"), when=_with_second),
    Parameter("title", TEXT, lambda v: v["log"].stem, "title", hidden=True),
    Parameter("badtime", FLAG, False, "show points whose time is bad", hidden=True),
)
def plog(values: Values, tell: Tell) -> None:
    """Draw columns of a log into a file, against time or against each other. Points marked as junk are left out.

    \b
    Example:
      roque hcam plog log=run0012 device=run0012.png aper1=1 aper2=2 scheme=r
    """
    from roque.errors import BadInput
    from roque.lightcurves.log_plot import Column, plot_columns

    device = Path(values["device"])
    if device.suffix.lower() not in (".png", ".pdf", ".svg"):
        remedy = "name a file with the ending .png, .pdf or .svg"
        raise BadInput("there is no screen to draw on", file=values["device"], place="device", remedy=remedy)
    second = None if values["ccd2"] == "!" else Column(values["ccd2"], values["aper2"], values["param2"])
    plot_columns(
        device,
        _read(values | {"origin": "h"}),
        Column(values["ccd1"], values["aper1"], values["param1"]),
        second,
        scheme=values.get("scheme", "b"),
        title=values["title"],
        size=(values["width"], values["height"]),
        bad_times=values["badtime"],
    )
    tell.made(device)


def _read(values: Values) -> Any:
    from roque.lightcurves.hlog import Hlog

    return (Hlog.from_ulog if values["origin"] == "u" else Hlog.from_ascii)(values["log"])
