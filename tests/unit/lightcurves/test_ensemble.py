"""Light curves against the good other stars."""

from __future__ import annotations

import csv

import numpy as np
import pytest

from roque.errors import NotFound
from roque.lightcurves import light_curves, write_csv
from roque.photometry.flags import Flag
from roque.photometry.measurements import empty
from roque.spool.source import TIMES

N = 300
FLUX = {"1": 8000.0, "2": 40000.0, "3": 30000.0, "4": 20000.0, "5": 15000.0}


def night(rng, frames=N, changes=None, flux=None):
    """Stars of photon noise through a changing atmosphere; `changes` are factors by label."""
    k = np.arange(frames)
    transmission = 0.9 + 0.1 * np.sin(k / 40) - 0.3 * np.exp(-(((k - 200) / 8) ** 2))
    parts = []
    for label, level in (flux or FLUX).items():
        expected = level * transmission * (changes or {}).get(label, 1.0)
        m = empty(
            frames, ccd="1", aperture=label, frame=k + 1, mjd_int=61113, mjd_frac=0.9 + k * 2e-5, time_ok=True, exposure=1.5
        )
        m["countse"] = np.sqrt(expected / 1.1)
        m["counts"] = expected + m["countse"] * rng.standard_normal(frames)
        parts.append(m)
    return np.concatenate(parts)


def of(table, label, field):
    return table[field][table["aperture"] == label]


def test_the_atmosphere_goes_and_noise_is_as_the_errors_say():
    table = night(np.random.default_rng(1))
    curve = light_curves(table, "1")["1"]
    assert [c.label for c in curve.comparisons if c.weight == 1.0] == ["2", "3", "4", "5"]
    expected = 8000.0 / sum(FLUX[k] for k in "2345")
    pulls = (curve.rows["ratio"] - expected) / curve.rows["ratio_error"]
    assert np.std(pulls) == pytest.approx(1.0, abs=0.12)
    assert np.mean(pulls) == pytest.approx(0.0, abs=0.2)


def test_ratio_and_error_are_those_of_the_plain_sum():
    table = night(np.random.default_rng(2))
    curve = light_curves(table, "1", comparisons=["2", "4"])["1"]
    total = of(table, "2", "counts") + of(table, "4", "counts")
    np.testing.assert_allclose(curve.rows["ratio"], of(table, "1", "counts") / total, rtol=1e-12)
    relative = (of(table, "1", "countse") / of(table, "1", "counts")) ** 2
    relative += (of(table, "2", "countse") ** 2 + of(table, "4", "countse") ** 2) / total**2
    np.testing.assert_allclose(curve.rows["ratio_error"], curve.rows["ratio"] * np.sqrt(relative), rtol=1e-12)


def test_a_variable_star_is_left_out_however_bright_it_is():
    k = np.arange(N)
    for variable in "25":
        table = night(np.random.default_rng(3), changes={variable: 1 + 0.1 * np.sin(k / 15)})
        curve = light_curves(table, "1")["1"]
        verdicts = {c.label: c for c in curve.comparisons}
        assert verdicts[variable].weight == 0.0
        assert "scatter" in verdicts[variable].reason
        assert all(verdicts[label].weight > 0.9 for label in "2345" if label != variable)


def test_of_three_stars_the_noisy_one_weighs_little_when_it_is_not_left_out():
    rng = np.random.default_rng(4)
    noisy = 1 + 0.012 * rng.standard_normal(N)
    flux = {k: FLUX[k] for k in "1234"}
    verdicts = {c.label: c.weight for c in light_curves(night(rng, changes={"4": noisy}, flux=flux), "1")["1"].comparisons}
    assert verdicts["2"] > 0.8
    assert verdicts["3"] > 0.8
    assert 0.0 < verdicts["4"] < 0.6


def test_a_saturated_star_and_one_that_is_often_missing_are_left_out_with_the_reason():
    table = night(np.random.default_rng(5))
    table["flag"][(table["aperture"] == "2") & (table["frame"] % 10 == 0)] = Flag.TARGET_SATURATED
    table["counts"][(table["aperture"] == "3") & (table["frame"] > 200)] = np.nan
    reasons = {c.label: c.reason for c in light_curves(table, "1")["1"].comparisons}
    assert reasons["2"].startswith("saturated")
    assert reasons["3"].startswith("measured well in 67%")
    assert reasons["4"] == reasons["5"] == "used"


def test_a_frame_in_which_a_comparison_star_is_hit_or_missing_keeps_its_ratio():
    table = night(np.random.default_rng(6))
    expected = 8000.0 / sum(FLUX[k] for k in "2345")
    table["counts"][(table["aperture"] == "2") & (table["frame"] == 50)] *= 1.5
    gone = (table["aperture"] == "3") & (table["frame"] == 60)
    table["counts"][gone], table["flag"][gone] = np.nan, Flag.NO_EXTRACTION
    rows = light_curves(table, "1")["1"].rows
    for frame in (50, 60):
        assert rows["ratio"][frame - 1] == pytest.approx(expected, abs=4 * rows["ratio_error"][frame - 1])
        assert rows["flags"][frame - 1] == 0


