"""Checksums of FITS logs, judged by other readers."""

from __future__ import annotations

import fitsio
import numpy as np
import pytest
from astropy.io import fits

from roque.lightcurves import Hlog
from roque.lightcurves.checksums import ZERO, encode, ones_sum
from roque.lightcurves.fits_table import write_primary, write_table
from roque.photometry.measurements import empty

RNG = np.random.default_rng(7)


def hlog(frames, apertures=("1", "target")):
    rows = empty(frames * len(apertures), ccd="1", mjd_int=61345, mjd_frac=0.25)
    rows["frame"] = np.repeat(np.arange(frames) + 1, len(apertures))
    rows["aperture"] = np.tile(apertures, frames)
    for name in ("counts", "countse", "x", "sky"):
        rows[name] = RNG.normal(size=len(rows))
    rows["flag"] = RNG.integers(0, 2**32, len(rows), dtype=np.uint32)
    return Hlog.from_measurements(rows)


@pytest.mark.parametrize("frames", [1, 2, 3, 5, 40, 33_000])
def test_other_readers_find_every_sum_right_whatever_the_length(tmp_path, frames):
    path = tmp_path / "a.fits"
    hlog(frames).to_fits(path, "a.log", {"NOTES": "one line\nand a longer one", "EMPTY": ""})
    with fits.open(path, checksum=True) as hdus:  # a warning, which is an error here, if one is wrong
        hdus.verify("exception")
        assert all({"CHECKSUM", "DATASUM"} <= set(hdu.header) for hdu in hdus)
        assert len(hdus) == 4
    with fitsio.FITS(str(path)) as hdus:
        assert [hdu.verify_checksum() for hdu in hdus] == [None] * 4


def test_a_flipped_bit_is_found(tmp_path):
    path = tmp_path / "a.fits"
    hlog(10).to_fits(path, "a.log")
    damaged = bytearray(path.read_bytes())
    damaged[-2000] ^= 1
    path.write_bytes(damaged)
    with pytest.warns(UserWarning, match="verification failed"), fits.open(path, checksum=True) as hdus:
        assert len(hdus[1].data) == 10


def test_any_sum_is_written_in_letters_and_digits_that_cancel_it():
    for total in [0, 1, 0xFFFFFFFF, 0x3A3A3A3A, *RNG.integers(0, 2**32, 2000).tolist()]:
        word = encode(int(total))
        assert word.isalnum()
        # as it lies in a header, from the fourth byte of a word on
        turned = ones_sum((word[1:] + word[0]).encode())
        nothing = ones_sum(ZERO.encode())
        assert ones_sum(((turned - nothing + int(total)) % 0xFFFFFFFF).to_bytes(4, "big")) % 0xFFFFFFFF == 0


def test_columns_of_every_type_and_byte_order_are_what_other_readers_find(tmp_path):
    table = np.zeros(5, [("a", "?"), ("b", "<i4"), ("c", ">u4"), ("d", ">f4"), ("e", "<f8"), ("f", "S3")])
    table["a"] = [True, False, True, True, False]
    table["b"] = [-(2**31), -1, 0, 7, 2**31 - 1]
    table["c"] = [0, 1, 2**31, 5, 2**32 - 1]
    table["d"] = [np.nan, 1.5, -np.inf, 0.0, 3e38]
    table["e"] = [np.nan, 1e-300, -1.0, 0.1, 2.0]
    table["f"] = [b"x", b"", b"abc", b"y", b"z"]
    path = tmp_path / "a.fits"
    with path.open("wb+") as file:
        write_primary(file, {"LOGFILE": ("it's a log", "where it comes from")})
        write_table(file, "CCD 1", table[::2], {"CCDNAME": ("1", "CCD name")})  # rows that do not lie one behind the other
    with fits.open(path, checksum=True) as hdus:
        assert hdus[0].header.comments["LOGFILE"] == "where it comes from"
        assert hdus[1].header["CCDNAME"] == "1"
        for name in table.dtype.names:
            found = hdus[1].data[name]
            wanted = table[name][::2].astype("U3") if name == "f" else table[name][::2]
            np.testing.assert_array_equal(found, wanted)
    assert fitsio.FITS(str(path))[1].read().shape == (3,)
