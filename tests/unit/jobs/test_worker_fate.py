"""What became of a worker, told from the name in the row."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time

from roque.jobs.workers import Fate, fate, process_name

NAME = "import sys, time; from roque.jobs.workers import process_name; print(process_name(), flush=True); time.sleep(60)"
PARENT = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {NAME!r}])"


def started(code):
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    return process, process.stdout.readline().strip()


def soon(name, wanted):
    end = time.monotonic() + 5
    while fate(name) is not wanted and time.monotonic() < end:
        time.sleep(0.01)
    return fate(name)


def test_this_process_lives():
    assert fate(process_name()) is Fate.ALIVE
    assert len(process_name()) <= 128


def test_a_killed_process_is_dead_even_before_its_parent_has_noticed():
    process, name = started(NAME)
    assert fate(name) is Fate.ALIVE
    process.send_signal(signal.SIGKILL)
    assert soon(name, Fate.DEAD) is Fate.DEAD
    process.wait()
    assert fate(name) is Fate.DEAD
    process.stdout.close()


def test_a_process_killed_with_its_parent_is_told_from_one_killed_alone():
    parent, name = started(PARENT)
    child = int(name.split("/")[2].partition(".")[0])
    parent.kill()
    parent.wait()
    os.kill(child, signal.SIGKILL)
    assert soon(name, Fate.DEAD_WITH_PARENT) is Fate.DEAD_WITH_PARENT
    parent.stdout.close()


def test_a_later_process_with_the_same_number_is_not_taken_for_it():
    host, machine, own, parent = process_name().split("/")
    number, _, started_at = own.partition(".")
    assert fate(f"{host}/{machine}/{number}.{int(started_at) - 1}/{parent}") is Fate.DEAD


def test_of_another_machine_nothing_is_known():
    host, _, own, parent = process_name().split("/")
    assert fate(f"{host}/elsewhere/{own}/{parent}") is Fate.UNKNOWN
    assert fate("by hand") is Fate.UNKNOWN
