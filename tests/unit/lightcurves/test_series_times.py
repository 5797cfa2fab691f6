"""Series: intervals of time, other times, text, tables and plots, against plain loops and numbers worked out by hand."""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np
import pytest
from astropy import units
from astropy.table import QTable, Table
from astropy.time import Time
from matplotlib.figure import Figure

from roque.errors import BadInput, Conflict, NotFound
from roque.lightcurves import Series
from roque.lightcurves.airmass import airmass
from roque.lightcurves.barycentre import Barycentre
from roque.photometry.flags import Flag

THERE = Barycentre(ra=252.1, dec=-3.4, longitude=-17.9, latitude=28.8, height=2300.0)


def series(y, ye=0.1, bits=0, t=None, te=0.01):
    y = np.asarray(y, float)
    t = np.arange(len(y), dtype=float) if t is None else np.asarray(t, float)
    return Series(
        t, y, np.broadcast_to(ye, y.shape).astype(float), np.broadcast_to(bits, y.shape).astype(np.uint32), np.full(len(y), te)
    )


def noisy(n=200, seed=3):
    """Points at odd times, with errors of their own, some bad, some flagged."""
    rng = np.random.default_rng(seed)
    y = 10.0 + rng.normal(size=n)
    y[rng.integers(0, n, 9)] = np.nan
    bits = rng.choice([0, 0, 0, 1, 4, 8, 12], n)
    return series(y, rng.uniform(0.1, 2.0, n), bits, np.sort(rng.uniform(0, 10, n)))


def plainly(s, edges, bitmask, *, weighted, rms):
    """What resampling means, point by point."""
    rows = []
    for low, high in pairwise(edges):
        inside = [
            k for k in range(len(s))
            if low <= s.t[k] < high and math.isfinite(s.y[k]) and not (bitmask and int(s.bmask[k]) & bitmask)
        ]  # fmt: skip
        if not inside:
            rows.append((0.5 * (low + high), math.nan, math.nan, 128, high - low))
            continue
        w = {k: 1 / s.ye[k] ** 2 if weighted else 1.0 for k in inside}
        norm = math.fsum(w.values())
        mean = math.fsum(w[k] * s.y[k] for k in inside) / norm
        error = math.sqrt(math.fsum((w[k] * s.ye[k]) ** 2 for k in inside)) / norm
        if rms and len(inside) > 1:
            error = math.sqrt(math.fsum(w[k] * (s.y[k] - mean) ** 2 for k in inside) / norm / (len(inside) - 1))
        bits = 0
        for k in inside:
            bits |= int(s.bmask[k]) & ~(bitmask or 0)
        rows.append((math.fsum(w[k] * s.t[k] for k in inside) / norm, mean, error, bits, high - low))
    return np.array(rows).T


@pytest.mark.parametrize("weighted", [True, False])
@pytest.mark.parametrize("rms", [True, False])
@pytest.mark.parametrize("bitmask", [None, 4, 0xFFFFFFFF])
def test_intervals_average_what_a_plain_loop_averages(weighted, rms, bitmask):
    s, edges = noisy(), np.array([-3.0, -2.0, 0.0, 0.05, 1.0, 4.0, 4.0001, 9.0, 20.0])
    found = s.resample(edges, bitmask, weighted=weighted, errors_from_rms=rms)
    t, y, ye, bits, te = plainly(s, edges, bitmask, weighted=weighted, rms=rms)
    for mine, plain in ((found.t, t), (found.y, y), (found.ye, ye), (found.te, te)):
        np.testing.assert_allclose(mine, plain, rtol=1e-12)
    assert found.bmask.tolist() == bits.astype(int).tolist()
    assert found.bmask[0] == Flag.NO_DATA


def test_an_interval_holds_its_first_edge_and_edges_must_increase():
    s = series([1.0, 2.0, 3.0])
    assert s.resample([0.0, 1.0, 2.0]).y.tolist() == [1.0, 2.0]
    for edges in ([1.0, 1.0], [2.0, 1.0], [1.0], [0.0, math.nan]):
        with pytest.raises(ValueError, match="edges"):
            s.resample(edges)


