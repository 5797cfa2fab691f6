"""CCDs measured one after another, or by a thread each with the same bits.

The stars of a CCD are followed from frame to frame, so its frames come in turn, some of them in one call of compiled code.
From CCD to CCD nothing is handed on but, in parity, the FWHM and beta that fits start from where the frame before gave none
(`State.start`). A CCD that needs them in a frame waits until those before it are done, while the others go on; it waits for
what comes earlier alone, so all of them end.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from heapq import heappop, heappush
from threading import Condition
from types import TracebackType
from typing import Self

from roque.frames import CCD
from roque.photometry.follow import Follower, Start

__all__ = ["PORTION", "OneByOne", "SideBySide"]

PORTION = 16
"""Frames that are given to be measured at a time, at most."""

_AHEAD = 2  # portions that may wait: whoever is through with one goes on with the next, and those that are slower catch up


class _Starts:
    """Start values that CCDs share: of each block the means of FWHM and beta, 0 where none was measured; None until it is done.

    `wait` waits until one is done.
    """

    def __init__(self, first: Start | None, wait: Callable[[int], None]) -> None:
        self.first = first
        self._wait = wait
        self._means: list[Start | None] = []

    def expect(self, follower: Follower) -> None:
        """Make room for one more block; the first one of a run begins with what its recipe says."""
        self.first = self.first or follower.start
        self._means.append(None)

    def note(self, follower: Follower) -> None:
        """Note what a CCD has measured since it was noted last."""
        for block, mean in follower.new_means():
            self._means[block] = mean

    def before(self, block: int) -> Start:
        """Start values before a block: each the mean that was measured last."""
        fwhm = beta = 0.0
        while block > 0 and not (fwhm > 0.0 and beta > 0.0):
            block -= 1
            if self._means[block] is None:
                self._wait(block)
            means = self._means[block] or (0.0, 0.0)
            fwhm, beta = fwhm or means[0], beta or means[1]
        first = self.first or (0.0, 0.0)
        return fwhm or first[0], beta or first[1]

    def is_done(self, block: int) -> bool:
        """Whether a block is measured."""
        return self._means[block] is not None

    def end(self, followers: list[Follower]) -> Start | None:
        """Hand all CCDs the values after what they measured, forget the blocks, and give the values after all of them."""
        for follower in followers:
            if follower.blocks:
                follower.start = self.before(follower.blocks[-1] + 1)
        if self._means:
            self.first = self.before(len(self._means))
        self._means.clear()
        return self.first


class OneByOne:
    """Measures CCDs in the calling thread.

    Parameters
    ----------
    start : (float, float) or None
        Shared start values; None before the first frame of a run.
    shared : bool
        Whether CCDs share them.
    """

    def __init__(self, start: Start | None, *, shared: bool) -> None:
        self._starts = _Starts(start, lambda _: None) if shared else None
        self._frames = 0
        self._room = PORTION
        self._followers: dict[Follower, None] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        pass

    def measure(self, follower: Follower, number: int, ccd: CCD, block: int) -> None:
        """Have a CCD of a frame measured, see `Follower.give`: by `end_frame` or `settle` at the latest."""
        self._followers[follower] = None
        self._room = min(self._room, follower.room)
        follower.give(number, ccd, block)
        if self._starts is not None:
            self._starts.expect(follower)

    def end_frame(self) -> None:
        """Note that the next CCD is of another frame."""
        self._frames += 1
        if self._frames == self._room:
            self._go_on()

    def settle(self) -> Start | None:
        """Have all measured that was given; gives the start values after it, None where they are not shared."""
        self._go_on()
        return None if self._starts is None else self._starts.end(list(self._followers))

    def _go_on(self) -> None:
        self._frames = 0
        followers = list(self._followers)
        todo: list[tuple[int, int]] = []
        for i, follower in enumerate(followers):
            if (block := follower.go_on()) is not None:
                heappush(todo, (block, i))
            if self._starts is not None:
                self._starts.note(follower)
        while todo and self._starts is not None:  # all before the first block that waits is done
            block, i = heappop(todo)
            if (following := followers[i].go_on(self._starts.before(block))) is not None:
                heappush(todo, (following, i))
            self._starts.note(followers[i])


class SideBySide:
    """Measures each CCD in a thread of its own, while the calling thread reads on.

    Called as `OneByOne`; errors come from `end_frame` or `settle`.
    """

    def __init__(self, start: Start | None, *, shared: bool) -> None:
        self._starts = _Starts(start, self._wait_for) if shared else None
        self._threads: dict[Follower, ThreadPoolExecutor] = {}
        self._frames = 0
        self._given: dict[Follower, list[tuple[int, CCD, int]]] = {}
        self._under_way: deque[list[Future[None]]] = deque()
        self._news = Condition()
        self._error: tuple[int, BaseException] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if error is not None:
            self._stop(-1, error)
        for thread in self._threads.values():
            thread.shutdown()
        # all this refers to itself, which keeps followers and their rows until somebody looks for garbage
        self._threads.clear()
        self._starts = None

    def measure(self, follower: Follower, number: int, ccd: CCD, block: int) -> None:
        """Have a CCD of a frame measured."""
        if follower not in self._threads:
            self._threads[follower] = ThreadPoolExecutor(1, thread_name_prefix="ccd")
        self._given.setdefault(follower, []).append((number, ccd, block))
        if self._starts is not None:
            self._starts.expect(follower)

    def end_frame(self) -> None:
        """Note that the next CCD is of another frame."""
        self._frames += 1
        if self._frames == PORTION:
            self._go_on()

    def settle(self) -> Start | None:
        """Have all measured that was given; gives the start values after it, None where they are not shared."""
        self._go_on()
        self._wait(0)
        return None if self._starts is None else self._starts.end(list(self._threads))

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
        for first in range(0, len(portion), follower.room):
            block = portion[first][2]
            try:
                for number, ccd, block in portion[first : first + follower.room]:
                    if self._error is not None and self._error[0] <= block:
                        return
                    follower.give(number, ccd, block)
                self._follow(follower)
            except Exception as error:  # noqa: BLE001 - raised by the thread that gave the CCD
                self._stop(block, error)
                return

    def _follow(self, follower: Follower) -> None:
        """Measure what a follower was given."""
        block = follower.go_on()
        self._tell(follower)
        while block is not None and self._starts is not None:
            block = follower.go_on(self._starts.before(block))
            self._tell(follower)

    def _tell(self, follower: Follower) -> None:
        if self._starts is not None:
            with self._news:
                self._starts.note(follower)
                self._news.notify_all()

    def _wait_for(self, block: int) -> None:
        """Wait for a block; after an error nothing is waited for, as nothing that follows counts."""
        with self._news:
            self._news.wait_for(lambda: self._error is not None or (self._starts is not None and self._starts.is_done(block)))

    def _stop(self, block: int, error: BaseException) -> None:
        """Let what comes after a block alone; of several errors the one that comes first in the run is told."""
        with self._news:
            if self._error is None or block < self._error[0]:
                self._error = block, error
            self._news.notify_all()
