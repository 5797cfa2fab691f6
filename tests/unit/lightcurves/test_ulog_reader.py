"""Logs of the C++ ULTRACAM pipeline."""

from __future__ import annotations

import numpy as np
import pytest
from click.testing import CliRunner

from roque.errors import BadInput, NotFound
from roque.lightcurves import Hlog
from roque.lightcurves.ulog_reader import flags_of
from roque.photometry.flags import Flag
from services.cli.main import cli

HEADER = """\
#
# ULTRACAM pipeline software version 9.9.9
# name/number mjd flag expose ccd fwhm beta [naper x y xm ym exm eym counts sigma sky nsky nrej worst error_flag]*num_aper
#
"""


def star(number, counts=1000.0, sigma=10.0, exm=0.02, eym=0.03, nsky=500, code=0):
    measured = (100.25, 50.75) if exm > 0 else (0.0, 0.0)
    return f"{number} 100.20 50.70 {measured[0]:.2f} {measured[1]:.2f} {exm} {eym} {counts} {sigma} 35.5 {nsky} 4 0 {code}"


def row(frame, ccd, *stars, mjd=53505.125, ok=1, nsat=None, fwhm=4.5, beta=3.2):
    satellites = "" if nsat is None else f"{nsat} "
    return f"{frame:>6} {mjd:.10f} {ok} {satellites}1.5 {ccd} {fwhm} {beta} " + "  ".join(stars)


def written(tmp_path, *rows, name="a.log"):
    path = tmp_path / name
    path.write_text(HEADER + "".join(f"{line}\n" for line in rows))
    return path


def test_columns_are_sorted_by_ccd_with_the_labels_of_their_apertures(tmp_path):
    path = written(
        tmp_path,
        row(7, 1, star(1), star(2, 500.0, 8.0)),
        " # a remark",
        "",
        row(7, 2, star(3)),
        row(8, 1, star(1), star(2), mjd=53505.25),
    )
    log = Hlog.from_ulog(path)
    assert log.apnames == {"1": ["1", "2"], "2": ["3"]}
    assert log.cnames["2"] == ["nframe", "MJD", "MJDok", "Exptim", "mfwhm", "mbeta"] + [
        f"{name}_3"
        for name in ["x", "y", "xm", "ym", "exm", "eym", "counts", "countse", "sky", "nsky", "nrej", "worst", "flag"]
    ]
    assert log["1"]["nframe"].tolist() == [7, 8]
    assert log["1"]["MJD"].tolist() == [53505.125, 53505.25]
    assert log["1"]["counts_2"].tolist() == [500.0, 1000.0]
    assert log["2"]["x_3"][0] == np.float32(100.2)
    assert log["2"]["xm_3"][0] == 100.25
    assert log["2"]["eym_3"][0] == np.float32(0.03)
    assert log["2"]["nsky_3"][0] == 500
    assert not log.writable
    assert log.comments[1] == "# ULTRACAM pipeline software version 9.9.9"


def test_the_old_layout_has_the_number_of_satellites_after_the_flag_of_the_time(tmp_path):
    log = Hlog.from_ulog(written(tmp_path, row(1, 1, star(1), star(2), nsat=6, ok=0), row(1, 3, star(1), nsat=5)))
    assert log["1"]["nsat"].tolist() == [6]
    assert log["1"]["Exptim"].tolist() == [1.5]
    assert log["1"]["MJDok"].tolist() == [False]
    assert log["3"]["MJDok"].tolist() == [True]
    assert log["3"]["countse_1"][0] == 10.0


def test_what_has_an_error_that_is_not_positive_was_not_measured(tmp_path):
    lost = star(1, counts=0.0, sigma=-1, exm=-1, eym=-1, nsky=0, code=10)
    table = Hlog.from_ulog(written(tmp_path, row(1, 1, lost, fwhm=0, beta=0), row(2, 1, star(1))))["1"]
    for name in ("xm", "ym", "exm", "eym", "counts", "countse", "sky"):
        assert np.isnan(table[f"{name}_1"]).tolist() == [True, False], name
    assert np.isnan(table["mfwhm"]).tolist() == [True, False]
    assert np.isnan(table["mbeta"]).tolist() == [True, False]
    assert table["x_1"].tolist() == [np.float32(100.2)] * 2
    assert table["flag_1"].tolist() == [10, 0]


