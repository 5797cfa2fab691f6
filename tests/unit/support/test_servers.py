"""The servers of the tests: alone, killed and started in place, gone with whoever started them."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from kombu import Connection, Queue

from tests.support.postgresql import connect
from tests.support.processes import free_port, members


def test_a_database_is_empty_and_gone_afterwards(servers):
    with servers.new_database() as url, connect(url) as connection:
        assert connection.execute("SELECT count(*) FROM pg_tables WHERE schemaname = 'public'").fetchone() == (0,)
        connection.execute("CREATE TABLE one (n int)")
    with servers.new_database() as other, connect(other) as connection:
        name = url.rpartition("/")[2]
        assert connection.execute("SELECT count(*) FROM pg_database WHERE datname = %s", [name]).fetchone() == (0,)


def test_what_was_committed_is_there_after_a_kill(postgresql_server, own_postgresql_url):
    with connect(own_postgresql_url) as connection:
        connection.execute("CREATE TABLE one AS SELECT generate_series(1, 1000) AS n")
    postgresql_server.kill()
    postgresql_server.start()
    with connect(own_postgresql_url) as connection:
        assert connection.execute("SELECT count(*) FROM one").fetchone() == (1000,)


def test_what_was_confirmed_is_there_after_a_kill(rabbitmq_server, own_rabbitmq_url):
    queue = Queue("one", routing_key="one", durable=True, queue_arguments={"x-queue-type": "quorum"})
    with Connection(own_rabbitmq_url, transport_options={"confirm_publish": True}) as connection:
        sender = connection.SimpleQueue(queue)
        for number in range(20):
            sender.put({"n": number})
    time.sleep(2.5)  # RabbitMQ 3.10 itself writes its table of queues every two seconds only
    rabbitmq_server.kill()
    rabbitmq_server.start()
    with Connection(own_rabbitmq_url) as connection:
        receiver = connection.SimpleQueue(queue)
        assert [receiver.get(timeout=20).payload["n"] for _ in range(20)] == list(range(20))


def test_virtual_hosts_do_not_see_each_other(servers):
    with servers.new_vhost() as one, servers.new_vhost() as two:
        with Connection(one) as connection:
            connection.SimpleQueue("same").put("here")
        with Connection(two) as connection, pytest.raises(connection.SimpleQueue("same").Empty):
            connection.SimpleQueue("same").get(block=False)


def test_servers_die_with_whoever_started_them_even_if_that_is_killed():
    code = (
        "import sys, time\n"
        "from tests.support.processes import Scratch\nfrom tests.support.postgresql import PostgreSQLServer\n"
        "with Scratch() as scratch:\n"
        "    PostgreSQLServer(scratch); print(scratch.folder, flush=True); time.sleep(600)\n"
    )
    root = Path(__file__).parents[3]
    environment = {**os.environ, "PYTHONPATH": f"{root}:{os.environ.get('PYTHONPATH', '')}"}
    starter = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, env=environment, text=True)
    folder = Path(starter.stdout.readline().strip())
    assert list(members(folder))
    starter.send_signal(signal.SIGKILL)
    starter.wait()
    starter.stdout.close()
    deadline = time.monotonic() + 30
    while list(members(folder)) or folder.exists():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_ports_are_not_those_of_outgoing_connections():
    assert all(10_000 <= free_port() < 32_768 for _ in range(50))
