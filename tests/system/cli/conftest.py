"""A home folder whose record holds a small night, written through the models, and a way to ask it."""

import datetime as dt
import functools
import gc
import shutil
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result

from roque.archive import Record
from roque.archive.bulk import insert_frames, insert_measurements
from roque.archive.models import (
    Aperture,
    ApertureSet,
    Instrument,
    Job,
    Master,
    Night,
    RangeDone,
    RawFile,
    Reduction,
    Run,
    Site,
)
from roque.archive.partitions import keep_partitions
from roque.archive.products import ProductStore, record_product
from roque.archive.recipes import latest_recipe, store_recipe
from roque.archive.schema import upgrade
from roque.instruments import load_camera
from roque.photometry.flags import Flag
from roque.photometry.measurements import empty
from roque.photometry.typical import typical_recipe
from roque.spool.source import TIMES
from services.cli.main import cli

NOW = dt.datetime(2026, 11, 2, 3, 0, tzinfo=dt.UTC)
MJD = 61345  # 2026-11-01
FRAMES = 20
CCDS = ("1", "2")
FULL = {"E": [1, 1, 2, 2, 512, 256], "F": [1025, 1, 2, 2, 512, 256]}
WINDOWS = {"E": [401, 201, 2, 2, 50, 46], "F": [1201, 201, 2, 2, 50, 46]}
FILTERS = {"1": "us", "2": "gs"}
HEADER = {"OBSERVER": "A. Nyone", "RADEG": 106.925, "DECDEG": 67.0}
CHOICES = {"bias": "taken 3.6 hours before, the only one that matches", "flat": "taken 2.9 hours before, the best of 2"}
BAD_FRAME = 7
"""Frame whose time stamp cannot be trusted."""
LOST_FRAME = 11
"""Frame on which the target was not measured."""
NOTE = {"kind": "fit", "text": "no fit", "ccd": "2", "aperture": "1", "frame": LOST_FRAME, "last_frame": LOST_FRAME, "count": 1}


@dataclass(frozen=True)
class Filled:
    """What was put into the record."""

    home: Path
    record: Record
    products: ProductStore
    reduction: str  # id of the finished reduction of run0003
    jobs: dict[str, str]
    raw: Path


@pytest.fixture(scope="session")
def nights(tmp_path_factory, sizes):
    """Records that are written once for each size; tests work on copies of them and of their home folders."""
    with ExitStack() as stack:

        @functools.cache
        def night(size):
            folder = tmp_path_factory.mktemp("night")
            settings = stack.enter_context(sizes.new(size))
            return fill(folder / "home", folder / "raw", settings), settings

        yield night


@pytest.fixture
def filled(nights, size, sizes, tmp_path):
    night, like = nights(size)
    home = tmp_path / "home"
    shutil.copytree(night.home, home)
    with sizes.new(size, like) as settings:
        # a size is said where a person would say it once and for all
        (home / "settings.toml").write_text("".join(f'{name} = "{value}"\n' for name, value in settings.items()))
        record = open_record(home, settings)
        yield replace(night, home=home, record=record, products=ProductStore(home / "products"))
        record.close()


@pytest.fixture
def roque(filled):
    """Run a command line on the filled record."""

    def run(*args: object) -> Result:
        result = CliRunner().invoke(cli, ["--home", str(filled.home), *map(str, args)])
        gc.collect()  # connections that the command left are closed here, not in another test
        return result

    return run


def open_record(home: Path, settings: Mapping[str, str]) -> Record:
    return Record(settings.get("database_url", f"sqlite:///{home / 'record.sqlite'}"))


def fill(home: Path, raw: Path, settings: Mapping[str, str]) -> Filled:
    """Write a night: bias, flat, three science runs in several states, a file that is no FITS, and another night."""
    raw.mkdir(parents=True)
    home.mkdir()
    record = open_record(home, settings)
    upgrade(record)
    keep_partitions(record, NOW.date())
    products = ProductStore(home / "products")
    with record.writing() as session:
        jobs = _Night(session, products, raw).fill()
    record.close()
    return Filled(home, record, products, "a1b2c3d4e5f6", jobs, raw)