def test_series_have_bits_for_the_codes_and_errors_of_measured_positions(tmp_path):
    rows = [row(k + 1, 1, star(1, code=k), star(2), ok=int(k != 1)) for k in range(14)]
    series = Hlog.from_ulog(written(tmp_path, *rows)).tseries("1", "1")
    assert series.bmask[[0, 2, 5, 6, 8]].tolist() == [
        Flag.ALL_OK, Flag.SKY_AT_EDGE, Flag.TARGET_NONLINEAR, Flag.NO_SKY, Flag.TARGET_SATURATED,
    ]  # fmt: skip
    assert series.bmask[1] == Flag.BAD_TIME
    assert all(series.bmask[k] & Flag.NO_EXTRACTION for k in (9, 10, 11))
    assert series.bmask[12] == series.bmask[13] == Flag.JUNK
    assert series.te[0] == 1.5 / 86400
    positions = Hlog.from_ulog(tmp_path / "a.log").tseries("1", "2", "xm")
    assert positions.ye[0] == np.float32(0.02)
    assert flags_of(np.array([], np.int32)).dtype == np.uint32


def test_files_that_were_reduced_by_name_are_counted(tmp_path):
    log = Hlog.from_ulog(written(tmp_path, row("run012_05.ucm", 1, star(1)), row("run012_09.ucm", 1, star(1))))
    assert log["1"]["nframe"].tolist() == [1, 2]


@pytest.mark.parametrize(
    ("rows", "line", "what"),
    [
        ([row(1, 1, star(1)) + " 7 8"], 5, "items"),
        ([row(1, 1)], 5, "items"),
        ([row(1, 1, star(1)), row(2, 1, star(1), star(2))], 6, "apertures"),
        ([row(1, 1, star(1), star(1))], 5, "apertures"),
        ([row(1, 1, star(1)).replace("1000.0", "many")], 5, "counts_1"),
        ([row(1, 1, star(1), ok=2)], 5, "MJDok"),
        ([row(1, 1, star(1)).replace("500 4 0", "5_0 4 0")], 5, "nsky_1"),
        ([row(1, 1, star(1), mjd=53505.0).replace("1.5", "x")], 5, "Exptim"),
        ([row(1, 1, star(1, nsky=2**31))], 5, "nsky_1"),
        ([], 5, "no row"),
    ],
)
def test_what_does_not_fit_is_named_by_its_line(tmp_path, rows, line, what):
    path = written(tmp_path, *rows)
    with pytest.raises(BadInput, match=what) as caught:
        Hlog.from_ulog(path)
    assert caught.value.file == str(path)
    assert caught.value.place == f"line {line}"
    assert caught.value.remedy


def test_damaged_logs_are_read_or_refused_with_their_place_and_nothing_else(tmp_path):
    rng = np.random.default_rng(20)
    sound = written(tmp_path, *(row(k, 1 + k % 3, star(1), star(2), nsat=4) for k in range(1, 12))).read_bytes()
    pieces = [
        b"1e400",
        b"-nan",
        b"9" * 5000,
        b"\xff",
        b"\0",
        b" ",
        b"\n",
        b"#",
        b"1_0",
        b"0x1p3",
        b"",
        b"\xd9\xa3",
        b"\r",
        b"1 " * 60,
    ]
    path = tmp_path / "mutant.log"
    refused = []
    for _ in range(400):
        damaged = bytearray(sound)
        for _ in range(rng.integers(1, 4)):
            at, length = int(rng.integers(0, len(damaged))), int(rng.choice([0, 1, 1, 5, 200]))
            damaged[at : at + length] = pieces[rng.integers(0, len(pieces))]
        path.write_bytes(damaged)
        try:
            assert Hlog.from_ulog(path)
        except BadInput as error:
            refused.append(error)
    assert 100 < len(refused) < 390
    assert all(error.file == str(path) and error.place and len(str(error)) < 500 for error in refused)


def test_what_is_no_text_or_not_there_is_refused(tmp_path):
    (tmp_path / "bytes").write_bytes(b"#\n\xff\x00")
    with pytest.raises(BadInput, match="not text"):
        Hlog.from_ulog(tmp_path / "bytes")
    with pytest.raises(NotFound):
        Hlog.from_ulog(tmp_path / "missing")


def test_the_commands_read_them_with_origin_u_and_fits_keeps_them(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    written(tmp_path, *(row(k, 1, star(1, 500.0, code=2), star(2)) for k in range(1, 6)))
    done = CliRunner().invoke(cli, ["hcam", "hlog2fits", "a", "origin=u"])
    assert done.exit_code == 0, done.output
    log = Hlog.from_fits("a.fits")
    assert log["1"].tobytes() == Hlog.from_ulog("a.log")["1"].tobytes()
    assert log.tseries("1", "1").bmask.tolist() == [Flag.SKY_AT_EDGE] * 5
    done = CliRunner().invoke(cli, ["hcam", "hlog2col", "log=a", "origin=u", "ap1=1", "ap2=2"])
    assert done.exit_code == 0, done.output
    columns = np.loadtxt("2005-05-14_a_1_1_2.asc")
    assert columns.shape == (5, 5)
    assert columns[0, 2] == 0.5
    assert columns[0, 4] == Flag.SKY_AT_EDGE
    refused = CliRunner().invoke(cli, ["hcam", "hlog2fits", "a", "origin=h"])
    assert refused.exit_code == 1
