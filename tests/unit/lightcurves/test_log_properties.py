"""Logs with lines of any content: the numbers that Python reads, or `BadInput` with the line."""

from __future__ import annotations

import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from roque.errors import BadInput
from roque.lightcurves.log_reader import read_log
from tests.support.damage import check_told

HEAD = """# made by hand
# Start of column name definitions:
# 1 = CCD nframe MJD MJDok counts_1 flag_1
# red = CCD nframe MJD
# End of column name definitions
# Start of data type definitions:
# 1 = s i4 f8 ? f4 u4
# red = s i4 f8
# End of data type definitions
"""
NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?|[+-]?(nan|inf)", re.IGNORECASE)
MJD, WHOLE, UNSIGNED = st.floats(40000, 80000), st.integers(-(2**31), 2**31 - 1), st.integers(0, 2**32 - 1)
GOOD = st.tuples(WHOLE, MJD, st.booleans(), st.floats(-1e6, 1e6), UNSIGNED)
ONE = GOOD.map(lambda v: ("1", f"{v[0]} {v[1]:.14f} {v[2]:d} {v[3]:.4f} {v[4]}"))
RED = GOOD.map(lambda v: ("red", f"{v[0]} {v[1]:.14f}"))
ROWS = st.lists(ONE | RED, max_size=12)
NUMBERS = ["1", "2", "-1", "nan", "inf", "1.5", "1e5", "1e999", "1.", "99999999999"]
WORDS = st.sampled_from([*NUMBERS, "red", "#", "+", "-", ".", "x", "\t", "\x07", "\u00e9"])


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    return tmp_path_factory.mktemp("log") / "a.log"


@given(rows=ROWS, blank=st.sampled_from(["", " ", "\t"]), end=st.sampled_from(["\n", " \n#\n", "\r\n"]))
@settings(max_examples=150, deadline=None)
def test_rows_come_back_as_they_were_written(path, rows, blank, end):
    path.write_bytes((HEAD + "".join(f"{blank}{ccd} {row}{end}" for ccd, row in rows)).encode())
    comments, tables = read_log(path)
    assert comments[0] == "# made by hand"
    assert list(tables) == ["1", "red"]
    for ccd, table in tables.items():
        words = [row.split() for own, row in rows if own == ccd]
        for i, name in enumerate(table.dtype.names):
            wanted = np.array([float(row[i]) for row in words], np.float64).astype(table.dtype[name])
            # more than 15 digits are read to within a unit of the last place
            np.testing.assert_array_max_ulp(table[name].astype(np.float64), wanted.astype(np.float64), 2)


@given(line=st.lists(WORDS, min_size=1, max_size=8).map(" ".join))
@settings(max_examples=300, deadline=None)
def test_a_line_of_anything_is_what_python_reads_or_named(path, line):
    path.write_bytes((HEAD + "1 1 61113.25 1 2.5 4\n" + line + "\n").encode("utf-8"))
    try:
        _, tables = read_log(path)
    except BadInput as error:
        check_told(error, str(path))
        return
    words = line.split()
    if not words or words[0].startswith("#"):
        assert [len(table) for table in tables.values()] == [1, 0]
        return
    row = tables[words[0]][-1].tolist()
    assert len(row) == len(words) - 1
    assert all(NUMBER.fullmatch(word) for word in words[1:])
    wanted = [np.float64(float(word)).astype(tables[words[0]].dtype[i]) for i, word in enumerate(words[1:])]
    np.testing.assert_array_equal(np.array(row, float), np.array(wanted, float))
