"""`roque calib`: list masters; explain which one a run gets, and why."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from services.cli.app import App, pass_app
from services.cli.options import run_argument
from services.cli.output import Column, clean, days, field, json_line, json_option, table

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

    from roque.archive.models import Master, Run
    from roque.calibration.choose import Choice

__all__ = ["calib"]

KINDS = ["bias", "dark", "flat"]


@click.group()
def calib() -> None:
    """List masters; explain which one a run gets, and why."""


@calib.command(name="list")
@click.option("--kind", type=click.Choice(KINDS), help="Only masters of this kind.")
@json_option
@pass_app
def list_(app: App, kind: str | None, *, as_json: bool) -> None:
    """List calibration masters and what they are valid for.

    \b
    Example:
      roque calib list --kind flat
    """
    from sqlalchemy import select

    from roque.archive.models import Master

    wanted = select(Master).order_by(Master.mjd, Master.kind, Master.id)
    if kind is not None:
        wanted = wanted.where(Master.kind == kind)
    with app.record.reading() as session:
        masters = [_plain(row) for row in session.scalars(wanted)]
    if as_json:
        for master in masters:
            json_line(master)
        return
    table(
        [Column("RUN"), Column("KIND"), Column("STATE"), Column("TAKEN (UTC)"), Column("BINNING"),
         Column("VALID FOR", shrinks=True)],
        [
            (master["run"], master["kind"], master["state"], days(master["mjd"])[:16], f"{master['xbin']}x{master['ybin']}",
             _validity(master))
            for master in masters
        ],
    )  # fmt: skip


@calib.command()
@run_argument
@click.option("--kind", type=click.Choice(KINDS), help="Explain the choice of this kind of master alone.")
@json_option
@pass_app
def explain(app: App, name: str, kind: str | None, *, as_json: bool) -> None:
    """Explain which masters RUN would get now: candidates, rule, winner, and why each other lost.

    \b
    Examples:
      roque calib explain run0012
      roque calib explain run0012 --kind flat --json
    """
    from roque.archive.names import find_run
    from roque.jobs import calibrations

    with app.record.reading() as session:
        run = find_run(session, name)
        kinds = [kind] if kind is not None else _wanted(run.kind)
        used = _used(session, run)
        answers = [_answer(run, k, calibrations.explain(session, run, k), used.get(k)) for k in kinds]
        about = f"{run.kind}, {run.mode}, {calibrations.describe(run)}, {days(run.mjd_first)} UTC"
        path = run.path
    if as_json:
        for answer in answers:
            json_line(answer)
        return
    click.secho(clean(path), bold=True, nl=False)
    click.echo(f"  {clean(about)}")
    if not answers:
        app.say("a run of this kind needs no master")
    for answer in answers:
        _print(answer)


def _wanted(kind: str) -> list[str]:
    """Kinds of master that a run of a kind is calibrated with."""
    return {"bias": [], "dark": ["bias"], "flat": ["bias"]}.get(kind, KINDS)


def _used(session: Session, run: Run) -> dict[str, dict[str, Any]]:
    """What the newest finished reduction of a run was made with, by kind."""
    from roque.archive.models import Master
    from roque.archive.names import find_reduction
    from roque.errors import NotFound

    try:
        reduction = find_reduction(session, run)
    except NotFound:
        return {}
    used = {}
    for kind, reference in reduction.masters.items():
        # the id of a master, or the file that a reduce file named
        master = session.get(Master, reference) if isinstance(reference, int) else None
        named = reference["file"] if isinstance(reference, dict) else None
        used[kind] = {
            "reduction": reduction.name,
            "from": master.run.path if master is not None else named,
            "why": str(reduction.choices.get(kind, "")).removeprefix(f"without {kind}: "),
        }
    return used


def _answer(run: Run, kind: str, choice: Choice, used: dict[str, Any] | None) -> dict[str, Any]:
    from roque.calibration.choose import rule

    return {
        "name": kind,
        "state": "chosen" if choice.winner is not None else "none",
        "run": run.path,
        "rule": rule(kind),
        "winner": choice.winner.name if choice.winner is not None else None,
        "reason": choice.reason,
        "lost": [{"name": candidate.name, "why": why} for candidate, why in choice.rejected],
        "used": used,
    }


def _print(answer: dict[str, Any]) -> None:
    click.echo()
    click.secho(answer["name"], bold=True, nl=False)
    click.secho(f"  {clean(answer['winner'] or 'none')}", fg="green" if answer["winner"] else "yellow")
    field("why", answer["reason"])
    field("rule", answer["rule"])
    for candidate in answer["lost"]:
        field("lost", f"{candidate['name']}: {candidate['why']}")
    used = answer["used"]
    if used:
        field("in use", f"{used['from'] or 'none'} in reduction {used['reduction']}: {used['why']}")


def _plain(row: Master) -> dict[str, Any]:
    return {
        "name": f"{row.run.path} ({row.kind})",
        "state": row.state,
        "kind": row.kind,
        "run": row.run.path,
        "instrument": row.instrument.name,
        "mode": row.mode,
        "speed": row.speed,
        "xbin": row.xbin,
        "ybin": row.ybin,
        "filters": row.filters,
        "exposure": row.exposure,
        "windows": row.windows,
        "mjd": row.mjd,
        "product": row.product.uri,
        "product_id": row.product_id,
        "made_at": row.made_at,
    }


def _validity(master: dict[str, Any]) -> str:
    """Say in few words what a master is valid for, beside its instrument and binning."""
    match master["kind"]:
        case "flat":
            return ", ".join(f"CCD {ccd} {name}" for ccd, name in master["filters"].items())
        case "dark":
            return ", ".join(f"CCD {ccd} {seconds:g} s" for ccd, seconds in master["exposure"].items() if seconds is not None)
        case _:
            return ", ".join(part for part in (master["mode"], master["speed"]) if part)
