"""Windows of ULTRACAM and ULTRASPEC runs of any set-up and epoch against a plain reading, word by word, of the description."""

from __future__ import annotations

import numpy as np
import pytest

from roque.instruments.ultracam import MODES as ULTRACAM_MODES
from roque.instruments.ultraspec import MODES as ULTRASPEC_MODES
from roque.spool import data_source
from tests.support.ultra import pairs, spec_windows, stamp1, steady, ultracam_run, ultraspec_run
from tests.support.ultra_reference import windows_of

APPLICATIONS = [
    *(("ULTRACAM", name) for name, mode in ULTRACAM_MODES.items() if mode != "PONOFF"),
    *(("ULTRASPEC", name) for name, mode in ULTRASPEC_MODES.items() if mode != "PONOFF"),
]
OVERSCAN = [(1, 8), (2, 8), (4, 4), (4, 8)]


def ultracam(rng, application, version):
    """A run of windows anywhere; the old names of the binning too."""
    mode = ULTRACAM_MODES[application]
    if mode.startswith("FF"):
        xbin, ybin = OVERSCAN[rng.integers(4)] if "FFOV" in mode else (int(rng.choice([4, 6, 8])), int(rng.choice([8, 16])))
        columns, rows = (540, 1032) if "FFOV" in mode else (512, 1024)
        parameters, npixels = pairs(xbin=xbin, ybin=ybin), 6 * (columns // xbin) * (rows // ybin)
    else:
        xbin, ybin = (int(b) for b in rng.integers(1, 9, 2))
        count, windows, npixels = {"2": 2, "3": 3}.get(mode[0], 1), [], 0
        for _ in range(count):
            nx, ny = (int(size) for size in rng.integers(2, 6, 2))
            left, right, low = (int(x) for x in rng.integers((1, 513, 1), (512 - 6 * xbin, 1024 - 6 * xbin, 1024 - 6 * ybin)))
            windows.append((left, right, low, nx * xbin + int(rng.integers(xbin)), ny * ybin + int(rng.integers(ybin))))
            npixels += 6 * nx * ny
        parameters = pairs(*windows, xbin=xbin, ybin=ybin)
    if rng.integers(2):
        parameters = {{"X_BIN_FAC": "X_BIN", "Y_BIN_FAC": "Y_BIN"}.get(k, k): v for k, v in parameters.items()}
    stamps = [stamp1(i, 414000 + i, 0, (9, 3, 2006), words=int(words)) for words in [rng.choice([12, 14])] for i in (1, 2)]
    stamps = steady(2) if version not in (-1, 70514, 80127) else stamps
    return ultracam_run(application, parameters, npixels, 2, stamps=stamps, user={} if rng.integers(2) else None)


def ultraspec(rng, application, version):
    """A run of windows anywhere, also over the first columns, which are none of the chip's."""
    xbin, ybin = (int(b) for b in rng.integers(1, 9, 2))
    count = 2 if ULTRASPEC_MODES[application] == "UDRIFT" else int(rng.integers(1, 5))
    windows = []
    for _ in range(count):
        nx, ny = int(rng.integers(17, 22)), int(rng.integers(2, 6))
        x = int(rng.choice([rng.integers(1, 20), rng.integers(17, 1056 - nx * xbin)]))
        windows.append((x, int(rng.integers(1, 1072 - 6 * ybin)), nx, ny))
    parameters = spec_windows(*windows, xbin=xbin, ybin=ybin) | {"OUTPUT": int(rng.integers(2))}
    drift = ULTRASPEC_MODES[application] == "UDRIFT"
    npixels = sum(nx * (windows[0][3] if drift else ny) for _, _, nx, ny in windows)
    stamps = steady(2, words=14 if version == -1 else 16)
    return ultraspec_run(application, parameters, npixels, 2, stamps=stamps)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize(("instrument", "application"), APPLICATIONS)
def test_any_set_up_is_read_as_the_description_has_it(tmp_path, instrument, application, seed):
    rng = np.random.default_rng([seed, len(application), sum(application.encode())])
    versions = [-1, 70514, 80127, 100222, 140331] if instrument == "ULTRACAM" else [-1, 120716, 120813]
    version = versions[(seed + len(application)) % len(versions)]
    run = (ultracam if instrument == "ULTRACAM" else ultraspec)(rng, application, version)
    del run.parameters["REVISION"]
    if version != -1:
        run.parameters["VERSION" if seed else "REVISION"] = version
    with data_source("ul", run.write(tmp_path)) as source:
        for number in (2, 1):
            wanted = windows_of(instrument, application, run.parameters, version, run.pixels[number - 1].tolist())
            for frame in (source.frame(number), source.load(number)):
                assert sum(len(ccd.windows) for ccd in frame.ccds.values()) == len(wanted)
                for ccd, label, llx, lly, xbin, ybin, outamp, counts in wanted:
                    window = frame.ccds[ccd].windows[label]
                    g = window.geometry
                    assert (g.llx, g.lly, g.xbin, g.ybin, window.outamp) == (llx, lly, xbin, ybin, outamp)
                    np.testing.assert_array_equal(window.data, counts)


@pytest.mark.parametrize("seed", range(3))
def test_a_run_says_its_version_by_one_of_three_words(tmp_path, seed):
    run = ultracam_run("ap5_window1pair", pairs((41, 561, 181, 8, 6)), 6 * 48)
    del run.parameters["REVISION"]
    run.user = {"revision": "140331"} if seed == 0 else {}
    run.parameters |= {} if seed == 0 else {"REVISION": 140331, "VERSION": 7} if seed == 1 else {"VERSION": 140331}
    with data_source("ul", run.write(tmp_path)) as source:
        assert source.frame(1).header["VERSION"] == 140331
