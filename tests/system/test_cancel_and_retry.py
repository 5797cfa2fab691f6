"""A run cancelled in mid-work and retried: nothing half done is left, and the numbers are those of a quiet night."""

from __future__ import annotations

import json
import re
import signal

import numpy as np
from sqlalchemy import func, select

from roque.archive.models import Job, Measurement, RangeDone, Run
from roque.simulation import benchmark_plan, simulate_run
from tests.system.conftest import Home

RUN = "run0004"
FRAMES = 3000
"""So many that a worker is at them for longer than the command to cancel takes."""


def test_a_run_cancelled_in_mid_work_and_retried_has_the_numbers_of_a_quiet_night(home, tmp_path, until):
    folder = tmp_path / "incoming"
    folder.mkdir()
    simulate_run(folder / f"{RUN}.fits", benchmark_plan(FRAMES))
    quiet = Home(tmp_path / "quiet", {})
    assert quiet.night(folder)[0] == 0

    def under_way():
        # any range: the last of a run may be over in a moment
        with home.reading() as session:
            return session.scalar(select(Job.id).where(Job.kind == "reduce_range", Job.state == "running").limit(1))

    process = home.up(folder, silent_seconds=1, calibration_wait_seconds=0, log_format="json")
    try:
        until(lambda: home.roque("run", "list", "--json").stdout.strip() != "", 120)
        until(under_way, 120)
        cancelled = home.roque("run", "cancel", RUN, "--json")
        assert cancelled.returncode == 0, cancelled.stderr
        assert json.loads(cancelled.stdout)["jobs"]
        lost = until(lambda: re.search(r'.*"claim_lost".*', (home.folder / "up.log").read_text()), 60)
        with home.reading() as session:
            ended = session.scalar(select(func.max(RangeDone.last))) or 0
            measured = session.scalar(select(func.max(Measurement.frame))) or 0
            trace = session.scalar(select(Job.trace).where(Job.state == "cancelled").limit(1))
        assert measured == ended
        assert json.loads(lost.group())["trace"] == trace
        assert home.show(RUN)["state"] == "cancelled"
        assert home.roque("run", "retry", RUN).returncode == 0
        watched = home.roque("run", "watch", RUN, "--json")
        assert watched.returncode == 0, watched.stdout
        assert json.loads(watched.stdout.splitlines()[-1])["state"] == "done"
        with home.reading() as session:
            again = session.scalars(select(Run.trace).where(Run.name == RUN)).one()
        assert again != trace
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(60)
    found, wanted = home.measurements(RUN), quiet.measurements(RUN)
    assert len(found) > 0
    for name in wanted.dtype.names:
        np.testing.assert_array_equal(found[name], wanted[name])
    lines = [json.loads(line) for line in (home.folder / "up.log").read_text().splitlines() if line.startswith("{")]
    traced = {line["service"]: line.get("trace") for line in lines if line["event"] in ("run_registered", "job_done")}
    assert traced == {"ingest": trace, "worker": again}
