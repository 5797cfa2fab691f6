"""What is told of logs: how a reduction went, pictures of columns."""

import numpy as np
import pytest

from roque.errors import BadInput, NotFound
from roque.lightcurves.analysis import analyse
from roque.lightcurves.groups import by_ccd
from roque.lightcurves.hlog import Hlog
from roque.lightcurves.log_plot import Column, plot_columns
from roque.photometry.apertures import Aperture
from roque.photometry.measurements import empty

APERTURES = {"1": {"1": Aperture(10.0, 10.0, 3.0, 5.0, 8.0), "2": Aperture(20.0, 10.0, 3.0, 5.0, 8.0, ref=True)}}


def rows(n=5, ccd="1", first=1):
    made = []
    for label in ("1", "2"):
        own = empty(n, ccd=ccd, aperture=label, frame=np.arange(first, first + n), time_ok=True, exposure=1.0, mjd_int=60000)
        own["mjd_frac"] = 0.5 + np.arange(n) * 10.0 / 86400.0
        own["x"], own["y"] = 10.0 + 3.0 * np.arange(n), 10.0 + 4.0 * np.arange(n)
        own["xe"] = own["ye"] = 0.1
        own["counts"], own["countse"] = 1000.0 + np.arange(n), 10.0
        made.append(own)
    return np.concatenate(made)


def test_gaps_failures_and_jumps_are_told():
    measured = rows()
    measured["xe"][2] = np.nan
    (ccd,) = analyse(Hlog.from_measurements(measured), APERTURES)
    assert (ccd.mean_gap, ccd.largest_gap) == pytest.approx((10.0, 10.0), abs=1e-5)
    one, two = ccd.stars
    assert (one.good, one.total, one.role) == (4, 5, "non-reference")
    assert one.jumps == pytest.approx((5.0, 20.0 / 3.0, 5.0, 10.0), abs=1e-4)  # over the frame that failed
    assert (two.good, two.role) == (5, "reference")


def test_a_single_frame_has_neither_gaps_nor_jumps():
    (ccd,) = analyse(Hlog.from_measurements(rows(1)), APERTURES)
    assert np.isnan([ccd.mean_gap, *ccd.stars[0].jumps]).all()


def test_apertures_of_another_log_are_refused():
    with pytest.raises(BadInput, match="aperture 2"):
        analyse(Hlog.from_measurements(rows()), {"1": {"1": APERTURES["1"]["1"]}})


def test_groups_are_ordered_by_ccd_and_share_the_shape_of_their_last_frame():
    both = np.concatenate([rows(2, "2"), rows(3)])  # CCD 1 is skipped at first
    both["mfwhm"], both["mbeta"] = both["frame"], 3.0
    one, two = by_ccd(both, ["3", "1", "2"])
    assert set(one["ccd"]) == {"1"}
    assert set(one["mfwhm"]) == {3.0}
    assert set(two["mfwhm"]) == {2.0}


@pytest.mark.parametrize(("scheme", "ending"), [("b", "png"), ("d", "pdf"), ("r", "svg"), ("s", "png")])
def test_columns_are_drawn_in_every_scheme(tmp_path, scheme, ending):
    path = tmp_path / f"plot.{ending}"
    plot_columns(path, Hlog.from_measurements(rows()), Column("1", "1", "c"), Column("1", "2", "c"), scheme=scheme, title="t")
    assert path.stat().st_size > 3000
    assert [p.name for p in tmp_path.iterdir()] == [path.name]


def test_the_brightest_pixel_has_no_error_and_is_drawn_all_the_same(tmp_path):
    plot_columns(tmp_path / "m.png", Hlog.from_measurements(rows()), Column("1", "1", "m"), None, size=(4.0, 3.0))
    assert (tmp_path / "m.png").exists()


def test_columns_of_different_frames_cannot_be_divided(tmp_path):
    log = Hlog.from_measurements(np.concatenate([rows(5), rows(5, "2", first=2)]))
    with pytest.raises(BadInput, match="different frames"):
        plot_columns(tmp_path / "p.png", log, Column("1", "1", "c"), Column("2", "1", "c"), scheme="r")


def test_nothing_to_draw_is_an_error_and_leaves_no_file(tmp_path):
    measured = rows()
    measured["time_ok"] = False
    with pytest.raises(BadInput, match="no point"):
        plot_columns(tmp_path / "p.png", Hlog.from_measurements(measured), Column("1", "1", "c"), None)
    with pytest.raises(NotFound):
        plot_columns(tmp_path / "p.png", Hlog.from_measurements(measured), Column("9", "1", "c"), None)
    assert not list(tmp_path.iterdir())
