"""Trends of light curves: what was put in is found and can be put back; what is no trend is left alone, or said."""

from __future__ import annotations

import numpy as np
import pytest
from astropy.io import fits
from astropy.table import Table

from roque.errors import BadInput, NotFound
from roque.lightcurves import Series
from roque.lightcurves.barycentre import Barycentre
from roque.lightcurves.detrend import between, detrend, in_phase, regressors_in_frames, regressors_of
from roque.lightcurves.detrend_files import DetrendedCurve, read_ecsv, write_csv, write_ecsv, write_fits
from roque.lightcurves.detrend_plot import plot_detrended
from roque.lightcurves.ensemble import light_curves
from roque.lightcurves.hlog import Hlog
from roque.lightcurves.trend import Trend, fit_trend
from roque.photometry.flags import Flag
from roque.photometry.measurements import empty

N, NOISE = 400, 0.002


def night(seed=1, *, eclipse=0.0, outliers=0, dtype=np.float64):
    """A star that follows airmass and x, and has its own eclipse; regressors, and the flux without trends."""
    rng = np.random.default_rng(seed)
    t = 61000.1 + np.arange(N) / 2000.0
    s = (np.arange(N) - N / 2) / N
    regressors = {
        "airmass": 1.1 + 0.9 * (s + 0.3) ** 2,
        "x": 200.0 + 2.0 * s + rng.normal(0.0, 0.4, N),
        "y": 100.0 + rng.normal(0.0, 0.4, N),
        "fwhm": 5.0 + rng.normal(0.0, 0.3, N),
    }
    star = np.where(np.abs(s) < 0.1, 1.0 - eclipse, 1.0)
    trend = 1.0 + 0.02 * (regressors["airmass"] - 1.2) - 0.01 * (regressors["x"] - 200.0)
    y = 0.8 * star * trend * (1.0 + rng.normal(0.0, NOISE, N))
    y[rng.choice(N, outliers, replace=False)] *= rng.uniform(1.05, 2.0, outliers)
    series = Series(t, y.astype(dtype), np.full(N, 0.8 * NOISE, dtype), np.zeros(N, np.uint32), np.full(N, 1e-4))
    return series, regressors, 0.8 * star


def test_coefficients_are_those_put_in_and_their_errors_are_honest():
    pulls = []
    for seed in range(60):
        series, against, _ = night(seed)
        trend = detrend(series, against, ["airmass", "x"]).trend
        for term, slope in zip(trend.terms, (0.02, -0.01), strict=True):
            # relative to the level at the means of the regressors
            at_means = 1.0 + 0.02 * (trend.terms[0].centre - 1.2) - 0.01 * (trend.terms[1].centre - 200.0)
            pulls.append((term.coefficient - slope * term.scale / at_means) / term.error)
    assert abs(np.mean(pulls)) < 3.5 / np.sqrt(len(pulls))
    assert 0.8 < np.std(pulls) < 1.2


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_dividing_out_and_multiplying_back_gives_the_light_curve_to_rounding(dtype):
    series, against, _ = night(dtype=dtype)
    found = detrend(series, against)
    assert found.raw is series
    back = found.restored()
    assert np.abs(back.y / series.y - 1.0).max() <= np.finfo(float).eps
    assert np.abs(back.ye / series.ye - 1.0).max() <= 2 * np.finfo(float).eps
    if dtype is np.float32:  # which are rounded more coarsely: to the bit
        assert back.y.astype(dtype).tobytes() == series.y.tobytes()
    assert back.t.tobytes() == series.t.tobytes()
    # and the trend can be had again from what it is kept as
    again, error = Trend.from_dict(found.trend.to_dict()).factor({**against, "time": series.t})
    assert again.tobytes() == found.factor.tobytes()
    assert error.tobytes() == found.factor_error.tobytes()


