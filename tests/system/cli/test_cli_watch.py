"""`roque run watch` on a record that changes while it looks."""

import contextlib
import json
import os
import pty
import re
import signal
import subprocess
import sys
import threading
import time

import numpy as np
import pytest
from sqlalchemy import delete, select

from roque.archive.bulk import insert_measurements, load_measurements
from roque.archive.models import Measurement, Reduction, Run
from services.cli.watch_curves import Curves, Wanted
from tests.system.cli.conftest import LOST_FRAME

NIGHT = "hipercam/2026-11-01"


@pytest.fixture
def begun(filled):
    """Make run0003 one that is being reduced."""
    with filled.record.writing() as session:
        session.scalars(select(Reduction)).one().state = "running"
    return filled


def later(filled, *steps):
    """Do something to the reduction and its run, step by step, while others look."""

    def change():
        for step in steps:
            time.sleep(1.2)
            with filled.record.writing() as session:
                reduction = session.scalars(select(Reduction)).unique().one()
                step(reduction, reduction.run)

    thread = threading.Thread(target=change)
    thread.start()
    return thread


def measured(frames):
    def step(reduction, _):
        reduction.frames_done = frames

    return step


def done(reduction, _):
    reduction.state = "done"


def held(_, run):
    run.held = True


def test_a_run_is_followed_with_its_frames_and_rate_until_it_is_done(roque, begun):
    with begun.record.writing() as session:
        session.scalars(select(Reduction)).one().frames_done = 0
        session.scalars(select(Run).where(Run.name == "run0003", Run.version == 1)).one().problems = []
    thread = later(begun, measured(5), measured(15), measured(20), done)
    result = roque("run", "watch", "hipercam/2026-11-01/run0003", "--json")
    thread.join()
    assert result.exit_code == 0, result.output
    lines = [json.loads(line) for line in result.stdout.splitlines()]
    assert [line["state"] for line in lines] == ["reducing"] * (len(lines) - 1) + ["done"]
    frames = [line["frames_done"] for line in lines]
    assert (frames[0], frames[-1], frames == sorted(frames)) == (0, 20, True)
    moving = [line for line in lines if line["frames_per_second"] and not line["ended"]]
    assert all(
        line["seconds_left"] == pytest.approx((20 - line["frames_done"]) / line["frames_per_second"], rel=0.05, abs=0.1)
        for line in moving
    )
    assert moving
    assert [line["ended"] for line in lines][-2:] == [False, True]


def test_one_that_is_cancelled_meanwhile_ends_with_status_one(roque, begun):
    thread = later(begun, held)
    result = roque("run", "watch", "run0003", "--json")
    thread.join()
    assert result.exit_code == 1
    assert json.loads(result.stdout.splitlines()[-1])["state"] == "cancelled"


def test_runs_that_have_ended_are_told_at_once(roque):
    well = roque("run", "watch", f"{NIGHT}/run0001")
    assert (well.exit_code, well.stdout.split()[1:]) == (0, [f"{NIGHT}/run0001", "done"])
    failed = roque("run", "watch", f"{NIGHT}/run0001", "run0005", "run0005")
    assert failed.exit_code == 1
    assert len(failed.stdout.splitlines()) == 2
    assert "no star was found" in failed.stdout
    assert roque("run", "watch", "nosuch").exit_code == 4


def appears(_, run):
    run.name, run.problems = "run0044", []


def test_a_run_that_has_yet_to_come_is_waited_for(roque, begun):
    thread = later(begun, appears, done)
    result = roque("run", "watch", "run0044", "--wait", "--json")
    thread.join()
    assert result.exit_code == 0, result.output
    assert json.loads(result.stdout.splitlines()[-1])["state"] == "done"
    assert "waiting for run0044" in result.stderr
    assert roque("run", "watch", "2026-13-01/run0044", "--wait").exit_code == 4


def plain(text):
    return re.sub(r"\x1b\[[0-9;]*m", "", text)


def test_one_page_of_a_finished_run_shows_its_light_curve_and_flags(roque, filled):
    result = roque("run", "watch", "hipercam/2026-11-01/run0003", "--once", "--ccd", "2")
    assert result.exit_code == 1, result.output  # the run was cut short, as its line says too
    lines = plain(result.stdout).splitlines()
    assert lines[0] == "hipercam/2026-11-01/run0003  done  cut inside frame 21: 4096 bytes are missing"
    assert lines[1] == "20 of 20 frames; last at 22:49:54 UTC"
    assert lines[2] == "flags  NO_EXTRACTION 1"
    assert lines[3] == "CCD 2 gs"
    # half as bright as its comparison star, and a tenth fainter in the later half: shown in units of the median
    assert lines[4].startswith("star 1 over 2  now 0.9")
    assert any(line.startswith("transmission") and "seeing, arcsec" in line for line in lines)


