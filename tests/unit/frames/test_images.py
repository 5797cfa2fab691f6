"""Images of plain FITS files, of every type of number, against astropy."""

from __future__ import annotations

import gc
import os

import numpy as np
import pytest
from astropy.io import fits

from roque.errors import BadInput, NotFound
from roque.frames.images import FitsFile

RNG = np.random.default_rng(2)
NUMBERS = RNG.integers(0, 200, (7, 9))


@pytest.mark.parametrize("dtype", ["u1", "i1", "i2", "u2", "i4", "u4", "i8", "f4", "f8"])
def test_numbers_of_every_type_are_read(tmp_path, dtype):
    data = NUMBERS.astype(dtype) + (np.iinfo(dtype).max // 2 if dtype[0] in "ui" and dtype[1] in "24" else 0)
    fits.HDUList([fits.PrimaryHDU(), fits.ImageHDU(data)]).writeto(tmp_path / "a.fits", checksum=True)
    with FitsFile(tmp_path / "a.fits") as file:
        _, hdu = file.hdus()
        found = file.image(hdu)
    assert found.dtype == (np.float64 if dtype == "f8" else np.float32)
    np.testing.assert_array_equal(found, data.astype(found.dtype))


def test_scaled_numbers_are_scaled(tmp_path):
    hdu = fits.PrimaryHDU(NUMBERS.astype(np.int16))
    hdu.header["BSCALE"], hdu.header["BZERO"] = 0.5, 10.0
    hdu.writeto(tmp_path / "a.fits")
    with FitsFile(tmp_path / "a.fits") as file:
        np.testing.assert_array_equal(file.image(next(file.hdus())), NUMBERS * np.float32(0.5) + np.float32(10.0))


def test_junk_of_less_than_a_block_at_the_end_is_passed_over_and_more_is_not(tmp_path):
    fits.PrimaryHDU(NUMBERS.astype(np.int16)).writeto(tmp_path / "a.fits")
    with (tmp_path / "a.fits").open("ab") as file:
        file.write(b"junk")
    with FitsFile(tmp_path / "a.fits") as file:
        assert len(list(file.hdus())) == 1
    with (tmp_path / "a.fits").open("ab") as file:
        file.write(bytes(2880))
    with FitsFile(tmp_path / "a.fits") as file, pytest.raises(BadInput, match="no FITS extension"):
        list(file.hdus())


def test_what_is_no_image_is_refused(tmp_path):
    table = fits.BinTableHDU.from_columns([fits.Column("x", "J", array=np.arange(5))])
    fits.HDUList([fits.PrimaryHDU(), table]).writeto(tmp_path / "a.fits")
    with FitsFile(tmp_path / "a.fits") as file:
        for hdu in file.hdus():
            with pytest.raises(BadInput, match="holds no image"):
                file.image(hdu)


def test_a_file_that_may_not_be_read_or_is_none_is_refused(tmp_path):
    (tmp_path / "folder").mkdir()
    with pytest.raises(BadInput, match="not a file"):
        FitsFile(tmp_path / "folder")
    with pytest.raises(BadInput, match="cannot be opened"):
        FitsFile("name\0with zero")
    with pytest.raises(NotFound):
        FitsFile(tmp_path / "nothing")


def test_a_file_that_nobody_closed_is_closed_with_its_last_user(tmp_path):
    fits.PrimaryHDU().writeto(tmp_path / "a.fits")
    gc.collect()
    before = len(os.listdir("/proc/self/fd"))  # noqa: PTH208  # a folder that changes while it is listed
    for _ in range(20):
        FitsFile(tmp_path / "a.fits")
    gc.collect()
    assert len(os.listdir("/proc/self/fd")) <= before + 1  # noqa: PTH208
