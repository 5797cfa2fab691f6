"""Times in every mode and epoch against a plain reading, frame after frame, of the description."""

from __future__ import annotations

import datetime as dt

import numpy as np
import pytest

from roque.spool import data_source
from tests.support.ultra import DAY, pairs, spec_windows, stamp1, stamp2, ultracam_run, ultraspec_run
from tests.support.ultra_reference import Reader

FRAMES = 40
ONE, TWO, THREE = (41, 561, 181, 24, 16), (21, 901, 401, 32, 8), (101, 601, 601, 16, 24)
MODES = {
    "FFCLR": ("ap3_fullframe", pairs(xbin=8, ybin=8), 6 * 64 * 128),
    "FFNCLR": ("ap9_fullframe_mindead", pairs(xbin=8, ybin=4), 6 * 64 * 256),
    "FFOVER": ("ap4_frameover", pairs(xbin=4, ybin=8), 6 * 135 * 129),
    "FFOVNC": ("appl10_frameover_mindead_cfg", pairs(xbin=4, ybin=4), 6 * 135 * 258),
    "1-PAIR": ("ap5_window1pair", pairs(ONE), 6 * 24 * 16),
    "1-PCLR": ("ap5b_250_window1pair", pairs(ONE, xbin=2, ybin=4), 6 * 12 * 4),
    "2-PAIR": ("ap6_window2pair", pairs(ONE, TWO, xbin=2, ybin=2), 6 * (12 * 8 + 16 * 4)),
    "3-PAIR": ("ap7_window3pair", pairs(ONE, TWO, THREE), 6 * (24 * 16 + 32 * 8 + 16 * 24)),
    "DRIFT": ("ap8_driftscan", pairs((121, 601, 301, 16, 120), ybin=3), 6 * 16 * 40),
}
SPEC_MODES = {
    "USPEC-1": ("ccd201_winbin_con", spec_windows((109, 209, 8, 6)), 48),
    "UDRIFT": ("ccd201_driftscan_cfg", spec_windows((109, 209, 8, 60), (401, 1, 8, 1), ybin=2), 16 * 60),
}
# version of the software, its header words, first moment of the run
EPOCHS = {
    "may2002": (None, 12, "2002-05-17T01:02:03"),
    "end of may2002": (None, 12, "2002-05-16T11:59:50"),
    "september2002": (None, 12, "2002-09-14T23:59:50"),
    "2003": (None, 14, "2003-05-20T23:59:50"),
    "end of 2003": (None, 14, "2003-12-31T23:59:50"),
    "2005": (None, 14, "2005-05-09T05:00:00"),
    "2007": (70514, 14, "2007-06-16T23:59:50"),
    "2009": (80127, 14, "2009-12-31T23:59:50"),
    "february2010": (100222, 16, "2010-02-28T23:59:50"),
    "2010": (100222, 16, "2010-04-27T23:59:50"),
    "september2011": (100222, 16, "2011-09-20T23:59:50"),
    "2019": (140331, 16, "2019-12-31T23:59:50"),
}
UNIX = dt.datetime(1970, 1, 1)
SUNDAY = dt.datetime(2002, 5, 12)


def stamps_of(rng, *, second_format, words, start, cycle, units):
    """Stamps of a run, with some that are lost, doubled, late, or bad, and numbers that jump."""
    found, number, moment = [], 0, dt.datetime.fromisoformat(start)
    for _ in range(FRAMES):
        number += 1 if rng.random() > 0.04 else int(rng.integers(2, 9))
        moment += dt.timedelta(seconds=cycle if rng.random() > 0.05 else float(rng.choice([0.0, 7.5, -2.0])))
        junk, odd = bool(rng.random() < 0.6), rng.random()
        if second_format:
            since = moment - UNIX
            whole, ticks = since.days * 86400 + since.seconds, since.microseconds * 10
            whole, ticks = (0, 0) if odd < 0.03 else (whole, ticks)
            status = int(rng.choice([0x14] * 20 + [0x10, 0x15, 0x94, 0x214]))
            asked = units if odd < 0.96 else units + 1
            found.append(stamp2(number, whole, ticks, units=asked, status=status, junk=junk, words=words))
        else:
            week = (moment - SUNDAY) % dt.timedelta(days=7)
            whole, part = week.days * 86400 + week.seconds, week.microseconds * 1000
            whole = 0xFFFFFFFF if odd < 0.03 else whole
            date = (moment.day, moment.month, moment.year) if odd < 0.94 else (0, 0, 1999)
            satellites = int(rng.choice([8] * 20 + [2, 0, -1]))
            found.append(stamp1(number, whole, part, date, satellites=satellites, junk=junk, words=words))
    return found


