from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from roque.errors import BadInput
from roque.frames import CCD, Frame, Geometry, Window
from roque.frames.trim import trim
from roque.spool import data_source

COUNTS = np.arange(6 * 8, dtype=np.float32).reshape(6, 8)


def frame_with(outamp, pixels=COUNTS):
    return Frame({"1": CCD({"A": Window(Geometry(11, 21, 2, 3, 8, 6), pixels, outamp)}, 100, 100)})


@pytest.mark.parametrize(
    ("outamp", "rows", "columns", "llx", "lly"),
    [
        ("LL", slice(1, 6), slice(2, 8), 15, 24),
        ("LR", slice(1, 6), slice(0, 6), 11, 24),
        ("UL", slice(0, 5), slice(2, 8), 15, 21),
        ("UR", slice(0, 5), slice(0, 6), 11, 21),
        ("", slice(0, 6), slice(0, 8), 11, 21),
    ],
)
def test_columns_and_rows_nearest_the_amplifier_go(outamp, rows, columns, llx, lly):
    window = trim(frame_with(outamp), 2, 1).ccds["1"].windows["A"]
    np.testing.assert_array_equal(window.data, COUNTS[rows, columns])
    assert (window.geometry.llx, window.geometry.lly) == (llx, lly)
    assert (window.geometry.nx, window.geometry.ny) == (columns.stop - columns.start, rows.stop - rows.start)


def test_a_frame_that_is_not_trimmed_is_the_same():
    frame = frame_with("LL")
    assert trim(frame, 0, 0) is frame


def test_nothing_left_is_refused():
    with pytest.raises(BadInput) as caught:
        trim(frame_with("LL"), 8, 0)
    assert caught.value.place == "CCD 1, window A"


def test_raw_pixels_are_trimmed_without_being_decoded(golden_runs):
    with data_source("hl", golden_runs / "run0004.fits") as source:
        frame = source.frame(3)
    outamps = {"E": "LL", "F": "LR", "G": "UR", "H": "UL"}
    windows = {label: Window(w.geometry, w.pixels, outamps[label[0]]) for label, w in frame.ccds["2"].windows.items()}
    frame.ccds["2"] = replace(frame.ccds["2"], windows=windows)
    for label, window in trim(frame, 3, 2).ccds["2"].windows.items():
        whole = frame.ccds["2"].windows[label]
        g, w = window.geometry, whole.geometry
        j, i = g.lly - w.lly, g.llx - w.llx
        np.testing.assert_array_equal(window.data, whole.data[j : j + g.ny, i : i + g.nx])
        raw = window.pixels.words
        index = raw.first + raw.row_step * np.arange(g.ny)[:, None] + raw.column_step * np.arange(g.nx)
        np.testing.assert_array_equal(window.data, raw.words[index].byteswap() ^ np.uint16(0x8000))
