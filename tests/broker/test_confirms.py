"""The relay counts as sent what the broker has confirmed, and nothing else."""

from __future__ import annotations

import subprocess
import sys
import time

import pytest
from kombu import Connection, Queue
from structlog.testing import capture_logs

from roque.archive.news import News
from roque.bus.confirms import Confirms
from roque.bus.consumer import JOB_ENDED
from roque.bus.topology import EVENTS, JOBS, SERVICES, dead_queue, declare, job_queue
from roque.errors import BadInput
from roque.jobs.outbox import emit


@pytest.fixture
def rabbitmq_url(own_rabbitmq_url):
    """The broker is asked with its own tools here, and starved."""
    return own_rabbitmq_url


@pytest.fixture
def link(post):
    confirms = Confirms(post.app)
    with confirms.connection:
        declare(confirms.connection)
        yield confirms, confirms.begin()


def put(confirms, producer, key, routing_key="job.exporter", exchange=JOBS):
    def send(**more):
        producer.publish({"key": key}, exchange=exchange, routing_key=routing_key, mandatory=True, delivery_mode=2, **more)

    confirms.publish(key, send)


def test_the_effective_channel_of_the_relay_confirms(post, link, rabbitmq_server):
    _, producer = link
    said = rabbitmq_server.control("list_channels", "--vhost", post.broker.rpartition("/")[2], "confirm", "number")
    assert [line.split()[0] for line in said.splitlines() if line.split()[1] == str(producer.channel.channel_id)] == ["true"]
    assert producer.channel.basic_publish.__func__ is not type(producer.channel).basic_publish_confirm  # not one by one


def test_every_other_channel_of_the_application_confirms_too(post):
    with post.app.connection_for_write() as connection:
        channel = connection.default_channel
        assert channel.basic_publish == channel.basic_publish_confirm


def test_a_batch_is_confirmed_as_a_whole(post, link):
    confirms, producer = link
    keys = {str(number) for number in range(1200)}
    for key in keys:
        put(confirms, producer, key)
    assert confirms.settle() == keys
    assert post.lying() == 1200


def test_what_no_queue_takes_is_not_confirmed(link):
    confirms, producer = link
    with capture_logs() as logs:
        put(confirms, producer, "a")
        put(confirms, producer, "lost", routing_key="job.nobody")
        put(confirms, producer, "b")
        assert confirms.settle() == {"a", "b"}
    assert [(log["event"], log["routing_key"]) for log in logs] == [("no_queue_takes", "job.nobody")]


def test_what_the_broker_refuses_is_not_confirmed(link):
    confirms, producer = link
    arguments = {"x-queue-type": "quorum", "x-max-length": 5, "x-overflow": "reject-publish"}
    full = Queue("full", exchange=JOBS, routing_key="job.full", durable=True, queue_arguments=arguments)
    full(producer.channel).declare()
    for key in range(200):
        put(confirms, producer, str(key), routing_key="job.full")
    confirmed = confirms.settle()
    assert 5 <= len(confirmed) < 200
    with Connection(confirms.connection.as_uri(include_password=True)) as connection:
        assert connection.default_channel.queue_declare("full", passive=True).message_count == len(confirmed)


def test_an_event_that_nobody_hears_counts_as_sent(post, wait):
    with post.record.writing() as session:
        emit(session, "run.registered", {"run": "x"})
    with post.relay():
        wait(lambda: post.unsent() == 0)


def test_events_are_json_with_a_version_under_their_names(post, wait):
    with Connection(post.broker) as connection:
        heard = Queue("heard", exchange=EVENTS, routing_key="run.*", exclusive=True)(connection.default_channel)
        heard.declare()
        with post.record.writing() as session:
            emit(session, "run.registered", {"run": "a/2026-01-01/b"})
        with post.relay():
            wait(lambda: post.unsent() == 0)
        message = heard.get(no_ack=True)
    assert (message.content_type, message.payload) == ("application/json", {"v": 1, "run": "a/2026-01-01/b"})
    assert message.delivery_info["routing_key"] == "run.registered"


def test_the_message_of_a_job_lasts_names_it_and_carries_no_more_than_celery_reads(post, wait):
    (job,) = post.submit(1)
    with post.relay():
        wait(lambda: post.unsent() == 0)
    with Connection(post.broker) as connection:
        message = job_queue("exporter")(connection.default_channel).get(no_ack=True)
    assert message.payload == [[{"v": 1, "job": job}], {}, {}]
    message.headers.pop("x-delivery-count", None)
    assert message.headers == {"lang": "py", "task": "roque.job", "id": job, "root_id": job}
    assert (message.properties["correlation_id"], message.properties["delivery_mode"]) == (job, 2)


