"""The ASCII log that roque writes."""

from __future__ import annotations

import math

import numpy as np
import pytest

from roque.lightcurves import Hlog, LogHeader, write_log
from roque.photometry.apertures import Aperture, loads
from roque.photometry.measurements import empty

APERTURES = {
    "1": {"1": Aperture(100.0, 90.0, 9.0, 13.0, 20.0), "10": Aperture(150.0, 90.0, 9.0, 13.0, 20.0, ref=True)},
    "2": {},
    "3": {"7": Aperture(100.0, 90.0, 9.0, 13.0, 20.0)},
}
HEADER = LogHeader(
    version="roque 0.1.0",
    parameters={"run": "run0004", "rfile": "A"},
    reduce_file=[
        "# a comment\n",
        "[general]\n",
        "version = 20230222 # of the format\n",
        "\n",
        "[light]\n",
        "linear = no\n",
        "[sky]\n",
        "   \n",
        "thresh = 3.0\n",
    ],
)


def measurements(frames=(1, 2, 3), offset=0.0):
    rng = np.random.default_rng(1)
    parts = []
    for frame in frames:
        for ccd, labels in (("3", ["7"]), ("1", ["10", "1"])):
            for label in labels:
                row = empty(
                    1, ccd=ccd, aperture=label, frame=frame, mjd_int=61113, mjd_frac=0.25 + 1e-5 * frame, time_ok=frame != 2
                )
                row["exposure"], row["mfwhm"], row["mbeta"] = 0.6222, 4.337, 3.5
                for name in ("x", "xe", "y", "ye", "fwhm", "fwhme", "beta", "betae", "counts", "countse", "sky", "skye"):
                    row[name] = rng.uniform(0, 2000)
                row["nsky"], row["nrej"], row["peak"], row["flag"] = 700 + frame, 1, 2500, 1 << 12 if frame == 2 else 0
                parts.append(row)
    table = np.concatenate(parts)
    table["xe"][0] = np.nan
    table["betae"][0] = -1.0
    return table


def printed(row):
    """A row as the format's table asks for it."""
    m = row[0]
    words = [m["ccd"], f"{m['frame']:d}", f"{m['mjd_int'] + m['mjd_frac']:.14f}", f"{m['time_ok']:d}", f"{m['exposure']:.8g}"]
    words += [f"{m['mfwhm']:.2f}", f"{m['mbeta']:.2f}"]
    for m in row:
        words += [f"{m[n]:.4f}" for n in ("x", "xe", "y", "ye")] + [f"{m[n]:.3f}" for n in ("fwhm", "fwhme", "beta", "betae")]
        words += [f"{m[n]:.1f}" for n in ("counts", "countse")] + [f"{m[n]:.2f}" for n in ("sky", "skye")]
        words += [f"{m[n]:d}" for n in ("nsky", "nrej", "peak", "flag")]
    return " ".join(words) + " "


def test_rows_are_written_frame_by_frame_in_the_formats_of_the_columns(tmp_path):
    table = measurements()
    write_log(tmp_path / "a.log", table, APERTURES, HEADER)
    text = (tmp_path / "a.log").read_text()
    body = text[text.index("# End of data type definitions") :].split("\n")
    expected = []
    for frame in (1, 2, 3):
        for ccd, labels in (("1", ["1", "10"]), ("3", ["7"])):
            rows = [
                table[(table["frame"] == frame) & (table["ccd"] == ccd) & (table["aperture"] == label)][0] for label in labels
            ]
            expected += ["#", printed(rows)]
    assert body[2:-1] == expected
    assert "nan" in text
    assert "-1.000" in text


