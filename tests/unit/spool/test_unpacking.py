"""Compressed files: every pixel and card as before, bombs refused, caches bounded and shared."""

from __future__ import annotations

import gzip
import os
import time
import tracemalloc
import zlib

import numpy as np
import pytest
from astropy.io import fits

from roque.errors import BadInput, NotFound, Transient
from roque.frames.images import FitsFile
from roque.spool import unpack


def pixels(path):
    with FitsFile(path) as file:
        return [file.image(hdu) for hdu in file.hdus() if hdu.shape]


def pack(path, data, **options):
    hdus = fits.HDUList([fits.PrimaryHDU(), fits.CompImageHDU(data, fits.Header({"OBJECT": "x"}), **options)])
    hdus.writeto(path)
    with fits.open(path) as packed:
        return packed[1].data.copy()


RNG = np.random.default_rng(7)
SKY = RNG.normal(350, 3, (60, 130))
WILD = RNG.integers(-(2**31), 2**31, (13, 17))
IMAGES = {
    "int16": SKY.astype(np.int16),
    "uint16": (SKY + 40000).astype(np.uint16),
    "uint8": np.clip(SKY - 250, 0, 255).astype(np.uint8),
    "int32": (SKY * 1000).astype(np.int32),
    "wild int32": WILD.astype(np.int32),
    "wild int16": WILD.astype(np.int16),
    "constant": np.full((9, 50), 17, np.int16),
    "cube": RNG.integers(0, 100, (3, 10, 12)).astype(np.int16),
}


@pytest.mark.parametrize("method", ["RICE_1", "GZIP_1", "GZIP_2"])
@pytest.mark.parametrize("name", IMAGES)
def test_whole_numbers_are_unpacked_exactly(tmp_path, name, method):
    data = IMAGES[name]
    packed = pack(tmp_path / "a.fits.fz", data, compression_type=method)
    np.testing.assert_array_equal(packed, data)
    (found,) = pixels(unpack(tmp_path / "a.fits.fz", tmp_path / "cache"))
    np.testing.assert_array_equal(found, data.astype(np.float32))


@pytest.mark.parametrize("shape", [(60, 130), (7, 130), (16, 32), (1, 50)])
def test_tiles_of_any_shape_are_put_together(tmp_path, shape):
    pack(tmp_path / "a.fits.fz", IMAGES["int16"], compression_type="RICE_1", tile_shape=shape)
    (found,) = pixels(unpack(tmp_path / "a.fits.fz", tmp_path / "cache"))
    np.testing.assert_array_equal(found, IMAGES["int16"].astype(np.float32))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("dither", [-1, 1, 2])
@pytest.mark.parametrize("method", ["RICE_1", "GZIP_2"])
def test_quantised_floats_equal_those_that_astropy_restores(tmp_path, dtype, dither, method):
    data = SKY.astype(dtype)
    data[3, 4], data[5, 6] = np.nan, 0.0
    data[8] = 5.0  # a row that cannot be quantised is kept in another column
    expected = pack(
        tmp_path / "a.fits.fz", data, compression_type=method, quantize_level=16, quantize_method=dither, dither_seed=1234
    )
    (found,) = pixels(unpack(tmp_path / "a.fits.fz", tmp_path / "cache"))
    np.testing.assert_allclose(found, expected, rtol=1e-6, atol=0)


@pytest.mark.parametrize("method", ["GZIP_1", "GZIP_2"])
def test_floats_that_were_kept_exactly_are(tmp_path, method):
    data = SKY.astype(np.float32)
    pack(tmp_path / "a.fits.fz", data, compression_type=method, quantize_level=0)
    (found,) = pixels(unpack(tmp_path / "a.fits.fz", tmp_path / "cache"))
    np.testing.assert_array_equal(found, data)


def test_methods_that_are_not_read_say_how_to_go_on(tmp_path):
    pack(tmp_path / "a.fits.fz", IMAGES["int16"], compression_type="HCOMPRESS_1", tile_shape=(16, 130))
    with pytest.raises(BadInput, match="HCOMPRESS_1, which is not read") as error:
        unpack(tmp_path / "a.fits.fz", tmp_path / "cache")
    assert "funpack" in error.value.remedy


def test_an_image_that_was_first_in_its_file_is_so_again_with_every_card(golden, tmp_path):
    path = min((golden / "hatp32" / "raw").iterdir())
    plain = unpack(path, tmp_path / "cache")
    with fits.open(plain, checksum=True) as found, fits.open(path) as packed:
        assert len(found) == 1
        np.testing.assert_array_equal(found[0].data, packed[1].data)
        cards = [str(card) for card in found[0].header.cards]
        raw = path.read_bytes()
        own = [raw[i : i + 80].decode("latin-1").rstrip() for i in range(0, 17280, 80)]
        kept = [card for card in own if card.startswith(("EXPTIME", "UT-OBS", "COMMENT", "MJD-OBS", "CITY"))]
        assert len(kept) == 5
        assert all(any(card.rstrip() == keep for card in cards) for keep in kept)


