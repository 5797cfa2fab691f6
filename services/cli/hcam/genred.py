"""`genred`: reduce files."""

from __future__ import annotations

from typing import Any

import click

from services.cli.hcam.command import Tell, hcam_command
from services.cli.hcam.common import CALIBRATION
from services.cli.hcam.parameters import NUMBER, NUMBERS, TEXT, WHOLE, Parameter, Values, in_file, out_file

__all__ = ["genred"]

INSTRUMENTS = ("hipercam-gtc", "ultracam-ntt", "ultracam-wht", "ultracam-vlt", "ultraspec-tnt", "other")
_MASTERS = ("bias", "dark", "flat", "fmap", "fpair")


def _without_template(values: Values) -> bool:
    return values["template"] is None


def _another(values: Values) -> bool:
    return _without_template(values) and values["inst"] == "other"


def _each(level: float) -> Any:
    return lambda values: [level] * values["nccd"]


@hcam_command(
    Parameter("apfile", in_file(".ape"), "aper.ape", "aperture file"),
    Parameter("rfile", out_file(".red"), lambda v: v["apfile"].stem, "reduce file to write, over what is there"),
    *CALIBRATION.values(),
    Parameter("fmap", in_file(".hcm", none=True), "fringe", "fringe map, or none"),
    Parameter("fpair", in_file(".frng"), "fpair", "fringe pairs", when=lambda v: v["fmap"] is not None),
    Parameter("seeing", NUMBER, 1.0, "typical seeing, arcsec; 0 as the template", least=0.0),
    Parameter(
        "sworst", NUMBER, lambda v: max(3.0, 2.5 * v["seeing"]), "worst seeing expected, arcsec",
        least=lambda v: 2.0 * v["seeing"], when=lambda v: v["seeing"] > 0.0,
    ),
    Parameter("binfac", WHOLE, 1, "binning", least=1, when=lambda v: v["seeing"] > 0.0),
    Parameter("template", in_file(".red", none=True), "none", "reduce file to take other values from, or none"),
    Parameter("inst", TEXT, "hipercam-gtc", "instrument and telescope", choices=INSTRUMENTS, when=_without_template),
    Parameter("nccd", WHOLE, 1, "number of CCDs", least=1, when=_another),
    Parameter("ccd", WHOLE, 1, "CCD of the plot of positions", least=1, most=lambda v: v["nccd"], when=_another),
    Parameter("nonlin", NUMBERS, _each(50000.0), "counts from which CCDs are non-linear, one each", when=_another),
    Parameter("sat", NUMBERS, _each(62000.0), "counts from which CCDs are saturated, one each", when=_another),
    Parameter("scale", NUMBER, 0.3, "arcsec per unbinned pixel", least=0.001, when=_another),
    Parameter("readout", TEXT, "4.5", "read noise, RMS ADU", when=_another),
    Parameter("gain", TEXT, "1.1", "electrons per ADU", when=_another),
    Parameter("comment", TEXT, "", "accepted, and not written", hidden=True),
)  # fmt: skip
def genred(values: Values, tell: Tell) -> None:
    """Write a reduce file that works at once, for an instrument, the seeing and apertures.

    Aperture 1 is taken for the target, 2 for the comparison.

    \b
    Example:
      roque hcam genred apfile=run0012 dark=none fmap=none seeing=0.8 \\\\
    """
    from roque.frames.files import write_whole
    from roque.photometry.apertures import read_apertures
    from roque.photometry.genred import write_reduce_file
    from roque.photometry.presets import PRESETS
    from roque.photometry.reduce_file import read_reduce_file

    preset = PRESETS.get(values.get("inst", ""))
    apertures = read_apertures(values["apfile"])
    template = None if values["template"] is None else read_reduce_file(values["template"])
    text = write_reduce_file(
        _other(values) if _another(values) else preset,
        apertures,
        str(values["apfile"]),
        {kind: str(values.get(kind) or "") for kind in _MASTERS},
        seeing=values["seeing"],
        worst=values.get("sworst", 0.0),
        binning=values.get("binfac", 1),
        template=template,
    )
    for ccd, members in apertures.items():
        if members and template is not None and not template.entries("extraction", ccd):
            tell.say(f"warning: CCD {ccd} has apertures and no extraction line in {template.name}: it is left out")
    with write_whole(values["rfile"]) as part:
        part.write_text(text, encoding="utf-8")
    tell.made(values["rfile"])


def _other(values: Values) -> Any:
    from roque.photometry.presets import other_preset

    for name in ("nonlin", "sat"):
        if len(values[name]) != values["nccd"]:
            raise click.UsageError(f"{name} has {len(values[name])} numbers for {values['nccd']} CCDs")
    return other_preset(
        values["nonlin"],
        values["sat"],
        scale=values["scale"],
        readout=values["readout"],
        gain=values["gain"],
        position=str(values["ccd"]),
    )
