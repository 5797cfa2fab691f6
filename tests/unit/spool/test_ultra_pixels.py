"""Windows of ULTRACAM and ULTRASPEC in every mode, against plain numpy after the description of the format."""

from __future__ import annotations

import numpy as np
import pytest

from roque.errors import BadInput
from roque.frames import Geometry
from roque.spool import data_source
from tests.support.ultra import pairs, spec_windows, stamp1, ultracam_run, ultraspec_run

WINDOWS = [(41, 561, 181, 24, 16), (21, 901, 401, 32, 8), (101, 601, 601, 16, 24)]
OLD = [stamp1(i, 414000 + i, 0, (9, 3, 2006)) for i in (1, 2, 3)]


def outputs(words, nx, ny):
    """Left and right arrays of each CCD from the words of a pair."""
    six = words.reshape(ny, nx, 6)
    return [(six[:, :, 2 * ccd], six[:, ::-1, 2 * ccd + 1]) for ccd in range(3)]


def same(frame, wanted):
    """Compare a frame with (geometry, outamp, counts) by CCD and label."""
    assert {ccd: list(own.windows) for ccd, own in frame.ccds.items()} == {ccd: list(own) for ccd, own in wanted.items()}
    for ccd, own in wanted.items():
        for label, (geometry, outamp, counts) in own.items():
            window = frame.ccds[ccd].windows[label]
            assert (window.geometry, window.outamp) == (geometry, outamp)
            assert window.data.dtype == np.float32
            np.testing.assert_array_equal(window.data, counts)


def check(run, tmp_path, wanted):
    """Every frame, whole and box by box, in any order."""
    with data_source("ul", run.write(tmp_path)) as source:
        assert source.available == len(run.pixels)
        for number in (3, 1, 2):
            expected = wanted(run.pixels[number - 1])
            same(source.frame(number), expected)
            same(source.load(number), expected)
            lazy = source.frame(number)
            for ccd, own in expected.items():
                for label, (_, _, counts) in own.items():
                    ny, nx = counts.shape
                    for box in ((slice(0, 1), slice(nx - 1, nx)), (slice(1, ny), slice(0, nx - 2)), (slice(2, 5), slice(3, 3))):
                        np.testing.assert_array_equal(lazy.ccds[ccd].windows[label].pixels[box], counts[box])
                    words = lazy.ccds[ccd].windows[label].pixels.words
                    if words is not None:
                        j, i = np.mgrid[:ny, :nx]
                        np.testing.assert_array_equal(
                            words.words[words.first + j * words.row_step + i * words.column_step], counts
                        )