class _Night:
    def __init__(self, session, products, raw):
        self.session, self.products, self.raw = session, products, raw
        self.jobs = {}
        site = Site(name="La Palma", longitude=-17.8792, latitude=28.7606, height=2326.0)
        self.hipercam = Instrument(name="hipercam", site=site)
        self.unknown = Instrument(name="unknown")
        self.first, self.second = Night(date=dt.date(2026, 11, 1)), Night(date=dt.date(2026, 11, 2))
        session.add_all([site, self.hipercam, self.unknown, self.first, self.second])
        session.flush()

    def fill(self):
        bias = self.run("run0001", kind="bias", mode="FullFrame", windows=dict.fromkeys(CCDS, FULL), start=0.80)
        flat = self.run("run0002", kind="flat", mode="FullFrame", windows=dict.fromkeys(CCDS, FULL), start=0.83)
        for run in (bias, flat):
            self.job(f"build_{run.kind}", "build_master", "done", run, {"run_id": run.id, "kind": run.kind})
            self.master(run)
        science = self.run("run0003", object="HS 0705+6700", start=0.95)
        science.frames_missing, science.bad_times = 2, 1
        science.frames_expected = 22
        science.problems = [
            problem("bad_input", "error", "cut inside frame 21: 4096 bytes are missing", str(self.raw / "run0003.fits"),
                    "byte 1843200", "the whole frames are used; copy the file again if the camera has more"),
        ]  # fmt: skip
        self.reduce(science)
        self.run("run0004", object="HS 0705+6700", start=0.99, state="growing", unsettled=True,
                 waiting="waiting: flat us gs, binning 1x1")  # fmt: skip
        broken = self.run("run0005", object="NN Ser", start=1.02)
        self.job("failed", "reduce_range", "failed", broken, {"reduction_id": 1, "first": 1, "last": 20}, error={
            "code": "bad_input", "message": "no star was found", "file": str(self.raw / "run0005.fits"),
            "place": "frame 1, CCD 2", "remedy": "name apertures with --apertures", "retry_safe": False,
        })  # fmt: skip
        self.job("waiting", "export_reduction", "waiting", broken, {"reduction_id": 1}, reason="flat us gs, binning 2x2")
        notes = self.run("notes", instrument=self.unknown, kind="other", state="failed", start=None)
        notes.problems = [
            problem("bad_input", "error", "not a FITS file", str(self.raw / "notes.fits"), "byte 0",
                    "take it out of the incoming folders"),
        ]  # fmt: skip
        twin = self.run("run0003", object="HS 0705+6700", start=0.95, version=2, state="conflict", file="copy/run0003.fits")
        twin.problems = [
            problem("conflict", "error", "a run run0003 of this night and instrument is registered with other content",
                    str(self.raw / "copy/run0003.fits"), None, "the first stays in use; rename this one"),
        ]  # fmt: skip
        self.run("run0001", kind="bias", night=self.second, mode="FullFrame", start=1.80)
        store_recipe(self.session, "hipercam", "bright", {"sky.thresh": 2.5}, "for bright targets", NOW)
        return self.jobs

    def run(self, name, *, instrument=None, night=None, start=0.9, windows=None, file=None, **given):
        instrument, night = instrument or self.hipercam, night or self.first
        base = {
            "version": 1, "state": "complete", "source": "hl", "kind": "science", "object": "", "mode": "TwoWindow", "xbin": 2,
            "ybin": 2, "speed": "slow", "filters": FILTERS, "nskips": {"1": 0, "2": 0}, "clear": True, "exposure": 5.0,
            "windows": windows or dict.fromkeys(CCDS, WINDOWS), "header": HEADER,
            "mjd_first": None, "mjd_last": None, "frames_expected": None, "frames": 0, "bad_times": 0, "problems": [],
            "hints": {}, "unsettled": False, "waiting": None, "registered_at": NOW, "grown_at": NOW,
        }  # fmt: skip
        row = Run(instrument=instrument, night=night, name=name, **(base | given))
        if start is not None:
            row.frames = FRAMES
            row.mjd_first, row.mjd_last = MJD + start, MJD + start + (FRAMES - 1) * 6 / 86400
        self.session.add(row)
        self.session.flush()
        path = self.raw / (file or f"{night.date:%m%d}/{name}.fits" if night is not self.first else file or f"{name}.fits")
        path.parent.mkdir(exist_ok=True, parents=True)
        path.write_bytes(f"{row.path} {row.version}".encode())
        digest = f"{row.id:064x}"
        self.session.add(
            RawFile(path=str(path), size=path.stat().st_size, mtime_ns=path.stat().st_mtime_ns, sha256=digest,
                    data_sha256=digest, data_size=18, run_id=row.id, seen_at=NOW)
        )  # fmt: skip
        if start is not None:
            insert_frames(self.session, row.id, frame_times(start))
        return row

    def job(self, label, kind, state, run, parameters, **given):
        number = len(self.jobs) + 1
        ident = f"019a4000-{number:04x}-7000-8000-00000000000{number:x}"
        ended = {"finished_at": NOW + dt.timedelta(seconds=4)} if state in ("done", "failed") else {}
        begun = {"started_at": NOW + dt.timedelta(seconds=1), "attempts": 1} if ended else {}
        self.session.add(
            Job(id=ident, kind=kind, service="reducer", key=f"{number:064x}", parameters=parameters, state=state,
                run_id=run.id, created_at=NOW + dt.timedelta(seconds=number), **(begun | ended | given))
        )  # fmt: skip
        self.session.flush()
        self.jobs[label] = ident
        return ident

    def product(self, kind, name, content, **about):
        with self.products.new(kind, name) as file:
            file.path.write_bytes(content)
        return record_product(self.session, file.stored, kind=kind, **about)

    def master(self, run):
        inputs = [{"kind": "raw", "name": str(self.raw / f"{run.name}.fits"), "sha256": f"{run.id:064x}"}]
        product = self.product("master", f"{run.name}_{run.kind}.hcm", run.kind.encode(), run_id=run.id, inputs=inputs,
                               job_id=self.jobs[f"build_{run.kind}"])  # fmt: skip
        self.session.add(
            Master(kind=run.kind, instrument=run.instrument, run=run, product=product, mode=run.mode, speed=run.speed,
                   xbin=run.xbin, ybin=run.ybin, filters=run.filters, windows=run.windows, exposure=dict.fromkeys(CCDS, 5.0),
                   mjd=run.mjd_first, report={}, made_at=NOW)
        )  # fmt: skip
        self.session.flush()

    def reduce(self, run):
        apertures = ApertureSet(digest="c" * 64, origin="automatic", source="found on frames 1 to 10", created_at=NOW)
        self.session.add(apertures)
        self.session.flush()
        for position, (ccd, label) in enumerate((c, a) for c in CCDS for a in ("1", "2", "3")):
            self.session.add(
                Aperture(aperture_set_id=apertures.id, ccd=ccd, label=label, position=position, x=430.0 + 20 * position,
                         y=250.0, rtarg=6.0, rsky1=10.0, rsky2=18.0, ref=label != "1", compo=False, mask=[], extra=[], link="")
            )  # fmt: skip
        recipe = latest_recipe(self.session, "hipercam", "default", NOW)
        reduction = Reduction(
            name="a1b2c3d4e5f6", key="a1b2c3d4e5f6" + "0" * 52, run=run, recipe=recipe,
            parameters=settled_recipe(), aperture_set=apertures, target="1", hints={}, masters={"bias": 1, "flat": 2},
            choices=CHOICES, state="done", frames_done=FRAMES, notes=[NOTE],
            code_version="0.1.0", created_at=NOW, finished_at=NOW + dt.timedelta(seconds=30),
        )  # fmt: skip
        self.session.add(reduction)
        self.session.flush()
        insert_measurements(self.session, run.night.date, reduction.id, measurements())
        self.session.add(RangeDone(reduction_id=reduction.id, first=1, last=FRAMES, state={}, seconds={"fit": 1.5}))
        self.job("prepare", "prepare_reduction", "done", run, {"run_id": run.id}, reduction_id=reduction.id)
        self.job("range", "reduce_range", "done", run, {"reduction_id": reduction.id, "first": 1, "last": FRAMES},
                 reduction_id=reduction.id)  # fmt: skip
        self.product("log", "run0003_a1b2c3.log", b"# a log\n", run_id=run.id, reduction_id=reduction.id,
                     job_id=self.jobs["range"], inputs=[
            {"kind": "reduction", "name": reduction.name, "id": reduction.id, "sha256": reduction.key},
        ])  # fmt: skip


