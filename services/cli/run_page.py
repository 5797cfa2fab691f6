"""All that is known of a run, as a page to read at three in the morning."""

from __future__ import annotations

from typing import Any

import click

from services.cli.output import clean, colour, days, field, moment, size
from services.cli.run_facts import Report

__all__ = ["print_report"]

SHOWN = 10
"""Files, problems and notes that a page shows."""


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
        parts.append(f"{report['frames_expected']} expected")
    dropped = f" ({report['frames_dropped']} dropped by the camera)" if report["frames_dropped"] else ""
    return ", ".join([*parts, f"{report['frames_missing']} missing{dropped}", f"{report['bad_times']} with a bad time"])


def _files(report: Report) -> None:
    _section("Files")
    for file in report["files"][:SHOWN]:
        second = "  (second location)" if file["second_location"] else ""
        digest = f"sha256 {file['sha256'][:12]}" if file["sha256"] else "not ended" if file["sha256"] is None else "unreadable"
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
    notes = [note for note in reduction["notes"] if "severity" not in note]  # else it stands among the problems
    for note in notes[:SHOWN]:
        field("note", _note(note))
    _print_rest(len(notes) - SHOWN)


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
