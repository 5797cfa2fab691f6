"""The recipe of a run that nobody wrote one for: its lengths follow the seeing that was measured on its first frames."""

from __future__ import annotations

from collections.abc import Mapping

from roque.instruments import CameraDescription
from roque.photometry.automatic import AutomaticApertures
from roque.photometry.flags import Flag
from roque.photometry.place import Radii
from roque.photometry.recipe import Recipe
from roque.photometry.recipe_sections import Detector, Extraction, General, Pixels, Radius, Tracking

__all__ = ["default_recipe"]

_WORST = 2.5  # worst seeing to be prepared for, in units of the seeing of the first frames
_SAMPLED = 3.0  # binned pixels: FWHM from which on stars are told from cosmic rays without fail
_TARGET_FACTOR = 1.8  # radius of the target aperture, FWHM
_MONITORED = (
    Flag.LOST,
    Flag.UNCERTAIN,
    Flag.RECOVERED,
    Flag.NO_EXTRACTION,
    Flag.TARGET_SATURATED,
    Flag.TARGET_AT_EDGE,
    Flag.NO_SKY,
    Flag.NO_FWHM,
    Flag.NO_DATA,
    Flag.MASKED_OUT,
)


def default_recipe(camera: CameraDescription, found: AutomaticApertures, *, binning: int) -> Recipe:
    """Make the recipe for apertures that were found automatically.

    Parameters
    ----------
    camera : CameraDescription
        Gain, read noise and levels of its detectors, its scale, and what its ``[recipe]`` says otherwise.
    found : AutomaticApertures
        Seeing, steps, radii and thresholds measured on the first frames.
    binning : int
        Largest binning of the run.

    Returns
    -------
    Recipe

    Notes
    -----
    The formulas are those of the HiPERCAM pipeline's `genred` with the measured seeing for the typical one and 2.5 times it
    for the worst: a half width of ``max(5, worst)`` for the search, or twice the largest step of the first frames, and
    ``max(5, 2 seeing)`` for fits, which must not reach the neighbours, shifts of ``max(1, worst/4)`` and ``max(1, worst/6)``.
    Radii vary with the seeing of each frame, in an annulus of sky that stays. Saturated pixels and cosmic rays are left out.
    """
    seeing = max(found.seeing.values())
    worst = _WORST * seeing
    recipe = Recipe(
        general=General(instrument=camera.name, scale=camera.pixel_scale),
        apertures=Tracking(
            search_half_width=max(5.0, worst, 2.0 * found.step),
            search_smooth_fwhm=max(2.0, seeing / binning),
            fit_fwhm=max(1.5 * binning, seeing),
            fit_fwhm_min=1.5 * binning,
            fit_fwhm_max=3.0 * worst,
            fit_half_width=max(5.0 * binning, 2.0 * seeing),
            fit_height_min_ref=min(found.thresholds.values()),
            fit_max_shift=max(1.0, worst / 4.0),
            fit_diff=max(1.0, worst / 6.0),
            recover=True,
        ),
        extraction={ccd: _extraction(found.radii[ccd], binning) for ccd in found.apertures},
        detectors={
            ccd: Detector(readout=d.read_noise, gain=d.gain, nonlinear=d.nonlinear, saturation=d.saturation)
            for ccd, d in ((ccd, camera.detector(ccd)) for ccd in found.apertures)
        },
        pixels=Pixels(
            # a level of saturation that was never measured might leave out good pixels
            saturated="saturation" not in camera.placeholders,
            cosmic_rays=min(found.seeing.values()) >= _SAMPLED * binning,
        ),
        monitor=_monitor(found.apertures),
    )
    return recipe.changed(camera.recipe)


def _extraction(radii: Radii, binning: int) -> Extraction:
    """Target radius free to follow the seeing up to the inner edge of the sky; the annulus stays where it is."""
    return Extraction(
        target=Radius(factor=_TARGET_FACTOR, least=1.5 * binning, greatest=radii.rsky1),
        inner_sky=Radius(factor=2.5, least=radii.rsky1, greatest=radii.rsky1),
        outer_sky=Radius(factor=3.0, least=radii.rsky2, greatest=radii.rsky2),
    )


def _monitor(apertures: Mapping[str, Mapping[str, object]]) -> dict[str, tuple[str, ...]]:
    labels = {label: None for members in apertures.values() for label in members}
    return {label: tuple(str(flag.name) for flag in _MONITORED) for label in labels}
