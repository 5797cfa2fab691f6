"""What a reduction does in each of the cases that a night brings, on small made-up frames."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from roque.calibration.apply import Masters
from roque.errors import BadInput
from roque.frames import CCD, Frame, Geometry, Window
from roque.photometry.apertures import Aperture
from roque.photometry.flags import Flag
from roque.photometry.recipe import Recipe
from roque.photometry.recipe_sections import Detector, Extraction, General, Radius, Tracking
from roque.photometry.reduce import Reducer

WINDOWS = {"A": Geometry(1, 1, 1, 1, 90, 60), "B": Geometry(201, 1, 1, 1, 60, 60)}
STARS = {"bright": (30.0, 30.0, 6000.0), "middle": (65.0, 28.0, 3000.0), "far": (230.0, 31.0, 2000.0)}
RADII = (8.0, 12.0, 18.0)
SKY = 50.0


def aperture(star, **changes):
    x, y, _ = STARS[star]
    return Aperture(x, y, *RADII, **changes)


def frame(number=1, shift=(0.0, 0.0), *, ccds=("1",), without=(), companion_shift=None, **ccd_changes):
    """A frame with all stars shifted, noise apart from rounding left out so that positions are exact."""
    made = {}
    for name in ccds:
        windows = {}
        for label, g in WINDOWS.items():
            x, y = np.meshgrid(g.llx + np.arange(g.nx), g.lly + np.arange(g.ny))
            rng = np.random.default_rng([number, ord(label)])
            counts = SKY + rng.normal(0.0, 2.0, x.shape)
            for star, (x0, y0, height) in STARS.items():
                dx, dy = companion_shift if companion_shift and star == "far" else shift
                if star not in without:
                    counts += height * np.exp(-4.0 * np.log(2.0) * ((x - x0 - dx) ** 2 + (y - y0 - dy) ** 2) / 5.0**2)
            windows[label] = Window(g, counts.astype(np.float32))
        values = {"mjd_int": 61000, "mjd_frac": 0.25 + number / 1000.0, "exposure": 2.0} | ccd_changes
        made[name] = CCD(windows, 300, 100, **values)
    return Frame(made, number)


def recipe(**changes):
    line = Extraction(
        target=Radius(factor=1.8, least=3.0, greatest=10.0),
        inner_sky=Radius(factor=2.5, least=12.0, greatest=12.5),
        outer_sky=Radius(factor=3.0, least=18.0, greatest=18.5),
    )
    tracking = Tracking(
        search_half_width=8.0,
        search_smooth_fwhm=3.0,
        fit_method="gaussian",
        fit_fwhm=5.0,
        fit_fwhm_min=1.5,
        fit_fwhm_max=50.0,
        fit_half_width=12.0,
        fit_max_shift=3.0,
        fit_diff=1.0,
    )
    detector = Detector(readout=2.0, gain=1.0, nonlinear=50000.0, saturation=60000.0)
    made = Recipe(
        parity=True,
        general=General(),
        apertures=tracking,
        extraction={"1": line, "2": line},
        detectors={"1": detector, "2": detector},
    )
    return made.changed(changes)


def reduce(apertures, frames, settings=None, masters=None, **options):
    members = apertures if "1" in apertures else {"1": apertures}
    return Reducer(settings or recipe(), members, masters or Masters(), **options).reduce_range(frames)


def of(rows, label):
    return rows[rows["aperture"] == label]


def test_stars_are_followed_and_their_light_is_measured():
    apertures = {"r": aperture("bright", ref=True), "s": aperture("middle"), "t": aperture("far")}
    frames = [frame(n, (0.7 * n, -0.4 * n)) for n in range(1, 6)]
    rows, _, notes = reduce(apertures, frames)
    for label, star in (("r", "bright"), ("s", "middle"), ("t", "far")):
        x, y, height = STARS[star]
        mine = of(rows, label)
        shift = np.arange(1, 6)
        # the reference follows at once, the others expect its shift and add a tenth of what is left
        np.testing.assert_allclose(mine["x"], x + 0.7 * shift, atol=0.02)
        np.testing.assert_allclose(mine["y"], y - 0.4 * shift, atol=0.02)
        light = height * np.pi * 5.0**2 / (4.0 * np.log(2.0))
        assert np.abs(mine["counts"] / light - 1.0).max() < 0.01
        np.testing.assert_allclose(mine["fwhm"], 5.0, atol=0.02)
        np.testing.assert_allclose(mine["sky"], SKY, atol=0.5)
        assert (mine["flag"] == 0).all()
    np.testing.assert_allclose(rows["mfwhm"], 5.0, atol=0.01)
    assert np.isnan(rows["mbeta"]).all()  # a Gaussian has none
    assert (rows["beta"] == 0.0).all()
    assert (rows["betae"] == -1.0).all()
    assert rows["mjd_frac"].tolist() == [0.25 + n / 1000.0 for n in range(1, 6) for _ in "rst"]
    assert notes == []


def test_an_aperture_in_no_window_gives_rows_and_a_note():
    apertures = {"r": aperture("bright", ref=True), "lost": Aperture(150.0, 30.0, *RADII), "t": aperture("far")}
    rows, _, notes = reduce(apertures, [frame(1), frame(2)])
    lost = of(rows, "lost")
    assert lost["flag"].tolist() == [Flag.NO_EXTRACTION] * 2
    assert np.isnan(lost["counts"]).all()
    assert lost["peak"].tolist() == [0, 0]
    assert np.isfinite(lost["x"]).all()
    assert np.isfinite(of(rows, "r")["counts"]).all()
    said = [n for n in notes if n.kind == "no_window"]
    assert [(n.ccd, n.aperture) for n in said] == [("1", "lost")]


def test_all_apertures_outside_all_windows_still_give_rows():
    rows, _, _ = reduce({"a": Aperture(-50.0, 30.0, *RADII, ref=True), "b": Aperture(500.0, 5.0, *RADII)}, [frame(1)])
    # the lost reference makes the radii jump to their maxima: nothing needs a width
    assert rows["flag"].tolist() == [Flag.NO_EXTRACTION] * 2


def test_a_ccd_that_was_not_read_out_gives_no_row_and_keeps_its_state():
    apertures = {name: {"r": aperture("bright", ref=True)} for name in ("1", "2")}
    frames = [frame(n, (0.5 * n, 0.0), ccds=("1", "2")) for n in range(1, 5)]
    frames[1].ccds["2"] = replace(frames[1].ccds["2"], data_ok=False)
    frames[2].ccds["2"] = replace(frames[2].ccds["2"], windows={})
    rows, _, _ = reduce(apertures, frames)
    assert [(int(r["frame"]), str(r["ccd"])) for r in rows] == [(1, "1"), (1, "2"), (2, "1"), (3, "1"), (4, "1"), (4, "2")]
    np.testing.assert_allclose(rows["x"][-1], 32.0, atol=0.02)


def test_a_bad_time_changes_nothing_but_its_mark():
    apertures = {"r": aperture("bright", ref=True)}
    good, _, _ = reduce(apertures, [frame(1), frame(2), frame(3)])
    bad, _, _ = reduce(apertures, [frame(1), frame(2, time_ok=False, mjd_int=51544), frame(3)])
    assert bad["time_ok"].tolist() == [True, False, True]
    for name in good.dtype.names:
        if name not in {"time_ok", "mjd_int"}:
            np.testing.assert_array_equal(good[name], bad[name])


def test_in_parity_one_lost_reference_loses_the_frame_and_radii_go_to_their_maxima():
    apertures = {"r": aperture("bright", ref=True), "q": aperture("middle", ref=True), "t": aperture("far", link="r")}
    frames = [frame(1), frame(2, (0.5, 0.5), without=("middle",)), frame(3, (0.6, 0.6))]
    rows, _, notes = reduce(apertures, frames)
    lost = rows[rows["frame"] == 2]
    np.testing.assert_array_equal(lost["x"], rows[rows["frame"] == 1]["x"])
    for name in ("xe", "ye", "fwhm", "fwhme", "beta", "betae", "mfwhm", "mbeta"):
        assert np.isnan(lost[name]).all()
    assert (lost["flag"] == 0).all()
    assert np.isfinite(lost["counts"]).all()
    # outer sky radius 18.5 in place of 18: more pixels
    assert (lost["nsky"] > rows[rows["frame"] == 1]["nsky"]).all()
    np.testing.assert_allclose(of(rows[rows["frame"] == 3], "r")["x"], 30.6, atol=0.02)
    assert [(n.kind, n.aperture, n.frame, n.count) for n in notes] == [("reference", "q", 2, 1)]


def test_references_that_disagree_lose_the_frame_in_parity():
    apertures = {"r": aperture("bright", ref=True), "q": aperture("far", ref=True)}
    rows, _, notes = reduce(apertures, [frame(1), frame(2, (0.5, 0.0), companion_shift=(0.5, 1.8))])
    assert np.isnan(rows[rows["frame"] == 2]["fwhm"]).all()
    assert any("differently" in n.text for n in notes)


def test_a_faint_star_that_is_lost_moves_with_the_references():
    apertures = {"r": aperture("bright", ref=True), "s": aperture("middle")}
    rows, _, notes = reduce(apertures, [frame(1), frame(2, (1.0, -1.0), without=("middle",))])
    lost = of(rows, "s")[1]
    assert np.isnan(lost["fwhm"])
    assert lost["flag"] == 0
    np.testing.assert_allclose([lost["x"], lost["y"]], [66.0, 27.0], atol=0.05)
    assert [n.kind for n in notes] == ["fit"]


def test_companions_move_the_opposite_way():
    apertures = {"r": aperture("bright", ref=True), "c": aperture("far", compo=True)}
    frames = [frame(n, (0.5 * n, 0.0), companion_shift=(-0.5 * n, 0.0)) for n in range(1, 5)]
    rows, _, _ = reduce(apertures, frames)
    np.testing.assert_allclose(of(rows, "c")["x"], 230.0 - 0.5 * np.arange(1, 5), atol=0.02)
    assert np.isfinite(of(rows, "c")["fwhm"]).all()


def test_linked_apertures_move_by_the_full_shift_of_the_star_they_follow():
    # without references the star moves where it is found; with them by a tenth of what is left, the linked one by all of it
    shifted = frame(2, (0.0, 0.0), companion_shift=(0.0, 2.0))
    apertures = {"r": aperture("bright", ref=True), "t": aperture("far"), "l": Aperture(240.0, 20.0, *RADII, link="t")}
    rows, _, _ = reduce(apertures, [frame(1), shifted])
    star, linked = of(rows, "t"), of(rows, "l")
    np.testing.assert_allclose(star["y"][1] - star["y"][0], 0.2, atol=0.03)
    np.testing.assert_allclose(linked["y"][1] - linked["y"][0], 2.0, atol=0.03)
    for name in ("xe", "fwhm", "fwhme", "beta"):
        assert np.isnan(linked[name]).all()


def test_without_references_stars_are_searched_for():
    rows, _, _ = reduce({"s": aperture("middle"), "t": aperture("far")}, [frame(n, (2.0 * n, 0.0)) for n in (1, 2, 3)])
    np.testing.assert_allclose(of(rows, "s")["x"], 65.0 + 2.0 * np.arange(1, 4), atol=0.02)


def test_fixed_apertures_stay_and_have_no_shape():
    fixed = recipe(**{"apertures.location": "fixed", "extraction.*.resize": "fixed"})
    rows, _, _ = reduce({"r": aperture("bright", ref=True)}, [frame(1), frame(2, (3.0, 0.0))], fixed)
    assert rows["x"].tolist() == [30.0, 30.0]
    for name in ("xe", "ye", "fwhm", "fwhme", "beta", "betae", "mfwhm", "mbeta"):
        assert np.isnan(rows[name]).all()
    assert np.isfinite(rows["counts"]).all()


def test_radii_that_follow_a_width_need_one():
    rows, _, _ = reduce({"r": aperture("bright")}, [frame(1)], recipe(**{"apertures.location": "fixed"}))
    assert rows["flag"].tolist() == [Flag.NO_FWHM]
    for name in ("counts", "countse", "sky", "skye"):
        assert np.isnan(rows[name]).all()
    assert (rows["nsky"][0], rows["peak"][0]) == (0, 0)


def test_a_fixed_width_is_no_measured_width():
    rows, _, _ = reduce({"r": aperture("bright", ref=True)}, [frame(1)], recipe(**{"apertures.fit_fwhm_fixed": True}))
    assert rows["flag"].tolist() == [Flag.NO_FWHM]
    assert rows["fwhm"].tolist() == [5.0]
    assert np.isnan(rows["fwhme"]).all()
    assert np.isnan(rows["mfwhm"]).all()


def test_boxes_too_small_for_the_binning_are_refused():
    with pytest.raises(BadInput) as caught:
        reduce({"r": aperture("bright")}, [frame(1)], recipe(**{"apertures.fit_half_width": 2.9}))
    assert caught.value.place == "apertures.fit_half_width"
    _, _, notes = reduce({"r": aperture("bright")}, [frame(1)], recipe(**{"apertures.fit_half_width": 4.9}))
    assert [n.kind for n in notes] == ["box"]


def test_missing_levels_are_told_of():
    _, _, notes = reduce({"r": aperture("bright")}, [frame(1)], recipe(**{"detectors.1.saturation": None}))
    assert [(n.kind, n.ccd) for n in notes] == [("levels", "1")]


def test_what_repeats_is_counted_not_repeated():
    apertures = {"r": aperture("bright", ref=True), "e": Aperture(65.0, 15.0, *RADII, link="r")}
    watched = recipe(monitor={"e": ["SKY_AT_EDGE"]})
    _, _, notes = reduce(apertures, [frame(n) for n in range(1, 31)], watched)
    assert len(notes) == 1
    note = notes[0]
    assert (note.kind, note.aperture, note.frame, note.last_frame, note.count) == ("monitor", "e", 1, 30, 30)
    assert str(note).startswith("CCD 1, aperture e, 30 frames from 1 to 30: SKY_AT_EDGE")


def test_ccds_may_have_gains_of_their_own():
    apertures = {name: {"r": aperture("bright", ref=True)} for name in ("1", "2")}
    photon = {"sky.error": "photon"}
    frames = [frame(1, ccds=("1", "2"))]
    mixed, _, _ = reduce(apertures, frames, recipe(**photon, **{"detectors.2.gain": 4.0}))
    high, _, _ = reduce(apertures, frames, recipe(**photon, **{"detectors.*.gain": 4.0}))
    low, _, _ = reduce(apertures, frames, recipe(**photon))
    assert mixed["countse"].tolist() == pytest.approx([low["countse"][0], high["countse"][1]], rel=1e-9)


def test_frames_of_read_noise_and_gain_take_the_place_of_numbers():
    apertures = {"r": aperture("bright", ref=True)}
    noise = frame(1).map(lambda _ccd, _label, w: np.full(w.data.shape, 2.0, np.float32))
    gain = frame(1).map(lambda _ccd, _label, w: np.full(w.data.shape, 1.0, np.float32))
    named = recipe(**{"calibration.readout_frame": "r.hcm", "calibration.gain_frame": "g.hcm"}).changed(
        {"detectors.*.readout": 99.0, "detectors.*.gain": 99.0}
    )
    given, _, _ = reduce(apertures, [frame(1)], named, Masters(readout=noise, gain=gain))
    numbers, _, _ = reduce(apertures, [frame(1)])
    assert given.tobytes() == numbers.tobytes()
    with pytest.raises(BadInput, match=r"r\.hcm for its readout"):
        reduce(apertures, [frame(1)], named, Masters(gain=gain))
    del noise.ccds["1"].windows["B"]
    for crop, said in ((True, "window"), (False, "lacks it")):
        with pytest.raises(BadInput, match=f"read noise.*{said}") as told:
            reduce(apertures, [frame(1)], named.changed({"calibration.crop": crop}), Masters(readout=noise, gain=gain))
        assert told.value.place == "CCD 1, window B"
    del noise.ccds["1"]
    with pytest.raises(BadInput, match="read noise") as told:
        reduce(apertures, [frame(1)], named, Masters(readout=noise, gain=gain))
    assert told.value.place == "CCD 1, window A"


def test_a_dark_needs_an_exposure():
    dark = frame(1)
    dark.header["EXPTIME"] = 10.0
    with pytest.raises(BadInput, match="exposure"):
        reduce({"r": aperture("bright", ref=True)}, [frame(1, exposure=float("nan"))], masters=Masters(dark=dark))


def test_more_frames_than_are_collected_at_a_time_keep_their_order():
    one, two = frame(1), frame(2, (0.3, 0.0))
    frames = [replace(one if n % 2 else two, number=n) for n in range(1, 601)]
    fixed = recipe(**{"apertures.location": "fixed", "extraction.*.resize": "fixed"})
    rows, _, _ = reduce({"r": aperture("bright"), "s": aperture("middle")}, frames, fixed)
    assert rows["frame"].tolist() == [n for n in range(1, 601) for _ in "rs"]
    assert len(set(rows["counts"][2::4])) == 1
    assert rows["counts"][0] != rows["counts"][2]


def test_trimming_goes_from_the_side_of_the_amplifier():
    def with_amplifier(outamp):
        made = frame(1)
        windows = {label: Window(w.geometry, w.data, outamp) for label, w in made.ccds["1"].windows.items()}
        made.ccds["1"] = replace(made.ccds["1"], windows=windows)
        return made

    near_left = {"a": Aperture(20.0, 30.0, *RADII)}
    fixed = recipe(**{"apertures.location": "fixed", "extraction.*.resize": "fixed"})
    trimmed = fixed.changed({"trim.columns": 5})
    whole, _, _ = reduce(near_left, [with_amplifier("LL")], fixed)
    left, _, _ = reduce(near_left, [with_amplifier("LL")], trimmed)
    right, _, _ = reduce(near_left, [with_amplifier("UR")], trimmed)
    unknown, _, notes = reduce(near_left, [with_amplifier("")], trimmed)
    assert whole["flag"][0] == 0
    assert left["flag"][0] == Flag.SKY_AT_EDGE
    assert right.tobytes() == whole.tobytes() == unknown.tobytes()
    assert [n.kind for n in notes] == ["trim"]