def test_what_is_left_is_noise_and_the_eclipse_stays_where_it_is_excluded():
    series, against, star = night(eclipse=0.05)
    inside = (float(series.t[N // 2 - 50]), float(series.t[N // 2 + 50]))
    found = detrend(series, against, exclude=[inside])
    left = found.series.y / star / found.trend.level * 0.8
    assert np.std(left / left.mean()) < 1.1 * NOISE
    depth = 1.0 - found.series.y[star < 0.8].mean() / found.series.y[star == 0.8].mean()
    assert depth == pytest.approx(0.05, abs=5e-4)
    assert not found.used[N // 2 - 50 : N // 2 + 51].any()
    by_array = detrend(series, against, exclude=between(series.t, [inside]))
    assert by_array.factor.tobytes() == found.factor.tobytes()


def test_outliers_do_not_pull_the_fit():
    series, against, _ = night(outliers=30)
    clean, _, _ = night()
    found, expected = detrend(series, against), detrend(clean, against)
    assert found.trend.clipped >= 30
    assert np.abs(found.factor / expected.factor - 1.0).max() < 2e-3
    assert any("clipped" in note for note in found.trend.notes)


def test_flagged_bad_and_nameless_points_are_not_fitted_but_detrended():
    series, against, _ = night()
    series = series.set_bitmask(Flag.CLOUDS, np.arange(N) == 3).set_bitmask(Flag.BAD_TIME, np.arange(N) == 4)
    series = series.set_bitmask(Flag.SKY_AT_EDGE, np.arange(N) == 5)
    series.y[6], against["fwhm"][7] = np.nan, np.nan
    found = detrend(series, against)
    assert found.used[[3, 4, 5, 6, 7]].tolist() == [False, False, True, False, False]
    assert np.isfinite(found.series.y[[3, 4, 5]]).all()
    assert np.isnan(found.series.y[[6, 7]]).all()


def test_terms_that_explain_nothing_are_told_by_bic_and_pruned_if_asked():
    series, against, _ = night()
    found = detrend(series, against, ["airmass", "x", "y", "fwhm"])
    gains = {term.name: term.bic for term in found.trend.terms}
    assert gains["airmass"] > 20
    assert gains["x"] > 20
    assert gains["y"] < 0
    assert any("y" in note and "BIC" in note for note in found.trend.notes)
    pruned = detrend(series, against, ["airmass", "x", "y", "fwhm"], prune=True).trend
    assert [term.name for term in pruned.terms] == ["airmass", "x"]
    assert {name for name, _ in pruned.left_out} == {"y", "fwhm"}


def test_bic_is_what_the_definition_says():
    series, against, _ = night()
    full = detrend(series, against, ["x"])
    assert full.used.all()
    z = np.stack([np.ones(N), (against["x"] - against["x"].mean()) / against["x"].std()], axis=1)
    chi = [np.sum((series.y - d @ np.linalg.lstsq(d, series.y, rcond=None)[0]) ** 2) for d in (z, z[:, :1])]
    bic = [N * np.log(c / N) + k * np.log(N) for c, k in zip(chi, (2, 1), strict=True)]
    assert full.trend.terms[0].bic == pytest.approx(bic[1] - bic[0], rel=1e-9)


def test_what_cannot_be_told_apart_is_said_and_left_out():
    series, against, _ = night()
    against |= {"still": np.full(N, 7.0), "copy": 3.0 * against["x"] - 2.0, "like": against["x"] + 0.1 * against["y"]}
    trend = detrend(series, against, ["x", "still", "copy", "like"]).trend
    left = dict(trend.left_out)
    assert "does not change" in left["still"]
    assert "told from x" in left["copy"]
    assert [term.name for term in trend.terms] == ["x", "like"]
    assert any("like resembles x" in note for note in trend.notes)


def test_a_term_that_only_outliers_have_is_refused():
    series, against, _ = night()
    against["glitch"] = np.zeros(N)
    against["glitch"][[5, 50]] = 100.0
    series.y[[5, 50]] *= [3.0, 0.5]
    with pytest.raises(BadInput, match="without outliers"):
        detrend(series, against, ["glitch"])


def test_extrapolation_is_said():
    series, against, _ = night()
    assert not any("beyond" in note for note in detrend(series, against).trend.notes)
    found = detrend(series, against, ["time"], exclude=[(series.t[200], series.t[-1])])
    assert any(note.startswith("181 points lie beyond") for note in found.trend.notes)


def test_powers_are_terms():
    series, against, _ = night()
    series = series * (1.0 + 0.03 * (against["fwhm"] - 5.0) ** 2)
    found = detrend(series, against, ["airmass", "x", "fwhm", "fwhm^2", "time"])
    assert found.scatter[1] < 1.1 * NOISE
    assert found.trend.terms[3].name == "fwhm^2"


@pytest.mark.parametrize(
    ("terms", "error", "match"),
    [(["moon"], NotFound, "moon"), (["x^4"], NotFound, "x\\^4"), (["x^"], NotFound, "x\\^")],
)
def test_a_term_that_nobody_knows_is_refused(terms, error, match):
    series, against, _ = night()
    with pytest.raises(error, match=match):
        detrend(series, against, terms)


def test_too_few_points_magnitudes_and_lengths_that_differ_are_refused():
    series, against, _ = night()
    with pytest.raises(BadInput, match="too few"):
        detrend(series, against, exclude=[(series.t[12], series.t[-1])])
    with pytest.raises(BadInput, match="level"):
        detrend(series - 5.0, against)
    with pytest.raises(BadInput, match="shape"):
        detrend(series, {"x": np.zeros(3)})
    with pytest.raises(BadInput, match="ends before"):
        detrend(series, against, exclude=[(2.0, 1.0)])
    with pytest.raises(BadInput, match="clipped"):
        fit_trend(series.y, series.ye, against, ["x"], np.ones(N, bool), clip=0.5)


def test_a_light_curve_without_noise_and_one_without_terms_are_no_trouble():
    series, against, _ = night()
    flat = Series(series.t, np.ones(N), series.ye, series.bmask, series.te)
    assert np.abs(detrend(flat, against).factor - 1.0).max() < 1e-12
    nothing = detrend(series, against, [])
    assert (nothing.factor == 1.0).all()
    assert nothing.trend.level == pytest.approx(np.mean(series.y), rel=1e-6)


def test_phases_are_those_of_an_ephemeris():
    bmjd = 61000.0 + np.arange(0.0, 2.0, 0.1)
    phase = (bmjd - 61000.05) / 0.5 % 1.0
    expected = (phase <= 0.1 + 1e-9) | (phase >= 0.9 - 1e-9)
    for interval in ((-0.1001, 0.1001), (0.8999, 1.1001)):
        assert in_phase(bmjd, [interval], (61000.05, 0.5)).tolist() == expected.tolist()
    assert in_phase(bmjd, [(-0.1001, 0.1001)], (2461000.55, 0.5)).tolist() == expected.tolist()
    for wrong in (None, (61000.0, 0.0)):
        with pytest.raises(BadInput, match="ephemeris"):
            in_phase(bmjd, [(0.0, 0.1)], wrong)
    with pytest.raises(BadInput, match="ends before"):
        in_phase(bmjd, [(0.1, -0.1)], (61000.0, 1.0))


def measured():
    """Measurements of three stars; star 1 follows x."""
    rng = np.random.default_rng(5)
    rows = empty(60 * 3)
    number = np.repeat(np.arange(60), 3)
    rows["frame"], rows["ccd"], rows["aperture"] = number + 1, "2", np.tile(("1", "2", "3"), 60)
    rows["mjd_int"], rows["mjd_frac"], rows["time_ok"], rows["exposure"] = 61000, 0.1 + number / 1000, True, 2.0
    x = rng.normal(0.0, 0.5, 60)[number]
    rows["x"], rows["y"], rows["sky"], rows["mfwhm"] = 100.0 + x, 50.0 - number / 60, 30.0 + number, 5.0 + 0.1 * np.sin(number)
    first = rows["aperture"] == "1"
    rows["counts"] = np.where(first, 5000.0 * (1.0 + 0.02 * x), 10000.0) * rng.normal(1.0, 0.001, len(rows))
    rows["countse"] = 0.001 * rows["counts"]
    return rows[~(first & (rows["frame"] == 7))]


def test_logs_and_measurements_give_the_same_regressors():
    rows = measured()
    there = Barycentre(ra=150.0, dec=10.0, longitude=-17.9, latitude=28.8)
    log = Hlog.from_measurements(rows, offset=60000)
    from_log = regressors_of(log, 2, 1, there)
    assert set(from_log) == {"x", "y", "sky", "fwhm", "airmass"}
    assert np.isfinite(from_log["airmass"]).all()
    direct = regressors_in_frames(rows, "1", np.arange(1, 61))
    for name, values in direct.items():
        np.testing.assert_allclose(from_log[name], values.astype(np.float32), rtol=1e-6)
        if name != "fwhm":
            assert np.isnan(values[6])
    with pytest.raises(NotFound, match="no CCD 9"):
        regressors_of(log, 9, 1)
    with pytest.raises(NotFound, match="x_8"):
        regressors_of(log, 2, 8)


@pytest.fixture
def curve():
    rows = measured()
    made = light_curves(rows, "1")["2"]
    regressors = regressors_in_frames(rows, "1", made.rows["frame"])
    return DetrendedCurve(made, regressors, detrend(made.series(), regressors))


def test_files_have_the_raw_curve_the_trend_and_the_rest_to_the_bit(curve, tmp_path):
    curves = {"2": curve}
    write_ecsv(tmp_path / "a.ecsv", curves, {"run": "x/y"})
    write_fits(tmp_path / "a.fits", curves, {"run": "x/y"})
    write_csv(tmp_path / "a.csv", curves)
    columns, trend = read_ecsv(tmp_path / "a.ecsv")["2"]
    assert trend == curve.detrended.trend
    assert Table.read(tmp_path / "a.ecsv").meta["run"] == "x/y"
    with fits.open(tmp_path / "a.fits", checksum=True) as hdus:
        table = hdus["CCD 2"].data
        assert "coefficient" in "".join(hdus["TRENDS"].data["TEXT"])
    text = np.genfromtxt(tmp_path / "a.csv", delimiter=",", names=True, dtype=None, encoding="utf-8")
    for name, values in curve.columns().items():
        for read in (columns[name], table[name], text[name]):
            np.testing.assert_array_equal(np.asarray(read).astype(values.dtype), values)
    # what a reader does: put the trend back
    good = np.isfinite(columns["trend"])
    np.testing.assert_allclose((columns["detrended"] * columns["trend"])[good], columns["ratio"][good], rtol=3e-16)
    redone = trend.factor({name: columns[name] for name in ("x", "y", "sky", "fwhm")})[0]
    np.testing.assert_array_equal(redone, columns["trend"])


def test_what_is_no_detrended_light_curve_is_refused(tmp_path):
    with pytest.raises(NotFound):
        read_ecsv(tmp_path / "none.ecsv")
    for text in ("nonsense", "# %ECSV 1.0\n# ---\n# datatype:\n# - {name: a, datatype: int64}\na\n1\n"):
        (tmp_path / "b.ecsv").write_text(text)
        with pytest.raises(BadInput, match="not a detrended"):
            read_ecsv(tmp_path / "b.ecsv")
    with pytest.raises(BadInput, match="not a trend"):
        Trend.from_dict({"terms": []})


def test_pictures_are_the_same_bytes_each_time_and_need_a_point(curve, tmp_path):
    for name in ("a.png", "b.png"):
        plot_detrended(tmp_path / name, {"2": curve.detrended}, title="star")
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()
    assert (tmp_path / "a.png").stat().st_size > 10_000
