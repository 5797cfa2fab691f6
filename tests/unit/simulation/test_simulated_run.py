"""Simulated runs, read back word by word after the description of the format, without the spool."""

from __future__ import annotations

import struct
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from astropy.io import fits
from astropy.time import Time

from roque.simulation import Detector, Eclipse, RunPlan, Star, WindowPlan, benchmark_plan, simulate_run

WINDOWS = (
    WindowPlan(xs=(391, 431, 511, 471), ys=123, nx=50, ny=46),
    WindowPlan(xs=(380, 420, 500, 460), ys=175, nx=40, ny=30),
)
BRIGHT = Star(name="bright", x=416.3, y=146.8, flux=(2e5, 3e5, 4e5, 5e5, 6e5))
UPPER = Star(name="upper", x=1512.6, y=880.3, flux=(2e5, 3e5, 4e5, 5e5, 6e5))
PLAN = RunPlan(detector=Detector(seed=4, vignetting=0.0), seed=7, windows=WINDOWS, frames=5, stars=(BRIGHT, UPPER))

# position: x and y of the corner read first, direction of reading in x and y (the table of the format)
CORNER = {"E": (1, 1, 1, 1), "F": (2048, 1, -1, 1), "G": (2048, 1024, -1, -1), "H": (1, 1024, 1, -1)}
MIRROR = {"E": "F", "F": "E", "G": "H", "H": "G"}


@dataclass
class Raw:
    header: fits.Header
    words: np.ndarray  # (frames, words of a frame), unsigned
    places: dict[int, np.ndarray]  # per CCD rows, columns and words of its pixels
    stamps: list[tuple[int, ...]]

    def pixels(self, ccd: int) -> np.ndarray:
        """Of all frames, sorted by place on the chip."""
        rows, columns, words = self.places[ccd]
        return self.words[:, words[np.lexsort((columns, rows))]]

    def chip(self, ccd: int, index: int) -> np.ndarray:
        """One frame on the whole chip, NaN outside windows."""
        rows, columns, words = self.places[ccd]
        image = np.full((1024, 2048), np.nan)
        image[rows, columns] = self.words[index, words]
        return image


