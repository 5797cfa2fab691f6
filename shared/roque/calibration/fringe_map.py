"""The fringe map: what is left of dithered exposures once the sky is taken away."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from roque.calibration.apply import Masters
from roque.calibration.combine import assemble, ccd_mean, ccd_median, frames_with_data
from roque.calibration.fringe import FringePairs, PlacedPair, differences, fringe_scale, place_pairs
from roque.calibration.report import CCDReport, MasterReport
from roque.calibration.stack import MEMORY, Frames, Seen, Stack
from roque.calibration.stacking import pixel_median, value_median
from roque.errors import BadInput
from roque.frames import Frame

__all__ = ["make_fringe_map", "smooth"]

Floats = NDArray[np.floating[Any]]


def make_fringe_map(
    frames: Frames,
    masters: Masters,
    places: Sequence[int] | None = None,
    *,
    pairs: FringePairs | None = None,
    nhalf: int = 2,
    ccds: Sequence[str] | None = None,
    fwhm: float = 0.0,
    parity: bool = False,
    memory: int = MEMORY,
) -> tuple[Frame, MasterReport]:
    """Make a fringe map: the pixel median of frames less their own medians, brought to one amplitude of the fringes.

    Parameters
    ----------
    frames : Frames
        Long exposures between which the telescope moved.
    masters : Masters
        Bias, dark and flat, applied first.
    places : sequence of int or None
        Which frames, from 1; None takes all.
    pairs : mapping of str to sequence of FringePair, optional
        Where amplitudes are measured, by CCD. Without any, frames keep theirs.
    nhalf : int
        Half width of the boxes of the pairs, binned pixels.
    ccds : sequence of str or None
        CCDs to make; None makes all.
    fwhm : float
        Of the Gaussian that smooths the map, binned pixels; 0 for none.
    parity : bool
        Whether to do as the HiPERCAM pipeline, which multiplies a frame by its amplitude where it should divide.
    memory : int
        Bytes of counts to hold at a time.

    Returns
    -------
    Frame, MasterReport
        The scale of the map means nothing: it is fitted when fringes are removed.

    Raises
    ------
    BadInput
        If there are no frames, no pair of a CCD can be used, or an amplitude cannot be measured.
    """
    stack = Stack(frames, places, masters=masters, ccds=ccds, memory=memory)
    report = MasterReport(kind="fringe", method="median", adjust="scale", parameters={"fwhm": fwhm, "nhalf": nhalf})
    report.warnings += stack.notes
    placed = _place(pairs, stack, nhalf) if pairs is not None else {}

    def measure(name: str, windows: Mapping[str, Floats]) -> _Sky:
        amplitudes = differences(placed[name], windows) if name in placed else np.empty(0)
        return _Sky(ccd_mean(windows), ccd_median(windows), amplitudes)

    seen = stack.survey(measure)
    used = frames_with_data(stack, seen, report)
    skies = {name: [seen[k].values[name] for k in own] for name, own in used.items()}
    factors = {name: _factors(name, own, seen, skies[name], parity=parity) for name, own in used.items()}
    pixels: dict[tuple[str, str], Floats] = {}
    for tile in stack.tiles(used):
        dtype = tile.data.dtype
        sky = np.array([s.median for s in skies[tile.ccd]], dtype)
        tile.data[:] = (tile.data - sky[:, np.newaxis, np.newaxis]) * np.array(factors[tile.ccd], dtype)[
            :, np.newaxis, np.newaxis
        ]
        geometry = stack.template.ccds[tile.ccd].windows[tile.window].geometry
        window = pixels.setdefault((tile.ccd, tile.window), np.empty((geometry.ny, geometry.nx), dtype))
        window[tile.box.slices] = pixel_median(tile.data)
    if fwhm > 0.0:
        pixels = {key: smooth(data, fwhm, fill=value_median(data)) for key, data in pixels.items()}
    for name, own in used.items():
        report.ccds[name] = CCDReport(
            used=[seen[k].number for k in own],
            levels=[sky.mean for sky in skies[name]],
            exposure=seen[own[0]].exposure[name],
        )
        report.parameters.setdefault("factors", {})[name] = factors[name]
    return assemble(
        stack.template, pixels, {name: f"Median combine of {len(own)} images" for name, own in used.items()}
    ), report


def smooth(data: Floats, fwhm: float, *, fill: float) -> NDArray[np.float64]:
    """Convolve with a Gaussian of unit sum, 8 sigma wide (up to the next odd number of pixels), `fill` beyond the edges.

    Parameters
    ----------
    data : array, shape (ny, nx)
        Any counts.
    fwhm : float
        Pixels; ``sigma = fwhm/sqrt(8 ln 2)``.
    fill : float
        Counts outside.

    Returns
    -------
    array of float64, shape (ny, nx)
    """
    sigma = fwhm / math.sqrt(8.0 * math.log(2.0))
    half = math.ceil(8.0 * sigma) // 2
    weights = np.exp(-0.5 * (np.arange(-half, half + 1) / sigma) ** 2)
    weights /= weights.sum()
    ny, nx = data.shape
    padded = np.pad(data.astype(np.float64), half, constant_values=fill)
    rows = sum(weight * padded[:, i : i + nx] for i, weight in enumerate(weights))
    smoothed: NDArray[np.float64] = sum(weight * rows[j : j + ny] for j, weight in enumerate(weights))
    return smoothed


@dataclass(frozen=True, slots=True, eq=False)
class _Sky:
    """Levels of a CCD in a frame, and the differences of its fringe pairs."""

    mean: float
    median: float
    differences: Floats


def _place(pairs: FringePairs, stack: Stack, nhalf: int) -> dict[str, list[PlacedPair]]:
    placed = {}
    for name in stack.ccds:
        placed[name] = place_pairs(pairs.get(name, ()), stack.template.ccds[name], nhalf)
        if not placed[name]:
            remedy = "give pairs inside its windows, or leave the CCD out"
            raise BadInput("no fringe pair can be used", place=f"CCD {name}", remedy=remedy)
    return placed


def _factors(name: str, frames: list[int], seen: list[Seen[_Sky]], skies: list[_Sky], *, parity: bool) -> list[float]:
    """What each frame is multiplied by to have the fringes of the first."""
    if not skies[0].differences.size:
        return [1.0] * len(skies)
    factors = []
    for k, sky in zip(frames, skies, strict=True):
        amplitude = fringe_scale(sky.differences, skies[0].differences)
        if not (math.isfinite(amplitude) and (parity or amplitude > 0.0)):
            place = f"frame {seen[k].number}, CCD {name}"
            raise BadInput(f"the amplitude of its fringes is {amplitude:g}", place=place, remedy="leave the frame out")
        factors.append(amplitude if parity else 1.0 / amplitude)
    return factors