@pytest.mark.parametrize(("xbin", "ybin"), [(1, 1), (2, 4), (8, 8)])
@pytest.mark.parametrize(
    ("application", "count"),
    [("appl5_window1pair_cfg", 1), ("appl5b_window1pair_cfg", 1), ("appl8_driftscan_cfg", 1), ("ap6_window2pair", 2),
     ("appl7_window3pair_cfg", 3)],
)  # fmt: skip
def test_pairs_of_windows(tmp_path, application, count, xbin, ybin):
    used = WINDOWS[:count]
    shapes = [(nx // xbin, ny // ybin) for *_, nx, ny in used]

    def wanted(words):
        found = {ccd: {} for ccd in "123"}
        at = 0
        for n, ((left, right, low, _, _), (nx, ny)) in enumerate(zip(used, shapes, strict=True)):
            for ccd, (l, r) in zip("123", outputs(words[at : at + 6 * nx * ny], nx, ny), strict=True):
                found[ccd][str(2 * n + 1)] = (Geometry(left, low, xbin, ybin, nx, ny), "LL", l)
                found[ccd][str(2 * n + 2)] = (Geometry(right, low, xbin, ybin, nx, ny), "LR", r)
            at += 6 * nx * ny
        return found

    run = ultracam_run(application, pairs(*used, xbin=xbin, ybin=ybin), 6 * sum(nx * ny for nx, ny in shapes))
    check(run, tmp_path, wanted)


def test_windows_may_be_binned_so_that_a_part_of_a_bin_is_left_over(tmp_path):
    run = ultracam_run("appl5_window1pair_cfg", pairs((41, 561, 181, 26, 17), xbin=3, ybin=2), 6 * 8 * 8)
    with data_source("ul", run.write(tmp_path)) as source:
        assert source.info.windows["1"]["1"] == Geometry(41, 181, 3, 2, 8, 8)


@pytest.mark.parametrize("application", ["ap3_fullframe", "ap9_250_fullframe_mindead"])
@pytest.mark.parametrize("xbin", [1, 8])
def test_full_frames(tmp_path, application, xbin):
    nx, ny = 512 // xbin, 1024 // 8

    def wanted(words):
        return {
            ccd: {"1": (Geometry(1, 1, xbin, 8, nx, ny), "LL", l), "2": (Geometry(513, 1, xbin, 8, nx, ny), "LR", r)}
            for ccd, (l, r) in zip("123", outputs(words, nx, ny), strict=True)
        }

    check(ultracam_run(application, pairs(xbin=xbin, ybin=8), 6 * nx * ny), tmp_path, wanted)


@pytest.mark.parametrize("application", ["appl4_frameover_cfg", "appl10_frameover_mindead_cfg"])
@pytest.mark.parametrize(("xbin", "ybin"), [(1, 1), (2, 4), (4, 8)])
def test_full_frames_with_overscan(tmp_path, application, xbin, ybin):
    nx, ny = 540 // xbin, 1032 // ybin

    def wanted(words):
        found = {}
        for ccd, (l, r) in zip("123", outputs(words, nx, ny), strict=True):
            x, top = (lambda column: column // xbin), 1024 // ybin
            parts = [
                (1, 1, "LL", l[:top, x(24) : x(536)]),
                (513, 1, "LR", r[:top, x(4) : x(516)]),
                (1025, 1, "LL", np.hstack([l[:, : x(24)], l[:, -x(4) :]])),
                (1053, 1, "LR", np.hstack([r[:, : x(4)], r[:, -x(24) :]])),
                (1, 1025, "LL", l[top:, x(24) : x(536)]),
                (513, 1025, "LR", r[top:, x(4) : x(516)]),
            ]
            found[ccd] = {
                str(n): (Geometry(llx, lly, xbin, ybin, *part.shape[::-1]), outamp, part)
                for n, (llx, lly, outamp, part) in enumerate(parts, start=1)
            }
        return found

    check(ultracam_run(application, pairs(xbin=xbin, ybin=ybin), 6 * nx * ny), tmp_path, wanted)


def test_the_first_pixel_of_each_row_and_output_was_junk_until_2007(tmp_path):
    (left, right, low, nx, ny), xbin = WINDOWS[0], 2

    def wanted(words):
        geometry = (low, xbin, 1, nx // xbin - 1, ny)
        return {
            ccd: {"1": (Geometry(left, *geometry), "LL", l[:, 1:]), "2": (Geometry(right + xbin, *geometry), "LR", r[:, :-1])}
            for ccd, (l, r) in zip("123", outputs(words, nx // xbin, ny), strict=True)
        }

    run = ultracam_run("ap5_window1pair", pairs(WINDOWS[0], xbin=xbin), 6 * (nx // xbin) * ny, stamps=OLD, user=None)
    del run.parameters["REVISION"]
    check(run, tmp_path, wanted)


@pytest.mark.parametrize("output", [0, 1])
@pytest.mark.parametrize(
    ("windows", "xbin"),
    [([(109, 209, 24, 16)], 1), ([(1, 1, 30, 8), (401, 101, 20, 5)], 2),
     ([(14, 5, 20, 6), (101, 51, 8, 6), (201, 101, 9, 7)], 4),
     ([(17, 1, 16, 8), (101, 21, 16, 8), (201, 41, 16, 8), (301, 61, 16, 8)], 1)],
)  # fmt: skip
def test_windows_of_ultraspec(tmp_path, windows, xbin, output):
    def wanted(words):
        found, at = {}, 0
        for n, (x, y, nx, ny) in enumerate(windows, start=1):
            raw = words[at : at + nx * ny].reshape(ny, nx)
            chop = -(-max(0, 17 - x) // xbin)
            if output:
                llx, counts = max(1, 1074 - x - nx * xbin), raw[:, : nx - chop][:, ::-1]
            else:
                llx, counts = max(1, x + chop * xbin - 16), raw[:, chop:]
            found[str(n)] = (Geometry(llx, y, xbin, 1, nx - chop, ny), "LR" if output else "LL", counts)
            at += nx * ny
        return {"1": found}

    parameters = spec_windows(*windows, xbin=xbin) | {"OUTPUT": output}
    run = ultraspec_run("ccd201_winbin_cfg", parameters, sum(nx * ny for *_, nx, ny in windows))
    check(run, tmp_path, wanted)
    with data_source("ul", tmp_path / "run012") as source:
        assert source.info.mode == f"USPEC-{len(windows)}"


@pytest.mark.parametrize("output", [0, 1])
def test_drift_windows_of_ultraspec_take_turns_row_by_row(tmp_path, output):
    windows = [(11, 301, 20, 12), (321, 999, 14, 99)]  # the second's row and height are not used
    ny, xbin = 12, 2

    def wanted(words):
        rows = words.reshape(ny, 34)
        rows = rows[:, ::-1] if output else rows
        found = {}
        for n, ((x, _, nx, _), part) in enumerate(zip(windows, (rows[:, :20], rows[:, 20:]), strict=True), start=1):
            chop = -(-max(0, 17 - x) // xbin)
            llx = max(1, 1074 - x - nx * xbin) if output else max(1, x + chop * xbin - 16)
            found[str(n)] = (Geometry(llx, 301, xbin, 1, nx - chop, ny), "LR" if output else "LL", part[:, chop:])
        return {"1": found}

    parameters = spec_windows(*windows, xbin=xbin) | {"OUTPUT": output}
    check(ultraspec_run("ccd201_driftscan_cfg", parameters, 34 * ny), tmp_path, wanted)


def test_frames_beyond_a_mebibyte_are_mapped_and_a_file_that_shrinks_is_an_error(tmp_path):
    run = ultracam_run("ap3_fullframe", pairs(xbin=2, ybin=2), 6 * 256 * 512)
    path = run.write(tmp_path)
    with data_source("ul", path) as source:
        frame = source.frame(3)
        assert run.words + run.pixels.shape[1] > 1 << 19
        l, _ = outputs(run.pixels[2], 256, 512)[1]
        np.testing.assert_array_equal(frame.ccds["2"].windows["1"].data, l)
        again = source.frame(3)
        with path.with_suffix(".dat").open("r+b") as file:
            file.truncate(1000)
        with pytest.raises(BadInput, match="became shorter") as error:
            _ = again.ccds["2"].windows["1"].data
        assert (error.value.place, error.value.remedy) == ("frame 3", "wait until it is written, or copy it again")
