"""When a worker stands still: no false alarm on long jobs, on an empty queue, or while nobody can say what lies in it."""

from __future__ import annotations

import pytest

from roque.bus.watchdog import BUSY_SECONDS, IDLE_SECONDS, Progress


class Worker:
    def __init__(self):
        self.taken, self.at, self.lying, self.asked = 0, frozenset(), 0, 0

    def under_way(self):
        return self.taken, self.at

    def messages(self):
        self.asked += 1
        return self.lying


@pytest.fixture
def worker():
    return Worker()


@pytest.fixture
def progress(worker):
    return Progress(2, worker.under_way, worker.messages)


def test_an_idle_worker_with_an_empty_queue_is_well(progress):
    assert all(progress.stuck(now) is None for now in range(0, 10_000, 5))


def test_an_idle_worker_before_a_full_queue_stands_still_after_a_while(progress, worker):
    worker.lying = 7
    assert progress.stuck(0.0) is None
    assert progress.stuck(IDLE_SECONDS - 1) is None
    assert worker.asked == 0
    assert "7 messages lie in the queue" in progress.stuck(IDLE_SECONDS + 1)
    worker.taken += 1
    assert progress.stuck(IDLE_SECONDS + 2) is None


def test_a_queue_that_nobody_can_count_is_no_alarm(progress, worker):
    worker.lying = None
    progress.stuck(0.0)
    assert progress.stuck(10 * IDLE_SECONDS) is None


def test_long_jobs_in_every_process_are_no_alarm_until_they_take_longer_than_any_may(progress, worker):
    worker.taken, worker.at, worker.lying = 2, frozenset({"a", "b"}), 1000
    progress.stuck(0.0)
    assert progress.stuck(600.0) is None
    assert progress.stuck(BUSY_SECONDS) is None
    assert "no job has ended" in progress.stuck(BUSY_SECONDS + 1)
    assert worker.asked == 0


def test_one_long_job_beside_others_that_come_and_go_is_no_alarm(progress, worker):
    worker.lying = 5
    for turn in range(200):
        worker.taken, worker.at = turn, frozenset({"long"})
        assert progress.stuck(turn * 5.0) is None
