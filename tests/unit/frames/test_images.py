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


def with_card(path, keyword, value):
    """Put another value into the last card of a keyword."""
    data = path.read_bytes()
    at = data.rindex(f"{keyword:<8}=".encode())
    path.write_bytes(data[:at] + f"{keyword:<8}= {value:>20}".encode().ljust(80) + data[at + 80 :])


@pytest.mark.parametrize(("keyword", "value"), [("PCOUNT", "4"), ("GCOUNT", "0"), ("GCOUNT", "2"), ("PCOUNT", "T")])
def test_an_image_with_groups_or_a_heap_is_none(tmp_path, keyword, value):
    fits.HDUList([fits.PrimaryHDU(), fits.ImageHDU(NUMBERS.astype(np.int16))]).writeto(tmp_path / "a.fits")
    with_card(tmp_path / "a.fits", keyword, value)
    with FitsFile(tmp_path / "a.fits") as file, pytest.raises(BadInput) as error:
        file.image(file.hdu(2880, 1))
    assert "keyword" in error.value.place


def test_a_last_header_cut_inside_its_first_block_is_no_junk(tmp_path):
    image = fits.ImageHDU(NUMBERS.astype(np.int16))
    fits.HDUList([fits.PrimaryHDU(), image, image]).writeto(tmp_path / "a.fits")
    data = (tmp_path / "a.fits").read_bytes()
    (tmp_path / "a.fits").write_bytes(data[: 3 * 2880 + 200])
    with FitsFile(tmp_path / "a.fits") as file, pytest.raises(BadInput, match="no END card"):
        list(file.hdus())


def test_a_header_changed_after_its_checksum_is_told_without_a_look_at_the_data(tmp_path):
    path = tmp_path / "a.fits"
    fits.HDUList([fits.PrimaryHDU(), fits.ImageHDU(NUMBERS.astype(np.uint16))]).writeto(path, checksum=True)
    with FitsFile(path) as file:
        assert file.altered() == []
    with_card(path, "BZERO", "32769")
    with FitsFile(path) as file:
        (told,) = file.altered()
    assert (told.place, told.code) == ("HDU 1, keyword CHECKSUM", "blemish")
