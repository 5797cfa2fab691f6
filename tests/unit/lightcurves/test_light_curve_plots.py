"""Pictures of light curves."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

from roque.errors import BadInput
from roque.lightcurves import LightCurve, plot_light_curves
from roque.lightcurves.ensemble import LIGHT_CURVE


def curve(n=100, step=2e-5, seed=1):
    rng = np.random.default_rng(seed)
    rows = np.zeros(n, LIGHT_CURVE)
    rows["frame"], rows["mjd_int"], rows["mjd_frac"], rows["exposure"] = (
        np.arange(1, n + 1),
        61113,
        0.9 + step * np.arange(n),
        1.0,
    )
    rows["ratio"], rows["ratio_error"] = 0.3 + 0.003 * rng.standard_normal(n), 0.003
    return LightCurve("1", "1", (), rows)


def drawn(path):
    from matplotlib.image import imread

    return (imread(path)[:, :, :3] * 255).round().astype(int)


def test_a_picture_has_a_panel_for_each_ccd_and_the_same_bytes_each_time(tmp_path):
    for name, ccds in (("one", "1"), ("three", "123"), ("again", "123")):
        plot_light_curves(tmp_path / name, {c: curve(seed=int(c)) for c in ccds}, title="A star", bands={"1": "u"})
    one, three = drawn(tmp_path / "one"), drawn(tmp_path / "three")
    assert three.shape[0] > 1.4 * one.shape[0]
    assert three.shape[1] == one.shape[1] > 1000
    assert (tmp_path / "three").read_bytes() == (tmp_path / "again").read_bytes()


def test_points_that_are_flagged_wild_or_missing_can_be_told_apart(tmp_path):
    star = curve()
    plot_light_curves(tmp_path / "plain.png", {"1": star}, title="A star")
    star.rows["flags"][10] = 16
    star.rows["ratio"][20] = 40.0
    star.rows["ratio"][30:33] = np.nan
    plot_light_curves(tmp_path / "marked.png", {"1": star}, title="A star")
    plain, marked = drawn(tmp_path / "plain.png"), drawn(tmp_path / "marked.png")
    assert plain.shape == marked.shape
    assert (plain != marked).any()
    # the wild point does not squeeze the others: they still spread over the panel
    spread = [
        np.ptp(np.flatnonzero((np.abs(image - [0x5B, 0x4F, 0xC4]).sum(axis=2) < 30).any(axis=1))) for image in (plain, marked)
    ]
    assert spread[1] > 0.7 * spread[0]


@pytest.mark.parametrize(("step", "n"), [(1e-7, 50), (2e-3, 150), (1e-5, 1)])
def test_short_long_and_single_point_curves_can_be_drawn(tmp_path, step, n):
    plot_light_curves(tmp_path / "a.png", {"1": curve(n, step)}, title="A star")
    assert (tmp_path / "a.png").stat().st_size > 5000


def test_a_curve_without_any_point_is_refused(tmp_path):
    star = curve()
    star.rows["ratio"] = np.nan
    with pytest.raises(BadInput, match="no point"):
        plot_light_curves(tmp_path / "a.png", {"1": star}, title="A star")
    assert not list(tmp_path.iterdir())


def test_matplotlib_is_imported_only_to_draw():
    code = "import sys, roque.lightcurves; sys.exit('matplotlib' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
