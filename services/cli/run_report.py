"""All that is known of a run, as one object and as a page to read at three in the morning."""

from __future__ import annotations

from collections import Counter
from typing import Any

import click
from sqlalchemy import select
from sqlalchemy.orm import Session

from roque.archive.models import Job, Master, Product, RangeDone, RawFile, Reduction, Run
from roque.archive.progress import run_state
from services.cli.output import clean, colour, days, field, moment, size

__all__ = ["gather", "print_report"]

SHOWN = 10
"""Files, problems and notes that a page shows."""

Report = dict[str, Any]


def gather(session: Session, run: Run) -> Report:
    """Collect what is recorded of a run."""
    come_to = run_state(session, run)
    site = run.instrument.site
    return {
        "name": run.path,
        "state": come_to.word,
        "detail": come_to.detail,
        "files_state": run.state,
        "version": run.version,
        "kind": run.kind,
        "object": run.object,
        "site": site.name if site is not None else None,
        "mode": run.mode,
        "xbin": run.xbin,
        "ybin": run.ybin,
        "speed": run.speed,
        "exposure": run.exposure,
        "filters": run.filters,
        "nskips": run.nskips,
        "clear": run.clear,
        "windows": run.windows,
        "mjd_first": run.mjd_first,
        "mjd_last": run.mjd_last,
        "frames": run.frames,
        "frames_expected": run.frames_expected,
        "frames_missing": max(0, run.frames_expected - run.frames) if run.frames_expected is not None else None,
        "bad_times": run.bad_times,
        "waiting": run.waiting,
        "hints": run.hints,
        "registered_at": run.registered_at,
        "grown_at": run.grown_at,
        "files": [_file(file) for file in sorted(run.files, key=lambda file: (file.duplicate, file.position))],
        "problems": run.problems,
        "reductions": [_reduction(session, row) for row in _reductions(session, run)],
        "masters": [_master(row) for row in session.scalars(select(Master).where(Master.run_id == run.id).order_by(Master.id))],
        "jobs": _jobs(session, run),
        "products": [_product(row) for row in session.scalars(_products(run))],
        "other_versions": [_version(row) for row in _other_versions(session, run)],
    }


def print_report(report: Report) -> None:
    """Print a page."""
    _headline(report)
    _what_it_is(report)
    _files(report)
    _problems(report["problems"])
    for reduction in report["reductions"]:
        _print_reduction(reduction)
    for master in report["masters"]:
        _section(f"Master {master['kind']}", master["state"])
        field("product", f"{master['product_id']}  {master['product']}")
    _print_jobs(report)
    if report["products"]:
        _section("Products")
        for product in report["products"]:
            field(f"{product['id']}", f"{product['kind']}, {size(product['size'])}, {product['name']}", hang=6)
    for other in report["other_versions"]:
        _section(f"Version {other['version']} of this name", other["state"])
        for path in other["files"]:
            field("file", path)
        for problem in other["problems"]:
            _print_problem(problem)


def _headline(report: Report) -> None:
    version = f", version {report['version']}" if report["version"] > 1 else ""
    detail = f": {report['detail']}" if report["detail"] else ""
    click.secho(clean(report["name"]), bold=True, nl=False)
    click.echo(clean(f"{version}  {report['kind']}, "), nl=False)
    click.secho(clean(report["state"]), fg=colour(report["state"]), nl=False)
    click.echo(clean(detail))


def _what_it_is(report: Report) -> None:
    if report["windows"]:  # else nothing could be read of it
        _read_out(report)
    field("frames", _frames(report))
    if report["waiting"]:
        field("waits for", report["waiting"].removeprefix("waiting: "), style="yellow")
    for name, value in report["hints"].items():
        field(name, value["file"] if isinstance(value, dict) and "file" in value else str(value))
    field("registered", f"{moment(report['registered_at'])} UTC, last change {moment(report['grown_at'])}")


