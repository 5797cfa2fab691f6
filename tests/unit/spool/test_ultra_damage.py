"""Damaged files of ULTRACAM and ULTRASPEC: whatever happens to the bytes, the answer is frames or a `BadInput`, and soon."""

from __future__ import annotations

import re
import shutil
import time
from contextlib import suppress

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from roque.errors import BadInput, Blemish, NoData, NotFound
from roque.instruments import cameras
from roque.instruments.ultra import UltraHeader
from roque.instruments.ultra_modes import ultra_read_out
from roque.instruments.ultracam import MODES as ULTRACAM_MODES
from roque.instruments.ultraspec import MODES as ULTRASPEC_MODES
from roque.spool import data_source, inspect
from roque.spool._ultra_decode import warm_plain_words
from roque.spool.ultra_xml import parse_ultra_xml
from tests.support.ultra import ULTRACAM, ULTRASPEC, pairs, spec_windows

KNOWN = cameras()
ALL = {**ULTRACAM, **ULTRASPEC, **pairs((41, 561, 181, 24, 16)), **spec_windows((109, 209, 24, 16))}
NAMES = ("run002", "run003", "run005", "run007", "run009")
MUTANTS = 40
"""Of each run: 200 in all."""


def mutate_text(text: str, rng: np.random.Generator) -> bytes:
    """Cut, change digits, take an element out, swap values, or flip bytes."""
    kind = rng.integers(5)
    data = bytearray(text.encode())
    if kind == 0:
        return bytes(data[: rng.integers(len(data))])
    if kind == 1:
        digits = [i for i, byte in enumerate(data) if chr(byte).isdigit()]
        for at in rng.choice(digits, rng.integers(1, 6)):
            data[at] = ord("-0123456789."[rng.integers(12)])
    elif kind == 2:
        elements = list(re.finditer(r"<\w[^<]*?/>|<(\w+)>[^<]*</\1>", text))
        gone = elements[rng.integers(len(elements))]
        return (text[: gone.start()] + text[gone.end() :]).encode()
    elif kind == 3:
        values = re.findall(r'value="[^"]*"', text) or ["0", "1"]
        one, two = values[rng.integers(len(values))], values[rng.integers(len(values))]
        return text.replace(one, "\0").replace(two, one).replace("\0", two).encode()
    else:
        for at in rng.integers(0, len(data), rng.integers(1, 10)):
            data[at] ^= 1 << rng.integers(8)
    return bytes(data)


def mutate_frames(data: bytes, rng: np.random.Generator) -> bytes:
    """Cut, flip bytes, blank a block, take bytes out or put some in."""
    kind = rng.integers(5)
    changed = bytearray(data)
    at = int(rng.integers(len(data)))
    if kind == 0:
        return data[:at]
    if kind == 1:
        for place in rng.integers(0, len(data), rng.integers(1, 200)):
            changed[place] ^= 1 << rng.integers(8)
    elif kind == 2:
        changed[at : at + 20_000] = bytes(len(changed[at : at + 20_000]))
    elif kind == 3:
        del changed[at : at + rng.integers(1, 5000)]
    else:
        changed[at:at] = rng.bytes(int(rng.integers(1, 5000)))
    return bytes(changed)


def use(path, cache):
    """Do all that registration and reduction do with a run."""
    found = inspect(path, KNOWN, cache)
    with data_source("ul", list(found.files), camera=KNOWN[found.camera], cache=cache) as source:
        info, times, problems = source.info, source.times(), source.problems
        assert info.name
        assert len(times) == source.available * len(info.windows)
        assert np.isfinite(times["mjd_frac"]).all()
        assert np.isfinite(times["exposure"]).all()
        assert all(isinstance(problem, BadInput) and problem.message and problem.place for problem in problems)
        for number in {1, source.available} if source.available else ():
            for frame in (source.frame(number), source.load(number)):
                for ccd in frame.ccds.values():
                    for window in ccd.windows.values():
                        assert window.data.shape == (window.geometry.ny, window.geometry.nx)
        with suppress(BadInput):  # cut short, or no data
            for _ in source:
                pass
        return source.available


@pytest.mark.parametrize("name", NAMES)
def test_a_damaged_run_is_frames_or_bad_input(golden, tmp_path, name):
    text = (golden / "ultracam" / f"{name}.xml").read_text()
    data = (golden / "ultracam" / f"{name}.dat").read_bytes()
    warm_plain_words()
    refused, read, longest = [], 0, 0.0
    for seed in range(MUTANTS):
        rng = np.random.default_rng([seed, len(text), len(data)])
        place = tmp_path / f"{seed:03d}"
        place.mkdir()
        in_text = seed % 2 == 0 or not data
        (place / f"{name}.xml").write_bytes(mutate_text(text, rng) if in_text else text.encode())
        (place / f"{name}.dat").write_bytes(data if in_text else mutate_frames(data, rng))
        start = time.process_time()
        try:
            use(place / f"{name}.xml", tmp_path / "cache")
            read += 1
        except BadInput as error:
            refused.append((place, error))
        longest = max(longest, time.process_time() - start)
        shutil.rmtree(place)
    assert all(str(place) in error.file and error.message and error.place and error.remedy for place, error in refused)
    assert len(refused) >= 5
    assert read >= 5
    assert longest < 2.0


