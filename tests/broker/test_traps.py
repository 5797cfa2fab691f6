"""What a broker and Celery do with messages that no code of ours wrote, and with workers that come, go and cannot start."""

from __future__ import annotations

import json
import os
import pickle
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from kombu import Connection
from sqlalchemy import func, select

from roque.archive.models import DeadLetter, Job, Outbox
from roque.bus import app as bus_app
from roque.bus.topology import declare
from roque.jobs.outbox import clock
from tests.broker.conftest import Post

TOYS = Path(__file__).parents[1] / "system"
CONSUMER_TIMEOUT_SECONDS = 30 * 60
"""After so long RabbitMQ ends the channel of whoever has not acknowledged, and the work is done twice."""

THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS")


class Worker:
    """A real worker at the exporter's queue, with toys for handlers; what it says is in worker.log."""

    def __init__(self, home: Path, broker: str, **variables: str) -> None:
        self.home = home
        path = os.pathsep.join([str(TOYS), *filter(None, [os.environ.get("PYTHONPATH")])])
        self.environment = {
            **os.environ, "PYTHONPATH": path, "ROQUE_HOME": str(home), "ROQUE_BROKER_URL": broker, "ROQUE_LOG_FORMAT": "json",
            "ROQUE_PARENT": str(os.getpid()), **dict.fromkeys(THREADS, "1"), **variables,
        }  # fmt: skip

    def start(self, *before: str) -> subprocess.Popen[bytes]:
        words = ["roque.bus.worker", "--services", "exporter", "--handlers", "worker_toys:HANDLERS", "--processes", "1"]
        with (self.home / "worker.log").open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, *(before or ("-m",)), *words], env=self.environment, stdout=log, stderr=log
            )
        return self.process

    def said(self) -> str:
        return (self.home / "worker.log").read_text()

    def end(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()


def changed(folder: Path, change: str) -> str:
    """A program that starts a worker with limits that are no settings, as nobody should change them."""
    launch = folder / "launch.py"
    launch.write_text(
        f"import runpy, sys\n{change}"
        "sys.argv = sys.argv[1:]\nrunpy.run_module(sys.argv[0], run_name='__main__', alter_sys=True)\n"
    )
    return str(launch)


@pytest.fixture(scope="module")
def system(tmp_path_factory, servers):
    """One worker for all messages: each test has it do a job afterwards, so none can have hurt it."""
    with servers.new_vhost() as broker:
        post = Post(tmp_path_factory.mktemp("traps"), broker)
        with Connection(broker) as connection:
            declare(connection)
        worker = Worker(post.folder, broker)
        worker.start()
        yield post
        worker.end()
        post.close()


def states(post, *jobs):
    with post.record.reading() as session:
        return [session.get_one(Job, job).state for job in jobs]


def put(post, body, headers=None, **properties):
    with Connection(post.broker) as connection:
        channel = connection.default_channel
        message = channel.prepare_message(body, headers=headers or {}, **properties)
        channel.basic_publish(message, exchange="", routing_key="exporter.v1")


def newest(post):
    with post.record.reading() as session:
        return session.scalars(select(DeadLetter).order_by(DeadLetter.id.desc()).limit(1)).one_or_none()


def next_job(post):
    with post.record.reading() as session:
        return 1 + (session.scalar(select(func.count()).select_from(Job)) or 0)


JSON = {"content_type": "application/json", "content_encoding": "utf-8"}


def headers(task="roque.job", **more):
    return {"lang": "py", "task": task, "id": "5", "root_id": "5", "parent_id": None, "group": None, "argsrepr": "", **more}


def body(*arguments):
    return json.dumps([list(arguments), {}, {"callbacks": None, "errbacks": None, "chain": None, "chord": None}]).encode()


@pytest.mark.parametrize(
    ("what", "text", "about"),
    [
        ("bad JSON", b"{nonsense", {**JSON, "headers": headers()}),
        ("a pickle", pickle.dumps([[{"v": 1}], {}, {}]), {"content_type": "application/x-python-serialize",
                                                           "content_encoding": "binary", "headers": headers()}),
        ("an unknown content type", b"<xml/>", {"content_type": "text/xml", "headers": headers()}),
        ("an unknown encoding", body({"v": 1}), {"content_type": "application/json", "content_encoding": "klingon",
                                                 "headers": headers()}),
        ("JSON that is no task", b'{"v": 1, "job": "x"}', JSON),
        ("nothing at all", b"", {}),
        ("an unknown task", body({"v": 1}), {**JSON, "headers": headers("roque.unknown")}),
        ("an unknown version", body({"v": 2, "job": "x"}), {**JSON, "headers": headers()}),
        ("no job", body({"v": 1, "job": 7}), {**JSON, "headers": headers()}),
        ("no arguments", body(), {**JSON, "headers": headers()}),
        ("other arguments", body(1, 2, 3), {**JSON, "headers": headers()}),
    ],
)  # fmt: skip
def test_a_message_that_cannot_be_read_becomes_a_dead_letter_and_the_worker_goes_on(system, wait, what, text, about):
    before = newest(system)
    put(system, text, **about)
    letter = wait(lambda: (found := newest(system)) and (before is None or found.id > before.id) and found)
    assert (letter.body, letter.queue, letter.reason) == (text, "exporter.v1", "rejected")
    (job,) = system.submit(next_job(system))
    wait(lambda: states(system, job) == ["done"])
    assert system.lying() == 0


def test_a_message_about_a_job_that_is_done_or_unknown_is_dropped_and_nothing_is_done_twice(system, wait):
    (job,) = system.submit(next_job(system))
    wait(lambda: states(system, job) == ["done"])
    before = newest(system)
    for name in (job, job, "no such job"):
        put(system, body({"v": 1, "job": name}), **JSON, headers=headers())
    (after,) = system.submit(next_job(system))
    wait(lambda: states(system, after) == ["done"])
    wait(lambda: system.lying() == 0)
    with system.record.reading() as session:
        assert session.get_one(Job, job).attempts == 1
    assert (newest(system) and newest(system).id) == (before and before.id)


def test_a_job_whose_message_died_is_sent_again_by_the_planner_and_done(system, wait):
    from datetime import timedelta

    from roque.jobs.kinds import Kind
    from roque.jobs.life import resend, submit

    with system.record.writing() as session:
        lost = submit(session, Kind.EXPORT_REDUCTION, {"reduction_id": 900}, key_inputs=[900]).id
        session.scalars(select(Outbox).where(Outbox.job_id == lost)).one().sent_at = clock(session)
    put(system, body({"v": 99, "job": lost}), **JSON, headers=headers())
    (later,) = system.submit(next_job(system))
    wait(lambda: states(system, later) == ["done"])

    def done():
        with system.record.writing() as session:
            resend(session, clock(session), timedelta(seconds=0.2))
        return states(system, lost) == ["done"]

    wait(done)


def test_every_job_has_ended_well_before_the_broker_loses_patience():
    assert bus_app.SOFT_LIMIT_SECONDS < bus_app.HARD_LIMIT_SECONDS < CONSUMER_TIMEOUT_SECONDS / 2


def test_a_job_over_the_hard_time_limit_is_killed_and_fails_after_three_times(post, wait, tmp_path):
    from roque.jobs.life import requeue_expired

    worker = Worker(post.folder, post.broker)
    worker.start(changed(tmp_path, "from roque.bus import app\napp.SOFT_LIMIT_SECONDS, app.HARD_LIMIT_SECONDS = None, 2\n"))
    try:
        slow, quick = post.submit(60_000, 1)

        def ended():
            with post.record.writing() as session:
                requeue_expired(session, clock(session))
            return states(post, slow, quick) == ["failed", "done"]

        wait(ended, 120)
        with post.record.reading() as session:
            assert session.get_one(Job, slow).error["message"] == "killed its worker 3 times"
    finally:
        worker.end()


def test_a_worker_that_takes_no_more_messages_is_found_out_and_ends(post, wait, tmp_path):
    worker = Worker(post.folder, post.broker)
    limits = "watchdog.IDLE_SECONDS, watchdog.GRACE_SECONDS, watchdog._LOOK_SECONDS = 2.0, 1.0, 0.2\n"
    worker.start(changed(tmp_path, f"from roque.bus import watchdog\n{limits}"))
    try:
        (first,) = post.submit(1)
        wait(lambda: states(post, first) == ["done"])
        # connected, alive, and deaf: as has been seen after a broker went and came back
        post.app.control.cancel_consumer("exporter.v1")
        wait(lambda: consumers(post) == 0)
        (second,) = post.submit(2)
        wait(lambda: "worker_stuck" in worker.said())
        worker.process.wait(30)
        worker.start()  # as whoever watches over it does
        wait(lambda: states(post, second) == ["done"])
    finally:
        worker.end()


def test_a_broker_that_loses_patience_with_a_long_job_gets_no_second_answer(post, wait, servers):
    from tests.support.rabbitmq import RabbitMQServer

    server = RabbitMQServer(servers.scratch)
    server.control("eval", "application:set_env(rabbit, consumer_timeout, 1000).")
    server.control("eval", "application:set_env(rabbit, channel_tick_interval, 500).")
    worker = Worker(post.folder, server.url)
    worker.start()
    try:
        long, after = post.submit(8_000, 1)  # ms
        worker.process.wait(60)  # Celery takes it for unrecoverable: the job is done to its end, and the worker stops
        assert "PRECONDITION_FAILED" in worker.said()
        assert states(post, long) == ["done"]
        worker.start()
        wait(lambda: states(post, after) == ["done"])
        with post.record.reading() as session:
            assert session.get_one(Job, long).attempts == 1
    finally:
        worker.end()
        server.kill()


def test_a_worker_that_never_reached_the_broker_stops_when_asked(tmp_path, post, wait):
    worker = Worker(post.folder, "amqp://nobody:s3cret@127.0.0.1:1//")
    worker.start()
    try:
        wait(lambda: "broker_away" in worker.said())
        worker.process.send_signal(signal.SIGTERM)
        assert worker.process.wait(20) == 0
        assert "s3cret" not in worker.said()
        assert "Traceback" not in worker.said()
    finally:
        worker.end()


def test_a_worker_waits_for_a_broker_that_comes_later(post, servers, wait):
    from tests.support.rabbitmq import RabbitMQServer

    server = RabbitMQServer(servers.scratch)
    server.kill()
    worker = Worker(post.folder, server.url)
    worker.start()
    try:
        wait(lambda: "broker_away" in worker.said())
        server.start()
        (job,) = post.submit(1)
        wait(lambda: states(post, job) == ["done"])
        time.sleep(2.5)  # RabbitMQ's own table of queues is written with that delay
        server.kill()  # while it is away again, the worker stays, and stops when asked
        wait(lambda: "relay_waits" in worker.said())
        worker.process.send_signal(signal.SIGTERM)
        assert worker.process.wait(40) == 0
    finally:
        worker.end()
        server.kill()


def test_two_workers_of_one_machine_and_one_that_crashed_live_side_by_side(post, wait):
    # the broker holds the name of one that was killed for a while: each has a name of its own (405 RESOURCE_LOCKED)
    with Connection(post.broker) as connection:
        declare(connection)
    first, second = Worker(post.folder, post.broker), Worker(post.folder, post.broker)
    first.start()
    second.start()
    try:
        wait(lambda: consumers(post) == 2)
        first.end()
        first.start()
        wait(lambda: first.said().count('"started"') >= 3)
        wait(lambda: consumers(post) == 2)
        jobs = post.submit(*range(1, 9))
        wait(lambda: set(states(post, *jobs)) == {"done"})
        assert first.process.poll() is None
        assert second.process.poll() is None
        assert "RESOURCE_LOCKED" not in first.said()
    finally:
        first.end()
        second.end()


def consumers(post):
    with Connection(post.broker) as connection:
        return connection.default_channel.queue_declare("exporter.v1", passive=True).consumer_count
