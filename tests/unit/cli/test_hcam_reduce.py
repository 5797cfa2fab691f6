"""`roque hcam reduce`: rows are measured while others are written, and no longer than they are wanted."""

from __future__ import annotations

import itertools
import threading
import time

import pytest

from services.cli.hcam.reduce import _ahead, _until


def test_the_next_rows_are_measured_while_the_last_are_written():
    begun = [threading.Event() for _ in range(3)]

    def measured():
        for number, event in enumerate(begun):
            event.set()
            yield number

    for number in _ahead(measured(), threading.Event()):
        assert number + 1 == len(begun) or begun[number + 1].wait(10.0)


def test_an_interrupt_ends_the_reading_of_frames():
    stop, read = threading.Event(), []

    def frames():
        for number in itertools.count():
            read.append(number)
            time.sleep(0.001)
            yield number

    def measured():
        given = _until(stop, frames())
        while some := list(itertools.islice(given, 100)):
            yield some

    rows = _ahead(measured(), stop)
    assert next(rows) == list(range(100))
    with pytest.raises(KeyboardInterrupt):
        rows.throw(KeyboardInterrupt)
    there = len(read)
    time.sleep(0.05)
    assert len(read) == there < 300


def test_an_error_in_a_frame_is_raised_where_rows_are_written():
    def measured():
        yield 1
        raise OSError("the disk is gone")

    rows = _ahead(measured(), threading.Event())
    assert next(rows) == 1
    with pytest.raises(OSError, match="the disk is gone"):
        next(rows)