VALUES = st.one_of(
    st.integers(-(10**12), 10**12).map(str),
    st.floats().map(str),
    st.text(max_size=12),
    st.sampled_from(["0", "1", "", "1e400"]),
)


@given(
    application=st.sampled_from(sorted({**ULTRACAM_MODES, **ULTRASPEC_MODES})),
    instrument=st.sampled_from(["Ultracam", "ULTRASPEC"]),
    changes=st.dictionaries(st.sampled_from(sorted({**ALL, "NBLUE": 1})), VALUES, max_size=4),
    frame=st.one_of(VALUES, st.sampled_from(["4640", "1568", "800"])),
    words=st.one_of(VALUES, st.sampled_from(["16", "12", "14"])),
    user=st.none() | st.dictionaries(st.sampled_from(["target", "revision", "flags"]), st.text(min_size=1, max_size=9)),
)
@settings(max_examples=400, deadline=None)
def test_any_parameters_are_a_read_out_or_bad_input(application, instrument, changes, frame, words, user):
    parameters = {k: str(v) for k, v in ALL.items()} | changes
    header = UltraHeader("run012.xml", frame, words, instrument, application, parameters, user)
    try:
        setup = ultra_read_out(header)
    except BadInput:
        return
    # whatever is let through has its windows inside its frame
    for window in setup.windows:
        for part in window.parts:
            rows, columns = (window.geometry.ny - 1) * part.row_step, (part.nx - 1) * part.column_step
            reached = [part.start + j + i for j in (0, rows) for i in (0, columns)]
            assert setup.header_words <= min(reached) <= max(reached) < setup.frame_bytes // 2


@given(st.binary(max_size=300) | st.text(max_size=300).map(lambda text: f"<a>{text}</a>".encode("utf-8", "replace")))
@settings(max_examples=200, deadline=None)
def test_any_bytes_are_a_header_or_bad_input(data):
    with pytest.raises(BadInput) as error:
        parse_ultra_xml(data, "run012.xml")
    assert (error.value.file, bool(error.value.place), bool(error.value.remedy)) == ("run012.xml", True, True)


@pytest.mark.parametrize("cut", [0, 1, 31, 32, 33, 18463, 18464, 18464 + 31, 2 * 18464 - 1, 20 * 18464 - 1])
def test_a_run_may_be_cut_anywhere(golden, tmp_path, cut):
    shutil.copyfile(golden / "ultracam" / "run005.xml", tmp_path / "run005.xml")
    (tmp_path / "run005.dat").write_bytes((golden / "ultracam" / "run005.dat").read_bytes()[:cut])
    whole, rest = divmod(cut, 18464)
    with data_source("ul", tmp_path / "run005") as source:
        assert (source.available, source.timed) == (whole, whole + (rest >= 32))
        for number in range(1, whole + 1):
            source.frame(number)
        with pytest.raises((BadInput, NotFound)) as error:
            source.frame(whole + 1)
        assert isinstance(error.value, BadInput) == (rest >= 32)
        lost = [p.place for p in source.problems if not isinstance(p, Blemish)]
        assert lost == ([f"byte {cut}"] if rest or not cut else [])
        seen = []
        if rest >= 32:  # the time stamp is there, the pixels are not: an error, not the end
            with pytest.raises(BadInput, match=f"cut short inside frame {whole + 1}"):
                seen.extend(frame.number for frame in source)
        else:
            seen.extend(frame.number for frame in source)
            assert seen == list(range(1, whole + 1))


def test_a_run_without_data_costs_nothing_and_never_pretends(golden, tmp_path):
    shutil.copyfile(golden / "ultracam" / "run009.xml", tmp_path / "run009.xml")
    (tmp_path / "run009.dat").write_bytes(b"left over")
    with data_source("ul", tmp_path / "run009") as source:
        assert source.refresh() == 0
        with pytest.raises(NoData):
            source.exposures()


def test_a_long_run_of_zeros_is_told_soon(golden, tmp_path):
    shutil.copyfile(golden / "ultracam" / "run005.xml", tmp_path / "run005.xml")
    with (tmp_path / "run005.dat").open("wb") as file:
        file.truncate(20_000 * 18464)  # holes: zeros that take no room
    start = time.perf_counter()
    with data_source("ul", tmp_path / "run005") as source:
        assert source.available == 20_000
        with pytest.raises(BadInput, match="the night cannot be told"):
            _ = source.info
        assert [p.place for p in source.problems] == ["frames 1 to 20000"] * 2  # numbers and stamps of zeros
    assert time.perf_counter() - start < 2.0
