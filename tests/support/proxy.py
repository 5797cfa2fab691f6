"""A TCP proxy that can cut, stall and slow what goes through it: a network that fails on request."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import threading
from collections.abc import Coroutine
from typing import Any, Self

__all__ = ["Proxy"]

_CHUNK = 65_536


class Proxy:
    """Listens on a free port of the loopback address and passes everything on to a server, both ways.

    It works from a thread of its own while the body of the ``with`` runs; its methods can be called from any thread.

    Parameters
    ----------
    host, port : str, int
        The server. It need not be there: who connects meanwhile is thrown out.
    """

    def __init__(self, host: str, port: int) -> None:
        self._server = host, port
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="proxy", daemon=True)
        self._flows = asyncio.Event()
        self._flows.set()
        self._refuses = False
        self._rate: float | None = None  # bytes per second, each way of each connection
        self._passing: set[asyncio.Task[None]] = set()
        self.connections = 0  # that were made so far
        self.port = 0

    def __enter__(self) -> Self:
        self._thread.start()
        self._listener = self._do(asyncio.start_server(self._connected, "127.0.0.1", 0, family=socket.AF_INET))
        self.port = self._listener.sockets[0].getsockname()[1]
        return self

    def __exit__(self, *_: object) -> None:
        self._do(self._end())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def cut(self) -> None:
        """Reset every connection, with what was on its way, and every new one until `mend`."""
        self._do(self._cut())

    def stall(self) -> None:
        """Take connections and bytes, and pass nothing on until `mend`: a cable that was pulled out."""
        self._loop.call_soon_threadsafe(self._flows.clear)

    def slow(self, bytes_per_second: float) -> None:
        """Pass on no more than so many bytes a second in each direction of a connection."""
        self._rate = bytes_per_second

    def mend(self) -> None:
        """Be a good network again; what was stalled arrives now."""
        self._refuses, self._rate = False, None
        self._loop.call_soon_threadsafe(self._flows.set)

    def _do(self, work: Coroutine[Any, Any, Any]) -> Any:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(10)

    async def _cut(self) -> None:
        self._refuses = True
        passing = list(self._passing)
        for task in passing:
            task.cancel()
        await asyncio.gather(*passing, return_exceptions=True)

    async def _end(self) -> None:
        self._listener.close()
        await self._cut()

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        task = asyncio.current_task()
        assert task is not None
        self._passing.add(task)
        far: asyncio.StreamWriter | None = None
        try:
            if not self._refuses:
                answers, far = await asyncio.open_connection(*self._server)
                async with asyncio.TaskGroup() as both:
                    both.create_task(self._pass_on(reader, far))
                    both.create_task(self._pass_on(answers, writer))
        except* (OSError, asyncio.CancelledError):
            pass  # either side is gone, or we were told to cut
        finally:
            self._passing.discard(task)
            for side in (writer, far):
                if side is not None:
                    side.transport.abort()

    async def _pass_on(self, source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
        while data := await source.read(_CHUNK):
            while data:
                await self._flows.wait()
                rate = self._rate  # as it is now: these bytes were waited for when it may have been another
                piece = data if rate is None else data[: max(1, int(rate / 20))]
                data = data[len(piece) :]
                target.write(piece)
                await target.drain()
                if rate is not None:
                    await asyncio.sleep(len(piece) / rate)
        with contextlib.suppress(OSError):
            target.write_eof()
