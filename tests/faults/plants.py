"""What is changed in a process of the system for a test, from the outside: smaller pieces of work, a wrong clock, bugs.

No switch of the system turns any of this on: `tests/faults/launch.py` does, before it starts the process.
"""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

__all__ = ["acknowledge_early", "no_confirms", "no_fence", "poison", "short_ranges", "wrong_clock"]

FRAMES = 4


def short_ranges() -> None:
    """Reduce runs in ranges of a few frames, so that a small night is many jobs; the bits do not depend on it."""
    from roque.jobs import planner

    planner.RANGE_FRAMES = FRAMES


def wrong_clock() -> None:
    """Let the machine's time be off by ROQUE_TEST_CLOCK_SECONDS, for all that asks it in Python.

    Must come before anything else is imported. Intervals (``time.monotonic``) are as they were: so it is when a clock jumps.
    """
    import datetime as dt

    off = float(os.environ["ROQUE_TEST_CLOCK_SECONDS"])
    right, right_ns, real = time.time, time.time_ns, dt.datetime

    class Kind(type):
        def __instancecheck__(cls, thing):
            return isinstance(thing, real)

    class Wrong(real, metaclass=Kind):
        @classmethod
        def now(cls, tz=None):
            return real.now(tz) + dt.timedelta(seconds=off)

    Wrong.__name__, Wrong.__qualname__, Wrong.__module__ = real.__name__, real.__qualname__, real.__module__
    dt.datetime = Wrong
    time.time = lambda: right() + off
    time.time_ns = lambda: right_ns() + int(off * 1e9)


def poison() -> None:
    """Let the preparation of a reduction kill its process, as long as the file ROQUE_TEST_POISON is there."""
    from roque.jobs.kinds import Kind
    from services.reducer import app

    prepare, file = app.HANDLERS[Kind.PREPARE_REDUCTION], Path(os.environ["ROQUE_TEST_POISON"])

    def deadly(context, job):
        if file.exists():
            os.kill(os.getpid(), signal.SIGKILL)
        return prepare(context, job)

    app.HANDLERS[Kind.PREPARE_REDUCTION] = deadly


def no_confirms() -> None:
    """Planted bug: take a message for sent when it is written to the socket."""
    from roque.bus.confirms import Confirms

    def believe(self):
        believed, self._waiting = set(self._waiting.values()), {}
        return believed

    Confirms.settle = believe


def acknowledge_early() -> None:
    """Planted bug: acknowledge a message when its work begins."""
    _change_app(task_acks_late=False)


def no_fence() -> None:
    """Planted bug: let any worker that once had a job record its end, whoever has it now."""
    from sqlalchemy import bindparam, update

    from roque.archive.models import Job
    from roque.jobs import claims

    claims._mine = lambda held: (Job.id == held.id,)
    ended = {"state": "done", "claim_token": None, "lease_until": None, "finished_at": bindparam("now")}
    claims._FINISH = update(Job).where(Job.id == bindparam("mine")).values(**ended).returning(Job.id == "")


def _change_app(**settings: object) -> None:
    from roque.bus import app

    make = app.make_app

    def changed(*arguments):
        made = make(*arguments)
        made.conf.update(settings)
        return made

    app.make_app = changed
