"""Ingest: looks at the incoming folders, again and again, and registers what it finds."""

from __future__ import annotations

import threading

from roque.archive import Record
from roque.errors import Transient
from roque.instruments import cameras
from roque.settings import Settings
from roque.telemetry import logger
from services.ingest.watch import Watch

__all__ = ["work"]


def work(settings: Settings, stop: threading.Event) -> None:
    """Look until told to stop. A database that is away is waited for; files wait where they are."""
    record = Record(settings.database)
    watch = Watch(record, settings, cameras(settings.cameras))
    while not stop.is_set():
        try:
            watch.look()
        except Transient as error:
            logger.warning("ingest_waits", error=str(error))
            stop.wait(1.0)
        stop.wait(settings.poll_seconds)
    record.close()
