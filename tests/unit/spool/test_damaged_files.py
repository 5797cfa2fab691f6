"""Damaged files: whatever happens to the bytes, the answer is pixels or a `BadInput`, soon and in little memory."""

from __future__ import annotations

import gzip
import time
import tracemalloc
from contextlib import suppress

import numpy as np
import pytest

from roque.errors import BadInput
from roque.instruments import cameras
from roque.spool import data_source, inspect, unpack

SEEDS = range(40)


def mutate(data: bytes, rng: np.random.Generator) -> bytes:
    """Cut, flip bytes, change digits of the header, blank a block, or take bytes out."""
    kind = rng.integers(5)
    changed = bytearray(data)
    if kind == 0:
        return data[: rng.integers(len(data))]
    if kind == 1:
        for at in rng.integers(0, len(data), rng.integers(1, 20)):
            changed[at] ^= 1 << rng.integers(8)
    elif kind == 2:
        digits = [i for i in range(min(len(data), 11520)) if chr(data[i]).isdigit()]
        for at in rng.choice(digits, min(len(digits), rng.integers(1, 6))) if digits else ():
            changed[at] = ord(str(rng.integers(10)))
    elif kind == 3:
        at = 2880 * rng.integers(len(data) // 2880 + 1)
        changed[at : at + 2880] = bytes(2880)
    else:
        at = rng.integers(len(data))
        del changed[at : at + rng.integers(1, 5000)]
    return bytes(changed)


@pytest.fixture(scope="module")
def sound(golden, golden_runs):
    """Bytes of a sound file of each kind."""
    run = (golden_runs / "run0008.fits").read_bytes()
    packed = min((golden / "hatp32" / "raw").iterdir())
    return {
        "run.fits": run,
        "run.fits.gz": gzip.compress(run, 1),
        "frame.hcm": (golden_runs / "run0008_001.hcm").read_bytes(),
        "star.fits.fz": packed.read_bytes(),
        "star.fits": unpack(packed, golden_runs).read_bytes(),
    }


def use(path, known, cache):
    """Do all that registration and reduction do with a file."""
    found = inspect(path, known, cache)
    with data_source(found.source, [path], camera=known[found.camera], cache=cache) as source:
        info, times, problems = source.info, source.times(), source.problems
        assert info.name
        assert len(times) == source.available * len(info.windows)
        assert len({*times["frame"].tolist()}) == source.available
        assert all(isinstance(problem, BadInput) for problem in problems)
        for number in {1, source.available} if source.available else ():
            for ccd in source.frame(number).ccds.values():
                for window in ccd.windows.values():
                    assert window.data.shape == (window.geometry.ny, window.geometry.nx)


@pytest.mark.parametrize("name", ["run.fits", "run.fits.gz", "frame.hcm", "star.fits.fz", "star.fits"])
def test_a_damaged_file_is_pixels_or_bad_input(sound, name, tmp_path):
    known = cameras()
    refused, longest = [], 0.0
    for seed in SEEDS:
        path = tmp_path / f"{seed:03d}{name}"
        path.write_bytes(mutate(sound[name], np.random.default_rng([seed, len(name)])))
        start = time.perf_counter()
        try:
            use(path, known, tmp_path / "cache")
        except BadInput as error:
            refused.append((str(path), error))
        longest = max(longest, time.perf_counter() - start)
    assert all(error.file == path and error.message and error.place for path, error in refused)
    assert 1 <= len(refused) <= len(SEEDS)
    assert longest < 2.0


@pytest.mark.parametrize("name", ["run.fits", "frame.hcm", "star.fits.fz", "star.fits"])
def test_a_header_that_claims_terabytes_costs_no_memory(sound, name, tmp_path):
    data = sound[name]
    for keyword in (b"NAXIS1  =", b"NAXIS3  =", b"ZNAXIS2 =", b"PCOUNT  ="):
        at = data.find(keyword)
        if at >= 0:
            path = tmp_path / f"{keyword[:7].decode().strip()}{name}"
            path.write_bytes(data[:at] + (keyword + b"        999999999999").ljust(80) + data[at + 80 :])
            tracemalloc.start()
            start = time.perf_counter()
            with suppress(BadInput):
                use(path, cameras(), tmp_path / "cache")
            assert tracemalloc.get_traced_memory()[1] < 64 << 20
            assert time.perf_counter() - start < 2.0
            tracemalloc.stop()
