"""The radius with the least scatter is found, and the light outside it is told from the other stars."""

from __future__ import annotations

import numpy as np
import pytest

from roque.errors import NotFound
from roque.lightcurves.radii import judge, light_within, stack
from roque.lightcurves.radii_plot import plot_radii
from roque.photometry.flags import Flag
from roque.photometry.measurements import RADIUS

FACTORS = np.array([0.8, 1.2, 1.6, 2.4])
NOISE = {0.8: 0.012, 1.2: 0.004, 1.6: 0.007, 2.4: 0.015}  # relative, per star and frame
GROWTH = {0.8: 0.55, 1.2: 0.80, 1.6: 0.92, 2.4: 1.0}
LEVELS = {"1": 5000.0, "2": 90_000.0, "3": 40_000.0, "4": 60_000.0}


def rows(stars="1234", frames=400, *, wander=0.0, dark=()):
    """Stars with a noise that is least in the second radius; the shares of light wander from frame to frame."""
    rng = np.random.default_rng(5)
    shift = wander * rng.normal(size=frames)
    parts = []
    for star in stars:
        slow = 1.0 + 0.3 * np.sin(np.arange(frames) / 60.0) * (star == "1")
        for factor in FACTORS:
            part = np.zeros(frames, RADIUS)
            part["ccd"], part["aperture"], part["frame"], part["factor"] = "2", star, 10 + np.arange(frames), factor
            light = LEVELS[star] * slow * (GROWTH[factor] + shift * (1.0 - GROWTH[factor]))
            part["countse"] = NOISE[factor] * light
            part["counts"] = light * (1.0 + NOISE[factor] * rng.normal(size=frames))
            parts.append(part)
    made = np.concatenate(parts)
    made["flag"][np.isin(made["aperture"], dark)] = Flag.TARGET_SATURATED
    return made[rng.permutation(len(made))]


def test_rows_in_any_order_become_arrays():
    made = rows(frames=3)
    made = made[made["aperture"] != "4"]
    radii = stack("2", [made[:5], made[5:21], made[21:]])  # parts of frames and of stars alike
    assert sorted(radii.stars) == ["1", "2", "3"]
    assert radii.factors.tolist() == FACTORS.tolist()
    assert radii.frames.tolist() == [10, 11, 12]
    for row in made:
        place = FACTORS.tolist().index(row["factor"]), row["frame"] - 10, radii.stars.index(row["aperture"])
        assert radii.counts[place] == row["counts"]
        assert radii.errors[place] == row["countse"]


def test_the_radius_in_which_comparison_stars_scatter_least_is_best():
    found = judge(stack("2", [rows()]), "1")
    assert found.best == found.best_of_target == 1.2
    assert found.basis.startswith("stars ")
    assert "1" not in found.basis.split(" against")[0]  # the target is no comparison star
    for factor, seen, of_target in zip(FACTORS, found.scatter, found.target_scatter, strict=True):
        # of a star over the sum of two others
        assert NOISE[factor] * 1.1 < seen < NOISE[factor] * 1.45
        assert NOISE[factor] * 1.0 < of_target < NOISE[factor] * 1.35  # though the target varies by 60 per cent


def test_shares_of_light_are_told():
    found = judge(stack("2", [rows()]), "1")
    np.testing.assert_allclose(found.share, list(GROWTH.values()), atol=0.005)


def test_of_one_comparison_star_the_ratio_with_the_target_is_judged():
    found = judge(stack("2", [rows("12")]), "1")
    assert found.best == 1.2
    assert "one comparison star alone" in found.basis
    assert found.scatter.tolist() == found.target_scatter.tolist()


@pytest.mark.parametrize("stars", ["1", "2"])
def test_a_star_alone_tells_nothing(stars):
    found = judge(stack("2", [rows(stars)]), "1")
    assert found.best is found.best_of_target is None
    assert found.basis == "there is no comparison star"


def test_flagged_stars_and_radii_are_left_out():
    made = rows(dark=["2"])
    assert "2" not in judge(stack("2", [made]), "1").basis.split()
    made = rows()
    made["flag"][made["factor"] == 1.2] = Flag.TARGET_AT_EDGE
    found = judge(stack("2", [made]), "1")
    assert found.best == 1.6
    assert np.isnan(found.scatter[1])


def test_a_few_wild_points_do_not_decide():
    made = rows()
    made["counts"][(made["factor"] == 1.2) & (made["frame"] % 50 == 0)] *= 1.4
    assert judge(stack("2", [made]), "1").best == 1.2


def test_too_few_frames_tell_nothing():
    found = judge(stack("2", [rows(frames=3)]), "1")
    assert found.best is None
    assert found.basis == "too few frames without flags"


def test_no_rows_at_all_tell_nothing():
    found = judge(stack("2", []), "1")
    assert found.best is None
    assert found.factors.size == 0


@pytest.mark.parametrize("wander", [0.0, 0.05, 0.3])
def test_the_share_of_light_follows_the_frames_as_far_as_it_can_be_told(wander):
    radii = stack("2", [rows(wander=wander)])
    truth = GROWTH[1.2] + wander * np.random.default_rng(5).normal(size=400) * (1.0 - GROWTH[1.2])
    share, error = light_within(radii, 1.2, "1")
    off = (share - truth) / error
    assert abs(off.mean()) < 0.5
    assert 0.3 < off.std() < 1.4
    spread = wander * (1.0 - GROWTH[1.2])
    # never worse than the better of knowing each frame alone and knowing the usual share
    alone = 0.8 * np.hypot(0.004, 0.015) / np.sqrt(2.0)
    assert np.std(share - truth) < 1.25 * min(max(spread, 0.001), alone)


def test_the_share_in_the_largest_radius_is_one():
    share, error = light_within(stack("2", [rows()]), 2.4, "1")
    np.testing.assert_allclose(share, 1.0, rtol=1e-12)
    assert (error < 1e-6).all()


def test_a_star_alone_is_not_corrected():
    with pytest.raises(NotFound, match="no star beside 2"):
        light_within(stack("2", [rows("2")]), 1.2, "2")


def test_a_frame_without_good_stars_gets_the_usual_share():
    made = rows()
    made["flag"][made["frame"] == 100] = Flag.CLOUDS
    share, error = light_within(stack("2", [made]), 1.2, "1")
    assert abs(share[90] - GROWTH[1.2]) < 0.01
    assert np.isfinite(error).all()


def test_pictures_are_drawn_also_where_nothing_can_be_told(tmp_path):
    found = [judge(stack("2", [rows()]), "1"), judge(stack("2", [rows("1")]), "1")]
    for name in ("one", "two"):
        plot_radii(tmp_path / f"{name}.png", found, title="run", bands={"2": "g"})
    assert (tmp_path / "one.png").read_bytes() == (tmp_path / "two.png").read_bytes()
