"""Which masters a run is to be reduced with: the record's side of the choice; the rules are `roque.calibration.choose`."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass, fields, replace
from typing import Any

from sqlalchemy import or_, select, update
from sqlalchemy.orm import Session

from roque.archive.models import Instrument, Master, Product, Recipe, Reduction, Run
from roque.archive.runs import reopen_runs
from roque.calibration.choose import Candidate, Choice, Policy, Wanted, choose
from roque.errors import BadInput
from roque.frames import Geometry
from roque.jobs.priority import is_live, live_runs

__all__ = ["MasterChoice", "Wants", "choose_masters", "explain", "master_is_ready", "wants_of"]

WANTS = ("required", "wanted", "optional", "never")

_MADE_WITH = {"bias": ("dark", "flat"), "dark": (), "flat": ()}
"""Kinds of runs whose masters are made with a master of a kind."""


@dataclass(frozen=True)
class Wants:
    """How much each kind of master is wanted.

    ``required``: the run waits until there is one. ``wanted``: it waits for a while, then goes on without, and says so.
    ``optional``: it is used if there is one. ``never``: it is left out. A master that is being made is always waited for.
    """

    bias: str = "never"
    dark: str = "never"
    flat: str = "never"

    def __post_init__(self) -> None:
        """Refuse other words.

        Raises
        ------
        BadInput
            A value is not one of the four words.
        """
        for field in fields(self):
            word = getattr(self, field.name)
            if word not in WANTS:
                raise BadInput(
                    f"{word!r} is not a way to want a master",
                    place=f"calibration.{field.name}",
                    remedy=f"say one of {', '.join(WANTS)}",
                )


def wants_of(recipe: Recipe, run: Run) -> Wants:
    """How much each kind of master is wanted: as a recipe says (``calibration.bias`` and so on), or as usual.

    A reduce file beside the run names its own.
    """
    if "reduce_file" in run.hints:
        return Wants()
    usual = Wants(bias="wanted", dark="optional", flat="wanted")
    said = {
        f.name: recipe.parameters[f"calibration.{f.name}"]
        for f in fields(Wants)
        if f"calibration.{f.name}" in recipe.parameters
    }
    return replace(usual, **said)


@dataclass(frozen=True)
class MasterChoice:
    """What was chosen for a run: masters by kind (None: without), why in words, and what it waits for."""

    masters: dict[str, int | None]
    reasons: dict[str, str]
    waiting: str | None
    parked: bool = False  # it waits for what nobody is making, without an end


def choose_masters(session: Session, run: Run, wants: Wants, now: dt.datetime, patience: dt.timedelta) -> MasterChoice:
    """Choose a master of each wanted kind for a run, or say what the run waits for."""
    masters: dict[str, int | None] = {}
    reasons: dict[str, str] = {}
    waits = []
    parked = True
    for kind in ("bias", "dark", "flat"):
        want = getattr(wants, kind)
        if want == "never":
            continue
        if (making := _in_the_making(session, run, kind, now, patience)) is not None:
            waits.append(f"{kind}, being made from {making}")
            parked = False
            continue
        choice = explain(session, run, kind)
        if choice.winner is not None:
            masters[kind], reasons[kind] = int(choice.winner.id), choice.reason
            continue
        patient = want == "required" or (want == "wanted" and now - run.registered_at < patience)
        averaged = explain(session, run, kind, Policy(binned_bias=True)) if kind == "bias" else choice
        if patient:
            waits.append(f"{kind} {describe(run)}")
            parked &= want == "required"
        elif averaged.winner is not None:
            masters[kind], reasons[kind] = int(averaged.winner.id), f"of finer binning, averaged: {averaged.reason}"
        elif want == "wanted":
            masters[kind], reasons[kind] = None, f"without {kind}: {choice.reason}"
    return MasterChoice(masters, reasons, f"waiting: {'; '.join(waits)}" if waits else None, parked=bool(waits) and parked)


def explain(session: Session, run: Run, kind: str, policy: Policy | None = None) -> Choice:
    """Choose among all masters of a kind, with the reason and why each other lost."""
    rows = session.scalars(
        select(Master).where(Master.kind == kind, Master.instrument_id == run.instrument_id).order_by(Master.id)
    )
    return choose(kind, wanted_by(run), [offered_by(row) for row in rows if row.run_id != run.id], policy)


def master_is_ready(session: Session, master: Master) -> None:
    """Let the planner look again at the runs that a new master could matter to; older ones of the same run are superseded."""
    if _supersede_older(session, master):
        reopen_runs(session, master.instrument_id)
    lacking = select(Reduction.run_id).where(
        Reduction.state.in_(("running", "done")), Reduction.masters[master.kind].as_string().is_(None)
    )
    session.execute(
        update(Run)
        .where(Run.instrument_id == master.instrument_id, Run.state.in_(("growing", "complete")), ~Run.on_request)
        .where(or_(Run.waiting.is_not(None), Run.id.in_(lacking), Run.kind.in_(_MADE_WITH[master.kind])))
        .values(unsettled=True, waiting=None)
        .execution_options(synchronize_session=False)
    )


def wanted_by(run: Run) -> Wanted:
    """What a run needs of a master."""
    return Wanted(
        instrument=run.instrument.name,
        windows=_geometries(run.windows),
        mode=run.mode,
        speed=run.speed,
        filters=dict(run.filters),
        exposure=dict.fromkeys(run.windows, run.exposure),
        mjd=_middle(run),
    )


def offered_by(master: Master) -> Candidate:
    """What a master offers."""
    return Candidate(
        id=str(master.id),
        kind=master.kind,
        name=f"{master.run.path} ({master.kind})",
        good=master.state == "good",
        state=master.state,
        instrument=master.instrument.name,
        windows=_geometries(master.windows),
        mode=master.mode,
        speed=master.speed,
        filters=dict(master.filters),
        exposure=dict(master.exposure),
        mjd=master.mjd,
    )


def describe(run: Run) -> str:
    """Say in few words what a master of a run must be like: filter and binning."""
    filters = " ".join(str(f) for f in run.filters.values() if f)
    return f"{filters + ', ' if filters else ''}binning {run.xbin}x{run.ybin}"


def _supersede_older(session: Session, master: Master) -> bool:
    older = session.scalars(
        update(Master)
        .where(Master.run_id == master.run_id, Master.kind == master.kind, Master.id != master.id, Master.state == "good")
        .values(state="superseded")
        .returning(Master.product_id)
        .execution_options(synchronize_session="fetch")
    ).all()
    gone = Product.id.in_(older), Product.id != master.product_id
    session.execute(update(Product).where(*gone).values(state="superseded").execution_options(synchronize_session=False))
    return bool(older)


def _in_the_making(session: Session, run: Run, kind: str, now: dt.datetime, patience: dt.timedelta) -> str | None:
    """Name of a calibration run of this instrument that will give a master of a kind and has not yet.

    One that still grows counts if it has grown lately: nobody may be looking at it any more. A live run does not wait for
    those of the archive, but for those of its own night, which the planner makes live for it.
    """
    awaited = [or_(Run.night_id == run.night_id, live_runs(now))] if is_live(run, now) else []
    row = session.scalar(
        select(Run)
        .join(Instrument)
        .where(Run.kind == kind, Run.instrument_id == run.instrument_id, Run.unsettled, Run.id != run.id, *awaited)
        .where(or_(Run.state == "complete", (Run.state == "growing") & (Run.grown_at > now - patience)))
        .order_by(Run.id)
        .limit(1)
    )
    return row.path if row is not None else None


def _geometries(windows: dict[str, Any]) -> dict[str, dict[str, Geometry]]:
    return {ccd: {label: Geometry(*numbers) for label, numbers in inner.items()} for ccd, inner in windows.items()}


def _middle(run: Run) -> float:
    if run.mjd_first is None or run.mjd_last is None:
        # no good time: the middle of the night's date serves to find the nearest
        return (run.night.date - dt.date(1858, 11, 17)).days + 1.0
    return 0.5 * (run.mjd_first + run.mjd_last)
