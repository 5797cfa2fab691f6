"""The worker, ``python -m roque.bus.worker --services reducer,exporter``: a parent with the relay, a pool that does jobs."""

from __future__ import annotations

import argparse
import datetime as dt
import gc
import os
import secrets
import signal
import socket
import sys
import threading
import time
import warnings
from collections.abc import Mapping, Sequence
from importlib import import_module
from importlib.metadata import entry_points
from typing import Any

from billiard.util import get_logger
from celery import Celery, signals
from celery.exceptions import CPendingDeprecationWarning, Reject, SecurityWarning
from celery.worker import state
from kombu.exceptions import OperationalError
from sqlalchemy import func, select

from roque.archive import Record
from roque.archive.models import Job
from roque.archive.products import ProductStore
from roque.archive.schema import insist_on_tables, wait_for_tables
from roque.bus.app import is_memory, make_app
from roque.bus.consumer import TaskPool
from roque.bus.memory import wake
from roque.bus.reach import reach_broker
from roque.bus.relay import Relay, unforked
from roque.bus.topology import SERVICES, job_queue
from roque.bus.watchdog import IDLE_SECONDS, Progress, Watchdog
from roque.errors import BadInput, RoqueError, Transient, Unreachable
from roque.health import STUCK_SECONDS, Checks, serve_health
from roque.jobs.handlers import Context, Handler, run_job
from roque.jobs.kinds import Kind
from roque.jobs.outbox import clock
from roque.jobs.workers import process_name
from roque.metrics import all_metrics
from roque.process import die_with_parent, stop_on_signals
from roque.settings import Settings, load_settings
from roque.telemetry import configure, logger

__all__ = ["load_handlers", "main", "serve_jobs"]

GROUP = "roque.handlers"
"""Entry points: name of a service to its ``HANDLERS``, kind of job to handler."""

_ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS"), "1")


def main(arguments: Sequence[str] | None = None) -> None:
    """Run a worker until it is told to stop."""
    given = _parser().parse_args(arguments)
    if not _ONE_THREAD.items() <= os.environ.items():
        # many processes share the machine, each with one thread that computes; libraries read this when they are loaded
        os.environ.update(_ONE_THREAD)
        os.execv(sys.executable, sys.orig_argv)  # noqa: S606 - ourselves
    try:
        settings = load_settings()
        services = given.services.split(",")
        configure(settings.log_format, service=_name(services))
        die_with_parent()
        handlers = _named(given.handlers) if given.handlers else load_handlers(services)
        sys.exit(serve_jobs(settings, services, handlers, given.processes or settings.workers))
    except RoqueError as error:
        print(f"roque worker: {error}", file=sys.stderr)
        sys.exit(1)


def load_handlers(services: Sequence[str]) -> dict[Kind, Handler]:
    """Find what services can do, by the entry points of the installed packages.

    Raises
    ------
    BadInput
        A service is not known or has no handlers.
    """
    handlers: dict[Kind, Handler] = {}
    for service in services:
        found = entry_points(group=GROUP, name=service)
        if service not in SERVICES or not found:
            raise BadInput(f"no service '{service}' takes jobs", remedy=f"choose of {', '.join(SERVICES)}")
        for point in found:
            handlers.update(point.load())
    return handlers


def serve_jobs(settings: Settings, services: Sequence[str], handlers: Mapping[Kind, Handler], processes: int) -> int:
    """Do the jobs of some services until told to stop.

    SIGTERM lets the jobs under way end. Whatever is killed, the record says what is left to do.

    Returns
    -------
    int
        Exit status.
    """
    pool = _PoolProcess(settings, handlers)
    app = make_app(settings.broker, pool.do)
    signals.worker_process_init.connect(pool.begin, weak=False)
    signals.setup_logging.connect(_logging_is_set_up, weak=False)
    signals.worker_ready.connect(_stop_on_signals, weak=False)
    # told to root only, because of messages that carry code: these are JSON
    warnings.filterwarnings("ignore", category=SecurityWarning)
    # told whenever the broker goes away, of a setting that is made
    warnings.filterwarnings("ignore", category=CPendingDeprecationWarning)
    worker = app.Worker(
        hostname=f"roque-{secrets.token_hex(4)}@{socket.gethostname()}",  # one that died may hold its name for a while
        queues=[job_queue(service).name for service in services],
        concurrency=processes,
        pool=TaskPool,
        optimization="fair",
        without_gossip=True,
        without_mingle=True,
        without_heartbeat=True,
        quiet=True,
    )
    record = Record(settings.database)
    relay = Relay(Record(settings.database), app, settings.broker)
    watchdog = Watchdog(Progress(processes, _under_way, lambda: _lying(app, services, settings.broker, record)))
    with serve_health(settings, _checks(_name(services), record, relay, watchdog)):
        stop = stop_on_signals()
        logger.info("started", pid=os.getpid(), processes=processes, services=list(services))
        if not (_tables_are_there(settings, stop) and (is_memory(settings.broker) or reach_broker(app, stop))):
            return 0
        _stop_on_signals()
        if stop.is_set():  # asked before that
            return 0
        gc.collect()
        gc.freeze()  # what is there by now stays: to look at it again holds jobs up, and gives each process a copy of its own
        with relay, watchdog:
            worker.start()
    logger.info("stopped")
    return int(worker.exitcode or 0)


