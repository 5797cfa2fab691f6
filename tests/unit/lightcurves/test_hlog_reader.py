"""Logs in memory."""

from __future__ import annotations

import numpy as np
import pytest
from astropy.io import fits

from roque.errors import BadInput, Conflict, NotFound
from roque.lightcurves import Hlog
from roque.photometry.flags import Flag
from roque.photometry.measurements import empty

SIXTEEN = [name for name in ("x", "y", "fwhm", "beta", "counts", "sky") for name in (name, f"{name}e")]
SIXTEEN += ["nsky", "nrej", "cmax", "flag"]
TYPES = "f4 " * 12 + "i4 i4 i4 u4"
GOOD = "10.5 0.1 20.5 0.2 4.4 0.1 3.5 -1.000 100.0 2.0 35.00 0.20 700 3 2600 4"
UNMEASURED = "10.5 -1.0 20.5 -1.0 4.4 -1.0 3.5 -1.000 100.0 -1.0 35.00 0.20 700 3 2600 2"


def log(*rows, ccds=("1", "12"), time="MJD"):
    lines = ["# an old log", "# Start of column name definitions:"]
    lines += [f"# {c} = CCD nframe {time} MJDok Exptim mfwhm mbeta {' '.join(f'{n}_1' for n in SIXTEEN)} " for c in ccds]
    lines += ["# End of column name definitions", "# Start of data type definitions:"]
    lines += [f"# {c} = s i4 f8 ? f4 f4 f4 {TYPES} " for c in ccds]
    lines += ["# End of data type definitions", "#", *(f"{row} \n#" for row in rows)]
    return "\n".join(lines) + "\n"


def test_rows_go_to_their_ccd_with_the_types_of_the_definitions(tmp_path):
    path = tmp_path / "a.log"
    path.write_text(
        log(f"12 1 61113.25 1 0.5 4.2 nan {GOOD}", f"1 1 61113.25 0 0.5 4.2 3.5 {GOOD}", f"12 2 61113.5 1 0.5 nan nan {GOOD}")
    )
    hlog = Hlog.from_ascii(path)
    assert list(hlog) == ["1", "12"]
    assert hlog["12"]["nframe"].tolist() == [1, 2]
    assert hlog["12"]["MJD"].tolist() == [61113.25, 61113.5]
    assert hlog["1"]["MJDok"].tolist() == [False]
    assert np.isnan(hlog["12"]["mfwhm"][1])
    assert hlog["1"]["x_1"].dtype == np.float32
    assert hlog["1"]["flag_1"].dtype == np.uint32
    assert hlog["1"]["betae_1"][0] == -1
    assert hlog["1"]["cmax_1"][0] == 2600
    assert hlog.apnames == {"1": ["1"], "12": ["1"]}
    assert hlog.cnames["1"][:3] == ["nframe", "MJD", "MJDok"]
    assert hlog.comments[0] == "# an old log"
    assert hlog.writable


def test_negative_errors_of_old_logs_make_what_was_not_measured_nan_but_keep_positions(tmp_path):
    path = tmp_path / "a.log"
    path.write_text(log(f"1 1 61113.25 1 0.5 4.2 3.5 {UNMEASURED}", f"1 2 61113.5 1 0.5 4.2 3.5 {GOOD}"))
    table = Hlog.from_ascii(path)["1"]
    for name in ("xe", "ye", "fwhm", "fwhme", "beta", "betae", "counts", "countse"):
        assert np.isnan(table[f"{name}_1"][0]), name
        assert np.isfinite(table[f"{name}_1"][1]), name
    assert table["x_1"][0] == 10.5
    assert table["sky_1"][0] == 35.0


