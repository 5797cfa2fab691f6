"""`makebias`, `makedark`, `makeflat`, `makefringe`: masters from runs or lists."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from services.cli.hcam.command import Tell, hcam_command
from services.cli.hcam.common import (
    CALIBRATION,
    CLOBBER,
    ccd_choice,
    first,
    last,
    named_like_input,
    output,
    run_or_list,
)
from services.cli.hcam.parameters import FLAG, NUMBER, NUMBERS, WHOLE, Parameter, Values, in_file

if TYPE_CHECKING:
    from roque.calibration.report import MasterReport
    from roque.frames import Frame

__all__ = ["finish", "makebias", "makedark", "makeflat", "makefringe"]

_SIGMA = Parameter("sigma", NUMBER, 3.0, "clipping threshold, RMS", least=1.0)


def finish(values: Values, tell: Tell, made: Frame, report: MasterReport) -> None:
    """Write what was made, and tell what a person should know of it."""
    from roque.frames.hcm import write_hcm

    for name, used in report.ccds.items():
        clipped = f", {100.0 * used.rejected:.3f} % of the values rejected" if report.sigma is not None else ""
        tell.say(f"CCD {name}: {len(used.used)} frames{clipped}")
    for name, why in report.left_out.items():
        tell.say(f"CCD {name} is left out: {why}")
    for warning in report.warnings:
        tell.say(f"warning: {warning}")
    write_hcm(values["output"], made, overwrite=True)
    tell.made(values["output"])


def _one_frame(values: Values) -> Any:
    return values["first"]


@hcam_command(
    *run_or_list(first(0), last()),
    _SIGMA,
    Parameter("plot", FLAG, False, "accepted, and not followed: levels are told instead"),
    output(named_like_input),
)
def makebias(values: Values, tell: Tell) -> None:
    """Make a bias: the clipped mean of frames brought to the mean level of the first, CCD by CCD.

    \b
    Example:
      roque hcam makebias run=run0001 first=2 last=0 sigma=3 plot=no output=bias
    """
    from roque.calibration.masters import make_bias
    from services.cli.hcam.runs import open_run, places_of

    with open_run(values) as source:
        bias, report = make_bias(source, places_of(values, source), sigma=values["sigma"], parity=True)
    if values["plot"]:
        for name, used in report.ccds.items():
            tell.say(f"CCD {name}: mean levels {' '.join(f'{level:.2f}' for level in used.levels)}")
    finish(values, tell, bias, report)


@hcam_command(*run_or_list(first(0), last(_one_frame)), CALIBRATION["bias"], _SIGMA, output(named_like_input))
def makedark(values: Values, tell: Tell) -> None:
    """Make a dark: the clipped mean of frames less the bias; EXPTIME of its main header is net of the bias's.

    \b
    Example:
      roque hcam makedark run=run0002 first=1 last=0 bias=bias sigma=3 output=dark
    """
    from roque.calibration.masters import make_dark
    from services.cli.hcam.runs import open_run, places_of, read_frame

    with open_run(values) as source:
        bias = read_frame(values["bias"])
        dark, report = make_dark(source, bias, places_of(values, source), sigma=values["sigma"], parity=True)
    finish(values, tell, dark, report)


def _levels(name: str, level: float, meaning: str) -> Parameter:
    return Parameter(name, NUMBERS, [level], f"{meaning} mean level, one for all CCDs or one for each of them")


@hcam_command(
    *run_or_list(first(1), last(_one_frame)),
    CALIBRATION["bias"],
    CALIBRATION["dark"],
    Parameter("ngroup", WHOLE, 3, "frames of a median group", least=1),
    ccd_choice(),
    _levels("lower", 5000.0, "least"),
    _levels("upper", 50000.0, "largest"),
    CLOBBER,
    output(named_like_input),
)
def makeflat(values: Values, tell: Tell) -> None:
    """Make a flat from twilight frames of changing level, between which the stars moved.

    The brightest frames that fill no group are left out, as the HiPERCAM pipeline does.

    \b
    Example:
      roque hcam makeflat run=run0003 last=0 dark=none lower=3000 output=flat
      roque hcam makeflat run=run0003 last=0 ccd='1 2' lower='3000 5000' \\\\
    """
    from roque.calibration.masters import make_flat
    from services.cli.hcam.runs import insist_on_room, open_run, places_of, read_frame, selected

    insist_on_room(values)
    with open_run(values) as source:
        places = places_of(values, source)
        ccds = selected(values["ccd"], list(source.frame(places[0]).ccds), "0", "CCD")
        flat, report = make_flat(
            source,
            read_frame(values["bias"]),
            read_frame(values["dark"]),
            places,
            lower=_by_ccd(values, "lower", ccds),
            upper=_by_ccd(values, "upper", ccds),
            ngroup=values["ngroup"],
            ccds=ccds,
            parity=True,
        )
    finish(values, tell, flat, report)


@hcam_command(
    *run_or_list(first(1), last(_one_frame)),
    *CALIBRATION.values(),
    Parameter("fpair", in_file(".frng", none=True), "fringe", "fringe pairs, or none: frames keep their amplitudes"),
    Parameter("nhalf", WHOLE, 2, "half size of fringe boxes, binned pixels", hidden=True, least=0),
    ccd_choice(),
    Parameter("fwhm", NUMBER, 4.0, "FWHM of the smoothing, binned pixels; 0 for none", least=0.0),
    CLOBBER,
    output(named_like_input),
)
def makefringe(values: Values, tell: Tell) -> None:
    """Make a fringe map: the median of dithered frames less their own medians, brought to one amplitude.

    \b
    Example:
      roque hcam makefringe run=run0007 last=0 dark=none ccd=5 output=fmap
    """
    from roque.calibration.fringe import read_fringe_pairs
    from roque.calibration.fringe_map import make_fringe_map
    from services.cli.hcam.runs import insist_on_room, masters_of, open_run, places_of, selected

    insist_on_room(values)
    with open_run(values) as source:
        places = places_of(values, source)
        made, report = make_fringe_map(
            source,
            masters_of(values),
            places,
            pairs=None if values["fpair"] is None else read_fringe_pairs(values["fpair"]),
            nhalf=values["nhalf"],
            ccds=selected(values["ccd"], list(source.frame(places[0]).ccds), "0", "CCD"),
            fwhm=values["fwhm"],
            parity=True,
        )
    finish(values, tell, made, report)


def _by_ccd(values: Values, name: str, ccds: list[str]) -> dict[str, float]:
    """Levels of each CCD."""
    levels = values[name] * len(ccds) if len(values[name]) == 1 else values[name]
    if len(levels) != len(ccds):
        raise click.UsageError(f"{name} has {len(levels)} numbers for {len(ccds)} CCDs")
    return dict(zip(ccds, levels, strict=True))
