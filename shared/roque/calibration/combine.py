"""Many frames made into one: pixel medians and clipped means, after levels are made equal."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from roque.calibration.report import CCDReport, MasterReport
from roque.calibration.stack import Seen, Stack
from roque.calibration.stacking import clipped_mean, pixel_median, value_median
from roque.errors import BadInput
from roque.frames import Frame

__all__ = ["Adjust", "Level", "Method", "assemble", "ccd_mean", "ccd_median", "clipping_acts", "combine"]

Floats = NDArray[np.floating[Any]]

Method = Literal["median", "clipped mean", "mean"]
Adjust = Literal["none", "offset", "scale"]
Level = Literal["mean", "median"]


def combine(
    stack: Stack,
    *,
    method: Method = "median",
    sigma: float = 3.0,
    adjust: Adjust = "none",
    level: Level = "mean",
    kind: str = "average",
) -> tuple[Frame, MasterReport]:
    """Combine frames pixel by pixel.

    Parameters
    ----------
    stack : Stack
        The frames, with the masters that are applied to them.
    method : str
        "median"; "clipped mean", see `roque.calibration.stacking.clipped_mean`; "mean".
    sigma : float
        Threshold of the clipping, 1 or more.
    adjust : str
        What makes the level of each CCD that of its first frame with data: "none"; "offset" adds; "scale" multiplies.
    level : str
        Whether the level is the mean or the median of all pixels of the CCD.
    kind : str
        Name of the result in the report.

    Returns
    -------
    frame : Frame
        Headers and times of the first frame, with a HISTORY line for each CCD. float32, but medians of float64 stay that.
        CCDs that were not read out in any frame are missing.
    report : MasterReport
        Frames, levels and rejected values of each CCD.

    Raises
    ------
    BadInput
        If `sigma` is below 1, a level that frames are to be scaled with is 0, or no CCD has data.
    """
    if method == "clipped mean" and not sigma >= 1.0:
        raise BadInput(f"clipping at {sigma} sigma could drop every value", place="sigma", remedy="give 1 or more")
    report = MasterReport(kind=kind, method=method, sigma=sigma if method == "clipped mean" else None, adjust=adjust)
    report.warnings += stack.notes
    # without adjustment the means, which the report tells, come out of the tiles: a look at the frames less
    of_ccd = ccd_mean if level == "mean" else ccd_median
    seen = stack.survey(None if adjust == "none" else lambda _, windows: (ccd_mean(windows), of_ccd(windows)))
    used = frames_with_data(stack, seen, report)
    npix = {name: sum(w.geometry.nx * w.geometry.ny for w in stack.template.ccds[name].windows.values()) for name in used}
    means = {name: np.array([seen[k].values.get(name, (0.0,))[0] for k in frames]) for name, frames in used.items()}
    kept = dict.fromkeys(used, 0)
    pixels: dict[tuple[str, str], Floats] = {}
    for tile in stack.tiles(used):
        if adjust == "none":
            means[tile.ccd] += tile.data.mean(axis=(1, 2)) * (tile.data[0].size / npix[tile.ccd])
        else:
            _equalise(tile.data, [seen[k].values[tile.ccd][1] for k in used[tile.ccd]], adjust, tile.ccd)
        if method == "median":
            made = pixel_median(tile.data)
        else:
            mean, count = clipped_mean(tile.data, sigma if method == "clipped mean" else None)
            made = mean.astype(np.float32, copy=False)
            kept[tile.ccd] += int(count.sum())
        geometry = stack.template.ccds[tile.ccd].windows[tile.window].geometry
        pixels.setdefault((tile.ccd, tile.window), np.empty((geometry.ny, geometry.nx), made.dtype))[tile.box.slices] = made
    for name, frames in used.items():
        report.ccds[name] = CCDReport(
            used=[seen[k].number for k in frames],
            levels=means[name].tolist(),
            exposure=seen[frames[0]].exposure[name],
            rejected=1.0 - kept[name] / (npix[name] * len(frames)) if method != "median" else 0.0,
        )
        _warn_if_few(report, name, len(frames))
    history = {name: _history(report, len(frames)) for name, frames in used.items()}
    return assemble(stack.template, pixels, history), report


def frames_with_data(stack: Stack, seen: list[Seen[Any]], report: MasterReport) -> dict[str, list[int]]:
    """Find for each CCD the frames it was read out in, by place in the stack; note in `report` the CCDs without any."""
    used = {name: [k for k, frame in enumerate(seen) if name in frame.exposure] for name in stack.ccds}
    for name, frames in used.items():
        if not frames:
            report.left_out[name] = f"not read out in any of {len(seen)} frames"
    used = {name: frames for name, frames in used.items() if frames}
    if not used:
        raise BadInput("no CCD was read out in any frame", remedy="combine other frames")
    return used


def ccd_mean(windows: Mapping[str, Floats]) -> float:
    """Mean of all pixels of a CCD, with sums in the kind of number of the data as in the HiPERCAM pipeline.

    In single precision it is good to 1e-7. Sums in double would be better and shift whole masters by as much, enough to
    turn a pixel at the edge of being clipped.
    """
    return float(sum(w.sum() for w in windows.values()) / sum(w.size for w in windows.values()))


def ccd_median(windows: Mapping[str, Floats]) -> float:
    """Median of all pixels of a CCD."""
    return value_median(*windows.values())


def clipping_acts(n: int, sigma: float) -> bool:
    """Whether one value in `n` can be so far out that it is dropped: ``(n - 1)/sqrt(n) > sigma``."""
    return n > 1 and (n - 1) / math.sqrt(n) > sigma


def assemble(template: Frame, pixels: Mapping[tuple[str, str], Floats], history: Mapping[str, str]) -> Frame:
    """Make a frame with the headers of `template`, counts by (CCD label, window label) and a HISTORY line for each CCD."""
    ccds = {}
    for name, line in history.items():
        ccd = template.ccds[name]
        earlier = ccd.header.get("HISTORY", [])
        header = ccd.header | {"HISTORY": [*earlier, line]}
        windows = {label: window.with_data(pixels[name, label]) for label, window in ccd.windows.items()}
        ccds[name] = replace(ccd, windows=windows, data_ok=True, header=header)
    return replace(template, ccds=ccds, header=dict(template.header))


def _equalise(data: Floats, levels: list[float], adjust: Adjust, name: str) -> None:
    """Bring frames to the level of the first, in place and in their own kind of number."""
    level = np.array(levels)
    if adjust == "offset":
        data += (level[0] - level).astype(data.dtype)[:, np.newaxis, np.newaxis]
    elif not level.all():
        raise BadInput(
            "a frame of level 0 cannot be scaled", place=f"CCD {name}", remedy="adjust by an offset, or leave it out"
        )
    else:
        data *= (level[0] / level).astype(data.dtype)[:, np.newaxis, np.newaxis]


def _warn_if_few(report: MasterReport, name: str, n: int) -> None:
    if n == 1:
        report.warnings.append(f"CCD {name}: a single frame, taken as it is")
    elif report.sigma is not None and not clipping_acts(n, report.sigma):
        report.warnings.append(f"CCD {name}: nothing can be rejected from {n} frames at {report.sigma:g} sigma")


def _history(report: MasterReport, n: int) -> str:
    if report.sigma is not None:
        return f"Clipped mean combine of {n} images, sigma = {report.sigma:.1f}"
    return f"{report.method.capitalize()} combine of {n} images"
