"""The two sizes of the system: one code path, told apart by settings alone."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import pytest

from tests.support.servers import Servers

SIZES = ("laptop", "observatory")


class Sizes:
    """Makes the settings of a system of either size, with a record and a broker that are its own.

    Parameters
    ----------
    servers : Servers
        What an observatory needs.
    """

    def __init__(self, servers: Servers) -> None:
        self._servers = servers

    @contextmanager
    def new(self, size: str, like: Mapping[str, str] | None = None) -> Iterator[Mapping[str, str]]:
        """Settings by name; those of a laptop are the defaults.

        Parameters
        ----------
        size : str
            One of `SIZES`.
        like : mapping or None
            Settings of another system at rest, of which the record is copied if it is on a server.
        """
        if size == "laptop":
            yield {}
            return
        with (
            self._servers.new_database(like["database_url"] if like else None) as database,
            self._servers.new_vhost() as broker,
        ):
            yield {"database_url": database, "broker_url": broker}


@pytest.fixture(scope="session")
def sizes(servers: Servers) -> Sizes:
    """Settings of systems of both sizes."""
    return Sizes(servers)


@pytest.fixture(scope="module", params=SIZES)
def size(request: pytest.FixtureRequest) -> str:
    """Each test that drives a system runs at both sizes; those of one module and size follow each other."""
    return request.param