def read(path: Path) -> Raw:
    header = fits.getheader(path)
    data = path.read_bytes()
    begin = len(header.tostring())
    n, words = header["NAXIS3"], header["NAXIS1"]
    raw = np.frombuffer(data, ">i2", n * words, begin).reshape(n, words).astype(int) + 32768
    xbin, ybin = header["ESO DET BINX1"], header["ESO DET BINY1"]
    places: dict[int, list[tuple[int, int, int]]] = {ccd: [] for ccd in range(1, 6)}
    at = 0
    for number in (1, 2):
        if f"ESO DET WIN{number} NX" not in header:
            break
        part: dict[str, Any] = {k: header[f"ESO DET WIN{number} {k}"] for k in ("NX", "NY", "YS", "XSE", "XSF", "XSG", "XSH")}
        for y in range(part["NY"] // ybin):
            for x in range(part["NX"] // xbin):
                for ccd in range(1, 6):
                    for quadrant in "EFGH":
                        position = MIRROR[quadrant] if ccd in {2, 5} else quadrant
                        x0, y0, sx, sy = CORNER[position]
                        # unbinned pixel read first in this binned pixel, then its index on the chip
                        column = (x0 + sx * (part["XS" + position] + x * xbin) - 1) // xbin
                        row = (y0 + sy * (part["YS"] + y * ybin) - 1) // ybin
                        places[ccd].append((row, column, at))
                        at += 1
    stamps = [struct.unpack("<8I2b", struct.pack("<17H", *row[at : at + 17])) for row in raw]
    return Raw(header, raw, {ccd: np.array(rows).T for ccd, rows in places.items()}, stamps)


def stamp_mjd(stamp: tuple[int, ...]) -> tuple[int, float]:
    year, day, hour, minute, second, nanosecond = stamp[2:8]
    first = round(Time(f"{year}-01-01", scale="utc").mjd)
    return first + day - 1, (hour * 3600 + minute * 60 + second + nanosecond * 1e-9) / 86400


def bias_of(chip: np.ndarray) -> float:
    return float(np.nanmedian(chip))


def test_stars_stand_where_the_truth_says_with_the_light_it_says(tmp_path):
    truth = simulate_run(tmp_path / "run0001.fits", PLAN)
    raw = read(tmp_path / "run0001.fits")
    for ccd in range(1, 6):
        for k, star in enumerate(truth.stars[2, ccd - 1]):
            x0, y0 = round(star["x"]), round(star["y"])
            cut = raw.chip(ccd, 2)[y0 - 21 : y0 + 20, x0 - 21 : x0 + 20]
            known = np.isfinite(cut)
            light = np.where(known, cut - bias_of(cut), 0.0)
            inner = light[12:-12, 12:-12]
            y, x = np.mgrid[y0 - 8 : y0 + 9, x0 - 8 : x0 + 9]
            assert (inner * x).sum() / inner.sum() == pytest.approx(star["x"], abs=0.05), (ccd, k)
            assert (inner * y).sum() / inner.sum() == pytest.approx(star["y"], abs=0.05), (ccd, k)
            # a Moffat profile of beta 3.5 and FWHM 5.4 has 1 - (1 + (8.5/a)^2)^-2.5 = 95 % within 8.5 pixels, a = 5.7
            assert 0.90 < inner.sum() / star["adu"] < 0.99


def test_windows_of_mirrored_ccds_are_on_the_same_sky_as_the_others(tmp_path):
    simulate_run(tmp_path / "run0001.fits", PLAN)
    raw = read(tmp_path / "run0001.fits")
    expected = np.zeros((1024, 2048), bool)
    for xs, ys, nx, ny in (((391, 431, 511, 471), 123, 50, 46), ((380, 420, 500, 460), 175, 40, 30)):
        expected[ys : ys + ny, xs[0] : xs[0] + nx] = True
        expected[ys : ys + ny, 2048 - xs[1] - nx : 2048 - xs[1]] = True
        expected[1024 - ys - ny : 1024 - ys, 2048 - xs[2] - nx : 2048 - xs[2]] = True
        expected[1024 - ys - ny : 1024 - ys, xs[3] : xs[3] + nx] = True
    for ccd in range(1, 6):
        np.testing.assert_array_equal(np.isfinite(raw.chip(ccd, 0)), expected)


@pytest.mark.parametrize("clear", [False, True])
def test_mid_times_and_exposures_follow_from_the_stamps_as_the_camera_defines_them(tmp_path, clear):
    start = datetime(2026, 3, 14, 23, 59, 57, 125000, tzinfo=UTC)
    plan = replace(PLAN, clear=clear, frames=9, nskips=(3, 0, 1, 2, 0), start=start, exposure=1.5, read_out=0.25, stars=())
    truth = simulate_run(tmp_path / "run0001.fits", plan)
    raw = read(tmp_path / "run0001.fits")
    h = raw.header
    delay, read_out, transfer, wait = (1e-3 * h["ESO DET " + k] for k in ("TDELAY", "TREAD", "TFT", "TCLEAR"))
    for n in range(1, 10):
        stamp = raw.stamps[n - 1]
        assert stamp[0] == n - 1
        assert stamp[8:] == (7, 1)
        day, fraction = stamp_mjd(stamp)
        for ccd in range(1, 6):
            s = h[f"ESO DET NSKIPS{ccd}"]
            if clear:
                delta, offset, length = read_out + wait + delay, delay / 2, delay
            else:
                rest = read_out - transfer
                delta = read_out + delay
                offset, length = (delay / 2, delay) if n == s + 1 else ((delay - rest) / 2, rest + delay)
            row = truth.frames[n - 1, ccd - 1]
            assert row["data_ok"] == (n % (s + 1) == 0)
            assert row["exposure"] == pytest.approx(delta * s + length, abs=1e-8)
            middle = (row["mjd_int"] - day + row["mjd_frac"] - fraction) * 86400
            assert middle == pytest.approx(offset - delta * s / 2, abs=1e-7)


def test_a_ccd_that_is_not_read_out_shows_bias_and_noise_only(tmp_path):
    plan = replace(PLAN, nskips=(1, 0, 0, 0, 0), sky=(500.0,) * 5, frames=2)
    simulate_run(tmp_path / "run0001.fits", plan)
    raw = read(tmp_path / "run0001.fits")
    assert raw.pixels(1)[0].max() < 2450 + 25 + 8 * 4.2
    assert np.median(raw.pixels(1)[1]) > 2450 + 400
    assert np.median(raw.pixels(2)[0]) > 2450 + 400


def test_pixels_are_summed_in_bins_and_keep_the_light(tmp_path):
    detector = replace(PLAN.detector, pixel_response_rms=0.0, read_noise=0.5, bias_spread=0.0, bias_column_rms=0.0)
    plan = replace(PLAN, detector=detector, windows=WINDOWS[:1], frames=1, sky=(200.0,) * 5)
    binned = replace(plan, xbin=2, ybin=2)
    totals = []
    for one in (plan, binned):
        truth = simulate_run(tmp_path / "run0001.fits", one)
        totals.append((read(tmp_path / "run0001.fits").pixels(3)[0] - 2450.0).sum())
        pixels = 4 * 50 * 46
        expected = truth.stars["adu"][0, 2].sum() + pixels * truth.frames["sky"][0, 2] / detector.gain
        # both stars lie well inside their windows; 3 % of a profile's light falls beyond them
        assert totals[-1] == pytest.approx(expected, rel=0.03)
    assert totals[0] == pytest.approx(totals[1], rel=2e-3)


def test_noise_of_light_and_of_reading_is_as_planned(tmp_path):
    plan = replace(PLAN, detector=replace(PLAN.detector, pixel_response_rms=0.0), stars=(), sky=(900.0,) * 5, frames=40)
    simulate_run(tmp_path / "run0001.fits", plan)
    variance = read(tmp_path / "run0001.fits").pixels(4)[1:].var(axis=0, ddof=1).mean()
    exposure = 1.0 + 0.150 - 0.0078
    assert variance == pytest.approx(900.0 * exposure / 1.1**2 + 4.2**2 + 1 / 12, rel=0.02)


def test_runs_of_one_detector_share_flat_field_and_bias_whatever_their_windows(tmp_path):
    wide = replace(
        PLAN, windows=(WindowPlan(xs=(382, 422, 502, 462), ys=118, nx=68, ny=108),), stars=(), frames=20, twilight=(3e4,) * 5
    )
    wide = replace(wide, twilight_decay=1e9, fwhm_rms=0.0)
    narrow = replace(wide, windows=WINDOWS[:1], seed=8)
    simulate_run(tmp_path / "run0001.fits", wide)
    simulate_run(tmp_path / "run0002.fits", narrow)
    first, second = (
        np.mean([raw.chip(5, k) for k in range(20)], axis=0) for raw in (read(path) for path in sorted(tmp_path.iterdir()))
    )
    here = np.isfinite(second)
    # photon noise of the mean of 20 frames is 0.12 %, the pixels differ by 1.2 %
    assert np.corrcoef(first[here], second[here])[0, 1] > 0.95


def test_the_header_has_the_keywords_of_a_real_one_in_their_order(tmp_path, golden_runs):
    simulate_run(tmp_path / "run0001.fits", PLAN)
    ours, real = fits.getheader(tmp_path / "run0001.fits"), fits.getheader(golden_runs / "run0004.fits")
    assert list(ours) == list(real)
    for keyword in real:
        assert type(ours[keyword]) is type(real[keyword]), keyword


def test_the_same_plan_gives_the_same_bytes_and_another_seed_others(tmp_path):
    for name, plan in (("a", PLAN), ("b", PLAN), ("c", replace(PLAN, seed=8))):
        simulate_run(tmp_path / name, plan)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()
    assert (tmp_path / "a").read_bytes() != (tmp_path / "c").read_bytes()


def test_repeated_frames_have_their_own_stamps_and_numbers(tmp_path):
    plan = replace(PLAN, frames=8, distinct=3, jitter=0.5, exposure=0.4)
    truth = simulate_run(tmp_path / "run0001.fits", plan)
    raw = read(tmp_path / "run0001.fits")
    pixels = raw.pixels(2)
    np.testing.assert_array_equal(pixels[0], pixels[3])
    np.testing.assert_array_equal(pixels[1], pixels[7])
    assert not np.array_equal(pixels[0], pixels[1])
    assert [stamp[0] for stamp in raw.stamps] == list(range(8))
    step = np.diff([stamp_mjd(stamp)[1] for stamp in raw.stamps]) * 86400
    np.testing.assert_allclose(step, 0.55, atol=1e-6)
    np.testing.assert_array_equal(truth.stars["x"][0], truth.stars["x"][6])
    assert len(truth.frames) == 8


def test_cosmic_rays_come_at_their_rate(tmp_path):
    plan = replace(PLAN, stars=(), frames=40, cosmic_rays=2.0)
    simulate_run(tmp_path / "run0001.fits", plan)
    raw = read(tmp_path / "run0001.fits")
    hit = np.mean([(raw.pixels(ccd) > 2450 + 25 + 200).sum() for ccd in range(1, 6)]) / 40
    # a hit leaves one to six pixels, 3.5 in the mean, some of them beyond the window
    assert 2.0 * 2.5 < hit < 2.0 * 3.7


def test_what_cannot_be_simulated_is_refused(tmp_path):
    eclipse = Eclipse(mid_int=61113, mid_frac=0.99, depth=0.5, width=20.0, ingress=2.0)
    faults = (
        replace(PLAN, windows=()),
        replace(PLAN, windows=WINDOWS[:1], xbin=3),
        replace(PLAN, stars=(replace(BRIGHT, eclipses=(eclipse,) * 5),), distinct=2),
    )
    for plan in faults:
        with pytest.raises(ValueError, match=r"windows|binned|repeat"):
            simulate_run(tmp_path / "run0001.fits", plan)


def test_a_benchmark_run_is_written_with_the_memory_of_its_distinct_frames(tmp_path):
    import tracemalloc

    peaks = []
    for frames in (200, 1000):
        tracemalloc.start()
        simulate_run(tmp_path / "run0001.fits", benchmark_plan(frames))
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
        header = fits.getheader(tmp_path / "run0001.fits")
        assert header["NAXIS3"] == frames
        assert header["NAXIS1"] == 2 * 20 * 50 * 46 + 18
    # what grows with the run is the truth, half a kilobyte a frame against the 184 of its pixels
    assert peaks[1] - peaks[0] < 800 * 2000
