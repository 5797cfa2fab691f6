"""What stands in a record at rest: ``python measured.py`` waits for it, then writes the measurements of every run as .npz.

The laptop runs it from here, a container reads it from its standard input.
"""

from __future__ import annotations

import io
import sys
import time

import numpy as np
from sqlalchemy import select

from roque.archive import Record
from roque.archive.bulk import load_measurements
from roque.archive.models import Reduction, Run
from roque.settings import load_settings
from services.cli.idle import Idle

LONGEST_SECONDS = 600


def main() -> None:
    settings = load_settings()
    record = Record(settings.database)
    idle = Idle(record, settings)
    end = time.monotonic() + LONGEST_SECONDS
    while not idle.reached():
        if time.monotonic() > end:
            sys.exit(f"not at rest after {LONGEST_SECONDS} s")
        time.sleep(0.2)
    measured = {}
    with record.reading() as session:
        done = select(Run.name, Reduction.id, Reduction.name).join(Run, Run.id == Reduction.run_id)
        for run, number, name in session.execute(done.where(Reduction.state == "done")).all():
            measured[f"{run} {name}"] = load_measurements(session, number)
    file = io.BytesIO()
    np.savez(file, **measured)
    sys.stdout.buffer.write(file.getvalue())


if __name__ == "__main__":
    main()
