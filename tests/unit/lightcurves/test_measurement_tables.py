"""Measurements as ECSV and Parquet: every bit comes back."""

from __future__ import annotations

import builtins
import signal
import subprocess
import sys

import numpy as np
import pyarrow.parquet as pq
import pytest
from astropy.table import Table

from roque.errors import BadInput
from roque.lightcurves.barycentre import Barycentre
from roque.lightcurves.measurement_tables import write_ecsv, write_parquet
from roque.photometry.measurements import MEASUREMENT, empty

THERE = Barycentre(ra=252.1, dec=-3.4, longitude=-17.9, latitude=28.8, height=2300.0)
WRITERS = {"ecsv": write_ecsv, "parquet": write_parquet}
ABOUT = {"reduction": "a1b2c3d4", "remark": 'with: a colon, "quotes", # and more of it ' * 9}


def measurements():
    """Numbers that are easily lost: NaN, negative zero, infinities, the last bit, all flags, labels like numbers."""
    rows = empty(6, ccd="1", exposure=0.1, mjd_int=61345, mjd_frac=0.1 + 0.2)
    rows["frame"] = np.arange(6) + 1
    rows["aperture"] = ["1", "01", "1e5", "target", "None", "nan"]
    rows["ccd"][4:] = ["NA", "10"]
    rows["counts"] = [np.nan, -0.0, np.inf, -np.inf, 5e-324, 1.7976931348623157e308]
    rows["countse"] = [1 / 3, np.nextafter(1.0, 2.0), 0.0, -1.0, 1e22, 123456789.123456789]
    rows["flag"] = [0, 1, 0xFFFFFFFF, 1 << 31, 1 << 16, 2]
    rows["peak"] = [0, -1, 2**31 - 1, -(2**31), 5, 6]
    rows["time_ok"] = [True, False, True, True, False, True]
    return rows


def read(path):
    """Columns of a file, by a reader that is not ours."""
    if path.suffix == ".ecsv":
        table = Table.read(path)
        assert not table.has_masked_columns
        return {name: np.asarray(table[name]) for name in table.colnames}
    table = pq.read_table(path)
    return {name: table[name].to_numpy() for name in table.column_names}


@pytest.mark.parametrize("form", WRITERS)
def test_every_bit_comes_back_from_another_reader(tmp_path, form):
    path, rows = tmp_path / f"a.{form}", measurements()
    WRITERS[form](path, [rows[:2], rows[2:2], rows[2:]], ABOUT)
    found = read(path)
    assert list(found) == list(MEASUREMENT.names)
    for name in MEASUREMENT.names:
        if rows.dtype[name].kind == "U":
            assert found[name].astype(str).tolist() == rows[name].tolist()
        else:
            assert found[name].dtype == rows.dtype[name], name
            assert found[name].tobytes() == rows[name].tobytes(), name


@pytest.mark.parametrize("form", WRITERS)
def test_a_run_without_measurements_is_a_table_without_rows(tmp_path, form):
    path = tmp_path / f"a.{form}"
    WRITERS[form](path, [], ABOUT)
    found = read(path)
    assert list(found) == list(MEASUREMENT.names)
    assert all(len(column) == 0 for column in found.values())


@pytest.mark.parametrize("form", WRITERS)
def test_the_same_is_written_with_the_same_bytes(tmp_path, form):
    for name in "ab":
        WRITERS[form](tmp_path / f"{name}.{form}", iter([measurements()]), ABOUT, THERE)
    assert (tmp_path / f"a.{form}").read_bytes() == (tmp_path / f"b.{form}").read_bytes()


@pytest.mark.parametrize("form", WRITERS)
def test_barycentric_times_follow_where_they_are_asked_for(tmp_path, form):
    path, rows = tmp_path / f"a.{form}", measurements()
    WRITERS[form](path, [rows], ABOUT, THERE)
    found = read(path)
    assert list(found)[-2:] == ["bjd_tdb", "hjd_utc"]
    assert found["bjd_tdb"].tobytes() == THERE.bjd(rows["mjd_int"], rows["mjd_frac"]).tobytes()
    assert found["hjd_utc"].tobytes() == THERE.hjd(rows["mjd_int"], rows["mjd_frac"]).tobytes()


