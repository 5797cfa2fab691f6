"""From recipe and apertures to what kernels take: settings, stars, memory."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from roque.frames import Geometry
from roque.photometry.apertures import Aperture
from roque.photometry.kernels.blend import BlendSettings
from roque.photometry.kernels.extraction import ExtractionMemory, ExtractionSettings, make_extraction_memory
from roque.photometry.kernels.fit import FitSettings, make_fit_memory
from roque.photometry.kernels.followed import NVALUES, Stars, TrackMemory, TrackSettings
from roque.photometry.kernels.profiles import GAUSSIAN, MOFFAT
from roque.photometry.kernels.search import make_search_memory
from roque.photometry.kernels.windows import make_patch
from roque.photometry.recipe import Recipe

__all__ = ["blend_settings", "extraction_settings", "make_memory", "make_stars", "track_settings"]

_USUAL_BETA = 2.5  # of Moffat profiles where the stars were followed with Gaussians (specification of PSF photometry)


def track_settings(recipe: Recipe) -> TrackSettings:
    """Settings of the search and the fit."""
    a = recipe.apertures
    return TrackSettings(
        moving=a.location == "variable",
        strict=recipe.parity,
        search_half_width=a.search_half_width,
        search_fft=a.search_smooth_fft,
        fit_half_width=a.fit_half_width,
        height_min_ref=a.fit_height_min_ref,
        height_min_nrf=a.fit_height_min_nrf,
        max_shift=a.fit_max_shift,
        alpha=a.fit_alpha,
        diff=a.fit_diff,
        recover=a.recover and not recipe.parity,
        fit=FitSettings(
            method=MOFFAT if a.fit_method == "moffat" else GAUSSIAN,
            ndiv=a.fit_ndiv,
            fwhm_fixed=a.fit_fwhm_fixed,
            fwhm_min=a.fit_fwhm_min,
            beta_max=a.fit_beta_max,
            threshold=a.fit_thresh,
        ),
    )


def extraction_settings(recipe: Recipe, ccd: str) -> ExtractionSettings:
    """Settings of the extraction of a CCD."""
    line, detector = recipe.extraction[ccd], recipe.detectors[ccd]
    radii = [[r.factor, r.least, r.greatest] for r in (line.target, line.inner_sky, line.outer_sky)]
    return ExtractionSettings(
        resize=line.resize == "variable",
        optimal=line.method == "optimal",
        normalised=not recipe.parity,
        radii=np.array(radii, np.float64),
        clipped=recipe.sky.method == "clipped",
        variance=recipe.sky.error == "variance",
        threshold=recipe.sky.thresh,
        nonlinear=math.inf if detector.nonlinear is None else detector.nonlinear,
        saturation=math.inf if detector.saturation is None else detector.saturation,
        ndiv=recipe.apertures.fit_ndiv,
        further=np.sort(np.array(line.radii, np.float64)),
        rays=recipe.pixels.cosmic_rays and recipe.apertures.location == "variable",
    )


def blend_settings(recipe: Recipe) -> BlendSettings | None:
    """Settings of fits to groups of stars; None for aperture photometry."""
    p = recipe.psf_photom
    if not p.use_psf:
        return None
    return BlendSettings(
        method=MOFFAT if p.psf_model == "moffat" else GAUSSIAN,
        beta=_USUAL_BETA,
        ndiv=recipe.apertures.fit_ndiv,
        half_width=p.fit_half_width,
        link=p.gfac,
        moving=p.positions == "variable",
        position_error=p.position_error,
        free_sky=p.background == "free",
    )


def make_stars(apertures: Mapping[str, Aperture]) -> Stars:
    """Apertures of a CCD as arrays."""
    labels, members = list(apertures), list(apertures.values())
    return Stars(
        reference=np.array([a.ref for a in members], np.bool_),
        substitute=np.array([not a.link and not a.compo for a in members], np.bool_),
        companion=np.array([a.compo for a in members], np.bool_),
        link=np.array([labels.index(a.link) if a.link else -1 for a in members], np.int64),
        mask=np.array([circle for a in members for circle in a.mask], np.float64).reshape(-1, 3),
        mask_first=np.cumsum([0, *(len(a.mask) for a in members)], dtype=np.int64),
        extra=np.array([offset for a in members for offset in a.extra], np.float64).reshape(-1, 2),
        extra_first=np.cumsum([0, *(len(a.extra) for a in members)], dtype=np.int64),
    )


def make_memory(
    recipe: Recipe, geometries: Iterable[Geometry], most: int, dtype: np.dtype[Any]
) -> tuple[TrackMemory, ExtractionMemory]:
    """Allocate what is needed for the largest box in any of some windows, and for CCDs of up to `most` apertures."""
    a = recipe.apertures
    sky = max(max(line.outer_sky.least, line.outer_sky.greatest, 0.0) for line in recipe.extraction.values())
    npixels, noffsets = 1, 1
    for g in geometries:
        half_x = max(a.search_half_width, a.fit_half_width, sky + g.xbin)
        half_y = max(a.search_half_width, a.fit_half_width, sky + g.ybin)
        box = min(g.nx, int(2 * half_x / g.xbin) + 1) * min(g.ny, int(2 * half_y / g.ybin) + 1)
        npixels = max(npixels, g.nx * g.ny if recipe.psf_photom.use_psf else box)  # groups may be as large as the window
        noffsets = max(noffsets, a.fit_ndiv * max(g.xbin, g.ybin))
    tracking = TrackMemory(
        patch=make_patch(npixels, dtype),
        search=make_search_memory(a.search_smooth_fwhm, npixels, dtype, fft=a.search_smooth_fft),
        fit=make_fit_memory(npixels, noffsets),
        box=np.zeros(4, np.int64),
        search_box=np.zeros(4, np.int64),
        sums=np.zeros(4),
        peak=np.zeros(3),
        before=np.zeros((most, NVALUES)),
    )
    return tracking, make_extraction_memory(npixels, noffsets, dtype)
