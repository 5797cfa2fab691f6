"""Fixtures: a database and a broker as an observatory has them, of this test run alone.

Without ROQUE_TEST_DATABASE_URL and ROQUE_TEST_BROKER_URL the run starts servers of its own when a test first asks for them,
one pair for each process of pytest-xdist, so that a test may kill them. With the variables, only databases and virtual hosts
with random names are made there, and dropped after; tests that kill servers start their own all the same.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager

import pytest

from tests.support import postgresql, rabbitmq
from tests.support.postgresql import PostgreSQLServer, fresh_database
from tests.support.processes import Scratch
from tests.support.rabbitmq import RabbitMQServer, fresh_vhost, management_of

Fresh = Callable[[], AbstractContextManager[str]]
"""Makes a fresh database or virtual host for the time of a ``with``, and gives its URL."""


@pytest.fixture(scope="session")
def scratch() -> Iterator[Scratch]:
    """Folder of the servers."""
    with Scratch() as scratch:
        yield scratch


@pytest.fixture(scope="session")
def postgresql_server(scratch: Scratch) -> PostgreSQLServer:
    """A server of our own: whoever kills it starts it again."""
    return PostgreSQLServer(scratch)


@pytest.fixture(scope="session")
def rabbitmq_server(scratch: Scratch) -> RabbitMQServer:
    """A broker of our own: whoever kills it starts it again."""
    return RabbitMQServer(scratch)


@pytest.fixture(scope="session")
def new_database(request: pytest.FixtureRequest) -> Fresh:
    """``with new_database() as url``: an empty database on the server given, or on ours."""
    url = postgresql.given_url() or request.getfixturevalue("postgresql_server").url
    return lambda: fresh_database(url)


@pytest.fixture(scope="session")
def new_vhost(request: pytest.FixtureRequest) -> Fresh:
    """``with new_vhost() as url``: an empty virtual host on the broker given, or on ours."""
    url = rabbitmq.given_url()
    if url is not None:
        api = management_of(url)
        return lambda: fresh_vhost(url, api)
    server: RabbitMQServer = request.getfixturevalue("rabbitmq_server")
    return lambda: fresh_vhost(server.url, server.api)


@pytest.fixture
def postgresql_url(new_database: Fresh) -> Iterator[str]:
    """URL of an empty database."""
    with new_database() as url:
        yield url


@pytest.fixture
def rabbitmq_url(new_vhost: Fresh) -> Iterator[str]:
    """URL of an empty virtual host."""
    with new_vhost() as url:
        yield url
