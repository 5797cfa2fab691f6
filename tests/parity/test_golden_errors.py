"""Errors of the default recipe on golden runs are those that counts have about what was put in."""

import json

import numpy as np
import pytest

from roque.calibration.apply import Calibrator, Masters
from roque.frames.hcm import read_hcm
from roque.instruments import load_camera
from roque.lightcurves.ensemble import HARMLESS
from roque.photometry.automatic import automatic_apertures
from roque.photometry.beginning import frames_needed
from roque.photometry.defaults import default_recipe
from roque.photometry.reduce import Reducer
from roque.spool import data_source

SPOILT = ~np.uint32(HARMLESS)


def reduce(path, kind, camera, masters, changes):
    camera = load_camera(camera)
    with data_source(kind, path) as source:
        first = [source.frame(k) for k in range(1, min(frames_needed(source.info.nskips), source.available) + 1)]
        levels = {ccd: camera.detector(ccd) for ccd in first[0].ccds}
        usual = camera.detector(camera.reference)
        found = automatic_apertures(
            first,
            Calibrator(masters, first[0], readout=usual.read_noise, gain=usual.gain),
            run=source.info.name,
            gain={ccd: d.gain for ccd, d in levels.items()},
            saturation={ccd: d.saturation for ccd, d in levels.items()},
        )
        recipe = default_recipe(camera, found, binning=source.info.xbin).changed(changes)
        return Reducer(recipe, found.apertures, masters).reduce_range(source)[0]


def chi_squares(rows, truth):
    """Chi-square and degrees of freedom, frame by frame and CCD by CCD: counts are truth times a common factor."""
    found = []
    for (frame, ccd), stars in truth.items():
        known = []
        for row in rows[(rows["frame"] == frame) & (rows["ccd"] == ccd) & (rows["flag"] & SPOILT == 0)]:
            x, y, put = min(stars, key=lambda star: np.hypot(row["x"] - star[0], row["y"] - star[1]))
            if np.hypot(row["x"] - x, row["y"] - y) < 4.0:
                known.append((row["counts"], row["countse"], put))
        if len(known) > 1:
            counts, errors, put = np.array(known).T
            factor = (counts * put / errors**2).sum() / (put**2 / errors**2).sum()
            found.append((np.sum(((counts - factor * put) / errors) ** 2), len(known) - 1))
    return np.array(found).T


@pytest.mark.parametrize(
    "method", [{}, {"extraction.*.method": "optimal"}, {"psf_photom.use_psf": True}, {"sky.error": "photon"}]
)
def test_chi_square_of_the_eclipsing_star_and_its_field_is_one(golden, golden_runs, method):
    masters = Masters(**{kind: read_hcm(golden_runs / f"{kind}.hcm") for kind in ("bias", "dark", "flat")})
    rows = reduce(golden_runs / "run0004.fits", "hl", "hipercam", masters, method)
    told = json.loads((golden / "hipercam" / "truth" / "run0004.truth.json").read_text())
    truth = {(v[0], str(v[1])): [(s[0], s[1], s[3]) for s in stars] for v, stars in told["frames"]}
    chi, freedom = chi_squares(rows, truth).sum(axis=1)
    assert freedom == 54 * 5 * 3
    assert abs(chi / freedom - 1.0) < 3.0 * np.sqrt(2.0 / freedom)


def test_chi_square_of_an_ultracam_run_is_one_but_where_cosmic_rays_hit(golden):
    folder = golden / "ultracam"
    rows = reduce(folder / "run002", "ul", "ultracam", Masters(bias=read_hcm(folder / "bias_ucam.hcm")), {})
    told = json.loads((folder / "run002.truth.json").read_text())
    stars = next(run for run in json.loads((folder / "night.json").read_text())["runs"] if run["name"] == "run002")["stars"]
    truth = {
        (frame["frame"], str(ccd + 1)): [
            (star["x"] + offset[0], star["y"] + offset[1], star["flux"][ccd])
            for star, made in zip(frame["stars"], stars, strict=True)
            for offset in [(made.get("offset") or [[0.0, 0.0]] * 3)[ccd]]
        ]
        for frame in told["frames"]
        for ccd in range(3)
        if frame["stars"][0]["flux"][ccd] > 0.0
    }
    chi, freedom = chi_squares(rows, truth)
    hit = chi > 20.0 * freedom
    assert hit.sum() <= 4
    total = freedom[~hit].sum()
    assert total > 100
    assert abs(chi[~hit].sum() / total - 1.0) < 3.0 * np.sqrt(2.0 / total)