def test_weighted_means_of_two_points_by_hand():
    found = series([10.0, 16.0], ye=[1.0, 2.0]).resample([0.0, 2.0])
    assert found.y[0] == pytest.approx((10 / 1 + 16 / 4) / (1 + 1 / 4))
    assert found.ye[0] == pytest.approx(math.sqrt(1 / 1.25))
    assert found.t[0] == pytest.approx(0.2)


def test_a_series_is_binned_to_that_of_a_ccd_that_skips():
    s = series(np.arange(11.0))
    assert s.downsize(series(np.zeros(3))).y.tolist() == [1.0, 4.0, 7.0]
    assert len(s.downsize(s)) == 11
    for other in (4, 12, 0):
        with pytest.raises(ValueError, match="binned"):
            s.downsize(series(np.zeros(other)))


def test_it_is_split_at_gaps_and_clipped_to_times():
    s = series(np.arange(6.0), t=[0.0, 0.1, 0.2, 1.0, 1.1, 5.0])
    assert [part.y.tolist() for part in s.split(0.5)] == [[0.0, 1.0, 2.0], [3.0, 4.0], [5.0]]
    assert [len(part) for part in s.split(10.0)] == [6]
    assert s[:0].split(1.0) == []
    assert s.clip(0.1, 1.0).y.tolist() == [1.0, 2.0, 3.0]
    first, *rest = s.split(0.5)
    assert first.append(*rest).y.tolist() == s.y.tolist()


def test_folding_is_the_phase_folded_and_sorted():
    s = noisy()
    for mine, other in zip(vars(s.fold(1.5, 0.37)).values(), vars(s.phase(1.5, 0.37, fold=True)).values(), strict=True):
        np.testing.assert_array_equal(mine, other)
    assert s.fold(1.5, 0.37).t.min() > -0.5
    assert s.fold(1.5, 0.37).t.max() <= 0.5


def test_times_are_shifted_scaled_and_transformed_and_exposures_with_them():
    s = series([1.0, 2.0], t=[10.0, 11.0], te=0.5)
    assert s.tadd(1).t.tolist() == [11.0, 12.0]
    assert s.tsub(10.0).t.tolist() == [0.0, 1.0]
    assert (s.tmul(-2).t.tolist(), s.tmul(-2).te.tolist()) == ([-20.0, -22.0], [1.0, 1.0])
    assert (s.tdiv(2).t.tolist(), s.tdiv(2).te.tolist()) == ([5.0, 5.5], [0.25, 0.25])
    squared = s.ttrans(np.square, np.sqrt)
    assert squared.t.tolist() == [100.0, 121.0]
    assert squared.te[0] == math.sqrt(0.5)
    assert s.ttrans(np.square).te.tolist() == [0.5, 0.5]
    assert s.t.tolist() == [10.0, 11.0]


def test_times_go_to_the_barycentre_with_the_offset_of_the_log():
    s = series([1.0, 2.0], t=[345.9, 346.0])
    moved = s.to_bmjd(THERE, offset=61000)
    np.testing.assert_array_equal(moved.t, THERE.bmjd(s.t + 61000))
    np.testing.assert_array_equal(s.to_hmjd(THERE, 61000).t, THERE.hmjd(s.t + 61000))
    masses = series([1.0], t=[61200.95]).to_airmass(THERE)
    assert masses.t[0] == airmass(61200.95, 252.1, -3.4, -17.9, 28.8)
    assert 1.1 < masses.t[0] < 3.0
    assert masses.te.tolist() == [0.0]


def test_text_is_read_again_and_an_old_file_is_not_lost(tmp_path):
    s = series([1.5, math.nan, -math.inf], ye=[0.25, 1.0, math.nan], bits=[0, 0xFFFFFFFF, 7], t=[61345.123456789012, 2, 3])
    path = tmp_path / "s.txt"
    s.write(path)
    again = Series.read(path)
    for mine, other in zip(vars(again).values(), vars(s).values(), strict=True):
        np.testing.assert_array_equal(mine, other)
        assert mine.dtype == other.dtype
    assert path.read_text().splitlines()[-3] == "61345.12345678901 1.000e-02 1.500000e+00 2.500e-01 0"
    with pytest.raises(Conflict):
        s.write(path)
    s[:1].write(path, overwrite=True)
    assert len(Series.read(path)) == 1
    s[:0].write(tmp_path / "none.txt")
    assert len(Series.read(tmp_path / "none.txt")) == 0


