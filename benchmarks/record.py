"""How fast frames and measurements go into a record on PostgreSQL, committed and safe to be tried again.

    python benchmarks/record.py [--ranges 64] [--rows 15000]

Starts a private PostgreSQL server in a scratch folder, with fsync and synchronous_commit on, and writes ranges of
measurements (25 columns, 5 CCDs x 3 apertures, a tenth of the numbers NaN) with the function that the reducer calls, each
range in its own transaction as a reduction commits it; then the same rows once more, which replaces them; and the
frames of runs. Processor time is that of the server and of this process together.
"""

import datetime as dt
import sys
import time
from pathlib import Path

import numpy as np
from figures import Figure, Load, cpu_seconds, descendants, note, options, show
from sqlalchemy import func, select, text

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from roque.archive import Record
from roque.archive.bulk import insert_frames, insert_measurements
from roque.archive.models import Frame, Instrument, Measurement, Night, Run
from roque.archive.partitions import keep_partitions
from roque.archive.schema import upgrade
from roque.photometry.measurements import MEASUREMENT, empty
from tests.support.postgresql import PostgreSQLServer
from tests.support.processes import Scratch

NIGHT = dt.date(2026, 11, 1)
LABELS = [(ccd, aperture) for ccd in "12345" for aperture in "123"]
FRAME = [
    ("frame", "i4"), ("ccd", "U8"), ("mjd_int", "i4"), ("mjd_frac", "f8"), ("exposure", "f8"), ("time_ok", "?"),
    ("data_ok", "?"),
]  # fmt: skip
WARM = 4  # ranges before the clock starts
FEWEST_MEASUREMENTS, FEWEST_FRAMES = 120_000, 20_000


def measurements(count):
    rng = np.random.default_rng(1)
    rows = empty(count)
    which = np.arange(count) % len(LABELS)
    rows["ccd"] = np.array([ccd for ccd, _ in LABELS])[which]
    rows["aperture"] = np.array([aperture for _, aperture in LABELS])[which]
    for name in MEASUREMENT.names:
        if rows[name].dtype.kind == "f":
            rows[name] = np.where(rng.random(count) < 0.1, np.nan, rng.normal(1000.0, 300.0, count))
    rows["mjd_int"], rows["frame"] = 61345, np.arange(count) // len(LABELS) + 1
    rows["mjd_frac"] = rows["frame"] / 86400.0
    return rows


def frames(count):
    rows = np.zeros(count, FRAME)
    rows["frame"], rows["ccd"] = np.arange(count) // 5 + 1, np.array(list("12345"))[np.arange(count) % 5]
    rows["mjd_int"], rows["mjd_frac"], rows["exposure"] = 61345, rows["frame"] / 86400.0, 0.9
    return rows


def register(record, count):
    """Make runs to hang frames on."""
    now = dt.datetime.now(dt.UTC)
    with record.writing() as session:
        camera, night = Instrument(name="camera"), Night(date=NIGHT)
        session.add_all([camera, night])
        session.flush()
        runs = [
            Run(
                instrument_id=camera.id, night_id=night.id, name=f"run{i:04}", source="hl", kind="science", object="x",
                mode="m", xbin=1, ybin=1, speed="s", filters={}, nskips={}, exposure=1.0, windows={}, header={},
                registered_at=now, grown_at=now,
            )
            for i in range(count)
        ]  # fmt: skip
        session.add_all(runs)
        session.flush()
        return [run.id for run in runs]


class Watch:
    """Wall clock and processor time of this process and the server."""

    def __init__(self, server):
        self._server = server

    def __enter__(self):
        self._wall, self._cpu = time.perf_counter(), self._used()
        return self

    def __exit__(self, *_):
        self.wall, self.cpu = time.perf_counter() - self._wall, self._used() - self._cpu

    def _used(self):
        own = time.process_time()
        return own + sum(cpu_seconds(pid, ended_children=pid == self._server) for pid in descendants(self._server))


def write_ranges(record, rows, first, count):
    per_range = len(rows) // len(LABELS)
    for i in range(first, first + count):
        part = rows.copy()
        part["frame"] += i * per_range
        with record.writing() as session:
            insert_measurements(session, NIGHT, 1, part)


def figures(what, rows, watch, fewest=None):
    rate = rows / watch.wall
    limit = f">= {fewest}" if fewest else ""
    return [
        Figure(f"{what}, rows/s", rate, "rows/s", limit, rate >= fewest if fewest else None),
        Figure(f"{what}, rows a second of processor time", rows / watch.cpu, "rows/CPU s"),
    ]


def main():
    parser = options(__doc__)
    parser.add_argument("--ranges", type=int, default=64, help="ranges, a transaction each (64)")
    parser.add_argument("--rows", type=int, default=15_000, help="rows of a range (15 000: 1 000 frames)")
    given = parser.parse_args()
    found = []
    with Scratch() as scratch:
        note("starting PostgreSQL")
        server = PostgreSQLServer(scratch, durable=True)
        record = Record(server.url)
        upgrade(record)
        with record.reading() as session:
            safe = [session.scalar(text(f"SHOW {name}")) for name in ("fsync", "synchronous_commit")]
        if safe != ["on", "on"]:
            raise SystemExit(f"the server does not flush its commits: {safe}")
        runs = register(record, 1 + given.ranges)
        keep_partitions(record, NIGHT)
        rows, times = measurements(given.rows // len(LABELS) * len(LABELS)), frames(given.rows)
        write_ranges(record, rows, 0, WARM)
        with Load() as load:
            note("measurements")
            with Watch(server.pid) as watch:
                write_ranges(record, rows, WARM, given.ranges)
            found += figures("measurements, new", len(rows) * given.ranges, watch, FEWEST_MEASUREMENTS)
            note("the same measurements again")
            with Watch(server.pid) as watch:
                write_ranges(record, rows, WARM, given.ranges // 4)
            found += figures("measurements, replaced", len(rows) * (given.ranges // 4), watch)
            note("frames")
            with Watch(server.pid) as watch:
                for run in runs[1 : 1 + given.ranges // 4]:
                    with record.writing() as session:
                        insert_frames(session, run, times)
            found += figures("frames", len(times) * (given.ranges // 4), watch, FEWEST_FRAMES)
        with record.reading() as session:
            counts = [session.scalar(select(func.count()).select_from(table)) for table in (Measurement, Frame)]
        record.close()
        if counts != [len(rows) * (WARM + given.ranges), len(times) * (given.ranges // 4)]:
            raise SystemExit(f"rows are missing: {counts}")
    return show("Rows into a record on PostgreSQL", found, load, as_json=given.json)


if __name__ == "__main__":
    sys.exit(main())
