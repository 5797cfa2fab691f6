"""Times of HiPERCAM frames: told in blocks, since numbers hang on neighbours, or one by one where asking takes time."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from functools import cached_property
from typing import Any

import numpy as np

from roque.instruments.hipercam import CCDS, STAMP_BYTES
from roque.spool.hipercam_raw import HipercamBytes
from roque.spool.source import Times, rows
from roque.spool.stamps import Exposures, Stamps, exposures, frame_numbers, read_stamps

__all__ = ["Block", "HipercamTimes"]

_AT_ONCE = 256  # frames whose times are worked out together
_KEPT = 4  # blocks of them that frames were asked of
_LOOKED_AT = 16  # frames of a server to find a good time in


class HipercamTimes:
    """Times of a run that may grow.

    Parameters
    ----------
    raw : HipercamBytes
        Where its time stamps are.
    """

    def __init__(self, raw: HipercamBytes) -> None:
        self._raw = raw
        self._setup = raw.read_out
        self._blocks: dict[int, Block] = {}
        self._asked: deque[int] = deque(maxlen=_KEPT)

    def forget(self) -> None:
        """Forget what was told: the run became shorter."""
        self._blocks.clear()
        self._asked.clear()

    def of(self, number: int) -> tuple[Block, int]:
        """Block that holds a frame, and its place there; whoever goes through a long run finds no more than some in memory."""
        if self._raw.remote:
            return self.alone(number), 0
        b, at = divmod(number - 1, _AT_ONCE)
        if b not in self._asked:
            if len(self._asked) == _KEPT:
                self._blocks.pop(self._asked[0], None)
            self._asked.append(b)
        return self.block(b), at

    def all(self) -> list[Exposures]:
        """Times of all frames."""
        return [block.times for block in self.blocks()]

    def blocks(self) -> list[Block]:
        """All frames."""
        return [self.block(b) for b in range(-(-self._raw.frames.available // _AT_ONCE))]

    def pieces(self) -> Iterator[Exposures]:
        """Times, as many frames at a time as cost little to look at."""
        available = self._raw.frames.available
        if self._raw.remote:
            yield from (self.alone(number).times for number in range(1, min(available, _LOOKED_AT) + 1))
        else:
            yield from (self.block(b).times for b in range(-(-available // _AT_ONCE)))

    def block(self, b: int) -> Block:
        """Times of a block of frames; numbers are told from two neighbours on each side."""
        first, last = b * _AT_ONCE + 1, min((b + 1) * _AT_ONCE, self._raw.frames.available)
        block = self._blocks.get(b)
        # the numbers of the last two frames may be told better once more have come
        if block is not None and block.upto >= min(last + 2, self._raw.frames.available):
            return block
        found = None if block is None else self._grown(block, first, last)
        self._blocks[b] = found = found or self._whole_block(first, last)
        return found

    def _whole_block(self, first: int, last: int) -> Block:
        before, after = max(1, first - 2), min(last + 2, self._raw.frames.available)
        stamps = self.stamps(before, after)
        number, junk = frame_numbers(stamps.counter, before)
        inner = slice(first - before, last - before + 1)
        return Block(exposures(stamps, number, junk, self._setup).cut(inner), after)

    def _grown(self, block: Block, first: int, last: int) -> Block | None:
        """Add frames that have come to a block, which others hand on at once; None where it is to be told as a whole."""
        kept = block.upto - 1 - first  # frames of which both neighbours on each side were known
        before, after = first + kept - 4, min(last + 2, self._raw.frames.available)
        if before < first:
            return None
        stamps = self.stamps(before, after)
        number, junk = frame_numbers(stamps.counter, before)
        # the first two of these say of themselves what they say without all of their neighbours; if the next two are junk,
        # those after them may be numbered on from one further back
        if junk[2:4].all():
            return None
        new = Block(exposures(stamps, number, junk, self._setup).cut(slice(4, last - before + 1)), after)
        return block.followed_by(new, kept)

    def alone(self, number: int) -> Block:
        """Times of a frame, the same as in its block, without a look at other frames where they say nothing.

        A counter that fits the place needs no others to be believed. One that does not is compared with two neighbours on each
        side, and if it is junk, its frame is numbered on from the nearest sound one before it in its block.
        """
        stamps = self.stamps(number, number)
        if stamps.counter[0] == number - 1:
            return Block(exposures(stamps, np.array([number]), np.array([False]), self._setup), number)
        last = number
        while last < number + 2 and self._raw.frames.holds(last + 1):
            last += 1
        start = max(1, (number - 1) // _AT_ONCE * _AT_ONCE - 1)
        reach = 2
        while True:
            before = max(start, number - reach)
            stamps = self.stamps(before, last)
            place, junk = frame_numbers(stamps.counter, before)
            at = number - before
            # what the first two of these say of themselves, they say without all of their neighbours
            if before == start or not junk[at] or not junk[2:at].all():
                break
            reach *= 4
        return Block(exposures(stamps, place, junk, self._setup).cut(slice(at, at + 1)), number)

    def stamps(self, first: int, last: int) -> Stamps:
        """Time stamps of a range of frames, as the camera wrote them."""
        return read_stamps(self._raw.frames.parts(first, last, self._setup.frame_bytes - STAMP_BYTES, STAMP_BYTES))


class Block:
    """Times of a block of frames; and the same as Python numbers, which frames are made of, once some are asked for."""

    def __init__(self, times: Exposures, upto: int) -> None:
        self.times = times
        self.upto = upto

    @cached_property
    def table(self) -> Times:
        """The same as one row per frame and CCD."""
        e = self.times
        return rows(
            len(e.number),
            CCDS,
            frame=e.number,
            mjd_int=e.mjd_int,
            mjd_frac=e.mjd_frac,
            exposure=e.exposure,
            time_ok=e.time_ok,
            data_ok=e.data_ok,
        )

    @cached_property
    def frames(self) -> list[tuple[int, int, float, int]]:
        """Number, day, fraction and fault of each frame."""
        e = self.times
        return list(zip(e.number.tolist(), e.day.tolist(), e.fraction.tolist(), e.fault.tolist(), strict=True))

    @cached_property
    def ccds(self) -> list[tuple[list[int], list[float], list[float], list[bool], list[bool]]]:
        """Columns of the CCDs of each frame: day, fraction, exposure, whether time and data are good."""
        e = self.times
        columns: list[Any] = [a.tolist() for a in (e.mjd_int, e.mjd_frac, e.exposure, e.time_ok, e.data_ok)]
        return list(zip(*columns, strict=True))

    def followed_by(self, other: Block, kept: int) -> Block:
        """Put the frames of another after the first of these."""
        block = Block(self.times.cut(slice(kept)).followed_by(other.times), other.upto)
        if "frames" in self.__dict__:
            block.__dict__ |= {"frames": self.frames[:kept] + other.frames, "ccds": self.ccds[:kept] + other.ccds}
        return block
