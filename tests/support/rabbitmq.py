"""A RabbitMQ server of the test run's own, and virtual hosts with random names."""

from __future__ import annotations

import base64
import contextlib
import json
import os
import secrets
import subprocess
import urllib.error
import urllib.request
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote, unquote, urlsplit

import pytest

from tests.support.processes import Scratch, free_port, kill_members, program, wait_ready

SCRIPTS = "/usr/lib/rabbitmq/bin"  # the one in the PATH would change to another user
MANAGEMENT_PORT = 15672

CONFIGURATION = """\
listeners.tcp.1 = 127.0.0.1:{port}
management.tcp.ip = 127.0.0.1
management.tcp.port = {management}
management_agent.disable_metrics_collector = true
default_user = roque
default_pass = {password}
log.console = false
vm_memory_high_watermark.absolute = 2GB
disk_free_limit.absolute = 50MB
"""
# as for PostgreSQL: what was confirmed is written, but not flushed to the disk
ADVANCED = "[{ra, [{wal_sync_method, %s}]}].\n"


class RabbitMQServer:
    """A node that can be killed and started again in its place, on the same ports with the same queues.

    It has a name server (epmd) of its own, which no kill touches, so that any number of nodes run side by side.

    Parameters
    ----------
    scratch : Scratch
        Where it lives.
    durable : bool
        Whether confirmed messages are flushed to the disk, as an observatory has it: for benchmarks.
    """

    def __init__(self, scratch: Scratch, *, durable: bool = False) -> None:
        self._scratch = scratch
        self._name = f"roque-{secrets.token_hex(4)}"
        self._folder = scratch.make(f"rabbitmq-{self._name}")
        self._node, self._names = scratch.make(f"{self._folder.name}/node"), scratch.make(f"{self._folder.name}/names")
        self._log = self._folder / "log"
        self._password = secrets.token_urlsafe(12)
        self._durable = durable
        self._process: subprocess.Popen[bytes] | None = None
        for _ in range(5):  # somebody else may take a port in between
            self.port, self._management, self._distribution, self._epmd = (free_port() for _ in range(4))
            self._configure()
            self._scratch.start(
                [program("epmd", "/usr/lib/erlang/erts-*/bin", package="erlang-base"), "-port", str(self._epmd)],
                self._names,
                {"ERL_EPMD_ADDRESS": "127.0.0.1"},
                self._log,
            )
            if self._started():
                return
            kill_members(self._folder)
        pytest.fail(f"RabbitMQ does not start: {self._log.read_text()[-2000:]}")

    @property
    def url(self) -> str:
        """URL of the virtual host that is always there."""
        return f"amqp://roque:{self._password}@127.0.0.1:{self.port}/%2F"

    @property
    def api(self) -> Management:
        """Its management interface."""
        return Management(f"http://127.0.0.1:{self._management}", "roque", self._password)

    @property
    def pid(self) -> int:
        """The Erlang machine."""
        assert self._process is not None
        return self._process.pid

    def start(self) -> None:
        """Start it again after `kill`; returns when it answers."""
        if not self._started():
            pytest.fail(f"RabbitMQ does not start again: {self._log.read_text()[-2000:]}")

    def kill(self) -> None:
        """SIGKILL.

        A queue that was declared in the two seconds before may be unusable afterwards: RabbitMQ's own table of
        queues (Mnesia) is written with that delay, whatever was confirmed.
        """
        kill_members(self._node)
        assert self._process is not None
        self._process.wait()

    def control(self, *words: str) -> str:
        """Give a command to the node with rabbitmqctl (a second or two each)."""
        command = [program("rabbitmqctl", SCRIPTS, package="rabbitmq-server"), "--quiet", *words]
        environment = {"PATH": os.environ["PATH"], **self._environment()}
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def _configure(self) -> None:
        text = CONFIGURATION.format(port=self.port, management=self._management, password=self._password)
        (self._folder / "rabbitmq.conf").write_text(text)
        (self._folder / "advanced.config").write_text(ADVANCED % ("datasync" if self._durable else "none"))
        (self._folder / "enabled_plugins").write_text("[rabbitmq_management].\n")

    def _environment(self) -> dict[str, str]:
        return {
            "HOME": str(self._node),  # where the node and rabbitmqctl find their common cookie
            "RABBITMQ_NODENAME": f"{self._name}@localhost",
            "RABBITMQ_BASE": str(self._node),
            "RABBITMQ_MNESIA_BASE": str(self._node / "data"),
            "RABBITMQ_LOG_BASE": str(self._node / "log"),
            "RABBITMQ_PID_FILE": str(self._node / "pid"),
            "RABBITMQ_CONFIG_FILE": str(self._folder / "rabbitmq.conf"),
            "RABBITMQ_ADVANCED_CONFIG_FILE": str(self._folder / "advanced.config"),
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(self._folder / "enabled_plugins"),
            "RABBITMQ_CONF_ENV_FILE": "/dev/null",
            "RABBITMQ_DIST_PORT": str(self._distribution),
            "ERL_EPMD_PORT": str(self._epmd),
            "ERL_EPMD_ADDRESS": "127.0.0.1",
        }

    def _started(self) -> bool:
        # with input allowed the script becomes the Erlang machine, instead of its parent that passes signals on
        environment = self._environment() | {"RABBITMQ_ALLOW_INPUT": "1", "RABBITMQ_SERVER_START_ARGS": "-noinput"}
        command = [program("rabbitmq-server", SCRIPTS, package="rabbitmq-server")]
        self._process = self._scratch.start(command, self._node, environment, self._log)
        return wait_ready(self._process, self._answers, self._log)

    def _answers(self) -> bool:
        try:
            self.api.ask("GET", f"health/checks/port-listener/{self.port}")
        except (OSError, ConnectionError):
            return False
        return True


