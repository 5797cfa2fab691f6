"""The pool of a worker: a process that ends is gone when the pool is looked at."""

from __future__ import annotations

import threading
import time
from multiprocessing import get_context
from types import SimpleNamespace

from celery.concurrency import asynpool

from roque.bus.consumer import JOB_ENDED, TaskPool


def test_a_process_that_ends_is_waited_for(monkeypatch):
    seen = []
    monkeypatch.setattr(asynpool.AsynPool, "_event_process_exit", lambda _pool, _hub, process: seen.append(process.exitcode))
    process = get_context("fork").Process(target=time.sleep, args=(0.2,))
    process.start()
    TaskPool.Pool._event_process_exit(object.__new__(TaskPool.Pool), None, process)
    assert seen == [0]


def test_a_process_that_has_done_its_share_ends_as_soon_as_its_last_job_is_known():
    worker = object.__new__(TaskPool.Pool.Worker)
    worker.on_ready_counter = SimpleNamespace(value=0)
    threading.Timer(0.01, lambda: setattr(worker.on_ready_counter, "value", 1)).start()
    began = time.monotonic()
    assert worker._ensure_messages_consumed(completed=1)
    assert 0.01 <= time.monotonic() - began < 0.09


def test_a_process_whose_last_job_is_not_known_yet_stays():
    worker = object.__new__(TaskPool.Pool.Worker)
    worker.on_ready_counter = SimpleNamespace(value=0)
    threading.Timer(0.25, lambda: setattr(worker.on_ready_counter, "value", 1)).start()
    began = time.monotonic()
    assert worker._ensure_messages_consumed(completed=1)
    assert time.monotonic() - began >= 0.24


def test_a_job_that_has_ended_is_told_of_and_its_process_is_free_again(monkeypatch):
    freed = []
    monkeypatch.setattr(asynpool.AsynPool, "on_job_ready", lambda _pool, *result: freed.append(result))
    JOB_ENDED.clear()
    TaskPool.Pool.on_job_ready(object.__new__(TaskPool.Pool), "job", 0, None, 7)
    assert freed == [("job", 0, None, 7)]
    assert JOB_ENDED.is_set()
