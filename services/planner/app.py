"""The planner: looks at the record and submits what is missing, again and again."""

from __future__ import annotations

import datetime as dt
import threading
import time

from roque.archive import Record
from roque.archive.news import News
from roque.archive.products import ProductStore
from roque.archive.schema import wait_for_tables
from roque.errors import Transient
from roque.jobs.letters import sweep_letters
from roque.jobs.outbox import clock, sweep_outbox
from roque.jobs.planner import Policy, has_work, plan
from roque.settings import Settings
from roque.telemetry import logger

__all__ = ["work"]

FULL_LOOK_SECONDS = 2.0
"""Seconds between two looks at everything, waiting runs included; between them only news is looked for."""

SWEEP_SECONDS = 3600.0


def work(settings: Settings, stop: threading.Event) -> None:
    """Plan until told to stop. A database that is away is waited for."""
    record = Record(settings.database)
    wait_for_tables(record, stop)
    news, store = News(record), ProductStore(settings.products)
    policy = Policy(calibration_wait=dt.timedelta(seconds=settings.calibration_wait_seconds))
    looked = swept = -1e9
    while not stop.is_set():
        try:
            whole = time.monotonic() - looked > FULL_LOOK_SECONDS
            if whole or news.any():
                now = _now(record)
                if whole or has_work(record, now):
                    plan(record, now, policy)
                    looked = time.monotonic()
            if time.monotonic() - swept > SWEEP_SECONDS:
                store.sweep(record, dt.timedelta(hours=1))
                with record.writing() as session:
                    now = clock(session)
                    sweep_outbox(session, now)
                    sweep_letters(session, now)
                swept = time.monotonic()
        except Transient as error:
            logger.warning("planner_waits", error=str(error))
            stop.wait(1.0)
        stop.wait(settings.poll_seconds)
    record.close()


def _now(record: Record) -> dt.datetime:
    # of the record, by whose clock leases are given: this machine's may be wrong, and would take jobs from living workers
    with record.reading() as session:
        return clock(session)
