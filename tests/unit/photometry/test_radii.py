"""Further radii measured in one pass: each has the bits of a reduction with that radius alone."""

from __future__ import annotations

import numpy as np
import pytest

from roque.calibration.apply import Masters
from roque.errors import BadInput
from roque.frames import CCD, Frame, Geometry, Window
from roque.lightcurves.radii import judge, light_within, stack
from roque.photometry.apertures import Aperture
from roque.photometry.flags import Flag
from roque.photometry.recipe import Recipe
from roque.photometry.recipe_sections import Detector, Extraction, Radius, Tracking
from roque.photometry.reduce import Reducer

FACTORS = (0.1, 0.8, 1.0, 1.37, 1.8, 2.2, 3.5)
STARS = [(30.3, 30.6, 9000.0), (65.1, 28.2, 3000.0), (84.0, 31.0, 800.0)]  # the last near the edge
RADII = (8.0, 12.0, 18.0)


def frame(number, binning, *, ccds=("1",), clouded=False):
    made = {}
    for name in ccds:
        g = Geometry(1, 1, binning, binning, 90 // binning, 60 // binning)
        x = g.llx + binning * (np.arange(g.nx) + 0.5) - 0.5
        y = g.lly + binning * (np.arange(g.ny) + 0.5) - 0.5
        xs, ys = np.meshgrid(x, y)
        rng = np.random.default_rng([number, int(name), binning])
        light = np.full(xs.shape, 50.0)
        width = 4.0 + 0.3 * number
        for x0, y0, height in STARS if not clouded else ():
            r2 = (xs - x0 - 0.3 * number) ** 2 + (ys - y0 + 0.2 * number) ** 2
            light += height * (1.0 + (2.0 ** (1.0 / 3.0) - 1.0) * 4.0 * r2 / width**2) ** -3.0
        counts = rng.poisson(light) + rng.normal(0.0, 2.0, xs.shape)
        counts[rng.uniform(size=xs.shape) < 0.004] += 2000.0  # what clipping has to find
        made[name] = CCD(
            {"A": Window(g, counts.astype(np.float32))}, 90, 60, mjd_int=61000, mjd_frac=number / 1e3, exposure=1.0
        )
    return Frame(made, number)


def recipe(**changes):
    line = Extraction(
        target=Radius(factor=1.8, least=1.0, greatest=15.0),
        inner_sky=Radius(factor=2.5, least=12.0, greatest=13.0),
        outer_sky=Radius(factor=3.0, least=17.0, greatest=19.0),
    )
    tracking = Tracking(
        search_half_width=8.0, search_smooth_fwhm=3.0, fit_fwhm=5.0, fit_fwhm_min=1.5, fit_fwhm_max=50.0, fit_half_width=12.0,
        fit_max_shift=3.0, fit_diff=1.0,
    )  # fmt: skip
    detector = Detector(readout=2.0, gain=1.3, nonlinear=7000.0, saturation=8800.0)
    made = Recipe(apertures=tracking, extraction={"1": line, "2": line}, detectors={"1": detector, "2": detector})
    return made.changed(changes)


def apertures(**changes):
    placed = [Aperture(x, y, *RADII, ref=k == 0, **(changes if k else {})) for k, (x, y, _) in enumerate(STARS)]
    outside = Aperture(500.0, 500.0, *RADII)
    return {str(k): aperture for k, aperture in enumerate([*placed, outside], 1)}


CASES = {
    "variance": ({}, {}, 1),
    "photon noise, median sky": ({"sky.error": "photon", "sky.method": "median"}, {}, 1),
    "binned": ({}, {}, 2),
    "masks": ({}, {"mask": ((5.0, 14.0, 4.0), (-14.0, 0.0, 3.0))}, 1),
    "extra circles": ({}, {"extra": ((9.0, 6.0), (-12.0, 3.0))}, 1),
    "optimal": ({"extraction.*.method": "optimal"}, {}, 1),
    "parity": ({"parity": True, "extraction.*.method": "optimal"}, {}, 2),
    "all clipped": ({"sky.thresh": 0.0}, {}, 1),
    "no sky": ({"extraction.*.inner_sky.least": 17.5, "extraction.*.outer_sky.greatest": 17.0}, {}, 1),
}


def measure(settings, placed, frames):
    radii = []
    rows, _, _ = Reducer(settings, {"1": placed}, Masters()).reduce_range(frames, None, radii)
    return rows, np.concatenate(radii) if radii else None


def insist_on_equal(mine, alone):
    """Rows of one factor and those of a reduction with that factor alone."""
    mine = mine[np.lexsort((mine["aperture"], mine["frame"]))]
    for name in ("frame", "aperture", "peak", "flag"):
        assert mine[name].tolist() == alone[name].tolist(), name
    for name in ("counts", "countse"):
        assert mine[name].tobytes() == alone[name].tobytes(), name


@pytest.mark.parametrize("case", CASES)
def test_each_radius_has_the_bits_of_a_reduction_with_it_alone(case):
    changes, placed, binning = CASES[case]
    frames = [frame(n, binning, clouded=n == 4) for n in range(1, 6)]
    plain, nothing = measure(recipe(**changes), apertures(**placed), frames)
    rows, swept = measure(recipe(**changes, **{"extraction.*.radii": FACTORS}), apertures(**placed), frames)
    assert nothing is None
    assert rows.tobytes() == plain.tobytes()  # the recipe's own radius is measured as ever
    assert len(swept) == len(FACTORS) * len(rows)
    flags = set()
    for factor in FACTORS:
        alone, _ = measure(recipe(**changes, **{"extraction.*.target.factor": factor}), apertures(**placed), frames)
        insist_on_equal(swept[swept["factor"] == factor], alone)
        flags |= {int(flag) for flag in alone["flag"]}
    assert any(flag & Flag.TARGET_AT_EDGE for flag in flags)
    assert any(flag & Flag.TARGET_SATURATED for flag in flags)
    assert any(flag & Flag.NO_EXTRACTION for flag in flags)


def test_fixed_radii_are_multiplied():
    frames = [frame(n, 1) for n in range(1, 4)]
    fixed = {"extraction.*.resize": "fixed"}
    _, swept = measure(recipe(**fixed, **{"extraction.*.radii": (0.5, 1.25)}), apertures(), frames)
    for factor in (0.5, 1.25):
        placed = {k: Aperture(a.x, a.y, factor * a.rtarg, a.rsky1, a.rsky2, ref=a.ref) for k, a in apertures().items()}
        alone, _ = measure(recipe(**fixed), placed, frames)
        mine = swept[swept["factor"] == factor]
        insist_on_equal(mine, alone)
        assert set(mine["radius"][np.isfinite(mine["radius"])]) == {factor * RADII[0]}


def test_radii_follow_the_width_of_the_stars_between_their_limits():
    rows, swept = measure(recipe(**{"extraction.*.radii": (1.0, 2.0, 9.0)}), apertures(), [frame(n, 1) for n in range(1, 4)])
    for factor in (1.0, 2.0):
        mine = swept[(swept["factor"] == factor) & (swept["aperture"] == "1")]
        assert mine["radius"].tolist() == (factor * rows["mfwhm"][rows["aperture"] == "1"]).tolist()
    widest = swept[(swept["factor"] == 9.0) & (swept["aperture"] == "1")]
    assert set(widest["radius"]) == {15.0}
    outside = swept[swept["aperture"] == "4"]
    assert np.isnan(outside["radius"]).all()
    assert set(outside["flag"]) == {int(Flag.NO_EXTRACTION)}


def test_a_frame_without_a_width_leaves_all_radii_unmeasured():
    settings = recipe(**{"extraction.*.radii": (1.0, 2.0), "apertures.fit_fwhm_fixed": True})
    _, swept = measure(settings, apertures(), [frame(1, 1)])
    assert set(swept["flag"]) == {int(Flag.NO_FWHM)}
    assert np.isnan(swept["counts"]).all()


def test_radii_do_not_depend_on_how_a_run_is_cut():
    settings = recipe(**{"extraction.*.radii": FACTORS})
    frames = [frame(n, 1, ccds=("1", "2") if n % 2 else ("2",)) for n in range(1, 9)]
    members = {"1": apertures(), "2": apertures()}

    def swept(length):
        reducer, state, tables = Reducer(settings, members, Masters()), None, []
        for first in range(0, len(frames), length):
            _, state, _ = reducer.reduce_range(frames[first : first + length], state, tables)
        found = np.concatenate(tables)
        return found[np.lexsort((found["factor"], found["frame"], found["aperture"], found["ccd"]))]

    whole = swept(8)
    assert len(whole) == len(FACTORS) * 4 * (4 + 8)
    for length in (1, 3):
        assert swept(length).tobytes() == whole.tobytes()


@pytest.mark.parametrize("wrong", [(1.0, 1.0), (0.0, 1.0), (-1.0,), tuple(range(1, 40))])
def test_factors_that_make_no_sense_are_refused(wrong):
    with pytest.raises(BadInput, match="different numbers above 0") as caught:
        recipe(**{"extraction.1.radii": wrong})
    assert caught.value.place == "extraction.1.radii"


def test_profile_fits_have_no_radii():
    with pytest.raises(BadInput, match="profile fits have no radii"):
        recipe(**{"extraction.2.radii": (1.0,), "psf_photom.use_psf": True})


def test_on_a_bright_sky_the_best_radius_scatters_less_and_the_light_outside_it_is_known():
    """A faint target and three brighter stars in a seeing of 4 to 7 pixels, with the light that was put in."""
    target, comparison, frames_made, wide = 6000.0, 15_000.0, [], 2.8
    places = {"1": (30.3, 30.8), "2": (100.1, 29.2), "3": (30.7, 100.4), "4": (99.6, 99.9)}
    rng, xs, ys = np.random.default_rng(4), *np.meshgrid(1.0 + np.arange(130), 1.0 + np.arange(130))
    for number in range(1, 81):
        a = 4.0 * (2.0**0.25 - 1.0) / (5.5 + 1.5 * np.sin(number / 7.0)) ** 2
        light = np.full(xs.shape, 400.0)
        for star, (x, y) in places.items():
            r2 = (xs - x - rng.normal(0.0, 0.1)) ** 2 + (ys - y) ** 2
            light += (target if star == "1" else comparison) * 3.0 * a / np.pi * (1.0 + a * r2) ** -4.0
        counts = (rng.poisson(light) + rng.normal(0.0, 2.0, xs.shape)).astype(np.float32)
        window = Window(Geometry(1, 1, 1, 1, 130, 130), counts)
        frames_made.append(Frame({"1": CCD({"A": window}, 130, 130, mjd_int=61000, mjd_frac=0.5, exposure=1.0)}, number))
    changes = {"target.greatest": 20.0, "inner_sky.least": 20.0, "inner_sky.greatest": 20.0}
    changes |= {"outer_sky.least": 30.0, "outer_sky.greatest": 30.0, "radii": (0.8, 1.2, 1.8, wide)}
    settings = recipe(**{f"extraction.1.{name}": value for name, value in changes.items()}, **{"detectors.1.gain": 1.0})
    placed = {k: Aperture(x, y, 9.0, 20.0, 30.0, ref=k != "1", link="2" if k == "1" else "") for k, (x, y) in places.items()}
    _, swept = measure(settings, placed, frames_made)
    radii = stack("1", [swept])
    found = judge(radii, "1")
    assert found.best < 1.8
    at = {factor: radii.counts[k][:, radii.stars.index("1")] for k, factor in enumerate(radii.factors)}
    errors = radii.errors[radii.factors.tolist().index(found.best)][:, radii.stars.index("1")]
    assert np.std(at[found.best]) / np.mean(at[found.best]) < 0.8 * np.std(at[1.8]) / np.mean(at[1.8])
    share, doubt = light_within(radii, found.best, "1")
    corrected, error = at[found.best] / share, np.hypot(errors, at[found.best] / share * doubt) / share
    whole = target * (1.0 - (1.0 + 4.0 * (2.0**0.25 - 1.0) * wide**2) ** -3.0)
    assert np.mean(at[found.best]) / whole < 0.85  # before
    assert abs(np.mean(corrected) / whole - 1.0) < 3.0 * np.std(corrected) / whole / np.sqrt(len(corrected)) + 0.002
    assert 0.75 < np.sqrt(np.mean(((corrected - whole) / error) ** 2)) < 1.25
