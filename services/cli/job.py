"""`roque job`: list, show, submit, cancel and retry jobs; see what messages died."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from services.cli.app import App, pass_app
from services.cli.job_dead import dead
from services.cli.job_work import cancel, retry
from services.cli.output import Column, colour, field, json_line, json_option, moment, table
from services.cli.run_work import submit

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

    from roque.archive.models import Job

__all__ = ["job"]

STATES = ["waiting", "queued", "running", "done", "failed", "cancelled"]
# as in roque.jobs.kinds, which must not be imported to show help; a test compares them
KINDS = ["build_master", "prepare_reduction", "reduce_range", "export_reduction"]
ID_SHOWN = 18
"""Characters of an id in a table: its time to the millisecond and 12 random bits."""


@click.group()
def job() -> None:
    """List, show, submit, cancel and retry jobs."""


@job.command(name="list")
@click.option("--state", type=click.Choice(STATES), help="Only jobs in this state.")
@click.option("--kind", type=click.Choice(KINDS), help="Only jobs of this kind.")
@click.option("--run", "run_name", metavar="RUN", help="Only jobs of this run.")
@click.option("--limit", type=click.IntRange(1), default=200, show_default=True, help="At most so many, the newest first.")
@json_option
@pass_app
def list_(app: App, state: str | None, kind: str | None, run_name: str | None, limit: int, *, as_json: bool) -> None:
    """List jobs, the newest first.

    \b
    Examples:
      roque job list --state failed
      roque job list --run run0012 --json
    """
    from sqlalchemy import select

    from roque.archive.models import Job
    from roque.archive.names import find_run

    wanted = select(Job).order_by(Job.id.desc()).limit(limit + 1)  # ids begin with their time
    with app.record.reading() as session:
        if state is not None:
            wanted = wanted.where(Job.state == state)
        if kind is not None:
            wanted = wanted.where(Job.kind == kind)
        if run_name is not None:
            wanted = wanted.where(Job.run_id == find_run(session, run_name).id)
        jobs = list(session.scalars(wanted))
        more, jobs = len(jobs) > limit, jobs[:limit]
        plain = _plain(session, jobs)
    if as_json:
        for entry in plain:
            json_line(entry)
    else:
        table(
            [Column("JOB"), Column("KIND"), Column("STATE"), Column("RUN"), Column("DETAIL", shrinks=True)],
            [(entry["name"][:ID_SHOWN], entry["kind"], entry["state"], entry["run"] or "", _detail(entry)) for entry in plain],
        )
    if more:
        app.say(f"only the newest {limit} are listed: say more with --limit, or ask for less")


@job.command()
@click.argument("job_id", metavar="ID")
@json_option
@pass_app
def show(app: App, job_id: str, *, as_json: bool) -> None:
    """Show all that is known of a job. ID may be the beginning of an id, if only one job begins so.

    \b
    Example:
      roque job show 019a4000-0001
    """
    from roque.archive.names import find_job

    with app.record.reading() as session:
        row = find_job(session, job_id)
        entry = _plain(session, [row])[0] | _needs(session, row)
    if as_json:
        json_line(entry)
    else:
        _print(entry)


for _command in (submit, cancel, retry, dead):
    job.add_command(_command)


def _plain(session: Session, jobs: list[Job]) -> list[dict[str, Any]]:
    from roque.archive.summaries import run_names

    names = run_names(session, {row.run_id for row in jobs if row.run_id is not None})
    return [
        {
            "name": row.id,
            "state": row.state,
            "kind": row.kind,
            "service": row.service,
            "run": names.get(row.run_id or 0),
            "parameters": row.parameters,
            "priority": row.priority,
            "trace": row.trace,
            "reason": row.reason,
            "error": row.error,
            "result": row.result,
            "attempts": row.attempts,
            "lost": row.lost,
            "worker": row.worker,
            "not_before": row.not_before,
            "lease_until": row.lease_until,
            "created_at": row.created_at,
            "queued_at": row.queued_at,
            "started_at": row.started_at,
            "finished_at": row.finished_at,
            "key": row.key,
        }
        for row in jobs
    ]


def _needs(session: Session, row: Job) -> dict[str, Any]:
    from sqlalchemy import select

    from roque.archive.models import Job, JobNeed

    needed = select(Job.id, Job.kind, Job.state).join(JobNeed, JobNeed.needs_id == Job.id).where(JobNeed.job_id == row.id)
    return {"needs": [{"name": name, "kind": kind, "state": state} for name, kind, state in session.execute(needed)]}


def _detail(entry: dict[str, Any]) -> str:
    error = entry["error"] or {}
    match entry["state"]:
        case "failed" | "cancelled":
            return str(error.get("message") or entry["reason"] or "")
        case "waiting" if error:
            return f"tried {entry['attempts']} times, again after {moment(entry['not_before'])} UTC: {error.get('message')}"
        case "waiting":
            return entry["reason"] or ""
        case "running":
            return f"since {moment(entry['started_at'])} UTC"
        case _:
            return ""


def _print(entry: dict[str, Any]) -> None:
    click.secho(entry["name"], bold=True, nl=False)
    click.echo(f"  {entry['kind']}, ", nl=False)
    click.secho(entry["state"], fg=colour(entry["state"]))
    field("run", entry["run"] or "none")
    field("priority", f"{'live' if entry['priority'] > 0 else 'archive'} ({entry['priority']})")
    field("service", entry["service"])
    for name, value in entry["parameters"].items():
        field(name, str(value))
    if entry["reason"]:
        field("waits for", entry["reason"], style="yellow")
    for need in entry["needs"]:
        field("needs", f"{need['name']} {need['kind']}, {need['state']}")
    field("tries", f"{entry['attempts']}, {entry['lost']} of them ended without an answer")
    if entry["worker"]:
        field("worker", entry["worker"])
    for name, title in _TIMES.items():
        if entry[name] is not None:
            field(title, f"{moment(entry[name])} UTC")
    if entry["result"]:
        field("result", ", ".join(f"{name} {value}" for name, value in entry["result"].items()))
    if entry["error"]:
        _print_error(entry)
    if entry["trace"]:
        field("trace", entry["trace"])
    field("key", entry["key"])


_TIMES = {
    "created_at": "created",
    "queued_at": "queued",
    "started_at": "started",
    "lease_until": "leased to",
    "not_before": "not before",
    "finished_at": "ended",
}


def _print_error(entry: dict[str, Any]) -> None:
    error = entry["error"]
    field("error", str(error.get("message", "")), style="red")
    where = ", ".join(part for part in (error.get("file"), error.get("place")) if part)
    if where:
        field("  where", where)
    if error.get("remedy"):
        field("  do", error["remedy"])
    if entry["state"] == "failed" and entry["run"]:
        field("  then", f"roque run retry {entry['run']}")
    if error.get("traceback"):
        for line in error["traceback"].splitlines():
            field("", line, indent=4, hang=0)
