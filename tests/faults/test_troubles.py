"""What goes wrong in a night short of a kill: networks, pauses, restarts, full disks, messages, clocks, poison."""

from __future__ import annotations

import os
import signal
import tempfile
import time
from pathlib import Path

import pytest
from kombu import Connection

from roque.bus.app import JOB_TASK, make_app
from roque.bus.topology import JOBS, job_queue
from roque.jobs.life import retry
from tests.faults.observatory import SERVICES, worker_pid
from tests.support.postgresql import PostgreSQLServer
from tests.support.processes import Scratch

pytestmark = pytest.mark.faults_all

LEASE_SECONDS = 15.0


def test_connections_to_the_record_are_cut_and_stalled(disturb, chance):
    with disturb(proxies=True) as night:
        for number in range(1, 5):
            night.until_running()
            with night.fault(f"record cut off, {number}"):
                night.record_proxy.cut()
                time.sleep(chance.uniform(0.0, 3.0))
                night.record_proxy.mend()
            night.until_running()
            with night.fault(f"record stalled, {number}"):
                night.record_proxy.stall()
                time.sleep(chance.uniform(2.0, 4.0))
                night.record_proxy.mend()


def test_the_record_is_stalled_for_longer_than_a_lease(disturb):
    with disturb(proxies=True) as night:
        night.until_running("reduce_range")
        with night.fault("record stalled for longer than a lease"):
            night.record_proxy.stall()
            time.sleep(LEASE_SECONDS + 5.0)
            night.record_proxy.mend()


def test_connections_to_the_broker_are_cut_and_stalled(disturb, chance):
    with disturb(proxies=True) as night:
        for number in range(1, 4):
            night.until_running()
            with night.fault(f"broker cut off, {number}"):
                night.broker_proxy.cut()
                time.sleep(chance.uniform(0.0, 3.0))
                night.broker_proxy.mend()
            night.until_running()
            with night.fault(f"broker stalled, then cut off, {number}"):
                night.broker_proxy.stall()
                time.sleep(chance.uniform(2.0, 4.0))
                night.broker_proxy.cut()  # what was on its way is lost
                night.broker_proxy.mend()


def test_the_broker_is_stalled_for_longer_than_its_heartbeats(disturb):
    with disturb(proxies=True) as night:
        night.until_running("reduce_range")
        with night.fault("broker stalled for longer than its heartbeats"):
            night.broker_proxy.stall()
            time.sleep(65.0)
            night.broker_proxy.mend()


def test_a_paused_process_comes_back_after_its_lease(disturb):
    with disturb() as night:
        for kind in ("build_master", "prepare_reduction", "reduce_range", "export_reduction"):
            job = night.until_running(kind)
            assert job is not None
            pid = worker_pid(job)
            os.kill(pid, signal.SIGSTOP)
            with night.fault(f"a process paused at a {kind}"):
                # whatever it had is done by others while it stands still
                night.system.until(lambda pid=pid: pid not in map(worker_pid, night.system.jobs("running")))
            os.kill(pid, signal.SIGCONT)
        assert "claim_lost" in night.system.said()


def test_whole_services_are_paused_for_longer_than_a_lease(disturb):
    with disturb() as night:
        night.until_running("reduce_range")
        with night.fault("every process paused"):
            family = [*night.system.family()]
            for pid in family:
                os.kill(pid, signal.SIGSTOP)
            time.sleep(LEASE_SECONDS + 5.0)
            for pid in family:
                os.kill(pid, signal.SIGCONT)


def test_every_service_is_restarted_in_mid_work(disturb):
    with disturb() as night:
        for name in SERVICES:
            night.until_running()
            with night.fault(f"SIGTERM and restart of {name}"):
                assert night.system.stop(name) == {name: 0}
                night.system.start(name)
                night.system.until_started(name)
        assert night.system.deaths == 0


def test_the_disk_of_products_is_full(disturb, small_disk):
    products = small_disk("16m")
    ballast = products / "ballast"
    with disturb(products=products) as night:
        for before, kind in (("build_master", "build_master"), ("reduce_range", "export_reduction")):
            night.until_running(before)
            with night.fault(f"disk of products full at a {kind}"):
                fill(ballast)
                night.system.until(lambda kind=kind: refused(night.system.jobs("waiting", kind=kind)))
                time.sleep(5.0)
                ballast.unlink()


