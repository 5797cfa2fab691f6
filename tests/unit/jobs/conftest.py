"""A record of its own for every test, and an observatory in it whose workers need no pixel."""

from __future__ import annotations

import datetime as dt
import hashlib
import json
import shutil
from pathlib import Path

import pytest
from sqlalchemy import select

from roque.archive import Record
from roque.archive.models import (
    ApertureSet,
    Instrument,
    Job,
    Master,
    Night,
    RangeDone,
    RawFile,
    Recipe,
    Reduction,
    Run,
)
from roque.archive.products import Stored, record_product
from roque.archive.provenance import master_input, raw_inputs
from roque.archive.runs import supersede
from roque.jobs.calibrations import master_is_ready
from roque.jobs.claims import claim, finish
from roque.jobs.planner import Policy, advance, plan
from roque.jobs.standing import outdo, take_up

NOW = dt.datetime(2026, 3, 15, 6, tzinfo=dt.UTC)
LAST_NIGHT = dt.date(2026, 3, 14)
FULL = {"1": {"E1": [1, 1, 1, 1, 1024, 512]}}
WINDOW = {"1": {"E1": [101, 201, 1, 1, 50, 40]}}
POLICY = Policy(calibration_wait=dt.timedelta(minutes=10))


class Observatory:
    """A record with runs in it, the planner, and workers that do their jobs without a pixel."""

    def __init__(self, record):
        self.record = record
        self.now = NOW
        with record.writing() as session:
            session.add_all([Instrument(name="hipercam"), Instrument(name="other"), Night(date=LAST_NIGHT)])
            session.add(ApertureSet(digest="a", origin="automatic", source="stars", created_at=NOW))

    def run(self, name, kind="science", *, windows=None, instrument="hipercam", frames=20, mjd=61114.0, content=None,
            night=LAST_NIGHT, **more):  # fmt: skip
        base = {
            "source": "hl", "object": "", "mode": "m", "xbin": 1, "ybin": 1, "speed": "slow", "filters": {"1": "us"},
            "nskips": {"1": 0}, "exposure": 1.0, "header": {}, "state": "complete", "mjd_first": mjd, "mjd_last": mjd,
            "registered_at": self.now, "grown_at": self.now,
        }  # fmt: skip
        with self.record.writing() as session:
            camera = session.scalars(select(Instrument).where(Instrument.name == instrument)).one()
            date = session.scalar(select(Night).where(Night.date == night)) or Night(date=night)
            row = Run(name=name, kind=kind, instrument=camera, night=date, frames=frames,
                      windows=windows or (WINDOW if kind == "science" else FULL), **(base | more))  # fmt: skip
            session.add(row)
            session.flush()
            path = f"/raw/{night}/{name}.fits"
            file = session.scalar(select(RawFile).where(RawFile.path == path)) or RawFile(path=path)
            file.size, file.mtime_ns, file.seen_at, file.data_size = 1, 1, self.now, frames
            file.sha256 = file.data_sha256 = content or digest(row.path, row.version)
            file.run_id = row.id
            session.add(file)
            session.flush()
            return row.id

    def change(self, run_id, **values):
        with self.record.writing() as session:
            row = session.get_one(Run, run_id)
            for name, value in values.items():
                setattr(row, name, value)
            row.unsettled = True

    def new_version(self, run_id, name, kind, content):
        """Other bytes under the same name, as ingest registers them."""
        with self.record.writing() as session:
            supersede(session, session.get_one(Run, run_id))
        with self.record.reading() as session:
            version = session.get_one(Run, run_id).version + 1
        return self.run(name, kind, version=version, content=content)

    def look(self, later=None):
        self.now += later or dt.timedelta(seconds=2)
        return plan(self.record, self.now, POLICY)

    def jobs(self, kind=None, state=None):
        with self.record.reading() as session:
            rows = session.scalars(select(Job).order_by(Job.created_at, Job.id)).all()
        return [j for j in rows if (kind is None or j.kind == kind) and (state is None or j.state == state)]

    def waiting(self, run_id):
        with self.record.reading() as session:
            return session.get_one(Run, run_id).waiting

    def masters(self, kind=None):
        with self.record.reading() as session:
            rows = session.scalars(select(Master).order_by(Master.id)).unique().all()
            return [m for m in rows if kind in (None, m.kind)]

    def reductions(self, run_id):
        with self.record.reading() as session:
            return list(session.scalars(select(Reduction).where(Reduction.run_id == run_id).order_by(Reduction.id)).unique())

    def states(self, run_id):
        return [reduction.state for reduction in self.reductions(run_id)]

    def work(self, *kinds):
        """Do every queued job of some kinds (default: all), and what follows from it, looking in between."""
        done = 0
        for _ in range(30):
            queued = [job for job in self.jobs(state="queued") if not kinds or job.kind in kinds]
            for job in queued:
                held = claim(self.record, job.id, "worker")
                finish(self.record, held, getattr(self, f"_{job.kind}")(job), {})
                done += 1
            left = self.look()
            if not queued and not left:
                break
        return done

    def _build_master(self, job):
        def store(session):
            run = session.get_one(Run, job.parameters["run_id"])
            used = [session.get_one(Master, m) for m in job.parameters["masters"].values() if m is not None]
            inputs = [*raw_inputs(run.files), *(master_input(m) for m in used)]
            sha = digest([item["sha256"] for item in inputs])
            product = record_product(session, Stored(f"master/{sha[:12]}.hcm", sha, 1), kind="master", run_id=run.id,
                                     job_id=job.id, inputs=inputs)  # fmt: skip
            product.state = "current"
            master = Master(
                kind=run.kind, instrument_id=run.instrument_id, run_id=run.id, product_id=product.id, mode=run.mode,
                speed=run.speed, xbin=run.xbin, ybin=run.ybin, filters=run.filters, windows=run.windows, exposure={"1": 1.0},
                mjd=run.mjd_first, report={}, made_at=self.now,
            )  # fmt: skip
            session.add(master)
            session.flush()
            master_is_ready(session, master)

        return store

    def _prepare_reduction(self, job):
        said = job.parameters

        def store(session):
            run, recipe = session.get_one(Run, said["run_id"]), session.get_one(Recipe, said["recipe_id"])
            contents = {k: m and session.get_one(Master, m).product.sha256 for k, m in said["masters"].items()}
            key = digest([run.path, run.version, recipe.digest, contents, said["hints"]])
            made = session.scalar(select(Reduction).where(Reduction.key == key))
            if made is not None:
                made.masters = said["masters"]
                take_up(session, made)
                advance(session, made, self.now)
                return
            begun = select(Reduction.id).where(Reduction.run_id == run.id, Reduction.state == "running")
            outdo(session, session.scalars(begun).all())
            reduction = Reduction(
                name=key[:8], key=key, run=run, recipe=recipe, parameters={}, aperture_set_id=1, hints=said["hints"],
                masters=said["masters"], choices=said["choices"], code_version="1", created_at=self.now,
            )  # fmt: skip
            session.add(reduction)
            session.flush()
            advance(session, reduction, self.now)

        return store

    def _reduce_range(self, job):
        said = job.parameters

        def store(session):
            reduction = session.get_one(Reduction, said["reduction_id"])
            assert reduction.frames_done == said["first"] - 1
            session.add(RangeDone(reduction_id=reduction.id, first=said["first"], last=said["last"], state={}, seconds={}))
            reduction.frames_done = said["last"]
            advance(session, reduction, self.now)

        return store

    def _export_reduction(self, job):
        def store(session):
            number = job.parameters["reduction_id"]
            sha = digest([number, job.key])
            record_product(session, Stored(f"log/{sha[:12]}.log", sha, 1), kind="log", reduction_id=number, job_id=job.id)

        return store


def digest(*values):
    return hashlib.sha256(json.dumps(values, default=str).encode()).hexdigest()


@pytest.fixture
def record(empty_record: Path, tmp_path: Path):
    path = tmp_path / "record.sqlite"
    shutil.copyfile(empty_record, path)
    record = Record(f"sqlite:///{path}")
    yield record
    record.close()


@pytest.fixture
def house(record):
    return Observatory(record)
