"""The calibrator: builds a master from a calibration run."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from typing import Any

from sqlalchemy.orm import Session

from roque.archive.models import Master, Run
from roque.archive.open import load_masters, open_run
from roque.archive.products import record_product
from roque.archive.provenance import master_input, raw_inputs
from roque.calibration.masters import make_bias, make_dark, make_flat
from roque.calibration.report import MasterReport
from roque.errors import BadInput, Superseded
from roque.frames import Frame
from roque.frames.hcm import write_hcm
from roque.instruments import CameraDescription, cameras
from roque.jobs.calibrations import master_is_ready
from roque.jobs.handlers import Context, Handler, JobSnapshot, Outcome
from roque.jobs.kinds import BuildMaster, Kind
from roque.jobs.outbox import clock, emit
from roque.spool import FrameSource

__all__ = ["HANDLERS"]

FAINTEST_FLAT = 0.06
"""Least mean level of a flat's frame, in units of the level where the detector stops to be linear."""

FLAT_GROUP = 3
"""Frames of a flat whose median removes the stars."""


def build(context: Context, job: JobSnapshot) -> Outcome:
    """Build a master and keep it as a product."""
    parameters = job.parameters
    if not isinstance(parameters, BuildMaster):
        raise TypeError(f"not the parameters of a master: {parameters!r}")
    known = cameras(context.settings.cameras)
    with context.record.reading() as session:
        run = session.get_one(Run, parameters.run_id)
        files = list(run.files)
        used = {kind: session.get_one(Master, number) for kind, number in parameters.masters.items() if number is not None}
        frames = load_masters(session, parameters.masters, context.products)
        if run.state == "superseded":
            raise Superseded("the run was replaced by a newer version", file=run.path)
    inputs = [*raw_inputs(files), *(master_input(master) for master in used.values())]
    with open_run(run, files, context.settings.cache, known) as source:
        made, report = _make(parameters.kind, _Watched(source, job.go_on), frames, known.get(run.instrument.name))
    row = _row(run, parameters.kind, made, report)
    name = f"{run.night.date.isoformat()}_{run.name}_{parameters.kind}.hcm"[-64:]
    with context.products.new("master", name) as file:
        write_hcm(file.path, made)

    def store(session: Session) -> None:
        product = record_product(
            session, file.stored, kind="master", run_id=run.id, reduction_id=None, job_id=job.id, inputs=inputs
        )
        product.state = "current"  # the same bytes may have been superseded in between
        session.flush()
        master = Master(**row, product_id=product.id, made_at=clock(session))
        session.add(master)
        session.flush()
        master_is_ready(session, master)
        emit(session, "master.ready", {"run": run.path, "kind": parameters.kind, "master": master.id})

    return Outcome(store, {"product": file.stored.uri, "warnings": report.warnings})


class _Watched:
    """Frames of a run, until the work on them is for nothing."""

    def __init__(self, source: FrameSource, go_on: Callable[[], None]) -> None:
        self.info, self.available = source.info, source.available
        self._source, self._go_on = source, go_on

    def frame(self, number: int) -> Frame:
        """Frame at a place in the run."""
        self._go_on()
        return self._source.frame(number)


def _make(
    kind: str, source: _Watched, masters: dict[str, Frame], camera: CameraDescription | None
) -> tuple[Frame, MasterReport]:
    bias = masters.get("bias")
    if kind == "bias":
        return make_bias(source)
    if kind == "dark":
        return make_dark(source, bias)
    if camera is None:
        raise BadInput(
            "no description of the camera, so no limits of a flat's level", remedy="put its TOML file into the cameras folder"
        )
    camera = camera.as_in(source.info.header)
    upper = {label: camera.detector(label).nonlinear for label in source.info.windows}
    lower = {label: FAINTEST_FLAT * level for label, level in upper.items()}
    return make_flat(source, bias, masters.get("dark"), lower=lower, upper=upper, ngroup=FLAT_GROUP)


def _row(run: Run, kind: str, made: Frame, report: MasterReport) -> dict[str, Any]:
    """What the master is valid for: what its run was, less the CCDs that it lacks."""
    ccds = list(made.ccds)
    middle = 0.5 * (run.mjd_first + run.mjd_last) if run.mjd_first is not None and run.mjd_last is not None else None
    noon = (run.night.date - dt.date(1858, 11, 17)).days
    return {
        "kind": kind,
        "state": "good",
        "instrument_id": run.instrument_id,
        "run_id": run.id,
        "mode": run.mode,
        "speed": run.speed,
        "xbin": run.xbin,
        "ybin": run.ybin,
        "filters": {ccd: name for ccd, name in run.filters.items() if ccd in ccds},
        "windows": {ccd: windows for ccd, windows in run.windows.items() if ccd in ccds},
        "exposure": {ccd: made.ccds[ccd].header.get("NETEXP", made.ccds[ccd].exposure) for ccd in ccds},
        "mjd": middle if middle is not None else noon + 1.0,
        "report": report.to_dict(),
    }


HANDLERS: dict[Kind, Handler] = {Kind.BUILD_MASTER: build}