def test_a_sky_whose_pixels_were_all_rejected_is_read_as_it_was_taken(tmp_path):
    path = tmp_path / "a.log"
    rejected = " ".join([*GOOD.split()[:10], "0.00 -1.00 0 0 2600 2"])
    path.write_text(log(f"1 1 61113.25 1 0.5 4.2 3.5 {rejected}"))
    table = Hlog.from_ascii(path)["1"]
    assert (table["sky_1"][0], table["skye_1"][0], table["flag_1"][0]) == (0.0, -1.0, 2)


def test_a_log_of_an_older_version_is_read_by_its_own_definitions(tmp_path):
    names = "CCD nframe MJD MJDok Exptim mfwhm mbeta x_t xe_t y_t ye_t counts_t countse_t sky_t flag_t "
    names += "x_c counts_c countse_c flag_c radius_c"
    kinds = "s i4 f8 bool f4 f4 f4 f4 f4 f4 f4 f4 f4 f4 i4 f4 f4 f4 i4 f4"
    lines = ["# >> Start of column name definitions <<", f"# 2 = {names}", "# End of column name definitions"]
    lines += ["# Start of data type definitions", f"# 2 = {kinds}", "# End of data type definitions"]
    lines += ["2 5 58000.5 1 2.5 3.1 4.0 10.0 0.1 20.0 0.2 1000.0 10.0 35.5 4 30.0 500.0 -1.0 0 7.25"]
    (tmp_path / "old.log").write_text("\n".join(lines) + "\n")
    log = Hlog.from_ascii(tmp_path / "old.log")
    assert log.apnames == {"2": ["c", "t"]}
    target = log.tseries("2", "t")
    assert (target.y.tolist(), target.ye.tolist(), target.bmask.tolist()) == ([1000.0], [10.0], [4])
    assert log.tseries("2", "c").bad.all()
    log.write(tmp_path / "again.log")
    assert Hlog.from_ascii(tmp_path / "again.log")["2"].tobytes() == log["2"].tobytes()
    assert log["2"]["radius_c"].tolist() == [7.25]
    log.to_fits(tmp_path / "old.fits", "old.log")
    assert Hlog.from_fits(tmp_path / "old.fits").cnames == log.cnames


def test_logs_of_one_layout_are_joined_and_others_refused(tmp_path):
    for name, frame in (("a", 1), ("b", 2)):
        (tmp_path / name).write_text(log(f"1 {frame} 61113.25 1 0.5 4.2 3.5 {GOOD}"))
    joined = Hlog.from_ascii([tmp_path / "a", tmp_path / "b"])
    assert joined["1"]["nframe"].tolist() == [1, 2]
    (tmp_path / "c").write_text(log(ccds=("1",)))
    with pytest.raises(BadInput, match="columns"):
        Hlog.from_ascii([tmp_path / "a", tmp_path / "c"])


@pytest.mark.parametrize(
    "row",
    [
        f"1 2 61113.25 1 0.5 4.2 {GOOD}",
        f"1 2 61113.25 1 0.5 4.2 3.5 {GOOD} 7",
        f"1 x 61113.25 1 0.5 4.2 3.5 {GOOD}",
        f"9 2 61113.25 1 0.5 4.2 3.5 {GOOD}",
        f"1 2147483648 61113.25 1 0.5 4.2 3.5 {GOOD}",  # more than 32 bits with a sign hold
        f"1 2 61113.25 1 0.5 4.2 3.5 {GOOD[:-1]}-1",  # flags have no sign
        f"1 2\x1361113.25 1 0.5 4.2 3.5 {GOOD}",  # a control character is no blank
        "\x07 # nor does a comment begin with one",
    ],
)
def test_a_row_that_does_not_fit_is_named_by_file_and_line(tmp_path, row):
    path = tmp_path / "a.log"
    path.write_text(log(row))
    with pytest.raises(BadInput) as caught:
        Hlog.from_ascii(path)
    assert caught.value.file == str(path)
    assert caught.value.place == "line 11"  # ten lines of header
    assert caught.value.remedy


