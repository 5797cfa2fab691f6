"""`roque job dead`: messages that were given up."""

from __future__ import annotations

import base64
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import click

from services.cli.app import App, pass_app
from services.cli.output import Column, colour, field, json_line, json_option, moment, size, table

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

    from roque.archive.models import DeadLetter

__all__ = ["dead"]

STATES = ["new", "replayed", "dropped"]
SHOWN = 4000
"""Characters of a body that are shown to people."""


@click.group()
def dead() -> None:
    """See, replay and drop messages that no worker could read.

    No work is lost with them: what is to be done stands in the record, and the planner sends it anew.
    """


@dead.command(name="list")
@click.option("--state", type=click.Choice(STATES), default="new", show_default=True, help="Only those in this state.")
@click.option("--limit", type=click.IntRange(1), default=200, show_default=True, help="At most so many, the newest first.")
@json_option
@pass_app
def list_(app: App, state: str, limit: int, *, as_json: bool) -> None:
    """List dead letters, the newest first.

    \b
    Examples:
      roque job dead list
      roque job dead list --state replayed --json
    """
    from sqlalchemy import select

    from roque.archive.models import DeadLetter

    wanted = select(DeadLetter).where(DeadLetter.state == state).order_by(DeadLetter.id.desc()).limit(limit + 1)
    with app.record.reading() as session:
        letters = list(session.scalars(wanted))
    more, letters = len(letters) > limit, letters[:limit]
    if as_json:
        for letter in letters:
            json_line(_facts(letter))
    elif not letters:
        app.say("there are none")
    else:
        table(
            [Column("NUMBER", number=True), Column("CAME"), Column("QUEUE"), Column("REASON"), Column("BEGINS", shrinks=True)],
            [
                (str(letter.id), moment(letter.received_at), letter.queue, letter.reason, _text(letter)[:60])
                for letter in letters
            ],
        )
    if more:
        app.say(f"only the newest {limit} are listed: say more with --limit")


@dead.command()
@click.argument("number", type=int)
@json_option
@pass_app
def show(app: App, number: int, *, as_json: bool) -> None:
    """Show all that is known of a dead letter. In --json its body is text if it is UTF-8, and base64 in any case.

    \b
    Example:
      roque job dead show 3
    """
    from roque.jobs.letters import find_letter

    with app.record.reading() as session:
        letter = find_letter(session, number)
    if as_json:
        json_line(_facts(letter) | {"body_base64": base64.b64encode(letter.body).decode()})
    else:
        _print(letter)


@dead.command()
@click.argument("numbers", metavar="NUMBER...", type=int, nargs=-1)
@click.option("--all", "everything", is_flag=True, help="All that are new.")
@json_option
@pass_app
def replay(app: App, numbers: tuple[int, ...], *, everything: bool, as_json: bool) -> None:
    """Send dead letters once more, as they were, to the queues they died in: after an upgrade that can read them.

    All are replayed, or, if one cannot be, none.

    \b
    Examples:
      roque job dead replay 3
      roque job dead replay --all
    """
    from roque.jobs.letters import replay

    _settle(app, numbers, replay, "replayed", everything=everything, as_json=as_json)


@dead.command()
@click.argument("numbers", metavar="NUMBER...", type=int, nargs=-1)
@click.option("--all", "everything", is_flag=True, help="All that are new.")
@json_option
@pass_app
def drop(app: App, numbers: tuple[int, ...], *, everything: bool, as_json: bool) -> None:
    """Put dead letters away. They are kept for a month under --state dropped.

    \b
    Examples:
      roque job dead drop 3 4
      roque job dead drop --all
    """
    from roque.jobs.letters import drop

    _settle(app, numbers, drop, "dropped", everything=everything, as_json=as_json)


def _settle(
    app: App,
    numbers: tuple[int, ...],
    do: Callable[[Session, DeadLetter], None],
    what: str,
    *,
    everything: bool,
    as_json: bool,
) -> None:
    from sqlalchemy import select

    from roque.archive.models import DeadLetter
    from roque.jobs.letters import find_letter

    if bool(numbers) == everything:
        raise click.UsageError("name dead letters by their numbers, or say --all")
    with app.record.writing() as session:
        if everything:
            numbers = tuple(session.scalars(select(DeadLetter.id).where(DeadLetter.state == "new").order_by(DeadLetter.id)))
        for number in dict.fromkeys(numbers):
            do(session, find_letter(session, number))
    for number in dict.fromkeys(numbers):
        if as_json:
            json_line({"number": number, "state": what})
        else:
            click.echo(number)
    app.say(f"{len(numbers)} dead {'letter' if len(numbers) == 1 else 'letters'} {what}")


def _facts(letter: DeadLetter) -> dict[str, Any]:
    return {
        "number": letter.id,
        "state": letter.state,
        "queue": letter.queue,
        "reason": letter.reason,
        "received_at": letter.received_at,
        "settled_at": letter.settled_at,
        "size": letter.size,
        "properties": letter.properties,
        "headers": letter.headers,
        "body": _text(letter),
    }


def _text(letter: DeadLetter) -> str:
    return letter.body.decode("utf-8", "backslashreplace")


def _print(letter: DeadLetter) -> None:
    click.secho(f"dead letter {letter.id}", bold=True, nl=False)
    click.echo("  ", nl=False)
    click.secho(letter.state, fg=colour(letter.state))
    field("queue", letter.queue)
    field("reason", letter.reason)
    field("came", f"{moment(letter.received_at)} UTC")
    if letter.settled_at:
        field(letter.state, f"{moment(letter.settled_at)} UTC")
    for name, value in (*letter.properties.items(), *letter.headers.items()):
        if value not in (None, [], {}):
            field(name, str(value)[:SHOWN])
    field("size", size(letter.size))
    body = _text(letter)
    field("body", body[:SHOWN] + (" ..." if len(body) > SHOWN else ""))