def test_lcurve_gets_weights_and_divisions(tmp_path):
    series([1.5], t=[3.0]).write(tmp_path / "l.dat", lcurve=True)
    assert (tmp_path / "l.dat").read_text() == "3 1.000e-02 1.500000e+00 1.000e-01 1 1\n"


@pytest.mark.parametrize("line", ["1 2 3 4", "1 2 3 4 5 6", "1 2 3 x 0", "1 2 3 4 0.5", "1 2 3 4 -1", "1 2 3 4 4294967296"])
def test_a_line_that_does_not_fit_is_named(tmp_path, line):
    (tmp_path / "s.txt").write_text(f"# t\n1 2 3 4 0\n\n{line}\n")
    with pytest.raises(BadInput, match="line 4"):
        Series.read(tmp_path / "s.txt")
    with pytest.raises(NotFound):
        Series.read(tmp_path / "missing")
    (tmp_path / "bytes").write_bytes(b"\xff\xfe")
    with pytest.raises(BadInput, match="not text"):
        Series.read(tmp_path / "bytes")


def test_tables_go_out_and_come_in_again():
    s = noisy()
    for table in (s.to_table(), dict(vars(s))):
        again = Series.from_table(table)
        for mine, other in zip(vars(again).values(), vars(s).values(), strict=True):
            np.testing.assert_array_equal(mine, other)
            assert mine.dtype == other.dtype


def test_times_units_and_masks_of_tables_are_understood():
    times = Time([61345.25, 61345.5], format="mjd")
    table = Table({"t": times, "y": [1.0, 2.0], "te": [86.4, 864.0] * units.s}, masked=True)
    table["y"].mask = [False, True]
    s = Series.from_table(table)
    assert s.t.tolist() == [61345.25, 61345.5]
    assert s.te == pytest.approx([0.001, 0.01])
    assert s.bad.tolist() == [False, True]
    assert s.ye.tolist() == [0.0, 0.0]
    assert s.bmask.tolist() == [0, 0]
    hours = Series.from_table(QTable({"t": [24.0, 48.0] * units.h, "y": [1, 2]}))
    assert hours.t == pytest.approx([1.0, 2.0])
    with pytest.raises(BadInput, match="no column y"):
        Series.from_table(Table({"t": [1.0], "flux": [2.0]}))


def test_good_points_are_drawn_with_their_bars_and_flagged_ones_on_request():
    s = series([1.0, 2.0, math.nan, 4.0, 5.0], bits=[0, 8, 0, 0, 0], te=0.5)

    def drawn(**options):
        axes = Figure().subplots()
        s.mplot(axes, bitmask=8, **options)
        (line,) = axes.lines
        return line.get_xdata().tolist(), len(axes.collections)

    assert drawn() == ([0.0, 3.0, 4.0], 2)
    assert drawn(errx=False) == ([0.0, 3.0, 4.0], 1)
    assert drawn(errx=False, erry=False, ms=2) == ([0.0, 3.0, 4.0], 0)
    assert drawn(flagged=True)[0] == [1.0, 2.0]
    assert drawn(trange=(2.0, 3.5))[0] == [3.0]


def test_the_report_counts_every_flag():
    text = series([1.0, math.nan, 3.0], bits=[0, Flag.CLOUDS | Flag.NO_SKY, Flag.CLOUDS]).report()
    assert text.splitlines() == ["3 points, 1 bad, 2 flagged", "NO_SKY: 1", "CLOUDS: 2"]


def test_short_forms_of_arithmetic_give_new_series_too():
    s = kept = series([2.0, 4.0])
    s += 1
    s *= 2
    s -= s
    s /= 2
    assert s.y.tolist() == [0.0, 0.0]
    assert kept.y.tolist() == [2.0, 4.0]
