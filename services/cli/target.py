"""`roque target`: where objects are in the sky, for times at the barycentre and airmasses of all their runs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from services.cli.app import App, pass_app
from services.cli.output import Column, json_line, json_option, moment, table

if TYPE_CHECKING:
    from roque.archive.models import Target

__all__ = ["target"]


@click.group()
def target() -> None:
    """Keep the positions of targets, for BJD and airmass.

    A position holds for all runs whose object has this name; upper and lower case, blanks and underscores do not matter.
    """


@target.command(name="set")
@click.argument("name", metavar="OBJECT")
@click.argument("position", metavar="RA,DEC")
@json_option
@pass_app
def set_(app: App, name: str, position: str, *, as_json: bool) -> None:
    """Keep the position of an object, ICRS: in degrees, or as hh:mm:ss,+dd:mm:ss.

    It goes before where the telescope pointed. Proper motion is not followed: give the position at the time of observation.

    \b
    Examples:
      roque target set 'NN Ser' 15:52:56.2,+12:54:44.4
      roque target set HAT-P-32 31.0428,46.6878
    """
    import datetime as dt

    from roque.archive.targets import runs_of_targets, set_target
    from roque.lightcurves.barycentre import read_position

    ra, dec = read_position(position)
    with app.record.writing() as session:
        kept = set_target(session, name, ra, dec, dt.datetime.now(dt.UTC))
        entry = _plain(kept, runs_of_targets(session).get(kept.key, 0))
    if as_json:
        json_line(entry)
        return
    click.echo(f"{entry['name']}: RA {ra:.6f}, Dec {dec:+.6f}")
    app.say(f"{entry['runs']} runs of it are in the record" if entry["runs"] else "no run of it is in the record so far")


@target.command(name="list")
@json_option
@pass_app
def list_(app: App, *, as_json: bool) -> None:
    """List the targets whose position is kept.

    \b
    Example:
      roque target list
    """
    from roque.archive.targets import list_targets, runs_of_targets

    with app.record.reading() as session:
        runs = runs_of_targets(session)
        entries = [_plain(row, runs.get(row.key, 0)) for row in list_targets(session)]
    if as_json:
        for entry in entries:
            json_line(entry)
        return
    table(
        [Column("OBJECT", shrinks=True), Column("RA", number=True), Column("DEC", number=True), Column("RUNS", number=True),
         Column("SAID (UTC)")],
        [
            (e["name"], f"{e['ra']:.6f}", f"{e['dec']:+.6f}", str(e["runs"]), moment(e["said_at"]))
            for e in entries
        ],
    )  # fmt: skip


@target.command()
@click.argument("name", metavar="OBJECT")
@json_option
@pass_app
def forget(app: App, name: str, *, as_json: bool) -> None:
    """Forget the position of an object.

    \b
    Example:
      roque target forget 'NN Ser'
    """
    from roque.archive.targets import forget_target

    with app.record.writing() as session:
        entry = _plain(forget_target(session, name), 0)
    json_line(entry | {"state": "forgotten"}) if as_json else click.echo(entry["name"])


def _plain(row: Target, runs: int) -> dict[str, Any]:
    return {"name": row.name, "state": "kept", "ra": row.ra, "dec": row.dec, "runs": runs, "said_at": row.said_at}
