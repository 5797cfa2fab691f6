"""Following camera file servers: every run that they have is copied into a folder of ours, which is watched like any other."""

from __future__ import annotations

import contextlib
import errno
import re
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from roque.errors import RoqueError
from roque.settings import Settings
from roque.spool.naming import safe_name
from roque.spool.servers.listings import served_runs
from roque.telemetry import logger
from services.ingest.mirror import MirroredRun, Remote, hipercam_remote, ultracam_remote

__all__ = ["FileServer", "follow_servers"]

LIST_SECONDS = 2.0
"""Time between two looks at the list of runs."""

TURN_SECONDS = 1.0
"""How long one run is copied before the others have their turn."""

SLOWEST_SECONDS = 300.0
"""Time between two looks at a run that has not grown for long, or of which nothing can be had."""

_RUNS = {"hipercam": re.compile(r"run\d{4}"), "ultracam": re.compile(r"run\d{3}")}
_REMOTES: dict[str, Callable[[str, str], Remote]] = {"hipercam": hipercam_remote, "ultracam": ultracam_remote}


@dataclass
class _Followed:
    """A run of a server, and when it is looked at next."""

    run: MirroredRun
    due: float = 0.0
    pause: float = 0.0
    trouble: str | None = None


class FileServer:
    """A server whose runs are copied.

    Parameters
    ----------
    url : str
        ``hipercam://HOST:PORT/`` or ``ultracam://HOST:PORT/``.
    spool : Path
        Folder of copies; each server has one in it.
    poll_seconds : float
        Time between two looks at the newest run.
    news : Event, optional
        Set whenever frames were copied.
    """

    def __init__(self, url: str, spool: Path, poll_seconds: float, news: threading.Event | None = None) -> None:
        parts = urlsplit(url)
        self._kind, self._address = parts.scheme, f"{parts.netloc}{parts.path}"
        self._name = url
        self._folder = spool / safe_name(parts.scheme, parts.netloc.replace(":", "-"), parts.path)
        self._poll = poll_seconds
        self._news = news or threading.Event()
        self._runs: dict[str, _Followed] = {}
        self._newest = ""
        self._list_due = self._list_pause = 0.0
        self._trouble: str | None = None

    def look(self, stop: threading.Event) -> float:
        """List the runs if it is time to, and copy what is new; returns the seconds until there is something to do."""
        if time.monotonic() >= self._list_due:
            self._list()
        for name in sorted(self._runs, reverse=True):
            # between any two others the newest: it is the one that grows; and a new one is not to wait for them all
            for one in dict.fromkeys((self._newest, name)):
                if stop.is_set() or time.monotonic() >= self._list_due:
                    return 0.0
                if time.monotonic() >= self._runs[one].due:
                    self._turn(one, self._runs[one])
        return max(0.0, min([self._list_due, *(one.due for one in self._runs.values())]) - time.monotonic())

    def close(self) -> None:
        """Close every connection and file."""
        for followed in self._runs.values():
            followed.run.rest()

    def _list(self) -> None:
        try:
            names = [name for name in served_runs(self._name) if _RUNS[self._kind].fullmatch(name)]
        except (RoqueError, OSError) as error:
            self._trouble = self._say(None, self._trouble, error)
            self._list_pause = min(30.0, max(LIST_SECONDS, 2.0 * self._list_pause))
        else:
            if self._trouble is not None:
                logger.info("server_back", server=self._name)
            self._trouble, self._list_pause = None, LIST_SECONDS
            for name in names:
                if name not in self._runs:
                    self._runs[name] = _Followed(MirroredRun(_REMOTES[self._kind](self._address, name), self._folder))
            for gone in self._runs.keys() - names:
                self._runs.pop(gone).run.rest()
            self._newest = max(names, default="")
        self._list_due = time.monotonic() + self._list_pause

    def _turn(self, name: str, followed: _Followed) -> None:
        try:
            new = followed.run.turn(TURN_SECONDS)
        except (RoqueError, OSError) as error:
            followed.trouble = self._say(name, followed.trouble, error)
            followed.run.rest()
            followed.pause = min(SLOWEST_SECONDS if name != self._newest else 10.0, max(1.0, 2.0 * followed.pause))
        else:
            if followed.trouble is not None:
                logger.info("server_run_goes_on", server=self._name, run=name)
            followed.trouble = None
            if new:
                self._news.set()
            most = self._poll if name == self._newest else SLOWEST_SECONDS
            followed.pause = 0.0 if new else min(most, max(self._poll, 2.0 * followed.pause))
            if followed.pause > LIST_SECONDS:
                followed.run.rest()
        followed.due = time.monotonic() + followed.pause

    def _say(self, run: str | None, before: str | None, error: RoqueError | OSError) -> str:
        """Log a trouble once, not each time that it is met again."""
        text = str(error)
        if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
            text = f"{self._folder}: the disk is full; make room: it goes on by itself"
        if text != before:
            logger.warning("server_waits", server=self._name, run=run, error=text)
        return text


def follow_servers(settings: Settings, stop: threading.Event, news: threading.Event) -> Sequence[threading.Thread]:
    """Start to follow the servers of the settings, each in a thread of its own, until told to stop.

    Parameters
    ----------
    settings : Settings
        The servers, and where copies go.
    stop : Event
        Ends it.
    news : Event
        Set whenever frames were copied.
    """
    threads = []
    for url in settings.servers:
        server = FileServer(url, settings.spool, settings.poll_seconds, news)
        threads.append(threading.Thread(target=_follow, args=(server, stop), name=url, daemon=True))
        threads[-1].start()
    return threads


def _follow(server: FileServer, stop: threading.Event) -> None:
    with contextlib.closing(server):
        while not stop.is_set():
            stop.wait(server.look(stop))
