"""What every process of ours does alike: read its settings, stop when asked, die with its parent."""

from __future__ import annotations

import ctypes
import os
import signal
import sys
import threading
from collections.abc import Callable

from roque.errors import RoqueError
from roque.settings import Settings, load_settings
from roque.telemetry import configure, logger

__all__ = ["die_with_parent", "serve", "stop_on_signals"]

_PARENT = "ROQUE_PARENT"
_PR_SET_PDEATHSIG = 1


def serve(name: str, work: Callable[[Settings, threading.Event], None]) -> None:
    """Run a service in this process until it is told to stop; exit status 0 if it stopped when asked.

    Parameters
    ----------
    name : str
        Name of the service, for logs.
    work : function of (Settings, threading.Event)
        Does the work; returns soon after the event is set.
    """
    stop = stop_on_signals()
    try:
        settings = load_settings()
        configure(settings.log_format, service=name)
        die_with_parent()
        logger.info("started", pid=os.getpid())
        work(settings, stop)
        logger.info("stopped")
    except RoqueError as error:
        print(f"roque {name}: {error}", file=sys.stderr)
        sys.exit(1)


def stop_on_signals() -> threading.Event:
    """Make an event that SIGTERM and SIGINT set."""
    stop = threading.Event()

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
