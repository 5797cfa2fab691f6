"""HiPERCAM runs of any set-up against a plain reading, word by word, of the description."""

from __future__ import annotations

import datetime as dt

import numpy as np
import pytest

from roque.spool import data_source
from tests.support.hipercam import START, make_run, stamp
from tests.support.hipercam_reference import cut, stamp_of, times_of, windows_of

MODES = {"FullFrame_4_8_64": 0, "OneWindow-slow": 1, "TwoWindow": 2, "TwoWindows no clear": 2, "Drift": 1}
SET_UPS = 60


def binning(rng, mode, prescan, overscan):
    """Any that the scans and the size of the frame allow."""
    if mode.startswith("FullFrame"):
        return int(rng.choice([25, 50])), 8
    x = rng.choice([1, 2, 5, 10, 25]) if prescan else rng.integers(1, 9)
    return int(x), int(rng.choice([1, 2, 4, 8]) if overscan else rng.integers(1, 9))


def set_up(seed):
    """A run of a few frames of anything that the camera could be set to."""
    rng = np.random.default_rng([seed, 7])
    mode = str(rng.choice(list(MODES)))
    prescan = bool(rng.integers(2)) and mode != "Drift"
    overscan = bool(rng.integers(2))
    xbin, ybin = binning(rng, mode, prescan, overscan)
    windows = []
    for _ in range(MODES[mode]):
        # sizes in multiples of four binned pixels, which NSAMP 1 needs, and a rest that fills no bin
        nx, ny = 4 * int(rng.integers(1, 4)) * xbin, 4 * int(rng.integers(1, 4)) * ybin
        nx, ny = nx + int(rng.integers(xbin)), ny + int(rng.integers(ybin))
        starts = tuple(int(x) for x in rng.integers(0, 1024 - nx, 4))
        windows.append((nx, ny, int(rng.integers(0, 512 - ny)), starts))
    cards = {f"ESO DET NSKIPS{ccd}": int(rng.choice([0, 0, 1, 2, 5])) for ccd in range(1, 6)}
    cards |= {f"ESO DET ROTATE{ccd}": bool(rng.random() < 0.2) for ccd in range(1, 6) if rng.random() < 0.5}
    cards |= {"ESO DET CLRCCD": bool(rng.integers(2)) and mode != "Drift", "ESO DET DUMMY": bool(rng.integers(2))}
    cards |= {"ESO DET TDELAY": float(rng.choice([0.0, 1.5, 480.0, 60000.0])), "ESO DET TREAD": float(rng.uniform(10, 3000))}
    if cards["ESO DET CLRCCD"]:
        cards["ESO DET TCLEAR"] = float(rng.uniform(5, 30))
    if mode == "Drift":
        cards["ESO DET DRIFT NWINS"] = int(rng.integers(0, 6))
    named = "FullFrame" if mode.startswith("FullFrame") else mode
    run = make_run(4, named, windows, (xbin, ybin), 4, prescan, overscan, cards, seed=seed)
    if all(nx * ny % 4 == 0 for nx, ny in run.sets):
        run.nsamp = run.cards["ESO DET NSAMP"] = int(rng.choice([1, 4, 16]))
    run.cards["ESO DET READ CURNAME"] = mode
    for keyword in ("ESO DET TFT",) if cards["ESO DET CLRCCD"] else ("ESO DET TCLEAR",):
        del run.cards[keyword]  # it stands in headers of the other kind alone
    if run.nsamp == 4 and rng.integers(2):
        del run.cards["ESO DET NSAMP"]  # older than the keyword
    when = [START + i * dt.timedelta(seconds=float(rng.uniform(0.1, 2))) for i in range(4)]
    counters = np.cumsum([0, *rng.choice([1, 1, 1, 3], 3)]).tolist()
    run.stamps = [stamp(c, t) for c, t in zip(counters, when, strict=True)]
    odd = int(rng.integers(8))
    if odd < 4:
        kind = [{"synced": 0}, {"satellites": -1, "synced": -1}, {"fields": {3: 400}}, {"fields": {4: 24}}][
            int(rng.integers(4))
        ]
        run.stamps[odd] = stamp(counters[odd], when[odd], **kind)
    return run


