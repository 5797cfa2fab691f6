"""Times of all golden runs against the HiPERCAM pipeline's listing of times and against the truth of the simulation."""

from __future__ import annotations

import json

import numpy as np
import pytest

from roque.spool import data_source

RUNS = [f"run{n:04d}" for n in range(1, 14)]
MICROSECOND = 1e-6 / 86400.0


def listed(path):
    """Rows of a listing: frame, raw MJD, good, and per CCD label, MJD, exposure, whether it was read out."""
    for line in path.read_text().splitlines():
        words = line.split()
        ccds = [words[i : i + 5] for i in range(5, len(words), 5)]
        yield int(words[0]), float(words[1]), words[4] == "1", [(c[0], float(c[1]), float(c[3]), c[4] == "1") for c in ccds]


@pytest.mark.parametrize("run", RUNS)
def test_times_exposures_and_flags_equal_the_listing(golden_runs, run):
    bad = {"run0004": {17}, "run0008": {5}}.get(run, set())  # not synchronised: the listing passes them, the pipeline does not
    with data_source("hl", golden_runs / f"{run}.fits") as source:
        times = source.times().reshape(source.available, 5)
        frames = list(source)
    rows = list(listed(golden_runs / f"{run}.times"))
    assert len(rows) == len(times)
    for place, (number, raw, good, ccds) in enumerate(rows, start=1):
        row, frame = times[place - 1], frames[place - 1]
        assert number == place  # the listing counts by itself
        assert frame.header["MJDINT"] + frame.header["MJDFRAC"] == pytest.approx(raw, abs=MICROSECOND)
        assert frame.header["GOODTIME"] == (good and place not in bad)
        for found, (label, mjd, exposure, in_cycle) in zip(row, ccds, strict=True):
            assert found["ccd"] == label
            assert found["mjd_int"] + found["mjd_frac"] == pytest.approx(mjd, abs=MICROSECOND)
            assert found["exposure"] == pytest.approx(exposure, abs=5.1e-4)  # listed to a millisecond
            # the listing's flag leaves out the clock, and counts frames by itself where some were dropped
            cycle = frame.ccds[label].header["NCYCLE"]
            assert in_cycle == (place % cycle == 0)
            read_out = found["frame"] % cycle == 0
            assert found["time_ok"] == (read_out and frame.header["GOODTIME"])
            assert found["data_ok"] == (read_out and (run != "run0012" or found["frame"] > 4))


def test_exposures_agree_to_a_microsecond_where_they_are_listed_so(golden_runs):
    with data_source("hl", golden_runs / "run0004.fits") as source:
        times = source.times().reshape(-1, 5)
    for number, _, _, ccds in listed(golden_runs / "run0004.digits.times"):
        for found, (_, _, exposure, _) in zip(times[number - 1], ccds, strict=True):
            assert found["exposure"] == pytest.approx(exposure, abs=5.1e-7)


@pytest.mark.parametrize("run", RUNS)
def test_times_are_those_that_were_put_in(golden, golden_runs, run):
    truth = json.loads((golden / "hipercam" / "truth" / f"{run}.truth.json").read_text())
    columns = truth["columns"]
    with data_source("hl", golden_runs / f"{run}.fits") as source:
        times = source.times()
    put_in = [dict(zip(columns, values, strict=True)) for values, _ in truth["frames"]]
    assert len(put_in) == len(times)
    for found, wanted in zip(times, put_in, strict=True):
        assert found["frame"] == wanted["frame"]
        assert found["ccd"] == str(wanted["ccd"])
        assert found["data_ok"] == wanted["data_ok"]
        assert found["exposure"] == pytest.approx(wanted["exposure_s"], abs=1e-9)
        assert found["time_ok"] == (bool(wanted["time_ok"]) and in_cycle(truth, wanted))
        if found["time_ok"]:
            late = (found["mjd_int"] - wanted["mjd_int"]) + (found["mjd_frac"] - wanted["mjd_frac"])
            assert abs(late) < MICROSECOND


def in_cycle(truth, row):
    return row["frame"] % (truth["run"]["nskips"][row["ccd"] - 1] + 1) == 0


@pytest.mark.parametrize("run", RUNS)
def test_every_golden_run_is_registered_for_what_it_is(golden, golden_runs, run):
    wanted = json.loads((golden / "hipercam" / "truth" / f"{run}.truth.json").read_text())["run"]
    with data_source("hl", golden_runs / f"{run}.fits") as source:
        info = source.info
        assert source.available == wanted["nframe"]
        bad = [p for p in source.problems if "dropped" not in p.message]
        dropped = [p for p in source.problems if "dropped" in p.message]
    assert len(bad) == len(wanted["bad_times"])
    assert len(dropped) == len(wanted["dropped"])
    assert (info.name, info.object, info.mode, info.clear) == (run, wanted["object"], wanted["mode"], wanted["clear"])
    assert (info.xbin, info.ybin, list(info.nskips.values())) == (wanted["xbin"], wanted["ybin"], wanted["nskips"])
    assert info.exposure == pytest.approx(1e-3 * wanted["exposure_delay"])
    kinds = {"run0001": "bias", "run0002": "dark", "run0003": "flat"}
    assert info.kind == kinds.get(run, "science")
    assert str(info.night) == ("2026-12-31" if run == "run0009" else "2026-03-14")
    assert np.all([len(windows) >= 4 for windows in info.windows.values()])
