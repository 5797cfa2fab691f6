"""kill -9 of every process of an observatory, and of its servers, in mid-work: the ledger of an undisturbed night."""

from __future__ import annotations

import contextlib
import os
import signal
import time

import pytest

from tests.faults.observatory import SERVICES, children, worker_pid

pytestmark = pytest.mark.faults_all


def test_an_undisturbed_night_gives_what_a_laptop_gives(disturb):
    with disturb():
        pass


def test_every_service_is_killed(disturb, chance):
    with disturb(kills=True) as night:
        for name in chance.sample(SERVICES, len(SERVICES)):
            night.until_running()
            with night.fault(f"kill -9 of {name}"):
                night.system.kill(name)
                night.system.keep_up()


def test_every_pool_process_is_killed_and_some_in_mid_work(disturb, chance):
    with disturb(kills=True) as night:
        for kind in ("build_master", "prepare_reduction", "reduce_range", "export_reduction"):
            job = night.until_running(kind)
            assert job is not None
            with night.fault(f"kill -9 of the process at a {kind}"), contextlib.suppress(ProcessLookupError):
                os.kill(worker_pid(job), signal.SIGKILL)
        for name in SERVICES[2:]:
            with night.fault(f"kill -9 of a pool process of {name}"):
                for child in children(night.system.running[name].pid):
                    os.kill(child, signal.SIGKILL)


def test_the_broker_is_killed(disturb, chance, rabbitmq_server):
    with disturb(own_servers=True) as night:
        night.until_running("prepare_reduction")
        with night.fault("kill -9 of the broker"):
            rabbitmq_server.kill()
            time.sleep(chance.uniform(0.0, 5.0))
            rabbitmq_server.start()
        night.until_running("reduce_range")
        with night.fault("kill -9 of the broker, again"):
            rabbitmq_server.kill()
            rabbitmq_server.start()


def test_the_database_is_killed_and_stopped(disturb, chance, postgresql_server):
    with disturb(own_servers=True) as night:
        night.until_running("prepare_reduction")
        with night.fault("kill -9 of PostgreSQL"):
            postgresql_server.kill()
            time.sleep(chance.uniform(0.0, 5.0))
            postgresql_server.start()
        night.until_running("reduce_range")
        with night.fault("immediate stop of PostgreSQL"):
            os.kill(postgresql_server.pid, signal.SIGQUIT)
            postgresql_server.kill()
            postgresql_server.start()
        night.until_running()
        with night.fault("PostgreSQL away for longer than a lease"):
            postgresql_server.kill()
            time.sleep(20.0)
            postgresql_server.start()
