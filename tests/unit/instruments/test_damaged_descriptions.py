"""Damaged descriptions and headers: an error that names what is wrong, or a description that can be used; nothing else."""

from __future__ import annotations

import datetime as dt
import math
import random
from importlib import resources
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from roque.errors import BadInput
from roque.instruments import cameras
from roque.instruments.camera import read_camera
from roque.instruments.explain import readings, trials
from roque.instruments.rules import parse_iso
from roque.spool.exposure import describe

FOLDER = resources.files("roque.instruments") / "cameras"
TEXTS = {file.name: file.read_bytes() for file in sorted(FOLDER.iterdir(), key=lambda f: f.name) if file.name.endswith(".toml")}
KNOWN = cameras()
DESCRIBED = {name: camera for name, camera in KNOWN.items() if camera.header is not None}
SEED = 5
PIECES = [b"[", b"]]", b'"', b"\\", b"= 1\n", b"(?P<", b"{}", b"nan", b"-1e999", b"[[ccd]]\n", b"'''"]
TRICKY = ["2021-02-03T04:05:06.5", "12:30:00", "[5:6,7:8], enabled", "2 2", "0", "1e400", "-1", "OPEN", "bias", "9999-12-31"]


def refusal(function, *arguments):
    """The error with which something is refused, or None; any other exception goes on."""
    try:
        function(*arguments)
    except BadInput as error:
        return error
    return None


def mutant(rng):
    name = rng.choice(sorted(TEXTS))
    text = bytearray(TEXTS[name])
    for _ in range(rng.randint(1, 6)):
        kind, at = rng.random(), rng.randrange(len(text))
        if kind < 0.4:
            text[at] = rng.randrange(256)
        elif kind < 0.6:
            del text[at : at + rng.randint(1, 40)]
        elif kind < 0.8:
            text[at:at] = rng.choice(
                [b"[", b"]]", b'"', b"\\", b"= 1\n", b"(?P<", b"{}", b"nan", b"-1e999", b"[[ccd]]\n", b"'''"]
            )
        else:
            lines = text.split(b"\n")
            rng.shuffle(lines)
            text = bytearray(b"\n".join(lines))
        if not text:
            text = bytearray(b" ")
    return name, bytes(text)


def test_mutants_of_descriptions_are_read_or_refused_by_name():
    rng = random.Random(SEED)
    refused = 0
    for number in range(1500):
        name, text = mutant(rng)
        error = refusal(read_camera, text, name)
        if error is None:
            readings({"EXPTIME": 1.0, "DATE-OBS": "2020-01-01"}, read_camera(text, name))
            continue
        refused += 1
        assert error.file == name, (SEED, number)
        assert error.remedy, (SEED, number)
    assert 500 < refused < 1500


VALUES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(10**25), 10**25),
    st.floats(allow_nan=True),
    st.text(max_size=40),
    st.lists(st.text(max_size=5), max_size=2),
    st.sampled_from(TRICKY),
)
RULES = [rule for camera in DESCRIBED.values() for rule in (camera.header.time.value, camera.header.filter, camera.header.llx)]
RULES += [rule for camera in DESCRIBED.values() for rule in (camera.header.exposure, camera.header.xbin, camera.header.gain)]
KEYWORDS = sorted({keyword for rule in RULES for keyword in rule.keywords} | {"OBJECT", "OBSTYPE", "SATURATE", "CCDXIMSI"})


@settings(max_examples=400, deadline=None)
@given(st.sampled_from(sorted(DESCRIBED)), st.dictionaries(st.sampled_from(KEYWORDS), VALUES, max_size=20))
def test_any_header_is_described_or_refused_by_name(name, header):
    camera = DESCRIBED[name]
    trials(header, KNOWN)
    readings(header, camera)
    set_ = camera.as_in(header)
    assert all(d.gain > 0 and math.isfinite(d.gain) and d.saturation > 0 for d in set_.detectors.values())
    path = Path("/data/2021-02-03/a.fits")
    error = refusal(describe, header, (40, 60), path, camera)
    if error is not None:
        assert error.file == str(path)
        assert error.place is None or error.place.startswith("keyword ")
        return
    exposure = describe(header, (40, 60), path, camera)
    assert 0.0 <= exposure.mjd_frac < 1.0
    assert exposure.geometry.nx == 60
    assert math.isfinite(exposure.exposure)


@settings(max_examples=300, deadline=None)
@given(st.datetimes(min_value=dt.datetime(1900, 1, 1), max_value=dt.datetime(2200, 1, 1)), st.integers(-840, 840))
def test_a_date_and_time_with_an_offset_is_the_same_instant(when, minutes):
    sign = "-" if minutes < 0 else "+"
    text = f"{when:%Y-%m-%dT%H:%M:%S}.{when.microsecond:06d}{sign}{abs(minutes) // 60:02d}:{abs(minutes) % 60:02d}"
    day, seconds = parse_iso(text)
    expected = when - dt.timedelta(minutes=minutes) - dt.datetime(1858, 11, 17)
    assert abs(dt.timedelta(days=day, seconds=seconds) - expected) < dt.timedelta(microseconds=2)
