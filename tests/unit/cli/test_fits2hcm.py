"""`fits2hcm` on images of other shapes than the golden ones: where the window is, how counts are stored, what is missing."""

from __future__ import annotations

import numpy as np
import pytest
from astropy.io import fits
from click.testing import CliRunner

from roque.frames.hcm import read_hcm
from services.cli.hcam.fits2hcm import ORIGINS
from services.cli.main import cli
from tests.support.described import image

HEADERS = {
    "HICKS": {"DATE-OBS": "2021-02-03T23:59:50.5", "EXPTIME": 30.0, "XBINNING": 3, "YBINNING": 1},
    "PT5M": {"DATE-OBS": "2021-02-03T23:59:50.5", "EXPTIME": 30.0, "XBINNING": 3, "YBINNING": 1, "FILTER": "V"},
    "ROSA": {"DATE-OBS": "2021-02-03T23:59:50.5", "EXPTIME": 30.0, "XBINNING": 3, "YBINNING": 1},
    "INTWFC": {"MJD-OBS": 59248.25, "EXPTIME": 30.0, "CCDXBIN": 3, "CCDYBIN": 1},
    "LTIO": {"MJD": 59248.25, "DATE-OBS": "2021-02-03T06:00:00.000", "EXPTIME": 30.0, "CCDXBIN": 3, "CCDYBIN": 1,
             "CCDXIMSI": 100, "CCDYIMSI": 200, "CCDWXOFF": 6, "CCDWYOFF": 8},
    "LTRISE": {"MJD": 59248.25, "DATE-OBS": "2021-02-03T06:00:00.000", "EXPTIME": 30.0, "CCDWXOFF": 6, "CCDWYOFF": 8},
    "LCOGT": {"MJD-OBS": 59248.25, "EXPTIME": 30.0},
    "WHTCAM": {"MJD-OBS": 59248.25, "EXPTIME": 30.0, "XBINNING": 3, "YBINNING": 1},
    "OSIRIS+": {"MJD-OBS": 59248.25, "EXPTIME": 30.0, "CCDSUM": "3 1"},
}  # fmt: skip
SHAPE = (12, 18)


