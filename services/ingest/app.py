"""Ingest: looks at the incoming folders, again and again, and registers what it finds."""

from __future__ import annotations

import threading
import time

from roque.archive import Record
from roque.archive.schema import wait_for_tables
from roque.errors import Transient
from roque.instruments import known_cameras
from roque.settings import Settings
from roque.telemetry import logger
from services.ingest.servers import follow_servers
from services.ingest.watch import Watch

__all__ = ["work"]

FULL_LOOK_SECONDS = 2.0
"""Time between two looks at every file; between them only new and growing ones are looked at."""

FULL_LOOK_SHARE = 0.01
"""Part of the time that looking at every file may take: of many files it is done less often."""

HEED_SECONDS = 0.25
"""How soon it stops when it is told to."""


def work(settings: Settings, stop: threading.Event) -> None:
    """Look until told to stop. A database that is away is waited for; files wait where they are."""
    record = Record(settings.database)
    wait_for_tables(record, stop)
    known = known_cameras(settings.cameras)
    for problem in known.problems:
        logger.warning("camera_not_known", error=str(problem))
    ended, news = threading.Event(), threading.Event()
    followers = follow_servers(settings, ended, news)
    watch = Watch(record, settings, known.cameras, stop)
    full_look = time.monotonic()
    while not stop.is_set():
        if not all(follower.is_alive() for follower in followers):
            raise RuntimeError("a file server is followed no more: why stands above")  # and is again, by a new process
        try:
            if time.monotonic() < full_look:
                watch.look_for_news()
            else:
                watch.look()
                full_look = time.monotonic() + max(FULL_LOOK_SECONDS, watch.full_look_seconds / FULL_LOOK_SHARE)
        except Transient as error:
            logger.warning("ingest_waits", error=str(error))
            stop.wait(1.0)
        _pause(stop, news, settings.poll_seconds)
    ended.set()
    for follower in followers:
        follower.join(5.0)
    record.close()


def _pause(stop: threading.Event, news: threading.Event, seconds: float) -> None:
    """Wait for the next look: for frames copied from a server no longer than until they are there."""
    end = time.monotonic() + seconds
    while not stop.is_set() and (left := end - time.monotonic()) > 0 and not news.wait(min(left, HEED_SECONDS)):
        pass
    news.clear()
