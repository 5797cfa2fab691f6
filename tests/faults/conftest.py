"""What a fault test has: a night, what it comes to undisturbed, and a system to disturb. And the table of recoveries."""

from __future__ import annotations

import os
import random
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy.engine import make_url

from roque.archive import Record
from tests.faults.disturbed import RECOVERY_SECONDS, Disturbed
from tests.faults.ledger import Ledger, faults_of, ledger_of
from tests.faults.night import Camera, write_night
from tests.faults.observatory import Observatory
from tests.support.postgresql import PostgreSQLServer, fresh_database
from tests.support.proxy import Proxy
from tests.support.rabbitmq import fresh_vhost

SEED = int(os.environ.get("ROQUE_FAULT_SEED", "20261121"))

_ROQUE = [sys.executable, "-c", "from services.cli.main import main; main()"]
_RECOVERY = "recovery"

Disturb = Callable[..., AbstractContextManager[Disturbed]]


@pytest.fixture(scope="session")
def night(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The raw files of the night."""
    return write_night(tmp_path_factory.mktemp("camera"), SEED)


@pytest.fixture(scope="session")
def undisturbed(night: Path, tmp_path_factory: pytest.TempPathFactory) -> Ledger:
    """What the night comes to if nothing goes wrong: at laptop size, by the same code."""
    home = tmp_path_factory.mktemp("undisturbed")
    command = [*_ROQUE, "--home", str(home), "night", "reduce", str(night)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert done.returncode == 1, done.stderr  # one file is not FITS
    record = Record(f"sqlite:///{home / 'record.sqlite'}")
    ledger = ledger_of(record, home / "products")
    assert faults_of(record, home / "products") == []
    record.close()
    return ledger


@pytest.fixture
def chance(request: pytest.FixtureRequest) -> random.Random:
    """Seeded for each test; the seed is printed when the test fails."""
    print(f"ROQUE_FAULT_SEED={SEED}")
    return random.Random(f"{SEED} {request.node.name}")


@pytest.fixture
def disturb(night: Path, undisturbed: Ledger, chance: random.Random, tmp_path: Path, request: Any) -> Disturb:
    """``with disturb() as night``: the body spoils a night that is under way; after it the night must come out as ever.

    Parameters
    ----------
    own_servers : bool
        Whether the body kills the servers: then they are the test run's own, whatever it was given to use.
    record_server : PostgreSQLServer or None
        Server of the record, if it is neither.
    proxies : bool
        Whether the system reaches its servers through `Disturbed.record_proxy` and `Disturbed.broker_proxy`.
    products : Path or None
        Where products go.
    kills : bool
        Whether processes are killed, which may leave files that the sweeper has to remove.
    start : bool
        Whether every process is started; else the body does that.
    """

    @contextmanager
    def disturbed(
        *,
        own_servers: bool = False,
        record_server: PostgreSQLServer | None = None,
        proxies: bool = False,
        products: Path | None = None,
        kills: bool = False,
        start: bool = True,
    ) -> Iterator[Disturbed]:
        with ExitStack() as stack:
            if own_servers:
                record_server, server = map(request.getfixturevalue, ("postgresql_server", "rabbitmq_server"))
                broker = stack.enter_context(fresh_vhost(server.url, server.api))
            else:
                broker = request.getfixturevalue("rabbitmq_url")
            if record_server is not None:
                database = stack.enter_context(fresh_database(record_server.url))
            else:
                database = request.getfixturevalue("postgresql_url")
            record_proxy, through = _proxied(stack, database, 5432) if proxies else (None, database)
            broker_proxy, carried = _proxied(stack, broker, 5672) if proxies else (None, broker)
            system = Observatory(
                tmp_path / "home", through, carried, tmp_path / "incoming", products=products, own_database=database
            )
            stack.enter_context(system)
            camera = stack.enter_context(Camera(night, tmp_path / "incoming"))
            under_way = Disturbed(system, camera, chance, broker, len(list(night.iterdir())), record_proxy, broker_proxy)
            if start:
                system.start()
            yield under_way
            under_way.finish(undisturbed, kills=kills)
            for name, seconds in under_way.recoveries().items():
                request.node.user_properties.append((_RECOVERY, (name, seconds, os.getloadavg()[0])))
                assert seconds <= RECOVERY_SECONDS, name

    return disturbed


@pytest.fixture
def small_disk() -> Iterator[Callable[[str], Path]]:
    """``small_disk("16m")`` mounts a file system of that size; every user may look into its folder."""
    with ExitStack() as stack:

        def mount(size: str) -> Path:
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="roque-disk-")))
            folder.chmod(0o755)
            command = ["mount", "-t", "tmpfs", "-o", f"size={size},mode=755", "tmpfs", str(folder)]
            mounted = subprocess.run(command, capture_output=True, text=True)
            if mounted.returncode != 0:
                pytest.fail(f"no small disk, which only root can mount: {mounted.stderr}; run this test as root")
            stack.callback(subprocess.run, ["umount", "--lazy", str(folder)], check=True)
            return folder

        yield mount


def _proxied(stack: ExitStack, url: str, usual_port: int) -> tuple[Proxy, str]:
    address = make_url(url)
    proxy = stack.enter_context(Proxy(address.host, address.port or usual_port))
    return proxy, address.set(host="127.0.0.1", port=proxy.port).render_as_string(hide_password=False)


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Print how long the system took to recover from each fault."""
    found = [
        value
        for outcome in ("passed", "failed")
        for report in terminalreporter.getreports(outcome)
        if report.when == "call"
        for name, value in report.user_properties
        if name == _RECOVERY
    ]
    if not found:
        return
    terminalreporter.section("recovery from faults")
    terminalreporter.write_line(f"{'FAULT':56s}{'SECONDS':>8s}{'LOAD':>7s}   seed {SEED}")
    for name, seconds, load in found:
        terminalreporter.write_line(f"{name:56s}{seconds:8.1f}{load:7.1f}")
    seconds = sorted(value[1] for value in found)
    p95 = statistics.quantiles(seconds, n=20, method="inclusive")[-1] if len(seconds) > 1 else seconds[0]
    terminalreporter.write_line(f"{'p95':56s}{p95:8.1f}")