def test_what_is_no_log_is_refused(tmp_path):
    (tmp_path / "text").write_text("# only a comment\n")
    (tmp_path / "bytes").write_bytes(b"#\xff\xfe\n1 2 3\n")
    (tmp_path / "empty").write_bytes(b"")
    for name in ("text", "bytes", "empty"):
        with pytest.raises(BadInput, match="not a reduce log"):
            Hlog.from_ascii(tmp_path / name)
        with pytest.raises(BadInput, match="not a FITS log"):
            Hlog.from_fits(tmp_path / name)
    for reader in (Hlog.from_ascii, Hlog.from_fits):
        with pytest.raises(NotFound):
            reader(tmp_path / "missing")
    fits.HDUList([fits.PrimaryHDU()]).writeto(tmp_path / "none.fits")
    with pytest.raises(BadInput, match="no table"):
        Hlog.from_fits(tmp_path / "none.fits")


@pytest.mark.parametrize(
    ("old", "new"), [("= CCD nframe", "="), ("MJDok", "nframe"), ("= s i4 f8", "= s i4 i8"), (" = s ", " ")]
)
def test_columns_that_are_defined_without_sense_are_refused(tmp_path, old, new):
    text = log(f"1 1 61113.25 1 0.5 4.2 3.5 {GOOD}", ccds=("1",))
    assert old in text
    (tmp_path / "a.log").write_text(text.replace(old, new))
    with pytest.raises(BadInput, match="columns"):
        Hlog.from_ascii(tmp_path / "a.log")


def test_a_log_written_back_reads_the_same(tmp_path):
    (tmp_path / "a.log").write_text(log(f"12 1 61113.25 1 0.5 4.2 nan {GOOD}", f"1 1 61113.25 0 0.12345678 4.2 3.5 {GOOD}"))
    first = Hlog.from_ascii(tmp_path / "a.log")
    first.write(tmp_path / "b.log")
    second = Hlog.from_ascii(tmp_path / "b.log")
    assert second.comments == first.comments
    for ccd in first:
        assert first[ccd].tobytes() == second[ccd].tobytes()


def test_fits_keeps_every_bit_and_is_the_same_each_time(tmp_path):
    (tmp_path / "a.log").write_text(
        log(f"12 1 61113.25 1 0.5 4.2 nan {GOOD}", f"1 1 61113.25 0 0.5 4.2 3.5 {GOOD}", time="MJD-7")
    )
    first = Hlog.from_ascii(tmp_path / "a.log")
    first["1"]["flag_1"] = 0xFFFFFFFF
    texts = {"APERTURES": "[\n  1\n]", "REDUCE FILE": "[general]\nangstrom = \u212b"}
    for name in ("a.fits", "b.fits"):
        first.to_fits(tmp_path / name, "a.log", texts)
    assert (tmp_path / "a.fits").read_bytes() == (tmp_path / "b.fits").read_bytes()
    second = Hlog.from_fits(tmp_path / "a.fits")
    assert list(second) == ["1", "12"]
    assert not second.writable
    for ccd in first:
        assert first[ccd].dtype == second[ccd].dtype
        assert first[ccd].tobytes() == second[ccd].tobytes()
    with fits.open(tmp_path / "a.fits") as hdus:
        hdus.verify("exception")
        assert hdus[0].header["LOGFILE"] == "a.log"
        assert hdus["APERTURES"].data["TEXT"].tolist() == ["[", "  1", "]"]
        assert hdus["REDUCE FILE"].data["TEXT"][1] == "angstrom = \\u212b"
    with pytest.raises(Conflict):
        first.to_fits(tmp_path / "a.fits", "a.log")
    with pytest.raises(BadInput, match="ASCII"):
        second.write(tmp_path / "c.log")


