"""Options that choose runs: by name, night, state ...; the same for every command that takes them."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import click

from services.cli.options import read_night

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

    from roque.archive.summaries import Filters

__all__ = ["KINDS", "STATES", "dry_run_option", "filter_options", "run_options", "runs_meant"]

# as in roque.archive.summaries, which must not be imported to show help; a test compares them
STATES = ["growing", "waiting", "working", "reducing", "done", "registered", "failed", "cancelled", "conflict", "superseded"]
KINDS = ["bias", "dark", "flat", "science", "other"]


def _read_header_tests(_context: click.Context, _parameter: click.Parameter, values: tuple[str, ...]) -> tuple[Any, ...]:
    from roque.archive.headers import read_header_test
    from roque.errors import BadInput

    try:
        return tuple(read_header_test(value) for value in values)
    except BadInput as error:
        raise click.BadParameter(str(error)) from None


_OPTIONS = (
    click.option("--night", metavar="DATE", callback=read_night, help="Only runs of this night (the date of its evening)."),
    click.option("--since", metavar="DATE", callback=read_night, help="Only this night and later ones."),
    click.option("--state", type=click.Choice(STATES), metavar="STATE", help=f"Only runs in this state: {', '.join(STATES)}."),
    click.option("--kind", type=click.Choice(KINDS), help="Only runs of this kind."),
    click.option("--object", metavar="TEXT", help="Only runs whose object has this in its name."),
    click.option("--instrument", metavar="NAME", help="Only runs of this instrument."),
    click.option("--filter", metavar="NAME", help="Only runs with a CCD behind this filter."),
    click.option(
        "--header",
        metavar="CONDITION",
        multiple=True,
        callback=_read_header_tests,
        help="Only runs whose header has KEYWORD=VALUE, KEYWORD~PART, KEYWORD<NUMBER or KEYWORD>NUMBER; may be said again.",
    ),
)
_NAMES = ("night", "since", "state", "kind", "object", "instrument", "filter", "header")

_Command = Callable[..., Any]

dry_run_option = click.option("--dry-run", is_flag=True, help="Say which runs are meant, and change nothing.")


def filter_options(command: _Command) -> _Command:
    """Options that choose runs by what they are; the command gets them as `filters`."""

    @functools.wraps(command)
    def called(*args: Any, **given: Any) -> Any:
        from roque.archive.summaries import Filters

        return command(*args, filters=Filters(**{name: given.pop(name) for name in _NAMES}), **given)

    for option in reversed(_OPTIONS):
        called = option(called)
    return called


def run_options(command: _Command) -> _Command:
    """Runs by name, or by what they are; the command gets `names` and `filters`, and one of them says something."""

    @functools.wraps(command)
    def called(*args: Any, names: tuple[str, ...], filters: Filters, **given: Any) -> Any:
        from roque.archive.summaries import Filters as Any_

        if bool(names) == (filters != Any_()):
            raise click.UsageError("name runs, or choose them by --night, --state ...: one of the two")
        return command(*args, names=names, filters=filters, **given)

    return click.argument("names", metavar="[RUN]...", nargs=-1)(filter_options(called))


def runs_meant(session: Session, names: tuple[str, ...], filters: Filters) -> list[int]:
    """Ids of the runs that are meant, each once, in order.

    Raises
    ------
    NotFound
        A name means no run, or several; or no run is so.
    """
    from roque.archive.names import find_run
    from roque.archive.summaries import list_runs
    from roque.errors import NotFound

    if names:
        return list(dict.fromkeys(find_run(session, name).id for name in names))
    found = [summary.id for summary, _ in list_runs(session, filters)]
    if not found:
        raise NotFound("no such run", remedy="'roque run list' without options lists them all")
    return found
