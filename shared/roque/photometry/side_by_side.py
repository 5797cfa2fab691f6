"""CCDs measured one after another, or by a thread each with the same bits.

The stars of a CCD are followed from frame to frame, so its frames come in turn. From CCD to CCD nothing is handed on but, in
parity, the FWHM and beta that fits start from where the frame before gave none (`State.start`). A CCD that needs them in a
frame waits until those before it are done, while the others go on; it waits for what comes earlier alone, so all of them end.
"""

from __future__ import annotations

from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from threading import Condition
from types import TracebackType
from typing import Self

from roque.frames import CCD
from roque.photometry.follow import Follower

__all__ = ["OneByOne", "SideBySide", "Start"]

Start = tuple[float, float]
"""FWHM and beta that fits start from."""

_PORTION = 16  # frames that a thread is given at a time
_AHEAD = 2  # portions that may wait: whoever is through with one goes on with the next, and those that are slower catch up


class OneByOne:
    """Measures CCDs in the calling thread, in the order in which they are given.

    Parameters
    ----------
    start : (float, float) or None
        Shared start values; None before the first frame of a run.
    shared : bool
        Whether CCDs share them.
    """

    def __init__(self, start: Start | None, *, shared: bool) -> None:
        self._start, self._shared = start, shared

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        pass

    def measure(self, follower: Follower, number: int, ccd: CCD, block: int) -> None:
        """Measure a CCD of a frame, see `Follower.measure`."""
        if self._shared:
            follower.start = self._start or follower.start
        follower.measure(number, ccd, block)
        if self._shared:
            self._start = follower.start

    def end_frame(self) -> None:
        """Note that the next CCD is of another frame."""

    def settle(self) -> Start | None:
        """Have all measured that was given; gives the start values after it, None where they are not shared."""
        return self._start


class SideBySide:
    """Measures each CCD in a thread of its own, while the calling thread reads on.

    Called as `OneByOne`; errors come from `end_frame` or `settle`.
    """

    def __init__(self, start: Start | None, *, shared: bool) -> None:
        self._start, self._shared = start, shared
        self._threads: dict[Follower, ThreadPoolExecutor] = {}
        self._frames = 0
        self._given: dict[Follower, list[tuple[int, CCD, int]]] = {}
        self._under_way: deque[list[Future[None]]] = deque()
        # by block: means of FWHM and beta, 0 where none was measured; None until it is done
        self._means: list[Start | None] = []
        self._news = Condition()
        self._listeners = 0
        self._error: tuple[int, BaseException] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if error is not None:
            self._stop(len(self._means), error)
        for thread in self._threads.values():
            thread.shutdown()

    def measure(self, follower: Follower, number: int, ccd: CCD, block: int) -> None:
        """Have a CCD of a frame measured."""
        self._start = self._start or (follower.start if self._shared else None)
        if follower not in self._threads:
            self._threads[follower] = ThreadPoolExecutor(1, thread_name_prefix="ccd")
        self._given.setdefault(follower, []).append((number, ccd, block))
        self._means.append(None)

    def end_frame(self) -> None:
        """Note that the next CCD is of another frame."""
        self._frames += 1
        if self._frames == _PORTION:
            self._go_on()

    def settle(self) -> Start | None:
        """Have all measured that was given; gives the start values after it, None where they are not shared."""
        self._go_on()
        self._wait(0)
        if self._shared:
            for follower in self._threads:
                if follower.blocks:
                    follower.start = self._before(follower.blocks[-1] + 1)
            self._start = self._before(len(self._means)) if self._means else self._start
        self._means.clear()
        return self._start

    def _go_on(self) -> None:
        """Give each thread what there is for it, and wait where they are too far behind."""
        given, self._given, self._frames = self._given, {}, 0
        self._under_way.append([self._threads[one].submit(self._measure, one, portion) for one, portion in given.items()])
        self._wait(_AHEAD)

    def _wait(self, most: int) -> None:
        """Wait until no more than so many portions are under way; after an error to the end, to tell the first."""
        while len(self._under_way) > (most if self._error is None else 0):
            for future in self._under_way.popleft():
                future.result()
        if self._error is not None:
            raise self._error[1]

    def _measure(self, follower: Follower, portion: list[tuple[int, CCD, int]]) -> None:
        for number, ccd, block in portion:
            try:
                if self._shared and follower.needs_start:
                    follower.start = self._before(block)
                follower.measure(number, ccd, block)
            except Exception as error:  # noqa: BLE001 - raised by the thread that gave the CCD
                self._stop(block, error)
            if self._error is not None and self._error[0] <= block:
                return
            self._means[block] = follower.means
            if self._listeners:  # none can have come since unless it saw that the block is done
                with self._news:
                    self._news.notify_all()

    def _stop(self, block: int, error: BaseException) -> None:
        """Let what comes after a block alone; of several errors the one that comes first in the run is told."""
        with self._news:
            if self._error is None or block < self._error[0]:
                self._error = block, error
            self._news.notify_all()

    def _before(self, block: int) -> Start:
        """Shared start values before a block: each the mean that was measured last."""
        fwhm = beta = 0.0
        while block > 0 and not (fwhm > 0.0 and beta > 0.0):
            block -= 1
            means = self._means[block] or self._done(block)
            fwhm, beta = fwhm or means[0], beta or means[1]
        first = self._start or (0.0, 0.0)
        return fwhm or first[0], beta or first[1]

    def _done(self, block: int) -> Start:
        """Wait for a block; after an error nothing is waited for, as nothing that follows counts."""
        with self._news:
            self._listeners += 1
            self._news.wait_for(lambda: self._means[block] is not None or self._error is not None)
            self._listeners -= 1
        return self._means[block] or (0.0, 0.0)
