"""`roque up`: the whole system on one machine, until stopped."""

from __future__ import annotations

from pathlib import Path

import click

from services.cli.app import App, pass_app
from services.cli.options import read_folder

__all__ = ["up"]


@click.command(epilog="Ctrl-C stops it: what is being done is finished first.")
@click.argument("incoming", nargs=-1, type=click.Path(file_okay=False, path_type=Path), callback=read_folder)
@click.option("--until-idle", is_flag=True, help="End when every file is registered and nothing is left to do.")
@pass_app
def up(app: App, incoming: tuple[Path, ...], *, until_idle: bool) -> None:
    """Watch the folders INCOMING and reduce what appears in them.

    Without folders, those of the setting `incoming` are watched.

    \b
    Example:
      roque up /data/tonight
    """
    from roque.process import stop_on_signals
    from services.cli.idle import Idle
    from services.cli.system import System, only_one

    settings = app.settings.model_copy(update={"incoming": list(incoming)}) if incoming else app.settings
    if not settings.watched:
        raise click.UsageError(
            "no folder to watch: name one, or set 'incoming' or 'servers' in the home folder's settings.toml"
        )
    stop = stop_on_signals()
    with only_one(settings):
        idle = Idle(app.new_record, settings)
        watched = ", ".join(str(path) for path in [*settings.watched, *settings.servers])
        app.say(f"watching {watched}; everything is kept in {settings.folder}; Ctrl-C stops")
        with System(settings, ("ingest", "planner", "worker")) as system:
            while not stop.wait(0.5):
                for name in system.revive():
                    app.say(f"{name} had died and was started again")
                if until_idle and idle.reached():
                    break
            app.say("stopping: what is being done is finished first")
