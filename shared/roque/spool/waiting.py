"""Waiting for frames of a file server, which does not say when a run has ended, and may be away for a while."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from roque.errors import Unreachable
from roque.frames import Frame
from roque.spool.cursor import Cursor

__all__ = ["Patience", "awaited"]

_BREATH = 0.01  # s between two looks at least, whatever is asked for


class Patience:
    """Waiting between looks for something new, until that takes too long in all.

    Parameters
    ----------
    twait, tmax : float
        Seconds between two looks, and in all.
    """

    def __init__(self, twait: float, tmax: float) -> None:
        self._twait, self._tmax = twait, tmax
        self.restart()

    def restart(self) -> None:
        """Begin anew: something came."""
        self._waited, self.fresh = 0.0, True

    def wait(self) -> bool:
        """Wait once; False: it would take too long."""
        self.fresh = False
        if self._waited + self._twait > self._tmax:
            return False
        pause = max(self._twait, _BREATH)
        time.sleep(pause)
        self._waited += pause
        return True

    @contextmanager
    def used(self) -> Iterator[None]:
        """Count the time that a look takes which fails: a server may be silent for longer than the pauses."""
        start = time.monotonic()
        try:
            yield
        except BaseException:
            self._waited += time.monotonic() - start
            raise


def awaited(cursor: Cursor, *, twait: float, tmax: float, tell: Callable[[str], None] | None = None) -> Iterator[Frame]:
    """Give frames as they come, until none came for too long. A server that is away has no new frame.

    Parameters
    ----------
    cursor : Cursor
        Which frames.
    twait, tmax : float
        Seconds between two looks, and without a new frame until the run is taken for ended.
    tell : callable or None
        Is told when waiting begins, and why.

    Yields
    ------
    Frame

    Raises
    ------
    BadInput
        A frame cannot be read.
    Unreachable
        The server is still away when the time is up.
    """
    patience, lost = Patience(twait, tmax), None
    while True:
        try:
            with patience.used():
                frame, lost = cursor.next(), None
        except Unreachable as error:
            frame, lost = None, error
        if frame is not None:
            yield frame
            patience.restart()
            continue
        if tell is not None and patience.fresh and tmax > 0.0:
            tell(f"{lost or 'no new frame yet'}: waiting for up to {tmax:g} s")
        if not patience.wait():
            if lost is not None:
                raise lost
            return
