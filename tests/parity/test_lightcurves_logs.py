"""Logs of the HiPERCAM pipeline, and what it makes of them."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits

from roque.lightcurves import Hlog, LogHeader, write_columns, write_log
from roque.lightcurves.log_columns import APERTURE_COLUMNS, MEASUREMENT_FIELD
from roque.photometry.apertures import loads
from roque.photometry.measurements import empty

ULTRACAM = (
    "run002_normal",
    "run002_optimal",
    "run002_gaussian",
    "run003_normal",
    "run003_optimal",
    "run005_normal",
    "run005_optimal",
)


def plain_rows(path):
    """Rows of a log by CCD and frame, as words, split by Python alone."""
    lines = [line.split() for line in path.read_text().splitlines() if line and not line.startswith("#")]
    return {(words[0], words[1]): words for words in lines}


def all_logs(golden: Path, golden_runs: Path):
    logs = [*golden_runs.glob("*.log"), *(golden / "ultracam").glob("*.log"), *(golden / "foreign").glob("*/*.log")]
    assert len(logs) > 50
    return sorted(logs)


def measurements_of(hlog):
    parts = []
    for ccd, table in hlog.items():
        time = hlog.time_column(ccd)
        for label in hlog.apnames[ccd]:
            rows = empty(
                len(table), ccd=ccd, aperture=label, frame=table["nframe"], time_ok=table["MJDok"], mfwhm=table["mfwhm"]
            )
            rows["mbeta"] = table["mbeta"]
            rows["mjd_int"] = np.floor(table[time])
            rows["mjd_frac"] = table[time] - rows["mjd_int"]
            rows["exposure"] = [float(str(value)) for value in table["Exptim"]]
            for name, _ in APERTURE_COLUMNS:
                rows[MEASUREMENT_FIELD[name]] = table[f"{name}_{label}"]
            parts.append(rows)
    return np.concatenate(parts)


def apertures_of(hlog):
    lines = [line[4:] for line in hlog.comments if line.startswith("#   ")]
    first = lines.index("[")
    return loads("\n".join(lines[first : lines.index("]", first) + 1]))


def test_every_log_is_read_as_its_text_says(golden, golden_runs):
    for path in all_logs(golden, golden_runs):
        words = plain_rows(path)
        hlog = Hlog.from_ascii(path)
        assert sum(map(len, hlog.values())) == len(words), path
        for ccd, table in hlog.items():
            mine = [row for (label, _), row in words.items() if label == ccd]
            for k, name in enumerate(table.dtype.names):
                expected = np.array([row[k + 1] for row in mine], float).astype(table.dtype[name])
                np.testing.assert_array_equal(table[name], expected, err_msg=f"{path}, CCD {ccd}, {name}")


def test_every_log_written_back_is_the_same_log(golden, golden_runs, tmp_path):
    for path in all_logs(golden, golden_runs):
        first = Hlog.from_ascii(path)
        first.write(tmp_path / "back.log")
        second = Hlog.from_ascii(tmp_path / "back.log")
        assert first.comments == second.comments
        for ccd, table in first.items():
            assert table.tobytes() == second[ccd].tobytes(), f"{path}, CCD {ccd}"


@pytest.mark.parametrize("name", ["A_moffat", "C_moffat", "run002_gaussian", "run003_optimal"])
def test_fits_has_the_columns_and_values_of_hlog2fits(golden, golden_runs, tmp_path, name):
    folder = golden_runs if name[0] in "AC" else golden / "ultracam"
    Hlog.from_ascii(folder / f"{name}.log").to_fits(tmp_path / "ours.fits", f"{name}.log")
    with fits.open(tmp_path / "ours.fits") as ours, fits.open(folder / f"{name}.fits") as peer:
        ours.verify("exception")
        assert [hdu.name for hdu in ours] == [hdu.name for hdu in peer]
        assert ours[0].header["LOGFILE"] == peer[0].header["LOGFILE"]
        for mine, other in zip(ours[1:], peer[1:], strict=True):
            assert mine.header["CCDNAME"] == other.header["CCDNAME"]
            assert mine.columns.names == other.columns.names
            assert mine.columns.formats == other.columns.formats
            assert [column.bzero for column in mine.columns] == [column.bzero for column in other.columns]
            for column in mine.columns.names:
                np.testing.assert_array_equal(mine.data[column], other.data[column], err_msg=column)


@pytest.mark.parametrize("name", ["A_moffat", "C_moffat"])
def test_a_log_read_from_the_peers_fits_is_that_of_the_text(golden_runs, name):
    text, binary = Hlog.from_ascii(golden_runs / f"{name}.log"), Hlog.from_fits(golden_runs / f"{name}.fits")
    assert list(binary) == sorted(text)
    for ccd, table in binary.items():
        assert table.dtype == text[ccd].dtype
        assert table.tobytes() == text[ccd].tobytes()


@pytest.mark.parametrize("kind", ["l", "m"])
def test_columns_of_a_hipercam_run_equal_hlog2col_to_the_last_digit(golden_runs, tmp_path, kind):
    hlog = Hlog.from_ascii(golden_runs / "A_moffat.log")
    written = write_columns(hlog, golden_runs / "A_moffat.log", tmp_path, "1", "2", kind=kind)
    assert [path.name for path in written] == [f"2026-03-14_A_moffat_{ccd}_1_2.asc" for ccd in "12345"]
    for path in written:
        assert path.read_text() == (golden_runs / (f"{path.stem}_lin.asc" if kind == "l" else path.name)).read_text()


@pytest.mark.parametrize("name", ULTRACAM)
def test_columns_of_ultracam_runs_equal_hlog2col_to_the_last_digit(golden, tmp_path, name):
    source = golden / "ultracam" / f"{name}.log"
    expected = sorted(path.name for path in source.parent.glob(f"*_{name}_*.asc"))
    written = write_columns(Hlog.from_ascii(source), source, tmp_path, "1", "2")
    assert sorted(path.name for path in written) == expected
    for path in written:
        assert path.read_text() == (source.parent / path.name).read_text()


def test_an_offset_of_times_is_added_again_in_columns(golden_runs, tmp_path):
    for name in ("A_toffset", "A_skipbadt_no"):
        write_columns(Hlog.from_ascii(golden_runs / f"{name}.log"), golden_runs / f"{name}.log", tmp_path, "1", "2")
    first, second = (
        (tmp_path / f"2026-03-14_{name}_3_1_2.asc").read_text().splitlines()[1:] for name in ("A_toffset", "A_skipbadt_no")
    )
    assert first == second


@pytest.mark.parametrize("name", ["A_moffat", "B_moffat", "C_moffat", "A_toffset"])
def test_our_log_of_the_same_measurements_agrees_with_the_peers_in_every_digit_that_float32_keeps(
    golden, golden_runs, tmp_path, name
):
    peer = Hlog.from_ascii(golden_runs / f"{name}.log")
    offset = peer.offset("1")
    rows = measurements_of(peer)
    rows["mjd_int"] += offset
    header = LogHeader(version="roque", offset=offset, parameters={"run": name})
    write_log(tmp_path / "ours.log", rows, apertures_of(peer), header)
    ours = Hlog.from_ascii(tmp_path / "ours.log")
    for ccd, table in peer.items():
        time = peer.time_column(ccd)
        np.testing.assert_allclose(ours[ccd][time], table[time], rtol=0, atol=1e-11)
        for column in table.dtype.names:
            if column != time:
                np.testing.assert_array_equal(ours[ccd][column], table[column], err_msg=f"CCD {ccd}, {column}")
    order = [line.split()[:2] for line in (golden_runs / f"{name}.log").read_text().splitlines() if not line.startswith("#")]
    assert [line.split()[:2] for line in (tmp_path / "ours.log").read_text().splitlines() if not line.startswith("#")] == order


def test_the_comparison_tool_accepts_our_log_of_the_peers_measurements(golden, golden_runs, tmp_path):
    tool = golden.parent / "tools" / "compare_hlog.py"
    shutil.copy(golden_runs / "A_moffat.log", tmp_path / "peer.log")
    peer = Hlog.from_ascii(tmp_path / "peer.log")
    write_log(tmp_path / "ours.log", measurements_of(peer), apertures_of(peer), LogHeader(version="roque"))
    run = subprocess.run(
        [sys.executable, tool, tmp_path / "peer.log", tmp_path / "ours.log", "--table"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stdout[-2000:] + run.stderr
