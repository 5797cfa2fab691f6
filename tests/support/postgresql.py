"""A PostgreSQL server of the test run's own, and databases with random names."""

from __future__ import annotations

import contextlib
import os
import secrets
import subprocess
from collections.abc import Iterator

import psycopg
import pytest
from psycopg import sql
from sqlalchemy.engine import make_url

from tests.support.processes import Scratch, free_port, kill_members, program, wait_ready

BINARIES = "/usr/lib/postgresql/*/bin"

# A server or a test that is killed loses nothing that was written to the operating system: only a machine that loses its
# power does, and no test takes that away. So nothing is flushed to the disk (seconds in every test), but a commit is written
# before it is answered (synchronous_commit). Benchmarks flush: durable=True.
UNFLUSHED = {"fsync": "off", "full_page_writes": "off"}
CONFIGURATION = {
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",
    "max_connections": "200",
    "shared_buffers": "128MB",
    "synchronous_commit": "on",
    "log_min_messages": "warning",
    "timezone": "UTC",
}


class PostgreSQLServer:
    """A server that can be killed and started again in its place, on the same port with the same data.

    Parameters
    ----------
    scratch : Scratch
        Where it lives.
    durable : bool
        Whether commits are flushed to the disk, as an observatory has it: for benchmarks.
    """

    def __init__(self, scratch: Scratch, *, durable: bool = False) -> None:
        self._scratch = scratch
        self._folder = scratch.make(f"postgresql-{secrets.token_hex(4)}")
        self._log = self._folder / "log"
        self._password = secrets.token_urlsafe(12)
        self._configuration = CONFIGURATION | ({} if durable else UNFLUSHED)
        self._process: subprocess.Popen[bytes] | None = None
        self._make()
        for _ in range(5):  # somebody else may take the port in between
            self.port = free_port()
            if self._started():
                return
        pytest.fail(f"PostgreSQL does not start: {self._log.read_text()[-2000:]}")

    @property
    def url(self) -> str:
        """SQLAlchemy URL of the database that is always there, as the superuser."""
        return f"postgresql+psycopg://roque:{self._password}@127.0.0.1:{self.port}/postgres"

    @property
    def pid(self) -> int:
        """The postmaster."""
        assert self._process is not None
        return self._process.pid

    def start(self) -> None:
        """Start it again after `kill`; returns when it answers."""
        if not self._started():
            pytest.fail(f"PostgreSQL does not start again: {self._log.read_text()[-2000:]}")

    def kill(self) -> None:
        """SIGKILL, for it and all its processes."""
        kill_members(self._folder)
        assert self._process is not None
        self._process.wait()

    def _make(self) -> None:
        words = self._folder / "password"
        words.write_text(self._password)
        command = [program("initdb", BINARIES, package="postgresql"), "-D", str(self._folder / "data"), "-U", "roque"]
        command += ["--auth=scram-sha-256", f"--pwfile={words}", "--encoding=UTF8", "--locale=C.UTF-8", "--no-sync"]
        words.chmod(0o644)
        made = self._scratch.start(command, self._folder, {}, self._log)
        if made.wait() != 0:
            pytest.fail(f"initdb failed: {self._log.read_text()[-2000:]}")

    def _started(self) -> bool:
        command = [program("postgres", BINARIES, package="postgresql"), "-D", str(self._folder / "data"), "-p", str(self.port)]
        command += [word for name, value in self._configuration.items() for word in ("-c", f"{name}={value}")]
        self._process = self._scratch.start(command, self._folder, {}, self._log)
        return wait_ready(self._process, self._answers, self._log)

    def _answers(self) -> bool:
        try:
            connect(self.url).close()
        except psycopg.OperationalError:
            return False
        return True


def connect(url: str) -> psycopg.Connection:
    """Connect with psycopg to what a SQLAlchemy URL names; every statement commits at once."""
    plain = make_url(url).set(drivername="postgresql").render_as_string(hide_password=False)
    return psycopg.connect(plain, autocommit=True, connect_timeout=5)


@contextlib.contextmanager
def fresh_database(server: str, template: str | None = None) -> Iterator[str]:
    """Make a database with a random name on a server, and drop it after.

    Parameters
    ----------
    server : str
        URL of a database that is there, by which the server is known.
    template : str or None
        URL of a database to copy, which nobody is connected to; None: an empty one.
    """
    name = f"roque_test_{secrets.token_hex(6)}"
    like = make_url(template).database if template is not None else "template0"
    with connect(server) as connection:
        connection.execute(sql.SQL("CREATE DATABASE {} TEMPLATE {}").format(sql.Identifier(name), sql.Identifier(like)))
    try:
        yield make_url(server).set(drivername="postgresql+psycopg", database=name).render_as_string(hide_password=False)
    finally:
        with connect(server) as connection:
            connection.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))


def given_url() -> str | None:
    """URL of a server to use instead of one of our own."""
    return os.environ.get("ROQUE_TEST_DATABASE_URL") or None
