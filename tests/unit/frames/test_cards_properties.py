"""Headers of any content: what is written is read again, and any bytes are a header of plain values or `BadInput`."""

from __future__ import annotations

import json
import math

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from roque.errors import BadInput
from roque.frames.cards import BLOCK, format_header, parse_header, read_header
from tests.support.damage import check_told

SPECIAL = {"COMMENT", "HISTORY", "END", "CONTINUE", "HIERARCH"}
SHORT = st.from_regex(r"\A[A-Z][A-Z0-9_-]{0,7}\Z").filter(lambda word: word not in SPECIAL)
LONG = st.from_regex(r"\AESO( [A-Z][A-Z0-9]{0,7}){2,4}\Z")
PRINTED = st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=150)
NUMBERS = st.booleans() | st.integers(-(10**18), 10**18) | st.floats(allow_nan=False, allow_infinity=False) | st.none()
JUNK = st.binary(max_size=80).map(lambda card: card.ljust(80))
KEYED = st.tuples(st.from_regex(rb"\A[A-Z]{1,8}\Z"), st.binary(max_size=70)).map(lambda card: b"%-8b= %-70b" % card)


def reader(data):
    return lambda offset, size: data[offset : offset + size]


@given(st.dictionaries(SHORT, NUMBERS | PRINTED, max_size=12), st.dictionaries(LONG, NUMBERS, max_size=4))
@settings(max_examples=150, deadline=None)
@example({"A": "it's '' & "}, {})
@example({"A": "x" * 67 + "'" * 80}, {})
def test_what_is_written_is_read_again(short, long):
    data = format_header({"SIMPLE": True} | short | long)
    assert len(data) % BLOCK == 0
    block = read_header(reader(data + b"pixels"))
    assert block.size == len(data)
    assert block.repeated == {}
    written = {"SIMPLE": True} | short | long
    expected = {key: value.rstrip() if isinstance(value, str) else value for key, value in written.items()}
    assert block.header == expected
    assert [type(value) for value in block.header.values()] == [type(value) for value in expected.values()]


@given(st.lists(JUNK | KEYED, max_size=20).map(b"".join))
@settings(max_examples=400, deadline=None)
def test_any_cards_are_plain_values_or_bad_input(cards):
    try:
        header = parse_header(cards, file="a.fits").header
    except BadInput as error:
        check_told(error, "a.fits")
        return
    json.dumps(header, allow_nan=False)
    for key, value in header.items():
        assert key.isprintable()
        assert not isinstance(value, float) or math.isfinite(value)
        assert not isinstance(value, str) or value.isprintable()


@given(st.binary(max_size=200), st.integers(0, 3 * BLOCK))
@settings(max_examples=200, deadline=None)
def test_a_header_damaged_or_cut_anywhere_is_read_or_named(junk, at):
    data = bytearray(format_header({"SIMPLE": True} | {f"K{i}": i for i in range(70)}))
    whole = bytes(data)
    data[at : at + len(junk)] = junk
    for damaged in (bytes(data), whole[:at]):
        try:
            block = read_header(reader(damaged), file="a.fits")
        except BadInput as error:
            check_told(error, "a.fits")
        else:
            assert block.size <= -(-len(damaged) // BLOCK) * BLOCK


@pytest.mark.parametrize("digits", [5, 30, 60])
def test_a_whole_number_of_any_length_is_read_exactly(digits):
    number = int("7" * digits)
    assert parse_header(f"X       = {number}".ljust(80).encode()).header == {"X": number}
