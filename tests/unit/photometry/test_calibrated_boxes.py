"""Pixels as kernels get them, against the calibrator's boxes and plain numpy."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from roque.calibration.apply import Calibrator, Masters
from roque.errors import BadInput
from roque.frames import CCD, Box, Frame, Geometry, Window
from roque.frames.hcm import read_hcm
from roque.frames.window import RawWords
from roque.photometry.kernels.windows import calibrate_box, make_patch
from roque.photometry.pixels import PixelTable
from roque.spool import data_source


def calibrated(pixels, window, box):
    """Raw, less bias, processed, R and G of a box."""
    patch = make_patch((box.x1 - box.x0) * (box.y1 - box.y0), pixels.dtype)
    corner_and_size = np.array([box.x0, box.y0, box.x1 - box.x0, box.y1 - box.y0])
    calibrate_box(pixels.tables[0], window, corner_and_size, pixels.scales[0], patch)
    return [plane.reshape(box.y1 - box.y0, box.x1 - box.x0) for plane in patch[:5]]


@pytest.mark.parametrize(("run", "demask"), [("run0004", False), ("run0005", False), ("run0011", False), ("run0004", True)])
@pytest.mark.parametrize("with_masters", [True, False])
def test_boxes_of_raw_runs_are_the_calibrators_to_the_bit(run, demask, with_masters, golden_runs):
    with data_source("hl", golden_runs / f"{run}.fits") as source:
        frame = source.frame(2)
    kinds = ("bias", "dark", "flat") if with_masters and run != "run0011" else ()
    masters = Masters(**{kind: read_hcm(golden_runs / f"{kind}.hcm") for kind in kinds})
    calibrator = Calibrator(masters, frame, readout=4.2, gain=1.1, demask=demask)
    for name, ccd in frame.ccds.items():
        labels = list(ccd.windows)
        pixels = PixelTable(name, ccd, labels, calibrator)
        pixels.point(ccd)
        for i, label in enumerate(labels):
            g = ccd.windows[label].geometry
            for box in (Box(0, g.ny, 0, g.nx), Box(3, 9, 5, g.nx - 1), Box(g.ny - 1, g.ny, 0, 1)):
                expected = calibrator.box(name, ccd, label, box)
                for plane, wanted in zip(calibrated(pixels, i, box), expected[1:], strict=True):
                    np.testing.assert_array_equal(plane, wanted)


@pytest.mark.parametrize(("data", "master"), [("f4", "f4"), ("f8", "f8"), ("f8", "f4"), ("f4", "f8")])
def test_decoded_counts_of_any_kind_are_calibrated_in_their_own(data, master):
    rng = np.random.default_rng(1)
    geometry = Geometry(11, 21, 1, 1, 12, 9)
    counts, bias, flat = rng.normal(1000.0, 30.0, (9, 12)), rng.normal(400.0, 3.0, (9, 12)), rng.normal(1.0, 0.03, (9, 12))

    def frame(values, kind):
        return Frame({"1": CCD({"A": Window(geometry, values.astype(kind))}, 100, 100)})

    first = frame(counts, data)
    calibrator = Calibrator(Masters(bias=frame(bias, master), flat=frame(flat, master)), first, readout=3.0, gain=2.0)
    pixels = PixelTable("1", first.ccds["1"], ["A"], calibrator)
    assert pixels.dtype == data
    pixels.point(first.ccds["1"])
    raw, deb, proc, R, G = calibrated(pixels, 0, Box(2, 8, 1, 11))
    cut = np.s_[2:8, 1:11]
    expected = counts.astype(data)
    np.testing.assert_array_equal(raw, expected[cut])
    expected -= bias.astype(master)
    np.testing.assert_array_equal(deb, expected[cut])
    expected /= flat.astype(master)
    np.testing.assert_array_equal(proc, expected[cut])
    np.testing.assert_allclose(R, 3.0 / flat[cut], rtol=2e-7)
    np.testing.assert_allclose(G, 2.0 * flat[cut], rtol=2e-7)


class Words:
    """Pixels of native 16-bit words, stored mirrored, every third word of a larger block."""

    def __init__(self, counts):
        ny, nx = counts.shape
        self.counts = counts
        block = np.zeros((ny, nx, 3), np.uint16)
        block[:, :, 1] = counts[:, ::-1]
        self.words = RawWords(block.ravel(), 3 * (nx - 1) + 1, 3 * nx, -3, swapped=False)
        self.shape = counts.shape

    def __getitem__(self, key):
        return self.counts[key].astype(np.float32)


def test_words_are_read_wherever_they_stand():
    rng = np.random.default_rng(2)
    counts = rng.integers(0, 65536, (9, 12))
    ccd = CCD({"A": Window(Geometry(1, 1, 1, 1, 12, 9), Words(counts))}, 100, 100)
    calibrator = Calibrator(Masters(), Frame({"1": ccd}), readout=3.0, gain=2.0)
    pixels = PixelTable("1", ccd, ["A"], calibrator)
    pixels.point(ccd)
    raw, _, proc, R, G = calibrated(pixels, 0, Box(1, 9, 2, 12))
    np.testing.assert_array_equal(raw, counts[1:9, 2:12])
    np.testing.assert_array_equal(proc, raw)
    np.testing.assert_array_equal(R, np.float32(3.0))
    np.testing.assert_array_equal(G, np.float32(2.0))


def test_counts_may_lie_in_any_order_in_memory():
    counts = np.arange(108, dtype=np.float32).reshape(12, 9).T[::-1]
    ccd = CCD({"A": Window(Geometry(1, 1, 1, 1, 12, 9), counts)}, 100, 100)
    pixels = PixelTable("1", ccd, ["A"], Calibrator(Masters(), Frame({"1": ccd}), readout=3.0, gain=2.0))
    pixels.point(ccd)
    raw, *_ = calibrated(pixels, 0, Box(0, 9, 0, 12))
    np.testing.assert_array_equal(raw, counts)


def test_a_window_that_changes_within_a_run_is_refused():
    ccd = CCD({"A": Window(Geometry(1, 1, 1, 1, 12, 9), np.zeros((9, 12), np.float32))}, 100, 100)
    pixels = PixelTable("1", ccd, ["A"], Calibrator(Masters(), Frame({"1": ccd}), readout=3.0, gain=2.0))
    moved = replace(ccd, windows={"A": Window(Geometry(2, 1, 1, 1, 12, 9), np.zeros((9, 12), np.float32))})
    for other in (moved, replace(ccd, windows={})):
        with pytest.raises(BadInput) as caught:
            pixels.point(other)
        assert caught.value.place == "CCD 1, window A"
