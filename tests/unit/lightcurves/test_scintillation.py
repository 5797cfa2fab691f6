"""Scintillation: the formula by hand, and errors of light curves that are honest with it and not without."""

from __future__ import annotations

import math

import numpy as np
import pytest

from roque.errors import BadInput
from roque.lightcurves.airmass import airmass
from roque.lightcurves.barycentre import Barycentre
from roque.lightcurves.ensemble import light_curves
from roque.lightcurves.scintillation import Scintillation, scintillation
from roque.photometry.measurements import empty

THERE = Barycentre(ra=60.0, dec=20.0, longitude=-17.9, latitude=28.8, height=2300.0)
FRAMES = 3000


def test_the_formula_is_that_of_osborn_by_hand():
    # a 1 m telescope at sea level, 1 s, at the zenith: sqrt(10e-6)*1.5
    assert scintillation(1.0, 1.0, 1.0, 0.0) == pytest.approx(1.5 * math.sqrt(10e-6))
    # 4.2 m, 10 s, airmass 1.5, 2332 m
    expected = math.sqrt(10e-6 * 1.3**2 * 4.2 ** (-4 / 3) / 10 * 1.5**3 * math.exp(-2 * 2332 / 8000))
    assert scintillation(4.2, 10.0, 1.5, 2332.0, 1.3) == pytest.approx(expected)
    found = scintillation(1.0, [0.0, -1.0, 1.0, 1.0], [1.0, 1.0, np.nan, 2.0], 0.0)
    assert np.isnan(found).tolist() == [True, True, True, False]


@pytest.mark.parametrize("wrong", [{"diameter": 0.0}, {"diameter": 2.0, "coefficient": -1.0}, {"diameter": math.nan}])
def test_a_telescope_without_a_mirror_is_refused(wrong):
    with pytest.raises(BadInput, match="scintillation"):
        Scintillation(there=THERE, **wrong)


def measurements(air, rng):
    """Constant stars with photon noise, and scintillation of a telescope of 2 m, each star for itself."""
    fluxes = {"1": 2e6, "2": 4e6, "3": 1e6}
    rows = empty(FRAMES * 3)
    number = np.repeat(np.arange(FRAMES), 3)
    rows["frame"], rows["ccd"], rows["aperture"] = number + 1, "1", np.tile(list(fluxes), FRAMES)
    rows["mjd_int"], rows["mjd_frac"], rows["time_ok"], rows["exposure"] = 61000, 0.98 + number * 5.0 / 86400, True, 5.0
    mjd = rows["mjd_int"] + rows["mjd_frac"]
    share = air.of(mjd, rows["exposure"])
    put = np.tile(list(fluxes.values()), FRAMES)
    rows["counts"] = put * (1.0 + share * rng.normal(size=len(rows))) + np.sqrt(put) * rng.normal(size=len(rows))
    rows["countse"] = np.sqrt(put)
    return rows, share


def test_errors_of_light_curves_are_honest_with_it_and_too_small_without():
    air = Scintillation(there=THERE, diameter=2.0)
    rows, share = measurements(air, np.random.default_rng(2))
    assert 2.0 * 1e-3 > share.mean() > 2.0 * 1 / np.sqrt(4e6)  # it is what limits these stars
    found = {}
    for name, term in (("with", air), ("without", None)):
        for comparisons in (None, ["3"]):
            curve = light_curves(rows, "1", comparisons=comparisons, scintillation=term)["1"].rows
            pulls = (curve["ratio"] - curve["ratio"].mean()) / curve["ratio_error"]
            found[name, comparisons is None] = float(np.sum(pulls**2) / (FRAMES - 1))
    sampling = math.sqrt(2.0 / FRAMES)
    assert abs(found["with", True] - 1.0) < 3.5 * sampling
    assert abs(found["with", False] - 1.0) < 3.5 * sampling
    assert found["without", True] > 1.5


def test_where_airmass_is_not_known_nothing_is_added():
    below = Scintillation(there=Barycentre(ra=150.0, dec=-89.0, longitude=-17.9, latitude=28.8), diameter=2.0)
    rows, _ = measurements(Scintillation(there=THERE, diameter=2.0), np.random.default_rng(3))
    assert np.isnan(airmass(61000.0, 150.0, -89.0, -17.9, 28.8))
    plain, lower = light_curves(rows, "1")["1"].rows, light_curves(rows, "1", scintillation=below)["1"].rows
    assert plain.tobytes() == lower.tobytes()
