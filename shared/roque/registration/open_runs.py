"""Raw runs that grow, kept open from look to look: what was told of their frames is not told again."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from roque.errors import BadInput
from roque.spool.hipercam import HipercamRun
from roque.spool.source import FrameSource
from roque.spool.ultra import UltraRun

__all__ = ["OpenRuns"]

MOST_OPEN = 8

_Mark = tuple[tuple[int, int], ...]


class OpenRuns:
    """Growing runs. Times of an hour's frames, told anew four times a second, would keep a processor busy."""

    def __init__(self) -> None:
        self._kept: OrderedDict[tuple[Path, ...], tuple[_Mark, HipercamRun | UltraRun]] = OrderedDict()

    @contextmanager
    def opened(
        self, paths: Sequence[Path], afresh: Callable[[], FrameSource], ended: Callable[[FrameSource], bool]
    ) -> Iterator[FrameSource]:
        """Give a run as it is now.

        Parameters
        ----------
        paths : sequence of Path
            Its files; the last is the one that grows.
        afresh : function
            Opens the run. One that has ended is always opened afresh: its bytes may have changed under what is kept.
        ended : function of FrameSource
            Whether the run has ended.
        """
        source = self._take(tuple(paths))
        if source is not None and ended(source):
            source.close()
            source = None
        source = source or afresh()
        try:
            yield source
        except BaseException:
            source.close()
            raise
        if isinstance(source, HipercamRun | UltraRun) and not ended(source):
            self._keep(tuple(paths), source)
        else:
            source.close()

    def _take(self, paths: tuple[Path, ...]) -> FrameSource | None:
        mark, source = self._kept.pop(paths, (None, None))
        if source is None:
            return None
        try:
            if _mark(paths) == mark:
                source.refresh()
                return source
        except (BadInput, OSError):
            pass  # whoever opens it afresh is told what is wrong
        source.close()
        return None

    def _keep(self, paths: tuple[Path, ...], source: HipercamRun | UltraRun) -> None:
        try:
            self._kept[paths] = _mark(paths), source
        except OSError:
            source.close()
        while len(self._kept) > MOST_OPEN:
            self._kept.popitem(last=False)[1][1].close()


def _mark(paths: Sequence[Path]) -> _Mark:
    """What must not change: which file each is; of all but the one that grows, when it was written."""
    stats = [path.stat() for path in paths]
    return tuple((one.st_ino, one.st_mtime_ns if place < len(stats) - 1 else 0) for place, one in enumerate(stats))