def test_fits_logs_can_be_read_as_the_hipercam_pipeline_reads_them(tmp_path):
    (tmp_path / "a.log").write_text(log(f"12 1 61113.25 1 0.5 4.2 nan {GOOD}", f"1 1 61113.25 0 0.5 4.2 3.5 {GOOD}"))
    first = Hlog.from_ascii(tmp_path / "a.log")
    comments = ["# a line", "", "#\tangstrom = \u212b", "# " + "long " * 40]
    first.to_fits(tmp_path / "a.fits", "a.log", {"NOTES": "text"}, comments=comments)
    with fits.open(tmp_path / "a.fits", checksum=True) as hdus:
        # it takes every HDU behind the first for a table of a CCD; what is none of a CCD must not take one's place
        assert [hdu.header["CCDNAME"] for hdu in hdus[1:]] == ["1", "12", ""]
        assert all(hdu.data.names for hdu in hdus[1:])
        told = [str(card) for card in hdus[0].header["COMMENT"]]
    assert told[:3] == ["# a line", "", "#       angstrom = \\u212b"]
    assert "".join(line.ljust(72) for line in told[3:]).rstrip() == comments[3].rstrip()
    assert list(Hlog.from_fits(tmp_path / "a.fits")) == ["1", "12"]


def test_a_log_of_measurements_has_a_row_for_each_frame_whatever_is_missing():
    rows = [
        empty(1, ccd="2", aperture=a, frame=f, mjd_int=61113, mjd_frac=0.1 * f, exposure=2.0, time_ok=True, counts=10 * f)
        for f, a in ((2, "1"), (1, "1"), (1, "2"))
    ]
    table = Hlog.from_measurements(np.concatenate(rows), offset=61000)["2"]
    assert table["nframe"].tolist() == [1, 2]
    np.testing.assert_allclose(table["MJD-61000"], [113.1, 113.2])
    assert table["counts_1"].tolist() == [10.0, 20.0]
    assert table["flag_2"].tolist() == [0, Flag.NO_DATA]
    assert np.isnan(table["counts_2"][1])


def test_series_are_copies_with_the_flag_of_bad_times(tmp_path):
    (tmp_path / "a.log").write_text(log(f"1 1 61113.25 0 43.2 4.2 3.5 {GOOD}", f"1 2 61113.5 1 43.2 4.5 3.5 {GOOD}"))
    hlog = Hlog.from_ascii(tmp_path / "a.log")
    series = hlog.tseries("1", "1")
    assert hlog.tseries(1, 1).y.tolist() == series.y.tolist()
    assert series.t.tolist() == [61113.25, 61113.5]
    np.testing.assert_allclose(series.te, 0.0005)
    assert series.bmask.tolist() == [4 | Flag.BAD_TIME, 4]
    assert series.ye.tolist() == [2.0, 2.0]
    series.y[:] = 0
    assert hlog["1"]["counts_1"].tolist() == [100.0, 100.0]
    seeing = hlog.tseries("1", None, "mfwhm")
    np.testing.assert_allclose(seeing.y, [4.2, 4.5], rtol=1e-7)
    assert seeing.ye.tolist() == [0.0, 0.0]
    assert hlog.tseries("1", "1", "nsky", ecol=False).y.tolist() == [700, 700]
    for wrong in (("7", "1", "counts"), ("1", "9", "counts"), ("1", "1", "nothing")):
        with pytest.raises(NotFound):
            hlog.tseries(*wrong)


def fits_log(tmp_path):
    (tmp_path / "a.log").write_text(log(f"1 7 61113.25 1 0.5 4.2 3.5 {GOOD}", ccds=("1",)))
    Hlog.from_ascii(tmp_path / "a.log").to_fits(tmp_path / "a.fits", "a.log")
    return tmp_path / "a.fits"


