"""The pool of a worker: a process that ends is gone when the pool is looked at."""

from __future__ import annotations

import time
from multiprocessing import get_context

from celery.concurrency import asynpool

from roque.bus.consumer import TaskPool


def test_a_process_that_ends_is_waited_for(monkeypatch):
    seen = []
    monkeypatch.setattr(asynpool.AsynPool, "_event_process_exit", lambda _pool, _hub, process: seen.append(process.exitcode))
    process = get_context("fork").Process(target=time.sleep, args=(0.2,))
    process.start()
    TaskPool.Pool._event_process_exit(object.__new__(TaskPool.Pool), None, process)
    assert seen == [0]
