"""What Celery and the broker are told, point by point: each of these loses or doubles work if it is not so."""

from __future__ import annotations

import pytest

from roque.bus.app import make_app, read_message
from roque.bus.topology import DEAD, SERVICES, dead_queue, job_queue
from roque.bus.worker import load_handlers
from roque.errors import BadInput


@pytest.fixture(params=["memory://", "amqp://user:secret@broker/roque"])
def app(request):
    return make_app(request.param, lambda _: None)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("task_acks_late", True),
        ("task_reject_on_worker_lost", True),
        ("task_acks_on_failure", False),
        ("task_acks_on_timeout", False),
        ("worker_prefetch_multiplier", 1),
        ("task_ignore_result", True),
        ("result_backend", None),
        ("accept_content", ["json"]),
        ("task_serializer", "json"),
        ("task_soft_time_limit", 540),
        ("task_time_limit", 600),
        ("worker_max_tasks_per_child", 10_000),
        ("worker_max_memory_per_child", 1_000_000),
        ("worker_hijack_root_logger", False),
        ("worker_lost_wait", 1.0),
        ("task_default_exchange_type", "topic"),
        ("task_create_missing_queues", False),
    ],
)
def test_delivery_is_at_least_once_with_one_job_in_hand(app, name, value):
    assert app.conf[name] == value


def test_publishing_is_confirmed_by_a_real_broker():
    app = make_app("amqp://user:secret@broker/roque", lambda _: None)
    assert app.conf.broker_transport_options["confirm_publish"] is True


def test_every_service_has_a_quorum_queue_with_a_limit_and_a_place_for_the_dead(app):
    queues = {queue.name: queue for queue in app.amqp.queues.values()}
    assert set(queues) == {f"{service}.v1" for service in SERVICES}
    for service in SERVICES:
        queue = queues[f"{service}.v1"]
        assert (queue.exchange.type, queue.exchange.durable, queue.durable) == ("topic", True, True)
        assert queue.routing_key == f"job.{service}"
        assert queue.queue_arguments == {
            "x-queue-type": "quorum",
            "x-delivery-limit": 5,
            "x-dead-letter-exchange": "roque.dead",
            "x-dead-letter-routing-key": f"job.{service}",
        }
    assert dead_queue().exchange == DEAD
    assert dead_queue().queue_arguments == {"x-queue-type": "quorum"}
    assert job_queue("reducer") == queues["reducer.v1"]


def test_a_message_is_a_job_and_a_version():
    assert read_message({"v": 1, "job": "abc"}) == "abc"


@pytest.mark.parametrize("message", [None, "abc", {"job": "abc"}, {"v": 2, "job": "abc"}, {"v": 1}, {"v": 1, "job": 7}])
def test_a_message_of_another_form_is_not_guessed_at(message):
    with pytest.raises(ValueError, match="unknown form"):
        read_message(message)


def test_a_service_that_takes_no_jobs_is_named():
    with pytest.raises(BadInput, match="'planner'"):
        load_handlers(["planner"])