def _name(services: Sequence[str]) -> str:
    return services[0] if len(services) == 1 else "worker"


def _under_way() -> tuple[int, frozenset[str]]:
    """Jobs taken up so far, and the ids of those under way."""
    while True:
        try:
            return state.all_total_count[0], frozenset(request.id for request in state.active_requests)
        except RuntimeError:  # the set has changed while it was read
            continue


def _lying(app: Celery, services: Sequence[str], broker: str, record: Record) -> int | None:
    """Messages that lie in the queues of some services; None if broker or record do not say."""
    if is_memory(broker):  # the queue is of this process: what counts is what the record has for it
        mine = Job.state == "queued", Job.service.in_(services)
        try:
            with unforked(record), record.reading() as session:
                long_ago = clock(session) - dt.timedelta(seconds=IDLE_SECONDS)
                return session.scalar(select(func.count()).where(*mine, Job.queued_at < long_ago))
        except Transient:
            return None
    connection = app.connection_for_read()
    try:
        with connection:
            channel = connection.default_channel
            found = [channel.queue_declare(job_queue(service).name, passive=True) for service in services]
            return int(sum(queue.message_count for queue in found))
    except (*connection.connection_errors, *connection.channel_errors, OperationalError, OSError):
        return None


def _checks(service: str, record: Record, relay: Relay, watchdog: Watchdog) -> Checks:
    one_at_a_time = threading.Lock()  # readiness and figures use the same record

    def stuck() -> str | None:
        return watchdog.why or (f"the relay stands still for {relay.age:.0f} s" if relay.age > STUCK_SECONDS else None)

    def ready() -> None:
        with one_at_a_time, unforked(record):
            insist_on_tables(record)
        if not relay.connected:
            raise Unreachable("the broker does not answer", remedy="check that RabbitMQ runs; 'roque doctor' says more")

    def metrics() -> str:
        with one_at_a_time, unforked(record):
            return all_metrics(record, service, relay.age)

    return Checks(stuck, ready, metrics)


def _tables_are_there(settings: Settings, stop: threading.Event) -> bool:
    """Wait for the record; false if told to stop before. Nothing is left open: the pool is forked after it."""
    record = Record(settings.database)
    try:
        wait_for_tables(record, stop)
    finally:
        record.close()
    return not stop.is_set()


class _PoolProcess:
    """What a process of the pool keeps; made in the parent, begun after the fork."""

    def __init__(self, settings: Settings, handlers: Mapping[Kind, Handler]) -> None:
        self._settings, self._handlers = settings, handlers
        self._context: Context | None = None
        self._name = ""

    def begin(self, **_: Any) -> None:
        """Open the record: connections do not survive a fork."""
        self._name = process_name()
        self._context = Context(Record(self._settings.database), self._settings, ProductStore(self._settings.products))
        threading.Thread(target=_end_with_parent, args=(os.getppid(),), name="parent-watch", daemon=True).start()

    def do(self, job_id: str) -> None:
        """Do a job."""
        if self._context is None:
            raise RuntimeError("asked for before the process was set up")
        try:
            run_job(self._context, self._handlers, job_id, self._name)
        except Transient as error:
            logger.warning("record_away", error=str(error), job=job_id)
            time.sleep(1.0)  # the message would be back at once
            raise Reject(str(error), requeue=True) from None  # its traceback would be logged for each message


def _end_with_parent(parent: int) -> None:
    # where the kernel does not see to it
    while os.getppid() == parent:
        time.sleep(0.5)
    os._exit(1)


def _stop_on_signals(**_: Any) -> None:
    """Stop when the jobs under way have ended; Celery's own handlers would print about it."""

    def stop(_number: int, _frame: object) -> None:
        state.should_stop = 0
        wake()

    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)


def _logging_is_set_up(**_: Any) -> None:
    """Keep Celery from setting logging up: whoever listens to this signal has done it."""
    get_logger().propagate = True  # what the pool says goes where all else goes


def _named(place: str) -> dict[Kind, Handler]:
    module, _, name = place.partition(":")
    handlers: dict[Kind, Handler] = getattr(import_module(module), name)
    return handlers


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("roque.bus.worker", description="Does the jobs of some services.")
    parser.add_argument("--services", default=",".join(SERVICES), help="services whose jobs it does, with commas")
    parser.add_argument("--processes", type=int, help="processes of the pool; default from the settings")
    parser.add_argument("--handlers", metavar="MODULE:NAME", help="handlers to use instead of those of the services")
    return parser


if __name__ == "__main__":
    main()