def test_a_deleted_queue_is_declared_again_and_the_message_sent(post, wait):
    with post.relay():
        post.submit(1)
        wait(lambda: post.unsent() == 0)
        with Connection(post.broker) as connection:
            job_queue("exporter")(connection.default_channel).delete()
        post.submit(2)
        wait(lambda: post.unsent() == 0)
    assert post.lying() == 1
    assert post.take()[0][0]["v"] == 1


def test_a_relay_that_idles_keeps_its_connection(post, wait, rabbitmq_server):
    post.app.conf.broker_heartbeat = 2  # the broker ends connections that are silent for twice as long
    vhost = post.broker.rpartition("/")[2]
    with post.relay(), capture_logs() as logs:
        post.submit(1)
        wait(lambda: post.unsent() == 0)
        time.sleep(9.0)
        assert [log for log in logs if log["event"] == "relay_waits"] == []
        assert rabbitmq_server.control("list_connections", "--vhost", vhost, "pid").count("<") == 1


def test_while_the_broker_is_short_of_memory_nothing_counts_as_sent_and_later_all_is(post, wait, rabbitmq_server):
    with post.relay() as relay, capture_logs() as logs:
        wait(lambda: relay.connected)
        rabbitmq_server.control("set_vm_memory_high_watermark", "absolute", "1")
        try:
            post.submit(*range(1, 21))
            wait(lambda: [log for log in logs if log["event"] == "broker_blocks"])
            wait(lambda: not relay.connected)
            assert post.unsent() == 20
        finally:
            rabbitmq_server.control("set_vm_memory_high_watermark", "absolute", "2GB")
        wait(lambda: post.unsent() == 0)
        assert relay.connected
    assert post.lying() >= 20  # some may have come twice
    assert [log for log in logs if log["event"] == "relay_waits"] == []


@pytest.mark.parametrize("name", [*(f"{service}.v1" for service in SERVICES), "dead.v1"])
def test_a_queue_with_other_arguments_is_named_with_what_to_do(post, name):
    with Connection(post.broker) as connection:
        connection.default_channel.queue_declare(name, durable=True, auto_delete=False, arguments={"x-max-length": 10})
    with post.app.connection_for_write() as connection, pytest.raises(BadInput) as caught:
        declare(connection)
    assert caught.value.place == f"queue {name}"
    assert "other arguments" in str(caught.value)
    assert f"rabbitmqctl delete_queue {name}" in caught.value.remedy


def test_a_worker_does_not_start_on_a_queue_with_other_arguments(post, tmp_path):
    with Connection(post.broker) as connection:
        connection.default_channel.queue_declare("reducer.v1", durable=True, auto_delete=False)
    done = start_worker(tmp_path, broker_url=post.broker)
    assert done.returncode == 1
    assert "queue reducer.v1: it was declared with other arguments" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("part", ["password", "vhost"])
def test_a_worker_that_the_broker_does_not_want_says_so_and_shows_no_password(post, tmp_path, part):
    user, at, rest = post.broker.rpartition("@")
    wrong = f"{user}wrong{at}{rest}" if part == "password" else f"{post.broker}-none"
    done = start_worker(tmp_path, broker_url=wrong)
    assert done.returncode == 1
    assert {"password": "user and password", "vhost": "virtual host"}[part] in done.stderr
    assert user.rpartition(":")[2] not in done.stderr + done.stdout


def start_worker(home, **settings):
    import os

    environment = {**os.environ, "ROQUE_HOME": str(home), **{f"ROQUE_{name.upper()}": text for name, text in settings.items()}}
    command = [sys.executable, "-m", "roque.bus.worker"]
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120)


def test_all_that_is_declared_is_durable_and_every_queue_is_a_quorum_queue():
    for queue in [*(job_queue(service) for service in SERVICES), dead_queue()]:
        assert (queue.durable, queue.auto_delete, queue.exclusive) == (True, False, False)
        assert queue.queue_arguments["x-queue-type"] == "quorum"


def test_when_a_job_has_ended_what_follows_it_is_sent_without_waiting_for_the_next_look(post, wait, monkeypatch):
    monkeypatch.setattr(News, "any", lambda _: False)
    with post.relay() as relay:
        wait(lambda: relay.connected)
        JOB_ENDED.clear()
        post.submit(1, 2)
        time.sleep(0.3)
        assert post.unsent() == 2
        JOB_ENDED.set()
        wait(lambda: not post.unsent(), 5.0)
    assert post.lying() == 2
