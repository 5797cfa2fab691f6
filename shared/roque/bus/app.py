"""The Celery application: delivery guarantees, and the one task."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from celery import Celery
from kombu.messaging import Producer

from roque.bus.topology import JOBS, SERVICES, job_queue
from roque.jobs.outbox import SCHEMA

__all__ = ["JOB_TASK", "is_memory", "make_app", "read_message", "send_job"]

JOB_TASK = "roque.job"
"""Name of the one task; its message carries ``{"v": 1, "job": ID}``."""

SOFT_LIMIT_SECONDS, HARD_LIMIT_SECONDS = 540, 600  # well below the broker's consumer timeout of 30 minutes


def is_memory(broker: str) -> bool:
    """Whether messages stay within the worker's process."""
    return broker.startswith("memory:")


def make_app(broker: str, do: Callable[[str], None]) -> Celery:
    """Build the application.

    Parameters
    ----------
    broker : str
        URL of RabbitMQ (``amqp://...``), or ``memory://``.
    do : function of a job's id
        Does a job, in a pool process.
    """
    app = Celery("roque", set_as_current=False)
    app.conf.update(
        broker_url="memory://localhost" if is_memory(broker) else broker,
        broker_transport="roque.bus.memory:Transport" if is_memory(broker) else None,
        broker_transport_options={} if is_memory(broker) else {"confirm_publish": True, "connect_timeout": 5},
        broker_heartbeat=20,
        broker_connection_retry_on_startup=True,
        broker_connection_max_retries=None,
        # a message is done when its row is: it goes back if the process dies, to the dead letters if the code fails
        task_acks_late=True,
        task_reject_on_worker_lost=True,
        task_acks_on_failure=False,
        task_acks_on_timeout=False,
        task_soft_time_limit=SOFT_LIMIT_SECONDS,
        task_time_limit=HARD_LIMIT_SECONDS,
        # rows are the results
        result_backend=None,
        task_ignore_result=True,
        accept_content=["json"],
        task_serializer="json",
        event_serializer="json",
        # a topic exchange, because Celery's handling of delays on quorum queues knows no other
        task_queues=[job_queue(service) for service in SERVICES],
        task_create_missing_queues=False,
        task_default_queue=job_queue(SERVICES[0]).name,
        task_default_exchange=JOBS.name,
        task_default_exchange_type=JOBS.type,
        task_default_routing_key=f"job.{SERVICES[0]}",
        task_default_queue_type="quorum",
        worker_consumer="roque.bus.consumer:Consumer",
        worker_prefetch_multiplier=1,
        worker_lost_wait=1.0,
        # against what leaks: by what it comes to, as a new process costs as much as a hundred small jobs
        worker_max_tasks_per_child=10_000,
        worker_max_memory_per_child=1_000_000,  # kB
        worker_hijack_root_logger=False,
        worker_redirect_stdouts=False,
        worker_send_task_events=False,
        worker_enable_remote_control=not is_memory(broker),
        worker_cancel_long_running_tasks_on_connection_loss=False,
        enable_utc=True,
    )

    @app.task(name=JOB_TASK, shared=False)
    def job(message: Any) -> None:
        do(read_message(message))

    return app


def send_job(producer: Producer, service: str, job: str, message: dict[str, Any], **how: Any) -> None:
    """Send the message of a job to the queue of its service, which is declared.

    It has what Celery's worker reads and no more. `Celery.send_task` would add what the job looks like, who sent it and what
    the queue is, for three times the price.

    Parameters
    ----------
    producer : Producer
    service, job : str
    message : dict
        What `read_message` reads.
    **how
        Passed on to `Producer.publish`.
    """
    producer.publish(
        ((message,), {}, {}),
        exchange=JOBS.name,
        routing_key=f"job.{service}",
        headers={"lang": "py", "task": JOB_TASK, "id": job, "root_id": job},
        correlation_id=job,
        serializer="json",
        delivery_mode=2,
        **how,
    )


def read_message(message: Any) -> str:
    """Id of the job that a message is about.

    Raises
    ------
    ValueError
        The message is of no form that this version knows; it ends among the dead letters, and the planner sends the job
        again in its own form.
    """
    if not isinstance(message, dict) or message.get("v") != SCHEMA or not isinstance(message.get("job"), str):
        raise ValueError(f"a message of an unknown form: {str(message)[:200]}")
    return str(message["job"])