class Management:
    """The management interface of a broker.

    Parameters
    ----------
    address : str
        ``http://HOST:PORT``.
    user, password : str
    """

    def __init__(self, address: str, user: str, password: str) -> None:
        self.address, self.user = address, user
        self._word = base64.b64encode(f"{user}:{password}".encode()).decode()

    def ask(self, method: str, path: str, body: Any = None) -> Any:
        """Send a request; the answer's JSON, or None."""
        data = json.dumps(body).encode() if body is not None else None
        headers = {"Authorization": f"Basic {self._word}", "Content-Type": "application/json"}
        request = urllib.request.Request(f"{self.address}/api/{path}", data, headers, method=method)
        with urllib.request.urlopen(request, timeout=30) as answer:
            text = answer.read()
        return json.loads(text) if text else None

    def drop_connections(self, vhost: str) -> int:
        """Cut every connection to a virtual host, as an administrator can; how many there were."""
        found = self.ask("GET", f"vhosts/{quote(vhost, safe='')}/connections")
        for connection in found:
            with contextlib.suppress(urllib.error.HTTPError):
                self.ask("DELETE", f"connections/{quote(connection['name'], safe='')}")
        return len(found)


@contextlib.contextmanager
def fresh_vhost(server: str, api: Management) -> Iterator[str]:
    """Make a virtual host with a random name on a broker named by a URL; drop it after, with all that is in it."""
    name = f"roque-test-{secrets.token_hex(6)}"
    api.ask("PUT", f"vhosts/{name}")
    try:
        api.ask("PUT", f"permissions/{name}/{quote(api.user, safe='')}", {"configure": ".*", "write": ".*", "read": ".*"})
        yield urlsplit(server)._replace(path=f"/{name}").geturl()
    finally:
        with contextlib.suppress(OSError):  # a test may have left the broker dead
            api.ask("DELETE", f"vhosts/{name}")


def given_url() -> str | None:
    """URL of a broker to use instead of one of our own."""
    return os.environ.get("ROQUE_TEST_BROKER_URL") or None


def management_of(url: str) -> Management:
    """The management interface beside a broker that was given."""
    parts = urlsplit(url)
    api = Management(
        f"http://{parts.hostname}:{MANAGEMENT_PORT}", unquote(parts.username or "guest"), unquote(parts.password or "guest")
    )
    try:
        api.ask("GET", "overview")
    except OSError as error:
        pytest.fail(
            f"the broker of ROQUE_TEST_BROKER_URL has no management interface at {api.address} for that user ({error}): "
            "virtual hosts are made through it; do 'rabbitmq-plugins enable rabbitmq_management', or leave the variable out"
        )
    return api
