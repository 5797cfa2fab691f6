"""The two sizes of the system: one code path, told apart by settings alone."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager

import pytest

from tests.support.servers import Fresh

SIZES = ("laptop", "observatory")


class Sizes:
    """Makes the settings of a system of either size, with a record and a broker that are empty and its own.

    Parameters
    ----------
    request : FixtureRequest
        Finds the servers when an observatory is first asked for.
    """

    def __init__(self, request: pytest.FixtureRequest) -> None:
        self._request = request

    @contextmanager
    def new(self, size: str) -> Iterator[Mapping[str, str]]:
        """Settings by name; those of a laptop are the defaults."""
        if size == "laptop":
            yield {}
            return
        new_database: Fresh = self._request.getfixturevalue("new_database")
        new_vhost: Fresh = self._request.getfixturevalue("new_vhost")
        with ExitStack() as stack:
            yield {"database_url": stack.enter_context(new_database()), "broker_url": stack.enter_context(new_vhost())}


@pytest.fixture(scope="session")
def sizes(request: pytest.FixtureRequest) -> Sizes:
    """Settings of systems of both sizes."""
    return Sizes(request)


@pytest.fixture(scope="module", params=SIZES)
def size(request: pytest.FixtureRequest) -> str:
    """Each test that drives a system runs at both sizes; those of one module and size follow each other."""
    return request.param