@pytest.mark.parametrize(
    ("keyword", "value", "said"),
    [
        ("TFORM2", "'2D'", "no numbers of a log"),
        ("TFORM2", "'PJ(5)'", "no numbers of a log"),
        ("TTYPE3", "'nframe'", "stands twice"),
        ("TTYPE3", "7", "no numbers of a log"),
        ("TZERO22", "17", "TZERO"),
        ("TFIELDS", "0", "a table of 0 columns"),
        ("TFIELDS", "99999999", "a table of 99999999 columns"),
        ("NAXIS2", "999999999", "cut short"),
        ("NAXIS1", "1", "columns of"),
        ("TFORM1", "'E'", ""),  # what is as long and makes sense is read: DATASUM cannot tell
    ],
)
def test_a_fits_log_whose_header_makes_no_sense_is_refused_with_the_place(tmp_path, keyword, value, said):
    path = fits_log(tmp_path)
    data = path.read_bytes()
    at = data.index(f"{keyword:<8}=".encode(), 2880)
    path.write_bytes(data[:at] + f"{keyword:<8}= {value:>20}".encode().ljust(80) + data[at + 80 :])
    if not said:
        assert Hlog.from_fits(path)["1"]["nframe"].dtype == np.float32
        return
    with pytest.raises(BadInput, match=said) as error:
        Hlog.from_fits(path)
    assert (error.value.file, bool(error.value.place), bool(error.value.remedy)) == (str(path), True, True)


def test_numbers_of_a_fits_log_that_datasum_was_not_written_for_are_refused(tmp_path):
    path = fits_log(tmp_path)
    data = bytearray(path.read_bytes())
    data[-2880] ^= 1
    path.write_bytes(data)
    with pytest.raises(BadInput, match="DATASUM"):
        Hlog.from_fits(path)


@pytest.mark.parametrize("name", ["run002_normal", "run003_optimal", "run005_normal"])
def test_the_pipelines_fits_logs_hold_what_astropy_reads_in_them(golden, name):
    path = golden / "ultracam" / f"{name}.fits"
    found = Hlog.from_fits(path)
    with fits.open(path) as hdus:
        assert list(found) == [hdu.header["CCDNAME"] for hdu in hdus[1:]]
        for table, hdu in zip(found.values(), hdus[1:], strict=True):
            assert list(table.dtype.names) == list(hdu.data.dtype.names)
            for column in table.dtype.names:
                np.testing.assert_array_equal(table[column], hdu.data[column])


def test_a_log_without_times_or_flags_gives_no_series(tmp_path):
    path = fits_log(tmp_path)
    for old in (b"'MJDok   '", b"'MJD     '", b"'Exptim  '", b"'flag_1  '"):
        data = path.read_bytes()
        assert old in data
        (tmp_path / "b.fits").write_bytes(data.replace(old, b"'other   '"))
        with pytest.raises(BadInput, match="as logs have it"):
            Hlog.from_fits(tmp_path / "b.fits").tseries("1", "1")


def test_a_last_row_without_line_end_is_a_row(tmp_path):
    path = tmp_path / "a.log"
    path.write_text(log(f"1 1 61113.25 1 0.5 4.2 nan {GOOD}", f"1 2 61113.5 1 0.5 4.2 nan {GOOD}").rstrip(" \n#"))
    assert Hlog.from_ascii(path)["1"]["flag_1"].tolist() == [4, 4]
    path.write_text(path.read_text()[:-2])  # the last word is missing
    with pytest.raises(BadInput, match="not 23 items"):
        Hlog.from_ascii(path)


def test_of_many_rows_the_one_that_is_wrong_is_named(tmp_path):
    rows = [f"1 {n} 61113.25 1 0.5 4.2 nan {GOOD}" for n in range(1, 40_000)]
    rows[33_333] = rows[33_333].replace("10.5", "1O.5")
    path = tmp_path / "a.log"
    path.write_text(log(*rows))
    line = path.read_text()[: path.read_text().index("1O.5")].count("\n") + 1
    with pytest.raises(BadInput, match="not a number") as caught:
        Hlog.from_ascii(path)
    assert caught.value.place == f"line {line}"
