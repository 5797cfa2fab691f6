import datetime as dt
import json

import click
import pytest

from services.cli import output
from services.cli.output import Column, clean, days, field, json_line, size, table


def test_control_characters_are_taken_out_of_what_others_wrote():
    assert clean("\x1b[31mHD 1\x07\u202e\x9b2J\n next\tone") == "[31mHD 12J  next one"


def test_text_that_is_no_unicode_can_still_be_printed(capsys):
    click.echo(clean("run\udcff.fits"))
    assert capsys.readouterr().out == "run?.fits\n"


def test_json_has_no_nan_and_times_in_iso_form(capsys):
    json_line({"ratio": float("nan"), "inner": [float("inf"), 1.5], "at": dt.datetime(2026, 11, 1, tzinfo=dt.UTC), 1: (2,)})
    assert json.loads(capsys.readouterr().out) == {
        "ratio": None, "inner": [None, 1.5], "at": "2026-11-01T00:00:00+00:00", "1": [2],
    }  # fmt: skip


COLUMNS = [Column("RUN"), Column("FRAMES", number=True), Column("STATE"), Column("DETAIL", shrinks=True)]
ROWS = [("run0001", "20", "done", ""), ("run0002", "5", "failed", "no star was found in any of the first frames")]


def test_a_table_in_a_pipe_is_plain_columns_with_all_of_the_text(capsys):
    table(COLUMNS, ROWS)
    assert capsys.readouterr().out.splitlines() == [
        "RUN      FRAMES  STATE   DETAIL",
        "run0001      20  done",
        "run0002       5  failed  no star was found in any of the first frames",
    ]


@pytest.fixture
def terminal(monkeypatch):
    monkeypatch.setattr(output, "on_terminal", lambda: True)

    def of(columns):
        monkeypatch.setattr(output, "width", lambda: columns)

    return of


def shown(capsys):
    return [click.unstyle(line).rstrip() for line in capsys.readouterr().out.splitlines()]


def test_on_a_narrow_terminal_the_last_column_goes_under_its_row(capsys, terminal):
    terminal(40)
    table(COLUMNS, ROWS)
    assert shown(capsys) == [
        "RUN      FRAMES  STATE",
        "run0001      20  done",
        "run0002       5  failed",
        "    no star was found in any of the",
        "    first frames",
    ]


def test_other_columns_that_may_shrink_end_in_an_ellipsis(capsys, terminal):
    terminal(21)
    table([Column("RUN"), Column("OBJECT", shrinks=True), Column("STATE")], [("run1", "HS 0705+6700", "done")])
    lines = shown(capsys)
    assert lines == ["RUN   OBJECT    STATE", "run1  HS 0705\N{HORIZONTAL ELLIPSIS}  done"]
    assert max(map(len, lines)) <= 21


def test_a_long_name_of_a_field_does_not_touch_its_text(capsys):
    field("reduction_id", "1")
    assert capsys.readouterr().out == "  reduction_id  1\n"


def test_a_field_is_wrapped_under_its_beginning_on_a_terminal(capsys, terminal):
    terminal(30)
    field("why", "taken 2.4 hours before, the only one that matches")
    lines = shown(capsys)
    assert lines[0].startswith("  why         taken")
    assert all(line.startswith(" " * 14) and len(line) <= 30 for line in lines[1:])


@pytest.mark.parametrize(
    ("n", "text"),
    [(0, "0 B"), (9_999, "9999 B"), (12_345, "12.35 kB"), (4_672_000, "4.672 MB"), (3_000_000_000_000, "3000 GB")],
)
def test_sizes_are_written_in_units_of_a_thousand(n, text):
    assert size(n) == text


def test_an_mjd_is_written_as_date_and_time():
    assert days(61345.5) == "2026-11-01 12:00:00"  # 61345: 2026-11-01, as MJD 51544 is 2000-01-01
    assert days(None) == "-"
