"""A handler whose work is counted: each time it is recorded as done, one more event stands in the outbox."""

from __future__ import annotations

import time

from roque.jobs.handlers import Context, JobSnapshot, Outcome
from roque.jobs.kinds import ExportReduction, Kind
from roque.jobs.outbox import emit


def work(context: Context, job: JobSnapshot) -> Outcome:
    """Work for as many milliseconds as the number of the job says."""
    assert isinstance(job.parameters, ExportReduction)
    number = job.parameters.reduction_id
    time.sleep(number / 1000)
    return Outcome(lambda session: emit(session, "toy.done", {"number": number}))


HANDLERS = {Kind.EXPORT_REDUCTION: work}
