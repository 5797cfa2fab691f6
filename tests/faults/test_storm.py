"""One night in which everything fails once: what `make test` runs of the nights at observatory size; `make faults` runs all."""

from __future__ import annotations

import contextlib
import os
import signal
import time

from tests.faults.observatory import SERVICES, worker_pid


def test_a_night_in_which_everything_fails_gives_what_a_laptop_gives(disturb, chance, postgresql_server, rabbitmq_server):
    with disturb(own_servers=True, proxies=True, kills=True) as night:
        job = night.until_running()
        assert job is not None
        with night.fault("kill -9 of a pool process at work"), contextlib.suppress(ProcessLookupError):
            os.kill(worker_pid(job), signal.SIGKILL)
        night.until_running("prepare_reduction")
        with night.fault("kill -9 of half of the services"):
            for name in chance.sample(SERVICES, len(SERVICES) // 2):
                night.system.kill(name)
        night.until_running("reduce_range")
        with night.fault("kill -9 of PostgreSQL"):
            postgresql_server.kill()
            postgresql_server.start()
        night.until_running()
        with night.fault("kill -9 of the broker"):
            rabbitmq_server.kill()
            rabbitmq_server.start()
        night.until_running()
        with night.fault("record stalled, broker cut off"):
            night.record_proxy.stall()
            night.broker_proxy.cut()
            time.sleep(chance.uniform(1.0, 2.0))
            night.broker_proxy.mend()
            night.record_proxy.mend()