def test_stars_and_ccds_of_a_page_can_be_named_and_unknown_ones_are_told(roque):
    named = roque("run", "watch", "run0003", "--once", "--ccd", "1", "--star", "3", "--comparison", "2", "--last", "30s")
    assert "star 3 over 2" in plain(named.stdout)
    assert "-24 s" in plain(named.stdout)  # five frames, six seconds apart
    for words, told in (
        (("--ccd", "7"), "no star of CCD '7' is measured; it has 1, 2"),
        (("--star", "9", "--ccd", "1"), "no star '9'; it has 1, 2, 3"),
        (("--comparison", "9"), "no star '9'; it has 1, 2, 3"),
    ):
        result = roque("run", "watch", "run0003", "--once", *words)
        assert result.exit_code == 4
        assert told.partition(";")[0] in result.stderr
        assert told.partition("; ")[2] in result.stderr


def test_a_page_is_of_one_run_and_for_people(roque):
    for words in (("run0003", f"{NIGHT}/run0001"), ("run0003", "--json")):
        assert roque("run", "watch", *words, "--once").exit_code == 2
    assert roque("run", "watch", "run0003", "--last", "soon").exit_code == 2


def test_before_anything_is_measured_a_page_says_so(roque, filled):
    result = roque("run", "watch", "run0004", "--once")
    assert "nothing is measured yet" in result.stdout
    assert "flat us gs" in result.stdout


def test_frames_that_come_are_added_to_those_that_are_shown(begun):
    with begun.record.reading() as session:
        reduction = session.scalars(select(Reduction)).unique().one()
        run = reduction.run
        whole = load_measurements(session, reduction.id)
    later = whole[whole["frame"] > 12]
    with begun.record.writing() as session:
        session.execute(delete(Measurement).where(Measurement.frame > 12))
    grown, short = Curves(Wanted(), 0.08), Curves(Wanted(frames=5), 0.08)
    with begun.record.reading() as session:
        assert [len(one.seconds) for one in grown.read(session, run)] == [12, 12]
        assert [len(one.seconds) for one in short.read(session, run)] == [5, 5]
    with begun.record.writing() as session:
        insert_measurements(session, run.night.date, reduction.id, later)
    with begun.record.reading() as session:
        at_once = Curves(Wanted(), 0.08).read(session, run)
        for one, other in zip(grown.read(session, run), at_once, strict=True):
            for name in ("seconds", "flux", "transmission", "seeing", "x", "y"):
                np.testing.assert_array_equal(getattr(one, name), getattr(other, name))
            assert one.flags == other.flags
        assert [len(one.seconds) for one in short.read(session, run)] == [5, 5]
    (first, _) = at_once
    assert np.nanmedian(first.flux[10:]) / np.nanmedian(first.flux[:10]) == pytest.approx(0.9)
    assert first.seeing == pytest.approx(np.full(20, 4.5 * 0.08))
    assert np.isnan(first.flux[LOST_FRAME - 1])


@pytest.mark.parametrize("colour", [True, False])
def test_ctrl_c_gives_the_terminal_back_as_it_was(begun, colour):
    environment = {**os.environ, "ROQUE_HOME": str(begun.home), "TERM": "xterm", "COLUMNS": "80", "LINES": "24"}
    environment.pop("NO_COLOR", None)
    if not colour:
        environment["NO_COLOR"] = "1"
    terminal, its_end = pty.openpty()
    words = [sys.executable, "-c", "from services.cli.main import main; main()", "run", "watch", "run0003"]
    process = subprocess.Popen(words, env=environment, stdin=its_end, stdout=its_end, stderr=its_end, start_new_session=True)
    os.close(its_end)
    seen, sent = b"", False
    with contextlib.suppress(OSError):  # the terminal of a process that has ended
        while part := os.read(terminal, 65536):
            seen += part
            if seen.count(b"\x1b[H") >= 2 and not sent:
                process.send_signal(signal.SIGINT)
                sent = True
    os.close(terminal)
    assert process.wait(60) == 130
    assert seen.startswith(b"\x1b[?1049h\x1b[?25l\x1b[?7l")
    assert seen.split(b"\x1b[?7h\x1b[?25h\x1b[?1049l")[1].strip() == b"roque: stopped"
    assert b"star 1 over 2" in seen
    assert (b"\x1b[9" in seen) == colour