def test_the_disk_of_the_record_is_full(disturb, small_disk, monkeypatch):
    disk = small_disk("200m")
    ballast = disk / "ballast"
    monkeypatch.setattr(tempfile, "tempdir", str(disk))
    with Scratch() as scratch:
        monkeypatch.undo()
        server = PostgreSQLServer(scratch)
        with disturb(record_server=server) as night:
            night.until_running("reduce_range")
            with night.fault("disk of the record full"):
                fill(ballast)
                night.system.until(lambda: "No space left on device" in night.system.said())
                time.sleep(5.0)
                ballast.unlink()
                server.kill()  # it may have ended by itself: an operator starts it again
                server.start()


def fill(path: Path) -> None:
    with path.open("wb", buffering=0) as file:
        try:
            while file.write(bytes(4096)):
                pass
        except OSError:
            return


def refused(jobs) -> bool:
    return any(job.error and job.error["message"] == "no space left on device" for job in jobs)


def test_messages_are_lost(disturb):
    with disturb() as night:
        night.until_running("reduce_range")
        reducers = "reducer-1", "reducer-2"
        night.system.stop(*reducers)
        with night.fault("every waiting message lost"):
            night.system.until(lambda: night.system.jobs("queued"))
            time.sleep(1.0)  # until the relay has sent them
            with Connection(night.broker) as connection:
                assert connection.default_channel.queue_purge(job_queue("reducer").name) > 0
            night.system.start(*reducers)


def test_messages_are_doubled_late_and_unreadable(disturb):
    with disturb() as night:
        night.until_running("reduce_range")
        with night.fault("messages doubled, late, unreadable, unknown"):
            jobs = night.system.jobs("done", "running", "queued")
            again = [(job.service, {"v": 1, "job": job.id}) for job in jobs for _ in range(3)]
            odd = [{"v": 99, "job": jobs[0].id}, {"v": 1, "job": "no such job"}, {"v": 1}, [], "text", None]
            app = make_app(night.broker, do=print)
            for service, message in again + [("reducer", message) for message in odd]:
                app.send_task(JOB_TASK, (message,), queue=job_queue(service).name, retry=False)
            app.send_task("no.such.task", queue=job_queue("calibrator").name)
            with app.connection_for_write() as connection:
                send = connection.Producer(exchange=JOBS, routing_key="job.reducer").publish
                send(b"\x80 not JSON", content_type="application/json", content_encoding="utf-8")
                send(b"cos\nsystem\n(S'true'\ntR.", content_type="application/x-python-serialize", content_encoding="binary")
                send(b"", content_type="text/plain", content_encoding="utf-8")
                send({"v": 1, "job": jobs[0].id})
            app.close()


def test_two_planners_and_clocks_that_are_wrong(disturb, monkeypatch):
    with disturb(start=False) as night:
        late = {"ROQUE_TEST_PLANTS": "wrong_clock,short_ranges", "ROQUE_TEST_CLOCK_SECONDS": "-7200"}
        early = {**late, "ROQUE_TEST_CLOCK_SECONDS": "7200"}
        night.system.start("planner", "calibrator-1", "reducer-2", "exporter-1")
        night.system.start("planner-2", **early)
        night.system.start("ingest", "calibrator-2", "reducer-1", "exporter-2", **late)
        assert night.system.deaths == 0


def test_a_job_that_kills_its_worker_fails_and_can_be_retried(disturb, tmp_path):
    poison = tmp_path / "poison"
    poison.touch()
    with disturb(start=False, kills=True) as night:
        deadly = {"ROQUE_TEST_PLANTS": "poison,short_ranges", "ROQUE_TEST_POISON": str(poison)}
        night.system.start("ingest", "planner", "calibrator-1", "calibrator-2", "exporter-1", "exporter-2")
        night.system.start("reducer-1", "reducer-2", **deadly)
        prepared = "prepare_reduction"
        night.system.until(lambda: len(night.system.jobs("failed", kind=prepared)) == 3 and not night.camera.writes)
        for job in night.system.jobs("failed", kind=prepared):
            assert (job.error["message"], job.attempts) == ("killed its worker 3 times", 3)
        with night.fault("jobs that killed their workers, retried"):
            poison.unlink()
            for job in night.system.jobs("failed", kind=prepared):
                with night.system.record.writing() as session:
                    retry(session, job.id)
