"""Whether errors are honest: reduced chi-square of constant stars, from photon-limited to sky-limited, by method of extraction.

    python benchmarks/accuracy/errors.py [--frames 3400] [--sky 20] [--json]

A field of constant stars, three of each of five brightnesses, and four bright references, that wanders a little from frame to
frame; photon and read noise. Of each star the light curve against the references is compared with its own mean, in units of the
errors that are stated. With 3 400 frames each brightness has 10 200 measurements: the sampling error of chi-square is 0.014.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1]))  # figures.py

from figures import Figure, Load, note, options, show

from roque.calibration.apply import Masters
from roque.frames import CCD, Frame, Geometry, Window
from roque.photometry.apertures import Aperture
from roque.photometry.recipe import Recipe
from roque.photometry.recipe_sections import Detector, Extraction, PsfPhotometry, Radius, Sky, Tracking
from roque.photometry.reduce import Reducer

STEP, RADII = 60, (9.0, 15.0, 27.0)  # pixels
FWHM, BETA, NOISE, GAIN = 5.0, 3.0, 3.0, 1.1
FLUXES = {"photon-limited": 300_000.0, "bright": 60_000.0, "middle": 12_000.0, "faint": 2_500.0, "sky-limited": 500.0}
COPIES, REFERENCES = 3, 4
LEAST, MOST = 0.95, 1.05

METHODS: dict[str, dict[str, object]] = {
    "sums, sky variance": {},
    "sums, photon noise": {"sky.error": "photon"},
    "optimal": {"extraction.1.method": "optimal"},
    "profile fits": {"psf_photom.use_psf": True},
}


def places() -> dict[str, tuple[float, float, float]]:
    """x, y and flux of each star, by label; the references first."""
    fluxes = [FLUXES["photon-limited"]] * REFERENCES + [flux for flux in FLUXES.values() for _ in range(COPIES)]
    return {
        str(k): (30.0 + STEP * (k % 5) + 0.37 * (k % 3), 30.0 + STEP * (k // 5) + 0.21 * (k % 4), flux)
        for k, flux in enumerate(fluxes)
    }


def frames(number: int, sky: float) -> Iterator[Frame]:
    """Frames of the field."""
    rng = np.random.default_rng(7)
    g = Geometry(1, 1, 1, 1, 5 * STEP, 4 * STEP)
    x, y = np.meshgrid(1.0 + np.arange(g.nx), 1.0 + np.arange(g.ny))
    a = 4.0 * (2.0 ** (1.0 / BETA) - 1.0) / FWHM**2
    for n in range(1, number + 1):
        dx, dy = rng.normal(0.0, 0.4, 2)
        light = np.full(x.shape, sky)
        for x0, y0, flux in places().values():
            r2 = (x - x0 - dx) ** 2 + (y - y0 - dy) ** 2
            light += flux * (BETA - 1.0) * a / np.pi * (1.0 + a * r2) ** -BETA
        counts = rng.poisson(GAIN * light) / GAIN + rng.normal(0.0, NOISE, x.shape)
        window = Window(g, counts.astype(np.float32))
        yield Frame({"1": CCD({"A": window}, 300, 300, mjd_int=61000, mjd_frac=0.2 + n / 1e5, exposure=1.0)}, n)


def recipe() -> Recipe:
    """Make a recipe with radii that follow the FWHM."""
    line = Extraction(
        target=Radius(factor=1.8, least=3.0, greatest=15.0),
        inner_sky=Radius(factor=3.0, least=15.0, greatest=15.0),
        outer_sky=Radius(factor=4.0, least=27.0, greatest=27.0),
    )
    tracking = Tracking(
        search_half_width=6.0, search_smooth_fwhm=4.0, fit_method="moffat", fit_fwhm=5.0, fit_fwhm_min=1.5, fit_fwhm_max=30.0,
        fit_half_width=14.0, fit_max_shift=5.0, fit_diff=2.0,
    )  # fmt: skip
    return Recipe(
        apertures=tracking,
        extraction={"1": line},
        detectors={"1": Detector(readout=NOISE, gain=GAIN)},
        sky=Sky(),
        psf_photom=PsfPhotometry(fit_half_width=10.0),
    )


def chi_squares(number: int, sky: float) -> dict[tuple[str, str], tuple[float, float]]:
    """Reduced chi-square and mean stated error over scatter, by method and brightness."""
    references = [str(k) for k in range(REFERENCES)]
    apertures = {
        k: Aperture(x, y, *RADII, ref=k in references, link="" if k in references else "0") for k, (x, y, _) in places().items()
    }
    reducers = {name: Reducer(recipe().changed(changes), {"1": apertures}, Masters()) for name, changes in METHODS.items()}
    states, tables = dict.fromkeys(METHODS), {name: [] for name in METHODS}
    batch: list[Frame] = []
    for frame in frames(number, sky):
        batch.append(frame)
        if len(batch) == 200 or frame.number == number:
            for name, reducer in reducers.items():
                rows, states[name], _ = reducer.reduce_range(batch, states[name])
                tables[name].append(rows)
            batch = []
            note(f"{frame.number} of {number} frames")
    found = {}
    for name in METHODS:
        rows = np.concatenate(tables[name])
        compared = [rows[rows["aperture"] == label] for label in references]
        total = np.sum([c["counts"] for c in compared], 0)
        variance = np.sum([c["countse"] ** 2 for c in compared], 0) / total**2
        for b, brightness in enumerate(FLUXES):
            mine = [rows[rows["aperture"] == str(REFERENCES + COPIES * b + copy)] for copy in range(COPIES)]
            chi = []
            for m in mine:
                curve = m["counts"] / total
                errors = np.sqrt((m["countse"] / total) ** 2 + curve.mean() ** 2 * variance)
                chi.append(np.sum(((curve - curve.mean()) / errors) ** 2) / (len(curve) - 1))
            share = np.mean([m["counts"].mean() / FLUXES[brightness] for m in mine])
            found[name, brightness] = float(np.mean(chi)), float(share)
    return found


def main() -> int:
    parser = options(__doc__)
    parser.add_argument("--frames", type=int, default=3400, help="frames, each with three stars of a brightness (default 3400)")
    parser.add_argument("--sky", type=float, default=20.0, help="counts of a pixel (default 20)")
    given = parser.parse_args()
    with Load() as load:
        found = chi_squares(given.frames, given.sky)
    figures = []
    for (name, brightness), (chi, share) in found.items():
        wanted = f"{LEAST} to {MOST}"
        figures.append(Figure(f"{name}, {brightness}: reduced chi-square", chi, "", wanted, LEAST <= chi <= MOST))
        figures.append(Figure("    counts over the true flux", share, ""))
    return show("constant stars", figures, load, as_json=given.json)


if __name__ == "__main__":
    raise SystemExit(main())