def settled_recipe():
    values = typical_recipe(load_camera("hipercam")).to_dict()
    for section in ("extraction", "detectors"):
        values[section] = {ccd: values[section][ccd] for ccd in CCDS}
    return values


def problem(code, severity, message, file, place, remedy):
    return {"code": code, "severity": severity, "message": message, "file": file, "place": place, "remedy": remedy}


def frame_times(start):
    times = np.zeros(FRAMES * len(CCDS), TIMES)
    number = np.repeat(np.arange(FRAMES), len(CCDS))
    times["frame"], times["ccd"] = number + 1, np.tile(CCDS, FRAMES)
    times["mjd_int"], times["mjd_frac"] = MJD, start + number * 6 / 86400
    times["exposure"], times["data_ok"] = 5.0, True
    times["time_ok"] = number + 1 != BAD_FRAME
    return times


def measurements():
    """Star 1 at half and star 2 at the same brightness as star 3; the target fades by a tenth in the later half."""
    rows = empty(FRAMES * len(CCDS) * 3)
    number = np.repeat(np.arange(FRAMES), len(CCDS) * 3)
    rows["frame"], rows["ccd"] = number + 1, np.tile(np.repeat(CCDS, 3), FRAMES)
    rows["aperture"] = np.tile(("1", "2", "3"), FRAMES * len(CCDS))
    rows["mjd_int"], rows["mjd_frac"], rows["exposure"] = MJD, 0.95 + number * 6 / 86400, 5.0
    rows["time_ok"] = number + 1 != BAD_FRAME
    target = rows["aperture"] == "1"
    rows["x"], rows["y"], rows["xe"], rows["ye"] = 430.0, 250.0, 0.02, 0.02
    for name in ("mfwhm", "fwhm"):
        rows[name] = 4.5
    rows["fwhme"], rows["mbeta"], rows["beta"], rows["betae"] = 0.05, 3.0, 3.0, 0.1
    rows["counts"] = np.where(target, np.where(number < FRAMES // 2, 5000.0, 4500.0), 10000.0)
    rows["countse"] = np.where(target, 50.0, 60.0)
    rows["sky"], rows["skye"], rows["nsky"], rows["peak"] = 120.0, 1.0, 700, 3000
    lost = target & (rows["frame"] == LOST_FRAME)
    for name in ("counts", "countse", "fwhm", "fwhme"):
        rows[name][lost] = np.nan
    rows["flag"][lost] = Flag.NO_EXTRACTION
    return rows
