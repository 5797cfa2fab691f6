"""Our reader of headers against astropy's, and against damage."""

from __future__ import annotations

import json
import warnings

import numpy as np
import pytest
from astropy.io import fits
from astropy.io.fits.verify import VerifyWarning

from roque.errors import BadInput
from roque.frames.cards import format_header, parse_header, read_header


def reader(data: bytes):
    return lambda offset, size: data[offset : offset + size]


def cards(*lines: str) -> bytes:
    return "".join(line.ljust(80) for line in lines).encode("latin-1")


def test_values_are_those_that_astropy_reads(golden):
    raw = (golden / "hatp32" / "raw" / "HATP-32171220013343.FITS.fz").read_bytes()
    start = raw.index(b"XTENSION")
    block = read_header(reader(b"SIMPLE  =" + b" " * 71 + raw[start:]))
    with fits.open(golden / "hatp32" / "raw" / "HATP-32171220013343.FITS.fz", disable_image_compression=True) as hdus:
        theirs = hdus[1].header
        for keyword in theirs:
            if keyword not in {"", "COMMENT", "XTENSION"}:
                assert block.header[keyword] == theirs[keyword], keyword


@pytest.mark.parametrize(
    ("card", "value"),
    [
        ("X       =                    T / logical", True),
        ("X       = F", False),
        ("X       =                  -42 / whole", -42),
        ("X       = +42", 42),
        ("X       = 060.00 / free format", 60.0),
        ("X       = 1.5D3", 1500.0),
        ("X       = .5", 0.5),
        ("X       = 5.", 5.0),
        ("X       = 'it''s / fine'  / comment", "it's / fine"),
        ("X       = '  keeps leading blanks  '", "  keeps leading blanks"),
        ("X       = ''", ""),
        ("X       =", None),
        ("X       = / nothing", None),
        ("X       = 2017-12-20", "2017-12-20"),
        ("X       = 1e999", "1e999"),
        ("X       = nan", "nan"),
        ("X       = 'a\x07b'", "a?b"),
    ],
)
def test_each_kind_of_value_is_read(card, value):
    found = parse_header(cards(card)).header["X"]
    assert found == value
    assert type(found) is type(value)


def test_hierarch_names_lose_the_word_and_keep_their_case(tmp_path):
    block = parse_header(cards("HIERARCH ESO DET READ CURNAME = 'OneWindow' / mode", "HIERARCH ESO DET NX=5"))
    assert block.header == {"ESO DET READ CURNAME": "OneWindow", "ESO DET NX": 5}


def test_comments_and_history_are_kept_line_by_line_even_with_an_equals_sign():
    block = parse_header(cards("COMMENT one", "HISTORY = two", "COMMENT = 'three'", "        blank"))
    assert block.header == {"COMMENT": ["one", "= 'three'"], "HISTORY": ["= two"]}


def test_continued_strings_are_joined():
    block = parse_header(cards("LONG    = 'first &'", "CONTINUE  'second &'", "CONTINUE  'third'"))
    assert block.header == {"LONG": "first second third"}


def test_a_keyword_repeated_with_the_same_value_is_harmless_and_with_another_is_reported():
    block = parse_header(cards("A       = 1", "A       = 1", "B       = 2", "B       = 3"))
    assert block.header == {"A": 1, "B": 2}
    assert block.repeated == {"B": 240}


def test_a_string_without_end_names_keyword_and_byte():
    with pytest.raises(BadInput, match="OBJECT") as error:
        parse_header(cards("A       = 1", "OBJECT  = 'no end"), file="run.fits", offset=5760)
    assert error.value.place == "byte 5840"
    assert error.value.file == "run.fits"


@pytest.mark.parametrize("data", [b"", b"not FITS at all" * 300, b"\0" * 9000, b"XTENSION= 'IMAGE'".ljust(2880)])
def test_what_is_not_fits_is_said_to_be_so(data):
    with pytest.raises(BadInput, match="not a FITS file") as error:
        read_header(reader(data), file="x.fits")
    assert error.value.remedy


def test_a_header_without_end_is_not_searched_for_ever():
    asked = []

    def endless(offset, size):
        asked.append(size)
        return (b"SIMPLE  =                    T".ljust(80) + b" " * size)[:size] if offset == 0 else b" " * size

    with pytest.raises(BadInput, match="no END card"):
        read_header(endless)
    assert sum(asked) < 8 << 20


def test_a_header_cut_short_says_where():
    data = cards("SIMPLE  = T", "BITPIX  = 16").ljust(2880)
    with pytest.raises(BadInput, match="no END card") as error:
        read_header(reader(data))
    assert error.value.place == "byte 2880"


def test_a_header_of_thousands_of_cards_is_read_whole():
    lines = [f"HIERARCH ESO DET THING{i} VALUE = {i}.5 / what it is" for i in range(5000)]
    data = cards("SIMPLE  = T", *lines, "END")
    block = read_header(reader(data.ljust(-(-len(data) // 2880) * 2880)))
    assert len(block.header) == 5001
    assert block.header["ESO DET THING4999 VALUE"] == 4999.5
    assert block.size == -(-len(data) // 2880) * 2880


def test_what_is_written_is_read_again_by_us_and_by_astropy():
    header = {
        "SIMPLE": True,
        "BITPIX": 8,
        "NAXIS": 0,
        "WHOLE": -7,
        "REAL": 0.1 + 0.2,
        "TINY": 1e-300,
        "NUMPY": np.float64(2.5),
        "FLAG": np.bool_(True),
        "TEXT": "it's",
        "EMPTY": "",
        "LONG": "quotes ' and more " * 12 + "end",
        "ESO DET WIN1 NX": 50,
        "ESO DET NAME": "it's",
        "NOTHING": None,
        "COMMENT": ["one", "two" * 40],
        "HISTORY": ["done"],
    }
    data = format_header(header)
    assert len(data) % 2880 == 0
    block = read_header(reader(data))
    comments = block.header.pop("COMMENT")
    assert comments == ["one", ("two" * 40)[:72], ("two" * 40)[72:]]
    assert block.header == {k: v for k, v in header.items() if k != "COMMENT"}
    assert block.repeated == {}
    theirs = fits.Header.fromstring(data.decode())
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", VerifyWarning)
        assert all(theirs[k] == v for k, v in header.items() if k not in {"COMMENT", "HISTORY", "NOTHING"})


def test_numbers_that_fits_cannot_write_become_undefined():
    assert parse_header(format_header({"X": float("nan"), "Y": float("inf")})[:160]).header == {"X": None, "Y": None}


def test_headers_can_be_kept_as_json(golden_runs):
    block = read_header(reader((golden_runs / "run0004.fits").read_bytes()[:28800]))
    assert json.loads(json.dumps(block.header, allow_nan=False)) == block.header