def test_other_parts_of_the_file_stay_as_they_are(tmp_path):
    table = fits.BinTableHDU.from_columns([fits.Column("x", "J", array=np.arange(5))])
    image = fits.CompImageHDU(IMAGES["int16"], name="SCI")
    fits.HDUList([fits.PrimaryHDU(header=fits.Header({"TELID": "2m0a"})), image, table]).writeto(tmp_path / "a.fits.fz")
    with fits.open(unpack(tmp_path / "a.fits.fz", tmp_path / "cache"), checksum=True) as found:
        assert found[0].header["TELID"] == "2m0a"
        assert found[1].header["EXTNAME"] == "SCI"
        np.testing.assert_array_equal(found["SCI"].data, IMAGES["int16"])
        np.testing.assert_array_equal(found[2].data["x"], np.arange(5))


PLAIN = b"SIMPLE  =                    T" + bytes(range(256)) * 9000


@pytest.mark.parametrize(
    "packed",
    [
        gzip.compress(PLAIN),
        gzip.compress(PLAIN[:1000]) + gzip.compress(PLAIN[1000:]),
        gzip.compress(PLAIN) + bytes(1000),
        gzip.compress(PLAIN, 0),
    ],
)
def test_a_gz_file_is_inflated_members_and_padding_and_all(tmp_path, packed):
    (tmp_path / "a.fits.gz").write_bytes(packed)
    assert unpack(tmp_path / "a.fits.gz", tmp_path / "cache").read_bytes() == PLAIN


def test_a_plain_file_is_given_back_as_it_is(tmp_path):
    (tmp_path / "a.fits").write_bytes(PLAIN)
    assert unpack(tmp_path / "a.fits", tmp_path / "cache") == tmp_path / "a.fits"
    assert not (tmp_path / "cache").exists()


def test_a_file_is_unpacked_once_and_anew_when_it_changes(tmp_path):
    path, cache = tmp_path / "a.fits.gz", tmp_path / "cache"
    path.write_bytes(gzip.compress(PLAIN))
    first = unpack(path, cache)
    inode = first.stat().st_ino
    assert unpack(path, cache) == first
    assert first.stat().st_ino == inode
    path.write_bytes(gzip.compress(PLAIN + b"more"))
    second = unpack(path, cache)
    assert second != first
    assert second.read_bytes() == PLAIN + b"more"


@pytest.mark.parametrize("cut", [1, 5, 9, 500])
def test_a_gz_file_cut_short_leaves_nothing_in_the_cache(tmp_path, cut):
    data = gzip.compress(PLAIN)
    (tmp_path / "a.fits.gz").write_bytes(data[:-cut])
    with pytest.raises(BadInput, match="cut short"):
        unpack(tmp_path / "a.fits.gz", tmp_path / "cache")
    assert list((tmp_path / "cache").iterdir()) == []


def test_a_gz_file_with_a_flipped_bit_is_refused(tmp_path):
    data = bytearray(gzip.compress(os.urandom(50000)))
    data[25000] ^= 1
    (tmp_path / "a.fits.gz").write_bytes(data)
    with pytest.raises(BadInput, match="damaged compressed data"):
        unpack(tmp_path / "a.fits.gz", tmp_path / "cache")


def bomb(path, size):
    engine = zlib.compressobj(9, zlib.DEFLATED, 31)
    zeros = bytes(1 << 20)
    path.write_bytes(b"".join([*(engine.compress(zeros) for _ in range(size >> 20)), engine.flush()]))


def test_a_bomb_is_refused_soon_and_in_little_memory(tmp_path):
    bomb(tmp_path / "a.fits.gz", 400 << 20)
    tracemalloc.start()
    start = time.perf_counter()
    with pytest.raises(BadInput, match="unpacks to more than"):
        unpack(tmp_path / "a.fits.gz", tmp_path / "cache")
    assert time.perf_counter() - start < 2.0
    assert tracemalloc.get_traced_memory()[1] < 32 << 20
    tracemalloc.stop()
    assert list((tmp_path / "cache").iterdir()) == []


def test_a_cap_holds_for_both_ways_of_packing(tmp_path):
    (tmp_path / "a.fits.gz").write_bytes(gzip.compress(PLAIN))
    pack(tmp_path / "b.fits.fz", IMAGES["int16"])
    for name in ("a.fits.gz", "b.fits.fz"):
        with pytest.raises(BadInput):
            unpack(tmp_path / name, tmp_path / "cache", cap=10000)