def _read_out(report: Report) -> None:
    field("object", report["object"] or "not named")
    parts = [
        report["mode"],
        f"binning {report['xbin']}x{report['ybin']}",
        f"speed {report['speed']}" if report["speed"] else "",
    ]
    parts.append({True: "cleared before each exposure", False: "not cleared", None: ""}[report["clear"]])
    field("read-out", ", ".join(part for part in parts if part))
    if report["filters"]:
        field("filters", ", ".join(f"CCD {ccd} {name}" for ccd, name in report["filters"].items()))
    if any(report["nskips"].values()):
        field("skips", ", ".join(f"CCD {ccd} {n}" for ccd, n in report["nskips"].items()))
    field("exposure", f"{report['exposure']:g} s")
    if report["mjd_first"] is not None:
        field("time", f"{days(report['mjd_first'])} to {days(report['mjd_last'])} UTC")


def _frames(report: Report) -> str:
    parts = [f"{report['frames']} read"]
    if report["frames_expected"] is not None:
        parts += [f"{report['frames_expected']} expected", f"{report['frames_missing']} missing"]
    return ", ".join([*parts, f"{report['bad_times']} with a bad time"])


def _files(report: Report) -> None:
    _section("Files")
    for file in report["files"][:SHOWN]:
        second = "  (second location)" if file["second_location"] else ""
        digest = f"sha256 {file['sha256'][:12]}" if file["sha256"] else "not ended"
        field("", f"{file['path']}  {size(file['size'])}  {digest}{second}", hang=0)
    _print_rest(len(report["files"]) - SHOWN)


def _problems(problems: list[Report]) -> None:
    if problems:
        _section("Problems")
        for problem in problems[:SHOWN]:
            _print_problem(problem)
        _print_rest(len(problems) - SHOWN)


def _print_rest(n: int) -> None:
    if n > 0:
        field("", f"... and {n} more: --json has them all", hang=0)


def _print_problem(problem: Report) -> None:
    where = ", ".join(part for part in (problem["file"], problem["place"]) if part)
    field(problem["severity"], problem["message"], style="red" if problem["severity"] == "error" else "yellow")
    if where:
        field("  where", where)
    if problem["remedy"]:
        field("  do", problem["remedy"])


def _print_reduction(reduction: Report) -> None:
    _section(f"Reduction {reduction['name']}", reduction["state"])
    field("recipe", reduction["recipe"])
    field("frames", f"{reduction['frames_done']} measured")
    field("apertures", f"{reduction['apertures']}; target {reduction['target']}")
    for kind, chosen in reduction["masters"].items():
        field(kind, f"{chosen['from'] or 'none'}: {chosen['why']}" if chosen["why"] else chosen["from"] or "none")
    if reduction["seconds"]:
        field("seconds", ", ".join(f"{stage} {spent:.2f}" for stage, spent in reduction["seconds"].items()))
    done = f", done {moment(reduction['finished_at'])}" if reduction["finished_at"] else ""
    field("made", f"by roque {reduction['code_version']}, begun {moment(reduction['created_at'])}{done} UTC")
    for note in reduction["notes"][:SHOWN]:
        field("note", _note(note))
    _print_rest(len(reduction["notes"]) - SHOWN)


def _note(note: dict[str, Any]) -> str:
    where = [f"{name} {note[key]}" for key, name in (("ccd", "CCD"), ("aperture", "aperture")) if note.get(key)]
    if note.get("count", 1) > 1:
        where.append(f"{note['count']} frames from {note['frame']} to {note['last_frame']}")
    elif note.get("frame"):
        where.append(f"frame {note['frame']}")
    return f"{', '.join(where)}: {note['text']}" if where else str(note["text"])