def test_what_else_is_told_and_the_units_come_back_too(tmp_path):
    for form, write in WRITERS.items():
        write(tmp_path / f"a.{form}", [measurements()], ABOUT)
    table = Table.read(tmp_path / "a.ecsv")
    assert dict(table.meta) == ABOUT
    assert str(table["counts"].unit) == "adu"
    schema = pq.read_schema(tmp_path / "a.parquet")
    assert {key: schema.metadata[key.encode()].decode() for key in ABOUT} == ABOUT
    assert schema.field("counts").metadata == {b"unit": b"adu"}


@pytest.mark.parametrize("form", WRITERS)
def test_what_fails_in_the_middle_leaves_what_stood_there(tmp_path, form):
    path = tmp_path / f"a.{form}"
    path.write_text("precious")

    def parts():
        yield measurements()
        raise RuntimeError("the record is gone")

    with pytest.raises(RuntimeError, match="gone"):
        WRITERS[form](path, parts(), ABOUT)
    assert [file.name for file in tmp_path.iterdir()] == [path.name]
    assert path.read_text() == "precious"


KILLED = """
import os, signal, sys
from pathlib import Path
import numpy as np
from roque.lightcurves import Hlog, LogHeader, write_log
from roque.lightcurves.measurement_tables import write_ecsv, write_parquet
from roque.photometry.apertures import Aperture
from roque.photometry.measurements import empty

form, path = sys.argv[1], Path(sys.argv[2])

def parts():
    rows = empty(40_000, ccd="1", aperture="1", mjd_int=61345, mjd_frac=0.5)
    rows["frame"] = np.arange(len(rows)) + 1
    yield rows
    os.kill(os.getpid(), signal.SIGKILL)

if form == "ascii":
    apertures = {"1": {"1": Aperture(x=1.0, y=1.0, rtarg=3.0, rsky1=5.0, rsky2=9.0)}}
    write_log(path, parts(), apertures, LogHeader(version="test"))
elif form == "fits":
    import roque.lightcurves.hlog as hlog
    found = parts()
    log = Hlog.from_measurements(next(found))
    hlog.text_table = lambda _: next(found)
    log.to_fits(path, "a.log", {"NOTES": "text"})
else:
    {"ecsv": write_ecsv, "parquet": write_parquet}[form](path, parts(), {})
"""


@pytest.mark.parametrize("form", ["ascii", "fits", "ecsv", "parquet"])
def test_a_writer_that_is_killed_leaves_no_half_of_a_file(tmp_path, form):
    path = tmp_path / f"a.{form}"
    if form != "fits":  # it is never written over another
        path.write_text("precious")
    done = subprocess.run([sys.executable, "-c", KILLED, form, path], capture_output=True, text=True)
    assert done.returncode == -signal.SIGKILL, done.stderr
    (part,) = tmp_path.glob(".*.part")  # what it had got to: hidden, and never taken for the file
    assert part.stat().st_size > 1_000_000 or form == "parquet"
    assert [file.name for file in tmp_path.glob("[!.]*")] == ([path.name] if form != "fits" else [])
    assert form == "fits" or path.read_text() == "precious"


def test_without_pyarrow_the_error_says_how_to_get_it(tmp_path, monkeypatch):
    true_import = builtins.__import__

    def without(name, *args, **options):
        if name.startswith("pyarrow"):
            raise ImportError(name)
        return true_import(name, *args, **options)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(BadInput, match="pip install pyarrow"):
        write_parquet(tmp_path / "a.parquet", [measurements()], ABOUT)
    assert list(tmp_path.iterdir()) == []