def test_an_image_of_a_trillion_pixels_is_refused_before_it_is_touched(tmp_path):
    pack(tmp_path / "a.fits.fz", IMAGES["int16"])
    data = (tmp_path / "a.fits.fz").read_bytes()
    wide = data.replace(b"ZNAXIS1 =                  130", b"ZNAXIS1 =        1000000000000")
    assert wide != data
    (tmp_path / "a.fits.fz").write_bytes(wide)
    with pytest.raises(BadInput, match="more than"):
        unpack(tmp_path / "a.fits.fz", tmp_path / "cache")


def test_the_cache_forgets_what_was_not_used_for_longest(tmp_path):
    cache = tmp_path / "cache"
    made = {}
    for i, name in enumerate("abc"):
        path = tmp_path / f"{name}.fits.gz"
        path.write_bytes(gzip.compress(os.urandom(100_000)))
        made[name] = unpack(path, cache, cache_size=250_000) if name != "c" else None
        if made[name]:
            os.utime(made[name], (1000 + i, 1000 + i))
    unpack(tmp_path / "a.fits.gz", cache, cache_size=250_000)  # used again
    last = unpack(tmp_path / "c.fits.gz", cache, cache_size=250_000)
    assert {made["a"], last} == set(cache.iterdir())


def test_a_file_larger_than_the_cache_is_kept_until_the_next(tmp_path):
    path = tmp_path / "a.fits.gz"
    path.write_bytes(gzip.compress(PLAIN))
    assert unpack(path, tmp_path / "cache", cache_size=10).exists()


def test_parts_of_killed_processes_are_removed_in_the_end(tmp_path):
    cache = tmp_path / "cache"
    cache.mkdir()
    (cache / ".old.part").write_bytes(b"half")
    os.utime(cache / ".old.part", (1000, 1000))
    (cache / ".new.part").write_bytes(b"half")
    (tmp_path / "a.fits.gz").write_bytes(gzip.compress(PLAIN))
    unpack(tmp_path / "a.fits.gz", cache)
    assert not (cache / ".old.part").exists()
    assert (cache / ".new.part").exists()


def test_a_cache_that_cannot_be_written_is_the_worlds_fault(tmp_path):
    (tmp_path / "cache").write_text("a file where the folder should be")
    (tmp_path / "a.fits.gz").write_bytes(gzip.compress(PLAIN))
    with pytest.raises(Transient, match="cannot unpack"):
        unpack(tmp_path / "a.fits.gz", tmp_path / "cache")


def test_a_file_that_is_not_there_is_not_found(tmp_path):
    for name in ("a.fits", "a.fits.gz", "a.fits.fz"):
        with pytest.raises(NotFound):
            unpack(tmp_path / name, tmp_path / "cache")


def test_tiles_that_are_not_those_datasum_was_written_for_are_refused(tmp_path):
    hdus = fits.HDUList([fits.PrimaryHDU(), fits.CompImageHDU(IMAGES["int16"], compression_type="RICE_1")])
    hdus.writeto(tmp_path / "a.fits.fz", checksum=True)
    data = bytearray((tmp_path / "a.fits.fz").read_bytes())
    with FitsFile(tmp_path / "a.fits.fz") as file:
        _, table = file.hdus()
    data[table.start + table.nbytes - 20] ^= 1
    (tmp_path / "a.fits.fz").write_bytes(data)
    with pytest.raises(BadInput, match="DATASUM") as error:
        unpack(tmp_path / "a.fits.fz", tmp_path / "cache")
    assert error.value.place == f"byte {table.start}"
    assert list((tmp_path / "cache").iterdir()) == []


@pytest.mark.parametrize(("method", "cut"), [("RICE_1", -9), ("RICE_1", 2), ("GZIP_1", 4), ("GZIP_2", 8)])
def test_a_tile_of_another_size_than_its_pixels_take_is_refused(tmp_path, method, cut):
    pack(tmp_path / "a.fits.fz", IMAGES["int16"], compression_type=method)
    data = bytearray((tmp_path / "a.fits.fz").read_bytes())
    with FitsFile(tmp_path / "a.fits.fz") as file:
        _, table = file.hdus()
    # the first descriptor: so many bytes, from there on
    length = int.from_bytes(data[table.start : table.start + 4], "big")
    data[table.start : table.start + 4] = (length - cut).to_bytes(4, "big")
    (tmp_path / "a.fits.fz").write_bytes(data)
    with pytest.raises(BadInput, match="another size"):
        unpack(tmp_path / "a.fits.fz", tmp_path / "cache")
