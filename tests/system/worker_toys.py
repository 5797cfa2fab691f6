"""Handlers for tests of the worker: what a job does is said by its number."""

from __future__ import annotations

import os
import signal
import time

from roque.archive.models import Site
from roque.errors import BadInput
from roque.jobs.handlers import Context, JobSnapshot, Outcome
from roque.jobs.kinds import ExportReduction, Kind

POISON, BAD, SLOW = 666, 400, 1000  # from SLOW on: as many milliseconds


def toy(context: Context, job: JobSnapshot) -> Outcome:
    assert isinstance(job.parameters, ExportReduction)
    number = job.parameters.reduction_id
    if number == POISON:
        os.kill(os.getpid(), signal.SIGKILL)
    if number == BAD:
        raise BadInput("a bad night", file="run1.fits", remedy="sleep")
    end = time.monotonic() + (number / 1000 if number >= SLOW else 0.001 * (number % 30))
    while (left := end - time.monotonic()) > 0:
        time.sleep(min(left, 0.1))
        job.go_on()
    with context.products.new("log", f"job{number}.log") as file:
        file.path.write_text(str(number))
    # a site's name is unique: a second effect of one job cannot be stored
    return Outcome(lambda session: session.add(Site(name=f"job {number}", longitude=0.0, latitude=0.0, height=0.0)))


HANDLERS = {Kind.EXPORT_REDUCTION: toy}