def test_the_header_defines_columns_and_types_between_its_marks(tmp_path):
    write_log(tmp_path / "a.log", measurements(), APERTURES, HEADER)
    lines = (tmp_path / "a.log").read_text().splitlines()
    first = next(k for k, line in enumerate(lines) if "Start of column name definitions" in line)
    last = next(k for k, line in enumerate(lines) if "End of column name definitions" in line)
    definitions = dict(line[1:].split(" = ") for line in lines[first:last] if " = " in line)
    assert list(definitions) == [" 1", " 3"]
    sixteen = [name for name in ("x", "y", "fwhm", "beta", "counts", "sky") for name in (name, f"{name}e")]
    sixteen += ["nsky", "nrej", "cmax", "flag"]
    names = ["CCD", "nframe", "MJD", "MJDok", "Exptim", "mfwhm", "mbeta"]
    assert definitions[" 1"].split() == names + [f"{n}_1" for n in sixteen] + [f"{n}_10" for n in sixteen]
    first = next(k for k, line in enumerate(lines) if "Start of data type definitions" in line)
    types = [line for line in lines[first:] if line.startswith("# 3 = ")]
    assert types == ["# 3 = s i4 f8 ? f4 f4 f4 " + "f4 " * 12 + "i4 i4 i4 u4 "]


def test_the_header_keeps_the_reduce_file_without_comments_and_plots(tmp_path):
    write_log(tmp_path / "a.log", measurements(), APERTURES, HEADER)
    text = (tmp_path / "a.log").read_text()
    assert "#\n#   [general]\n#   version = 20230222 # of the format\n#\n#   [sky]\n#   thresh = 3.0\n" in text
    assert "linear = no" not in text
    assert "[light]" not in text
    assert "#  roque 0.1.0\n" in text
    assert "# run   = run0004\n# rfile = A\n" in text


def test_the_apertures_can_be_read_back_from_the_header(tmp_path):
    write_log(tmp_path / "a.log", measurements(), APERTURES, HEADER)
    lines = (tmp_path / "a.log").read_text().splitlines()
    first = lines.index("#   [", lines.index("#   thresh = 3.0"))
    last = lines.index("#   ]", first)
    assert loads("\n".join(line[4:] for line in lines[first : last + 1])) == APERTURES


def test_an_offset_comes_off_the_times_and_into_their_name(tmp_path):
    header = LogHeader(version="roque", offset=61000)
    write_log(tmp_path / "a.log", measurements(), APERTURES, header)
    log = Hlog.from_ascii(tmp_path / "a.log")
    np.testing.assert_array_equal(log["3"]["MJD-61000"], [(61113 - 61000) + (0.25 + 1e-5 * n) for n in (1, 2, 3)])
    assert log.offset("3") == 61000


def test_parts_of_a_run_give_the_log_of_the_whole(tmp_path):
    whole = measurements(range(1, 8))
    write_log(tmp_path / "a.log", whole, APERTURES, HEADER)
    write_log(tmp_path / "b.log", (whole[whole["frame"] // 3 == k] for k in range(3)), APERTURES, HEADER)
    assert (tmp_path / "a.log").read_bytes() == (tmp_path / "b.log").read_bytes()


def test_a_ccd_that_skips_frames_has_rows_in_the_others_only(tmp_path):
    table = measurements()
    write_log(tmp_path / "a.log", table[(table["ccd"] == "3") | (table["frame"] == 2)], APERTURES, HEADER)
    log = Hlog.from_ascii(tmp_path / "a.log")
    assert log["1"]["nframe"].tolist() == [2]
    assert log["3"]["nframe"].tolist() == [1, 2, 3]


def test_numbers_too_big_for_the_fast_way_are_written_all_the_same(tmp_path):
    table = measurements()
    table["counts"][0], table["sky"][0] = 1e30, -math.inf
    write_log(tmp_path / "a.log", table, APERTURES, HEADER)
    log = Hlog.from_ascii(tmp_path / "a.log")
    assert f"{1e30:.1f}" in (tmp_path / "a.log").read_text()
    assert log["3"]["sky_7"][0] == -math.inf


def test_measurements_and_apertures_that_do_not_fit_are_refused_and_nothing_is_left(tmp_path):
    table = measurements()
    other = measurements()
    other["ccd"][0] = "4"
    for wrong in (table[1:-1], np.concatenate([table, table[:1]]), other):
        with pytest.raises(ValueError, match="aperture"):
            write_log(tmp_path / "a.log", wrong, APERTURES, HEADER)
    assert list(tmp_path.iterdir()) == []
