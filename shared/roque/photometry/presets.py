"""Instruments on their telescopes, as reduce files know them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

__all__ = ["COLOURS", "PRESETS", "Preset", "other_preset"]

COLOURS = {"1": "green", "2": "blue", "3": "red", "4": "orange", "5": "purple"}
"""Of the CCDs of an instrument that is not known by name; there is no colour for more than five."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Preset:
    """What is known of an instrument on a telescope.

    Parameters
    ----------
    name : str
        As in reduce files.
    scale : float
        arcsec per unbinned pixel.
    readout, gain : str
        RMS ADU and electrons per ADU: numbers, or names of frames.
    levels : dict of str to (float, float)
        Counts from which pixels of a CCD are non-linear and saturated.
    colours : dict of str to str
        In plots, by CCD.
    position : str
        CCD whose positions are plotted.
    """

    name: str
    scale: float
    readout: str
    gain: str
    levels: Mapping[str, tuple[float, float]]
    colours: Mapping[str, str]
    position: str


def _ultracam(telescope: str, scale: float) -> Preset:
    return Preset(
        name=f"ultracam-{telescope}",
        scale=scale,
        readout="2.8",
        gain="1.1",
        levels={"1": (50000.0, 64000.0), "2": (28000.0, 64000.0), "3": (28000.0, 64000.0)},
        colours={"1": "red", "2": "green", "3": "blue"},
        position="2",
    )


PRESETS = {
    preset.name: preset
    for preset in (
        Preset(
            name="hipercam-gtc",
            scale=0.081,
            readout="4.2",
            gain="1.1",
            levels=dict.fromkeys("12345", (50000.0, 64000.0)),
            colours={"1": "blue", "2": "green", "3": "orange", "4": "red", "5": "darkred"},
            position="2",
        ),
        _ultracam("ntt", 0.35),
        _ultracam("wht", 0.30),
        _ultracam("vlt", 0.15),
        Preset(
            name="ultraspec-tnt",
            scale=0.45,
            readout="5.0",
            gain="0.8",
            levels={"1": (60000.0, 64000.0)},
            colours={"1": "green"},
            position="1",
        ),
    )
}
"""Instruments that are known by name."""


def other_preset(
    nonlinear: list[float], saturation: list[float], *, scale: float, readout: str, gain: str, position: str
) -> Preset:
    """Describe another instrument; its CCDs are numbered from 1."""
    labels = [str(number) for number in range(1, len(nonlinear) + 1)]
    return Preset(
        name="other",
        scale=scale,
        readout=readout,
        gain=gain,
        levels=dict(zip(labels, zip(nonlinear, saturation, strict=True), strict=True)),
        colours=COLOURS,
        position=position,
    )