@pytest.mark.parametrize("seed", range(SET_UPS))
def test_any_set_up_is_read_as_the_description_has_it(tmp_path, seed):
    raw = set_up(seed)
    with data_source("hl", raw.write(tmp_path / "run0001.fits")) as run:
        for place in (3, 1, 4, 2):
            data = raw.frame(place - 1)
            frame, loaded = run.frame(place), run.load(place)
            number, day, seconds, good = stamp_of(data)
            header = frame.header
            assert (frame.number, header["NFRAME"], header["GOODTIME"]) == (number, number, good)
            assert (header["MJDINT"] - day) * 86400 + header["MJDFRAC"] * 86400 == pytest.approx(seconds, abs=1e-9)
            wanted = windows_of(raw.cards, data)
            for ccd, (day, middle, exposure, time_ok, data_ok) in times_of(raw.cards, data).items():
                own = frame.ccds[ccd]
                assert (own.mjd_int - day) * 86400 + own.mjd_frac * 86400 == pytest.approx(middle, abs=1e-9)
                assert own.exposure == pytest.approx(exposure, abs=1e-12)
                assert (own.time_ok, own.data_ok) == (time_ok, data_ok)
                assert list(own.windows) == list(loaded.ccds[ccd].windows) == [label for label, *_ in wanted[ccd]]
                for label, llx, lly, xbin, ybin, counts in wanted[ccd]:
                    for window in (own.windows[label], loaded.ccds[ccd].windows[label]):
                        g = window.geometry
                        assert (g.llx, g.lly, g.xbin, g.ybin) == (llx, lly, xbin, ybin)
                        np.testing.assert_array_equal(window.data, counts)


def test_the_set_ups_tried_are_of_every_kind():
    kinds = [set_up(seed).cards for seed in range(SET_UPS)]
    for keyword in ("INCPRSCX", "INCOVSCY", "CLRCCD", "DUMMY", "ROTATE1", "ROTATE2"):
        assert {cards.get(f"ESO DET {keyword}", False) for cards in kinds} == {False, True}, keyword
    assert {cards["ESO DET READ CURNAME"] for cards in kinds} == set(MODES)
    assert {cards.get("ESO DET NSAMP") for cards in kinds} == {None, 1, 4, 16}
    turned = [any(cards.get(f"ESO DET ROTATE{n}") for n in "12345") for cards in kinds]
    assert any(c["ESO DET INCPRSCX"] and c["ESO DET INCOVSCY"] and t for c, t in zip(kinds, turned, strict=True))


@pytest.mark.parametrize(
    ("binning", "nsamp", "turned"), [((1, 1), 4, "5"), ((1, 1), 1, ""), ((2, 4), 4, "12"), ((5, 2), 1, "3")]
)
def test_full_frames_with_all_scans_are_cut_as_the_description_has_it(tmp_path, binning, nsamp, turned):
    """Rows too long to be decoded in one piece."""
    cards = {f"ESO DET ROTATE{ccd}": True for ccd in turned}
    raw = make_run(1, "FullFrame", (), binning, nsamp, prescan=True, overscan=True, cards=cards)
    with data_source("hl", raw.write(tmp_path / "run0001.fits")) as run:
        frame, loaded = run.frame(1), run.load(1)
    for ccd in "12345":
        wanted = []
        for quad, label in enumerate("EFGH"):
            pixels = raw.pixels[0][0][:, :, int(ccd) - 1, quad]
            wanted += cut(f"{label}1", ccd, pixels, None, binning, (50 // binning[0], 8 // binning[1]), ccd in turned)
        assert list(frame.ccds[ccd].windows) == [label for label, *_ in wanted]
        for label, llx, lly, xbin, ybin, counts in wanted:
            for window in (frame.ccds[ccd].windows[label], loaded.ccds[ccd].windows[label]):
                g = window.geometry
                assert (g.llx, g.lly, g.xbin, g.ybin) == (llx, lly, xbin, ybin)
                np.testing.assert_array_equal(window.data, counts)