def test_every_frame_has_a_row_and_those_not_measured_are_nan():
    table = night(np.random.default_rng(7))
    table["counts"][(table["aperture"] == "1") & (table["frame"] == 20)] = np.nan
    table["flag"][(table["aperture"] == "1") & (table["frame"] == 30)] = Flag.SKY_AT_EDGE
    table["time_ok"][table["frame"] == 40] = False
    kept = table[(table["frame"] != 10) & (table["frame"] != 11)]
    times = np.zeros(N, TIMES)
    times["frame"], times["ccd"], times["mjd_int"], times["mjd_frac"] = np.arange(1, N + 1), "1", 61113, 0.5
    times["time_ok"] = times["data_ok"] = True
    times["data_ok"][10] = False
    rows = light_curves(kept, "1", times=times)["1"].rows
    assert rows["frame"].tolist() == [n for n in range(1, N + 1) if n != 11]
    by_frame = dict(zip(rows["frame"].tolist(), rows, strict=True))
    assert np.isnan(by_frame[10]["ratio"])
    assert by_frame[10]["flags"] & Flag.NO_DATA
    assert by_frame[10]["mjd_frac"] == 0.5
    assert np.isnan(by_frame[20]["ratio"])
    assert by_frame[30]["flags"] == Flag.SKY_AT_EDGE
    assert by_frame[40]["flags"] == Flag.BAD_TIME
    assert by_frame[41]["mjd_frac"] != 0.5


def test_without_a_usable_comparison_star_ratios_are_nan_and_a_wrong_name_is_told():
    table = night(np.random.default_rng(8), flux={"1": 8000.0})
    assert np.isnan(light_curves(table, "1")["1"].rows["ratio"]).all()
    two = night(np.random.default_rng(8), flux={"1": 8000.0, "2": 9000.0})
    two["counts"][two["aperture"] == "2"] = np.nan
    curve = light_curves(two, "1")["1"]
    assert np.isnan(curve.rows["ratio"]).all()
    assert curve.comparisons[0].weight == 0
    with pytest.raises(NotFound, match="no star 9"):
        light_curves(table, "9")
    with pytest.raises(NotFound, match="no star 7"):
        light_curves(two, "1", comparisons=["2", "7"])


def test_csv_has_the_columns_promised_and_a_ccd_where_there_are_several(tmp_path):
    table = night(np.random.default_rng(9))
    other = table.copy()
    other["ccd"] = "2"
    curves = light_curves(np.concatenate([table, other]), "1")
    write_csv(tmp_path / "both.csv", curves, {"1": np.full(N, 1.25)})
    write_csv(tmp_path / "one.csv", {"1": curves["1"]}, {"1": np.full(N, 1.25)})
    with (tmp_path / "one.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0]) == ["mjd_mid_utc", "exposure_s", "ratio", "ratio_error", "flags", "airmass"]
    assert len(rows) == N
    assert float(rows[7]["mjd_mid_utc"]) == pytest.approx(61113.9 + 7 * 2e-5, abs=1e-10)
    assert float(rows[7]["ratio"]) == pytest.approx(curves["1"].rows["ratio"][7], rel=1e-8)
    assert rows[7]["airmass"] == "1.25000"
    with (tmp_path / "both.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["ccd"] for row in rows] == ["1"] * N + ["2"] * N
    assert rows[-1]["airmass"] == "nan"


def test_flags_of_comparison_stars_count_where_the_stars_were_asked_for_or_none_is_left():
    table = night(np.random.default_rng(10), flux={"1": 8000.0, "2": 40000.0, "3": 30000.0})
    second, third = table["aperture"] == "2", table["aperture"] == "3"
    table["flag"][second & (table["frame"] == 5)] = Flag.SKY_AT_EDGE
    table["flag"][second & (table["frame"] == 6)] = Flag.TARGET_SATURATED
    table["flag"][(second | third) & (table["frame"] == 7)] = Flag.CLOUDS
    chosen = light_curves(table, "1")["1"].rows
    asked = light_curves(table, "1", comparisons=["2"])["1"].rows
    assert chosen["flags"][4:7].tolist() == [0, 0, Flag.CLOUDS | Flag.NO_DATA]
    assert np.isfinite(chosen["ratio"][4:7]).tolist() == [True, True, False]
    assert asked["flags"][4:7].tolist() == [Flag.SKY_AT_EDGE, Flag.TARGET_SATURATED, Flag.CLOUDS]
    np.testing.assert_allclose(asked["ratio"], of(table, "1", "counts") / of(table, "2", "counts"))