@pytest.fixture
def convert(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    def of(origin, *names):
        (tmp_path / "files.lis").write_text("\n".join(names))
        result = CliRunner().invoke(cli, ["hcam", "fits2hcm", "flist=files", f"origin={origin}"])
        assert "Traceback" not in result.output
        return result

    return of


def write(path, origin, data=None, **changes):
    """Write an image as the origin does: that of LCOGT stands in the second HDU."""
    if origin != "LCOGT":
        return image(path, shape=SHAPE, common=HEADERS[origin], **changes)
    header = fits.Header({k: v for k, v in (HEADERS[origin] | changes).items() if v != "gone"})
    fits.HDUList([fits.PrimaryHDU(), fits.ImageHDU(np.ones(SHAPE, np.int16), header)]).writeto(path)
    return path


def only(path):
    (ccd,) = read_hcm(path).ccds.values()
    (window,) = ccd.windows.values()
    return ccd, window


@pytest.mark.parametrize("origin", ORIGINS)
def test_every_origin_has_the_middle_of_the_exposure_with_the_ccd_and_no_figures_that_nobody_measured(
    convert, tmp_path, origin
):
    write(tmp_path / "night.2.fits", origin)
    result = convert(origin, "night.2.fits")
    assert result.exit_code == 0, result.output
    ccd, window = only("night.hcm")
    start = 59248.999890046 if "DATE-OBS" in HEADERS[origin] and "MJD" not in HEADERS[origin] else 59248.25
    assert ccd.mjd == pytest.approx(start + 15 / 86400, abs=2e-9)
    assert (ccd.exposure, ccd.header) == (30.0, {})
    geometry = window.geometry
    assert (geometry.nx, geometry.ny) == (18, 12)
    binning = {"LTRISE": (2, 2), "LCOGT": (1, 1)}.get(origin, (3, 1))
    assert (geometry.xbin, geometry.ybin) == binning
    assert (geometry.llx, geometry.lly) == ((7, 9) if origin.startswith("LT") else (1, 1))
    sizes = {"LTIO": (300, 200), "LTRISE": (1026, 1026), "LCOGT": SHAPE[::-1], "INTWFC": (2154, 4200), "WHTCAM": (3200, 3200)}
    sizes |= {"OSIRIS+": (4096, 4112), "ROSA": (2748, 2198)}
    assert (ccd.nxtot, ccd.nytot) == sizes.get(origin, (2184, 1472))
    assert fits.getheader("night.hcm", 1)["MJDINT"] == int(ccd.mjd)
    stamp = "2021-02-03T06:00:00.000" if origin.startswith("LT") else None
    assert stamp is None or fits.getheader("night.hcm")["TIMSTAMP"] == stamp


@pytest.mark.parametrize("enabled", [1, 2, 3, 4])
def test_the_corner_of_an_int_frame_is_that_of_the_window_that_is_enabled(convert, tmp_path, enabled):
    windows = {f"WINSEC{n}": "[0:0,0:0], disabled" for n in (1, 2, 3, 4)} | {
        f"WINSEC{enabled}": f"[{100 * enabled}:300,50:90], enabled"
    }
    write(tmp_path / "a.fits", "INTWFC", **windows)
    assert convert("INTWFC", "a").exit_code == 0
    geometry = only("a.hcm")[1].geometry
    assert (geometry.llx, geometry.lly) == (100 * enabled, 50)


def test_an_int_frame_without_a_window_that_is_enabled_is_a_whole_one_and_two_of_them_are_refused(convert, tmp_path):
    write(tmp_path / "a.fits", "INTWFC", **{f"WINSEC{n}": "[0:0,0:0], disabled" for n in (1, 2, 3, 4)})
    assert convert("INTWFC", "a").exit_code == 0
    assert (only("a.hcm")[1].geometry.llx, only("a.hcm")[1].geometry.lly) == (1, 1)
    write(tmp_path / "b.fits", "INTWFC", WINSEC1="[5:6,7:8], enabled", WINSEC3="[9:10,11:12], enabled")
    result = convert("INTWFC", "b")
    assert result.exit_code == 1
    assert "b.fits, keyword WINSEC1 or WINSEC2 or WINSEC3 or WINSEC4: WINSEC1 = '[5:6,7:8], enabled'" in result.stderr


@pytest.mark.parametrize("origin", ["INTWFC", "WHTCAM"])
def test_header_in_the_first_hdu_and_image_in_the_second(convert, tmp_path, origin):
    counts = np.arange(12 * 18, dtype=np.int32).reshape(SHAPE)
    fits.HDUList([fits.PrimaryHDU(None, fits.Header(HEADERS[origin])), fits.ImageHDU(counts)]).writeto(tmp_path / "a.fits")
    assert convert(origin, "a").exit_code == 0
    np.testing.assert_array_equal(only("a.hcm")[1].data, counts)


@pytest.mark.parametrize("kind", ["u1", "i2", "u2", "i4", "f4", "f8"])
def test_counts_are_the_same_however_they_are_stored(convert, tmp_path, kind):
    counts = np.linspace(0, 200, 12 * 18).astype(kind).reshape(SHAPE)
    fits.PrimaryHDU(counts, fits.Header(HEADERS["HICKS"])).writeto(tmp_path / "a.fits")
    assert convert("HICKS", "a").exit_code == 0
    data = only("a.hcm")[1].data
    assert data.dtype == (np.float64 if kind == "f8" else np.float32)
    np.testing.assert_array_equal(data, counts)


def test_scaled_counts_are_what_they_mean(convert, tmp_path):
    counts = np.linspace(100, 5000, 12 * 18).reshape(SHAPE)
    unit = fits.PrimaryHDU(counts.copy(), fits.Header(HEADERS["ROSA"]))
    unit.scale("int16", bscale=0.5, bzero=1000)
    unit.writeto(tmp_path / "a.fits")
    assert convert("ROSA", "a").exit_code == 0
    np.testing.assert_allclose(only("a.hcm")[1].data, counts, atol=0.26)
    assert not {"BSCALE", "BZERO"} & set(fits.getheader("a.hcm", 1))


MISSING = [(origin, keyword) for origin, header in HEADERS.items() for keyword in header if keyword != "FILTER"]
MISSING = [
    (o, k)
    for o, k in MISSING
    if (o, k) not in {("LTIO", "CCDXIMSI"), ("LTIO", "CCDYIMSI")} and not (k == "DATE-OBS" and o[:2] == "LT")
]


@pytest.mark.parametrize(("origin", "keyword"), MISSING)
def test_a_keyword_that_is_missing_is_named(convert, tmp_path, origin, keyword):
    write(tmp_path / "a.fits", origin, **{keyword: "gone"})
    result = convert(origin, "a")
    assert result.exit_code == 1
    assert "a.fits" in result.stderr
    assert f"{keyword} is missing" in result.stderr
    assert not (tmp_path / "a.hcm").exists()


@pytest.mark.parametrize("time", ["0000-00-00T00:00:00", "tonight"])
def test_a_time_that_cannot_be_read_is_no_frame_here(convert, tmp_path, time):
    write(tmp_path / "a.fits", "PT5M", **{"DATE-OBS": time, "DATE": "2021-02-03"})
    result = convert("PT5M", "a")
    assert result.exit_code == 1
    assert f"DATE-OBS = '{time}' does not give" in result.stderr


def test_an_origin_that_is_not_known_lists_those_that_are(convert):
    result = convert("HUBBLE", "a")
    assert result.exit_code == 2
    assert all(origin in result.stderr for origin in ORIGINS)


@pytest.mark.parametrize("content", [b"", b"text", None])
def test_what_is_no_image_is_refused_and_the_file_is_named(convert, tmp_path, content):
    if content is None:
        fits.PrimaryHDU(None, fits.Header(HEADERS["HICKS"])).writeto(tmp_path / "a.fits")
    else:
        (tmp_path / "a.fits").write_bytes(content)
    result = convert("HICKS", "a.fits")
    assert result.exit_code == 1
    assert "a.fits" in result.stderr
    assert convert("HICKS", "none.fits").exit_code == 4


def test_a_header_changed_after_its_checksum_is_converted_all_the_same(convert, tmp_path):
    header = fits.Header(HEADERS["HICKS"])
    fits.PrimaryHDU(np.ones(SHAPE, np.int16), header).writeto(tmp_path / "a.fits", checksum=True)
    data = (tmp_path / "a.fits").read_bytes()
    assert b"EXPTIME =                 30.0" in data
    (tmp_path / "a.fits").write_bytes(data.replace(b"EXPTIME =                 30.0", b"EXPTIME =                 40.0"))
    assert convert("HICKS", "a").exit_code == 0
    assert only(tmp_path / "a.hcm")[0].exposure == 40.0
