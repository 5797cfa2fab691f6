"""Conditions on the headers of runs, in both databases."""

from __future__ import annotations

import datetime as dt
import math

import numpy as np
import pytest
from sqlalchemy import select

from roque.archive.found import FoundRun, identity_values
from roque.archive.headers import header_condition, read_header_test
from roque.archive.models import Reduction, Run
from roque.errors import BadInput
from roque.instruments import load_camera
from roque.spool import TIMES, RunInfo

HEADER = {
    "OBSERVER": "V. Dhillon ",
    "OBJECT": '50% o\'Neill_"x"',
    "NSAMP": 4,
    "EXPTIME": 1.5,
    "SPEED": "12",
    "CLEAR": True,
    "ESO DET NWIN": 2,
    "EMPTY": None,
    "PARAMETERS": {"Gain_SPEED": "0xcdd", "n": 7},
}


@pytest.fixture
def matches(record, make_reduction):
    reduction = make_reduction(record)
    with record.writing() as session:
        session.get_one(Run, session.get_one(Reduction, reduction).run_id).header = HEADER

    def ask(text):
        with record.reading() as session:
            return session.scalar(select(Run.id).where(header_condition(session, read_header_test(text)))) is not None

    return ask


@pytest.mark.parametrize(
    "text",
    [
        "OBSERVER=V. Dhillon",
        "observer ~ DHILL",
        'OBJECT=50% o\'Neill_"x"',
        "OBJECT~50%",
        "OBJECT~o'neill_\"",
        "NSAMP=4",
        "NSAMP=4.0",
        "NSAMP>3.9",
        "EXPTIME<2",
        "SPEED=12",
        "CLEAR=T",
        "CLEAR=true",
        "ESO DET NWIN=2",
        "PARAMETERS.Gain_SPEED=0xcdd",
        "PARAMETERS.n>6",
    ],
)
def test_a_condition_that_holds_finds_the_run(matches, text):
    assert matches(text)


@pytest.mark.parametrize(
    "text",
    [
        "OBSERVER=Dhillon",
        "OBSERVER~Dhillon_",
        "OBJECT~50%%",
        "OBJECT~n_ill",
        "OBJECT=' OR 1=1 --",
        "NSAMP=5",
        "NSAMP>4",
        "EXPTIME>1.5",
        "SPEED>1",
        "CLEAR=F",
        "CLEAR=1",
        "CLEAR>0",
        "EMPTY=",
        "EMPTY~n",
        "MISSING=4",
        "MISSING~4",
        "OBSERVER>1",
        "PARAMETERS=7",
        "PARAMETERS.missing.n>6",
    ],
)
def test_a_condition_that_does_not_hold_finds_nothing(matches, text):
    assert not matches(text)


@pytest.mark.parametrize("text", ["", "OBSERVER", "=4", "A'B=4", 'A"]=4', "A>x", "A<nan", ".a=1", "a..b=1", "A=\0", "$=1"])
def test_what_is_no_condition_is_refused_with_what_to_write(text):
    with pytest.raises(BadInput, match=r"write KEYWORD=VALUE|compare texts"):
        read_header_test(text)


@pytest.mark.parametrize(
    ("odd", "kept"),
    [
        ({"A": math.inf, "B": [math.nan]}, {"A": "inf", "B": ["nan"]}),
        ({"A": "x\0y", "B": {"c\0": -math.inf}}, {"A": "x?y", "B": {"c?": "-inf"}}),
    ],
)
def test_one_odd_header_does_not_spoil_the_search_of_all(record, make_reduction, odd, kept):
    found = FoundRun(info_of(odd), load_camera("hipercam"), (), np.zeros(0, TIMES), 0)
    values = identity_values(found, 1, dt.datetime(2024, 5, 2, tzinfo=dt.UTC))
    assert values["header"] == kept
    reduction = make_reduction(record)
    with record.writing() as session:
        session.get_one(Run, session.get_one(Reduction, reduction).run_id).header = values["header"]
    with record.reading() as session:
        for text, count in ((f"A={kept['A']}", 1), ("Z=1", 0), ("A>1", 0)):
            assert len(session.scalars(select(Run.id).where(header_condition(session, read_header_test(text)))).all()) == count


def info_of(header):
    return RunInfo(
        instrument="hipercam", source="hl", name="run1", night=dt.date(2024, 5, 1), kind="science", object="", mode="", xbin=1,
        ybin=1, speed="", filters={}, nskips={}, clear=None, windows={}, expected=None, exposure=1.0, header=header,
        camera="hipercam",
    )  # fmt: skip
