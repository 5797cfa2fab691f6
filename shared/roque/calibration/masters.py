"""Masters made from runs: bias, dark, flat.

Made as the HiPERCAM pipeline makes them, to single precision. Where that pipeline goes wrong the default does better, and
``parity=True`` does the same: what differs is said with each function.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from roque.calibration.apply import NET_EXPOSURE, Masters
from roque.calibration.combine import Method, assemble, ccd_mean, ccd_median, clipping_acts, combine, frames_with_data
from roque.calibration.report import CCDReport, MasterReport
from roque.calibration.stack import MEMORY, Frames, Seen, Stack
from roque.calibration.stacking import pixel_median
from roque.errors import BadInput
from roque.frames import Frame

__all__ = ["MasterReport", "make_bias", "make_dark", "make_flat"]

Floats = NDArray[np.floating[Any]]


def make_bias(
    frames: Frames, places: Sequence[int] | None = None, *, sigma: float = 3.0, parity: bool = False, memory: int = MEMORY
) -> tuple[Frame, MasterReport]:
    """Make a bias: the clipped mean of frames brought to the mean level of the first, CCD by CCD.

    Parameters
    ----------
    frames : Frames
        A bias run.
    places : sequence of int or None
        Which frames, from 1; None takes all.
    sigma : float
        Threshold of the clipping, 1 or more.
    parity : bool
        Whether to do as the HiPERCAM pipeline: keep the first frame of read-outs without clear, whose level differs, and
        clip also where there are too few frames for the clipping to act. The default leaves that frame out, and takes the
        median of few frames.
    memory : int
        Bytes of counts to hold at a time.

    Returns
    -------
    Frame, MasterReport
        Headers and times, EXPTIME too, are the first frame's.

    Raises
    ------
    BadInput
        If there are no frames, or they cannot be combined.
    """
    places = list(range(1, frames.available + 1) if places is None else places)
    excluded: dict[int, str] = {}
    if not parity and len(places) > 1:
        first = frames.frame(places[0])
        why = _first_differs(first)
        if why:
            excluded[first.number] = why
            places = places[1:]
    stack = Stack(frames, places, memory=memory)
    method = "clipped mean" if parity else _method(len(places), sigma)
    bias, report = combine(stack, method=method, sigma=sigma, adjust="offset", kind="bias")
    report.excluded |= excluded
    return bias, report


def make_dark(
    frames: Frames,
    bias: Frame | None,
    places: Sequence[int] | None = None,
    *,
    sigma: float = 3.0,
    parity: bool = False,
    memory: int = MEMORY,
) -> tuple[Frame, MasterReport]:
    """Make a dark: the clipped mean of frames less the bias; EXPTIME in the main header is net of the bias's.

    Parameters
    ----------
    frames, places, sigma, memory
        As for `make_bias`.
    bias : Frame or None
        Bias; None for detectors whose darks are taken with the exposure of the data and hold the bias.
    parity : bool
        Whether to do as the HiPERCAM pipeline: one net exposure in the main header, and clipping also where it cannot act.
        The default records the net exposure of each CCD too (NETEXP), and takes the median of few frames.

    Returns
    -------
    Frame, MasterReport
        Counts in the net exposure.

    Raises
    ------
    BadInput
        If there are no frames, or they cannot be combined.
    """
    stack = Stack(frames, places, masters=Masters(bias=bias), memory=memory)
    method = "clipped mean" if parity else _method(len(stack.places), sigma)
    dark, report = combine(stack, method=method, sigma=sigma, kind="dark")
    start = 0.0 if bias is None else bias.header.get("EXPTIME")
    if "EXPTIME" in dark.header and start is not None:
        dark.header["EXPTIME"] = dark.header["EXPTIME"] - start
    else:
        report.warnings.append("no EXPTIME in the header of dark or bias: the exposure is not net of the bias's")
    for name, used in report.ccds.items():
        if bias is not None and name in bias.ccds:
            used.exposure -= bias.ccds[name].exposure
        if not parity:
            dark.ccds[name].header[NET_EXPOSURE] = used.exposure
    return dark, report


def make_flat(
    frames: Frames,
    bias: Frame | None,
    dark: Frame | None,
    places: Sequence[int] | None = None,
    *,
    lower: float | Mapping[str, float],
    upper: float | Mapping[str, float],
    ngroup: int = 3,
    ccds: Sequence[str] | None = None,
    parity: bool = False,
    memory: int = MEMORY,
) -> tuple[Frame, MasterReport]:
    """Make a flat from twilight frames of changing level, between which the stars moved.

    Frames whose mean and median lie within the limits are divided by their mean, sorted by it and put in groups. The pixel
    medians of the groups, which are free of stars, are averaged with the sums of the means of their frames as weights.

    Parameters
    ----------
    frames, places, memory
        As for `make_bias`.
    bias, dark : Frame or None
        Masters applied first.
    lower, upper : float or mapping of str to float
        Limits of mean and median of a CCD in a frame, counts; for all CCDs or for each.
    ngroup : int
        Frames in a group.
    ccds : sequence of str or None
        CCDs to make; None makes all.
    parity : bool
        Whether to do as the HiPERCAM pipeline and drop the brightest frames that fill no group; the default adds them to the
        last.

    Returns
    -------
    Frame, MasterReport
        A mean close to 1, which is not forced. CCDs without a frame within their limits are missing.

    Raises
    ------
    BadInput
        If no CCD has a frame within its limits, or limits are missing for one.
    """
    if ngroup < 1:
        raise BadInput(f"groups of {ngroup} frames", place="ngroup", remedy="give 1 or more")
    stack = Stack(frames, places, masters=Masters(bias=bias, dark=dark), ccds=ccds, memory=memory)
    report = MasterReport(kind="flat", method="median of groups", adjust="scale", parameters={"ngroup": ngroup})
    report.warnings += stack.notes
    seen = stack.survey(lambda _, windows: (ccd_mean(windows), ccd_median(windows)))
    groups: dict[str, list[_Group]] = {}
    for name, with_data in frames_with_data(stack, seen, report).items():
        low, high = _limit(lower, name, "lower"), _limit(upper, name, "upper")
        report.parameters.setdefault("limits", {})[name] = [low, high]
        usable = [k for k in with_data if all(low < level < high for level in seen[k].values[name])]
        if not usable:
            report.left_out[name] = (
                f"none of {len(with_data)} frames lies between {low:g} and {high:g} ({_range(seen, with_data, name)})"
            )
            continue
        groups[name] = _group(sorted(usable, key=lambda k: seen[k].values[name][0]), seen, name, ngroup, parity=parity)
        if len(usable) < ngroup:
            report.warnings.append(f"CCD {name}: only {len(usable)} frames within the limits, less than a group of {ngroup}")
        used = [k for group in groups[name] for k in group.frames]
        levels = [seen[k].values[name][0] for k in used]
        report.ccds[name] = CCDReport(used=[seen[k].number for k in used], levels=levels, exposure=seen[used[0]].exposure[name])
    if not groups:
        raise BadInput(f"no flat can be made: {'; '.join(f'CCD {n}: {why}' for n, why in report.left_out.items())}")
    pixels = _average_groups(stack, groups)
    for name, label in pixels:
        bad = int(np.count_nonzero(~(pixels[name, label] > 0.0)))
        if bad:
            report.warnings.append(f"CCD {name}, window {label}: {bad} pixels of the flat are not positive")
    history = {name: f"result of makeflat on {len(report.ccds[name].used)} frames, ngroup = {ngroup}" for name in groups}
    return assemble(stack.template, pixels, history), report


@dataclass(frozen=True, slots=True)
class _Group:
    """Frames of about one level: their places in the stack and their means."""

    frames: list[int]
    means: list[float]


def _group(frames: list[int], seen: list[Seen[tuple[float, float]]], name: str, ngroup: int, *, parity: bool) -> list[_Group]:
    """Cut frames sorted by their mean into groups."""
    number = max(1, len(frames) // ngroup)
    cuts = [frames[g * ngroup : (g + 1) * ngroup] for g in range(number)]
    if not parity:
        cuts[-1] = frames[(number - 1) * ngroup :]
    return [_Group(cut, [seen[k].values[name][0] for k in cut]) for cut in cuts]


def _average_groups(stack: Stack, groups: Mapping[str, list[_Group]]) -> dict[tuple[str, str], Floats]:
    """Average the medians of groups of normalised frames, weighted with the sums of their means."""
    pixels: dict[tuple[str, str], Floats] = {}
    for tile in stack.tiles({name: [k for group in own for k in group.frames] for name, own in groups.items()}):
        total, weights, start = np.zeros(tile.data.shape[1:]), 0.0, 0
        for group in groups[tile.ccd]:
            normalised = tile.data[start : start + len(group.frames)]
            start += len(group.frames)
            normalised /= np.array(group.means, tile.data.dtype)[:, np.newaxis, np.newaxis]
            weight = sum(group.means)
            total += weight * pixel_median(normalised)
            weights += weight
        geometry = stack.template.ccds[tile.ccd].windows[tile.window].geometry
        window = pixels.setdefault((tile.ccd, tile.window), np.empty((geometry.ny, geometry.nx), np.float32))
        window[tile.box.slices] = total / weights
    return pixels


def _first_differs(frame: Frame) -> str:
    """Why the first frame of a run is unlike the others; empty if it is not, or not the first of its run."""
    if frame.number != 1:
        return ""
    if "drift" in str(frame.header.get("MODE", "")).lower():
        return "the first frame of a drift-mode run is unlike the others"
    if frame.header.get("CLEAR") is False:
        return "the first frame of a run without clear is unlike the others"
    return ""


def _method(n: int, sigma: float) -> Method:
    return "clipped mean" if clipping_acts(n, sigma) else "median"


def _limit(limit: float | Mapping[str, float], name: str, which: str) -> float:
    if not isinstance(limit, Mapping):
        return float(limit)
    if name not in limit:
        raise BadInput(f"no {which} limit for CCD {name}", place=which, remedy="give one for each CCD, or leave the CCD out")
    return float(limit[name])


def _range(seen: list[Seen[tuple[float, float]]], frames: list[int], name: str) -> str:
    means = [seen[k].values[name][0] for k in frames]
    return f"means are {min(means):.0f} to {max(means):.0f}"
