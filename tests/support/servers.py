"""Fixtures: a database and a broker as an observatory has them, of this test run alone.

Without ROQUE_TEST_DATABASE_URL and ROQUE_TEST_BROKER_URL the run starts servers of its own when a test first asks for them,
one pair for each process of pytest-xdist, so that a test may kill them. With the variables, only databases and virtual hosts
with random names are made there, and dropped after; tests that kill servers start their own all the same.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack
from functools import cached_property

import pytest

from tests.support import postgresql, rabbitmq
from tests.support.postgresql import PostgreSQLServer, fresh_database
from tests.support.processes import Scratch
from tests.support.rabbitmq import RabbitMQServer, fresh_vhost, management_of


class Servers:
    """A database and a broker of our own, each started when it is first asked for."""

    def __init__(self, stack: ExitStack) -> None:
        self._stack = stack

    @cached_property
    def scratch(self) -> Scratch:
        """Folder of the servers."""
        return self._stack.enter_context(Scratch())

    @cached_property
    def postgresql(self) -> PostgreSQLServer:
        """The database server."""
        return PostgreSQLServer(self.scratch)

    @cached_property
    def rabbitmq(self) -> RabbitMQServer:
        """The broker."""
        return RabbitMQServer(self.scratch)

    def new_database(self, template: str | None = None) -> AbstractContextManager[str]:
        """Make a database, empty or a copy, on the server given, or on ours."""
        return fresh_database(postgresql.given_url() or self.postgresql.url, template)

    def new_vhost(self) -> AbstractContextManager[str]:
        """Make an empty virtual host on the broker given, or on ours."""
        url = rabbitmq.given_url()
        return fresh_vhost(self.rabbitmq.url, self.rabbitmq.api) if url is None else fresh_vhost(url, management_of(url))


@pytest.fixture(scope="session")
def servers() -> Iterator[Servers]:
    """The servers of this process of the test run."""
    with ExitStack() as stack:
        yield Servers(stack)


@pytest.fixture(scope="session")
def postgresql_server(servers: Servers) -> PostgreSQLServer:
    """A server of our own: whoever kills it starts it again."""
    return servers.postgresql


@pytest.fixture(scope="session")
def rabbitmq_server(servers: Servers) -> RabbitMQServer:
    """A broker of our own: whoever kills it starts it again."""
    return servers.rabbitmq


@pytest.fixture
def own_postgresql_url(postgresql_server: PostgreSQLServer) -> Iterator[str]:
    """URL of an empty database on a server that may be killed."""
    with fresh_database(postgresql_server.url) as url:
        yield url


@pytest.fixture
def own_rabbitmq_url(rabbitmq_server: RabbitMQServer) -> Iterator[str]:
    """URL of an empty virtual host on a broker that may be killed, starved and looked into."""
    with fresh_vhost(rabbitmq_server.url, rabbitmq_server.api) as url:
        yield url


@pytest.fixture
def postgresql_url(servers: Servers) -> Iterator[str]:
    """URL of an empty database."""
    with servers.new_database() as url:
        yield url


@pytest.fixture
def rabbitmq_url(servers: Servers) -> Iterator[str]:
    """URL of an empty virtual host."""
    with servers.new_vhost() as url:
        yield url