def compare(path, make_reader, stamps, firsts=(1, 2, 7, 23)):
    """Read a run from several of its frames on: those before them are not known."""
    for first in firsts:
        with data_source("ul", path, first) as source:
            compare_from(first, source, make_reader(), stamps)


def compare_from(first, source, reader, stamps):
    t = source.exposures()
    frames = dict(enumerate(source, start=first - 1))
    for i, data in enumerate(stamps[first - 1 :], start=first - 1):
        stamp, own, blue, read = reader.read(data)
        assert t.stamp[i] == stamp
        assert (t.mid[i], t.reason[i] == 0) == (pytest.approx(own[0], abs=1e-7 / DAY), own[2])
        assert t.exposure[i] == pytest.approx(own[1], abs=1e-6)
        assert (t.blue_mid[i], t.blue_reason[i] == 0) == (pytest.approx(blue[0], abs=1e-7 / DAY), blue[2])
        assert t.blue_exposure[i] == pytest.approx(blue[1], abs=1e-6)
        assert t.blue_data[i] == read
        for label, ccd in frames[i].ccds.items():
            mid, exposure, good = blue if label == "3" else own
            assert ccd.mjd == pytest.approx(mid, abs=1e-7 / DAY)
            assert ccd.exposure == pytest.approx(exposure, abs=1e-6)
            assert good or not ccd.time_ok


@pytest.mark.parametrize("epoch", EPOCHS)
@pytest.mark.parametrize("mode", MODES)
def test_ultracam(tmp_path, mode, epoch):
    version, words, start = EPOCHS[epoch]
    rng = np.random.default_rng([len(mode), len(epoch), words, len(start)])
    application, windows, npixels = MODES[mode]
    speed, nblue, clock = int(rng.choice([0xCDD, 0xFBB, 0xFDD])), int(rng.choice([1, 1, 2, 5])), int(rng.choice([60, 140, 200]))
    stamps = stamps_of(rng, second_format=words == 16, words=words, start=start, cycle=1.1, units=10000)
    run = ultracam_run(application, windows | {"GAIN_SPEED": speed, "NBLUE": nblue, "V_FT_CLK": clock << 16}, npixels, FRAMES,
                       stamps=stamps)  # fmt: skip
    run.parameters |= {"REVISION": version}
    if version is None:
        del run.parameters["REVISION"]
    may = "may2002" in epoch
    if may:
        del run.parameters["V_FT_CLK"]
    path = run.write(tmp_path)
    with data_source("ul", path) as source:
        assert (source.info.mode, source.read_out.nblue) == (mode, nblue)

    def reader():
        return Reader("ULTRACAM", mode, run.parameters, stamp_format=2 if words == 16 else 1, unit=1e-4, nblue=nblue, epoch=may)

    # stamps of May 2002 are put in order from the first frame on, wherever a run is opened
    compare(path, reader, stamps, (1,) if may else (1, 2, 7, 23))


@pytest.mark.parametrize("clears", [0, 1])
@pytest.mark.parametrize("epoch", ["2010", "september2011", "2019", "no version"])
@pytest.mark.parametrize("mode", SPEC_MODES)
def test_ultraspec(tmp_path, mode, epoch, clears):
    version, words, start = EPOCHS.get(epoch, (None, 14, "2012-12-31T23:59:50"))
    rng = np.random.default_rng([len(mode), len(epoch), clears])
    application, windows, npixels = SPEC_MODES[mode]
    stamps = stamps_of(rng, second_format=True, words=words, start=start, cycle=1.1, units=1000)
    run = ultraspec_run(application, windows | {"DWELL": 1000, "EN_CLR": clears}, npixels, FRAMES, stamps=stamps)
    run.parameters |= {"REVISION": version}
    if version is None:
        del run.parameters["REVISION"]
    path = run.write(tmp_path)
    with data_source("ul", path) as source:
        assert source.info.mode == mode

    def reader():
        return Reader("ULTRASPEC", mode, run.parameters, stamp_format=2, unit=1e-4 if version == 140331 else 1e-3)

    compare(path, reader, stamps)
