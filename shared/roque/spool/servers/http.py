"""Answers of a file server to GET requests, read within bounds."""

from __future__ import annotations

from typing import NamedTuple

import httpcore

from roque.errors import Unreachable
from roque.spool.servers.wire import PATIENCE, Allowance, Backend, Nonsense, asked

__all__ = ["HttpAnswer", "HttpClient"]


class HttpAnswer(NamedTuple):
    """Status and content of an answer."""

    status: int
    content: bytes


class HttpClient:
    """One connection, kept as long as the server keeps it. No proxy is used, no redirection followed.

    Parameters
    ----------
    file : str
        What to call the server in messages.
    patience : float
        Seconds of silence after which it counts as stalled.
    """

    def __init__(self, file: str, patience: float = PATIENCE) -> None:
        self._file = file
        self._allowance = Allowance(patience)
        self._pool: httpcore.ConnectionPool | None = None

    def close(self) -> None:
        """Close the connection; the next question makes a new one."""
        if self._pool is not None:
            self._pool.close()
            self._pool = None

    def get(self, url: str, most: int, place: str, *, whole: int | None = None) -> HttpAnswer:
        """Ask for a page.

        Parameters
        ----------
        url : str
            Its address.
        most : int
            Bytes that it may have.
        place : str
            What it is, for messages.
        whole : int or None
            Bytes that it has if all of it came: a server that does not announce the length can only close the connection.

        Raises
        ------
        Unreachable
            The server does not answer, stops in the middle, or has an error of its own (status 500 and above).
        BadInput
            It answers with something else than HTTP, or more than `most` bytes.
        """

        def question() -> HttpAnswer:
            return self._get(url, most, whole)

        answer = asked(question, self.close, self._allowance, most, file=self._file, place=place)
        if answer.status >= 500:
            message, remedy = (
                f"the file server has an error of its own: {answer.status}",
                "look after the server, then try again",
            )
            raise Unreachable(message, file=self._file, place=place, remedy=remedy)
        return answer

    def _get(self, url: str, most: int, whole: int | None) -> HttpAnswer:
        if self._pool is None:
            self._pool = httpcore.ConnectionPool(max_connections=1, network_backend=Backend(self._allowance))
        with self._pool.stream("GET", url, headers={"Accept": "*/*"}) as response:
            parts, size = [], 0
            for part in response.iter_stream():
                parts.append(part)
                size += len(part)
                if size > most:
                    raise Nonsense(f"more than {most} bytes")
            announced = {name.lower() for name, _ in response.headers} & {b"content-length", b"transfer-encoding"}
            if response.status == 200 and not announced and whole is not None and size < whole:
                self._allowance.ended = True
                raise httpcore.ReadError
            return HttpAnswer(response.status, b"".join(parts))