def _print_jobs(report: Report) -> None:
    jobs = report["jobs"]
    if not jobs["counts"]:
        return
    _section(f"Jobs: {', '.join(f'{n} {state}' for state, n in jobs['counts'].items())}")
    for job in jobs["waiting"]:
        field("waiting", f"{job['kind']}: {job['reason']}")
    for job in jobs["failed"]:
        error = job["error"]
        where = ", ".join(part for part in (error.get("file"), error.get("place")) if part)
        field("failed", f"{job['kind']} {job['name']}", style="red")
        field("  why", str(error.get("message", "no reason recorded")))
        if where:
            field("  where", where)
        field("  do", error.get("remedy") or f"'roque run retry {report['name']}'")
    if jobs["failed"]:
        field("", f"when its cause is gone: roque run retry {report['name']}", hang=0)


def _section(title: str, state: str | None = None) -> None:
    click.echo()
    click.secho(clean(title), bold=True, nl=state is None)
    if state is not None:
        click.echo("  ", nl=False)
        click.secho(clean(state), fg=colour(state))


def _file(file: RawFile) -> Report:
    return {"path": file.path, "size": file.size, "sha256": file.sha256, "second_location": file.duplicate}


def _reductions(session: Session, run: Run) -> list[Reduction]:
    return list(session.scalars(select(Reduction).where(Reduction.run_id == run.id).order_by(Reduction.id.desc())))


def _reduction(session: Session, row: Reduction) -> Report:
    spent: Counter[str] = Counter()
    for seconds in session.scalars(select(RangeDone.seconds).where(RangeDone.reduction_id == row.id)):
        spent.update(seconds)
    masters = {}
    for kind, reference in row.masters.items():
        # the id of a master, or the file that a reduce file named
        master = session.get(Master, reference) if isinstance(reference, int) else None
        named = reference["file"] if isinstance(reference, dict) else None
        masters[kind] = {
            "master": reference,
            "from": master.run.path if master is not None else named,
            "state": master.state if master is not None else None,
            "why": str(row.choices.get(kind, "")).removeprefix(f"without {kind}: "),
        }
    apertures = row.aperture_set
    return {
        "name": row.name,
        "state": row.state,
        "recipe": f"{row.recipe.name} v{row.recipe.version}",
        "frames_done": row.frames_done,
        "target": row.target,
        "apertures": f"{apertures.origin}: {apertures.source}",
        "masters": masters,
        "notes": row.notes,
        "seconds": dict(spent),
        "code_version": row.code_version,
        "created_at": row.created_at,
        "finished_at": row.finished_at,
    }


def _master(row: Master) -> Report:
    return {
        "id": row.id,
        "kind": row.kind,
        "state": row.state,
        "product": row.product.uri,
        "product_id": row.product_id,
        "report": row.report,
    }


def _jobs(session: Session, run: Run) -> Report:
    counts: Counter[str] = Counter(session.scalars(select(Job.state).where(Job.run_id == run.id).order_by(Job.state)))
    telling = session.scalars(
        select(Job).where(Job.run_id == run.id, Job.state.in_(("failed", "waiting"))).order_by(Job.created_at, Job.id)
    ).all()
    return {
        "counts": dict(counts),
        "failed": [{"name": job.id, "kind": job.kind, "error": job.error or {}} for job in telling if job.state == "failed"],
        "waiting": [
            {"name": job.id, "kind": job.kind, "reason": job.reason} for job in telling if job.state == "waiting" and job.reason
        ],
    }


def _products(run: Run) -> Any:
    return select(Product).where(Product.run_id == run.id, Product.state == "current").order_by(Product.id)


def _product(row: Product) -> Report:
    return {"id": row.id, "name": row.uri, "kind": row.kind, "size": row.size, "sha256": row.sha256}


def _other_versions(session: Session, run: Run) -> list[Run]:
    return list(
        session.scalars(
            select(Run)
            .where(Run.instrument_id == run.instrument_id, Run.night_id == run.night_id, Run.name == run.name, Run.id != run.id)
            .order_by(Run.version)
        )
    )


def _version(row: Run) -> Report:
    return {"version": row.version, "state": row.state, "files": [f.path for f in row.files], "problems": row.problems}
