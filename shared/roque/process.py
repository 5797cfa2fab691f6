"""What every process of ours does alike: read its settings, stop when asked, die with its parent."""

from __future__ import annotations

import ctypes
import os
import signal
import sys
import threading
import time
from collections.abc import Callable

from roque.archive import Record
from roque.archive.schema import insist_on_tables
from roque.errors import RoqueError
from roque.health import STUCK_SECONDS, Checks, serve_health
from roque.metrics import all_metrics
from roque.settings import Settings, load_settings
from roque.telemetry import configure, logger

__all__ = ["Stop", "die_with_parent", "serve", "stop_on_signals"]

_PARENT = "ROQUE_PARENT"
_PR_SET_PDEATHSIG = 1


class Stop(threading.Event):
    """Says when to stop, and knows when the loop of the service last asked: whoever does not ask stands still."""

    def __init__(self) -> None:
        super().__init__()
        self._asked = time.monotonic()

    @property
    def age(self) -> float:
        """Seconds since it was last asked."""
        return time.monotonic() - self._asked

    def is_set(self) -> bool:
        """Whether to stop."""
        self._asked = time.monotonic()
        return super().is_set()

    def wait(self, timeout: float | None = None) -> bool:
        """Wait until told to stop, or for some seconds; returns whether to stop."""
        self._asked = time.monotonic()
        return super().wait(timeout)


def serve(name: str, work: Callable[[Settings, Stop], None]) -> None:
    """Run a service in this process until it is told to stop; exit status 0 if it stopped when asked.

    Parameters
    ----------
    name : str
        Name of the service, for logs.
    work : function of (Settings, Stop)
        Does the work, asking now and then whether to stop.
    """
    stop = stop_on_signals()
    try:
        settings = load_settings()
        configure(settings.log_format, service=name)
        die_with_parent()
        with serve_health(settings, _checks(name, settings, stop)):
            logger.info("started", pid=os.getpid())
            work(settings, stop)
        logger.info("stopped")
    except RoqueError as error:
        print(f"roque {name}: {error}", file=sys.stderr)
        sys.exit(1)


def _checks(name: str, settings: Settings, stop: Stop) -> Checks:
    record = Record(settings.database)

    def stuck() -> str | None:
        return f"the loop stands still for {stop.age:.0f} s" if stop.age > STUCK_SECONDS else None

    return Checks(stuck, lambda: insist_on_tables(record), lambda: all_metrics(record, name, stop.age))


def stop_on_signals() -> Stop:
    """Make an event that SIGTERM and SIGINT set."""
    stop = Stop()

    def ask(_signal: int, _frame: object) -> None:
        stop.set()

    signal.signal(signal.SIGTERM, ask)
    signal.signal(signal.SIGINT, ask)
    return stop


def die_with_parent() -> None:
    """End this process when `roque up`, which started it, is gone, however it went: work for nobody helps nobody.

    Does nothing in a process that was started by somebody else.
    """
    parent = os.environ.get(_PARENT)
    if parent is None:
        return
    if sys.platform == "linux":
        # at once, even from a long call into C
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != int(parent):
        os._exit(1)  # it went before we could ask to be told
