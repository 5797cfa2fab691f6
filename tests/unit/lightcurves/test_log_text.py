"""Numbers to text and back, against the C library's rules as Python follows them."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from roque.lightcurves._text import BAD_COUNT, BAD_NUMBER, KINDS, format_rows, index_rows, merge_rows, parse_rows


def formatted(values, decimals):
    values = np.array([values], float)
    out = np.empty(26 * values.shape[1] + 8, np.uint8)
    starts = np.empty(2, np.int64)
    label = np.frombuffer(b"c", np.uint8)
    nothing, width = np.zeros((1, 1), np.uint8), np.zeros(1, np.int64)
    fault = format_rows(values, np.full(values.shape[1], decimals), label, nothing, width, out, starts)
    return None if fault >= 0 else out[: starts[1]].tobytes().decode().split()[1:]


def parsed(words, kind="f8"):
    text = np.frombuffer(" ".join([*words, ""]).encode(), np.uint8)
    dtype = np.dtype([(f"c{k}", kind) for k in range(len(words))])
    table = np.empty(1, dtype)
    codes = np.full(len(words), KINDS.index(kind))
    offsets = np.arange(len(words)) * dtype[0].itemsize
    row, fault = parse_rows(text, np.array([0]), np.array([len(text) - 1]), codes, offsets, table.view(np.uint8).reshape(1, -1))
    return fault if row >= 0 else list(table[0].tolist())


@given(st.lists(st.floats(-1e7, 1e7), min_size=1, max_size=20), st.integers(0, 4))
@settings(max_examples=300, deadline=None)
def test_text_is_what_printf_gives(values, decimals):
    assert formatted(values, decimals) == [f"{value:.{decimals}f}" for value in values]


@given(st.integers(-(10**6), 10**6), st.integers(1, 3))
@settings(max_examples=300, deadline=None)
def test_ties_and_their_neighbours_round_as_printf_rounds_them(n, decimals):
    # halves, eighths and the like have exact ties at some decimal; their neighbours in binary do not
    for step in (2, 8, 16, 10, 100, 1000, 10000):
        value = n / step
        near = [value, np.nextafter(value, np.inf), np.nextafter(value, -np.inf)]
        assert formatted(near, decimals) == [f"{v:.{decimals}f}" for v in near]


@given(st.floats(50000.0, 80000.0))
@settings(max_examples=300, deadline=None)
def test_times_survive_fourteen_decimals_bit_for_bit(mjd):
    (word,) = formatted([mjd], 14)
    assert word == f"{mjd:.14f}"
    assert parsed([word]) == [mjd]


@given(st.lists(st.decimals(-99999999, 99999999, places=4, allow_nan=False), min_size=1, max_size=10))
@settings(max_examples=300, deadline=None)
def test_numbers_of_up_to_fifteen_digits_are_read_as_the_nearest_double(numbers):
    words = [f"{number:f}" for number in numbers]
    assert parsed(words) == [float(word) for word in words]


@given(st.floats(1e-12, 1e12))
@settings(max_examples=300, deadline=None)
def test_eight_digits_with_or_without_exponent_are_read_as_the_nearest_double(value):
    for word in (f"{value:.8g}", f"{value:.3e}", f"{value:.7E}"):
        assert parsed([word]) == [float(word)]


def test_nan_infinities_signs_and_zeros():
    assert formatted([np.nan, 0.0, -0.0, -0.04], 1) == ["nan", "0.0", "-0.0", "-0.0"]
    assert formatted([np.inf], 1) is None
    assert formatted([1e18], 4) is None
    read = parsed(["nan", "NaN", "inf", "-inf", "+3", "-0.50", ".5", "7."])
    assert np.isnan(read[:2]).all()
    assert read[2:] == [np.inf, -np.inf, 3.0, -0.5, 0.5, 7.0]
    assert np.allclose(parsed(["12345678901234567890123.5", "1e30"]), [12345678901234567890123.5, 1e30], rtol=1e-15)


def test_integers_and_truth_values_are_read_whole():
    assert parsed(["4294967295", "0"], "u4") == [4294967295, 0]
    assert parsed(["-2147483648", "12"], "i4") == [-2147483648, 12]
    assert parsed(["1", "0"], "?") == [True, False]
    assert parsed(["1.5"], "i4") == BAD_NUMBER
    assert parsed(["nan"], "u4") == BAD_NUMBER


def test_what_is_no_number_is_told():
    for word in ("x", "1.2.3", "1e", "--1", "12a", ".", "nano"):
        assert parsed([word]) == BAD_NUMBER, word


def test_rows_with_too_few_or_too_many_items_are_told():
    for words in (["1", "2"], ["1", "2", "3", "4"]):
        text = np.frombuffer(" ".join([*words, ""]).encode(), np.uint8)
        table = np.empty((1, 24), np.uint8)
        found = parse_rows(
            text, np.array([0]), np.array([len(text) - 1]), np.full(3, KINDS.index("f8")), np.array([0, 8, 16]), table
        )
        assert found == (0, BAD_COUNT)


def test_rows_are_found_among_comments_and_known_by_their_label():
    text = b"# a comment\n1 2.0 3.0\n#\n\n  12 4 \r\n7 1\n1 5\n"
    labels = np.array([b"1", b"12"])
    lengths = np.array([1, 2])
    begins, ends, ccds = index_rows(np.frombuffer(text, np.uint8), 0, labels.view(np.uint8).reshape(2, 2), lengths)
    assert ccds.tolist() == [0, 1, -1, 0]
    assert [text[b:e].split() for b, e in zip(begins, ends, strict=True)] == [[b"2.0", b"3.0"], [b"4"], [b"1"], [b"5"]]


def test_rows_are_merged_in_the_order_asked_for():
    text = np.frombuffer(b"a 1\nb 2\n", np.uint8)
    out = np.empty(12, np.uint8)
    assert merge_rows(text, np.array([4, 0]), np.array([8, 4]), True, out) == 12
    assert out.tobytes() == b"#\nb 2\n#\na 1\n"
    merge_rows(text, np.array([4, 0]), np.array([8, 4]), False, out)
    assert out.tobytes() == b"b 2\n#\na 1\n#\n"
