"""The command `roque`: the tree of commands, and what every one of them shares."""

from __future__ import annotations

import gc
from pathlib import Path

import click

from roque import __version__
from services.cli.app import App
from services.cli.lazy import Lazily, LazyGroup

__all__ = ["COMMANDS", "cli", "main"]

COMMANDS = {
    "night": Lazily("services.cli.night:night", "Reduce a folder of raw files by hand."),
    "up": Lazily("services.cli.up:up", "Run the system until it is stopped."),
    "ingest": Lazily("services.cli.ingest:ingest", "Register years of archive, without reducing them."),
    "demo": Lazily("services.cli.demo:demo", "Simulate a night, reduce it, compare with what was put in."),
    "init": Lazily("services.cli.init:init", "Write a settings file that explains itself."),
    "doctor": Lazily("services.cli.doctor:doctor", "Check everything that is needed, and say what to do."),
    "run": Lazily("services.cli.run:run", "List, show, watch, cancel and retry runs."),
    "job": Lazily("services.cli.job:job", "List, show, submit, cancel and retry jobs."),
    "calib": Lazily("services.cli.calib:calib", "List masters; explain why one was chosen."),
    "recipe": Lazily("services.cli.recipe:recipe", "List, show, change and import reduction parameters."),
    "target": Lazily("services.cli.target:target", "Keep the positions of targets, for BJD and airmass."),
    "camera": Lazily("services.cli.camera:camera", "List cameras; check what is made of a file."),
    "hlog": Lazily("services.cli.hlog:hlog", "Export logs of measurements."),
    "lightcurve": Lazily("services.cli.lightcurve:lightcurve", "Plot, export and detrend light curves."),
    "product": Lazily("services.cli.product:product", "List and fetch products."),
    "trace": Lazily("services.cli.trace:trace", "Lead a product back to raw bytes, masters, recipe and code."),
    "hcam": Lazily("services.cli.hcam.group:hcam", "Run a HiPERCAM-pipeline command by its own name."),
    "db": Lazily("services.cli.db:db", "Make and check the tables of the record."),
    "backup": Lazily("services.cli.backup:backup", "Copy record and products into a folder."),
    "restore": Lazily("services.cli.backup:restore", "Bring a backup back."),
    "archive": Lazily("services.cli.archive:archive", "Compare the record with the disk."),
    "sql": Lazily("services.cli.sql:sql", "Ask the record in SQL, without changing it."),
}
"""Command to the module that has it; a module is imported when its command is called, so that `--help` answers at once."""


@click.group(
    cls=LazyGroup,
    commands_at=COMMANDS,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="Exit status: 0 all well, 1 something failed, 2 wrong usage, 3 the database does not answer, 4 not found.",
)
@click.version_option(__version__, message="%(prog)s %(version)s")
@click.option(
    "--home",
    type=click.Path(file_okay=False, path_type=Path),
    help="Folder of everything that roque keeps; default ROQUE_HOME, else ./roque-data.",
)
@click.option("-q", "--quiet", is_flag=True, help="No messages on stderr but errors.")
@click.pass_context
def cli(context: click.Context, home: Path | None, quiet: bool) -> None:
    """Reduce what an observatory's imaging cameras write, and ask what came of it.

    \b
    Example:
      roque night reduce /data/2026-11-01
      roque run list --since 2026-11-01
      roque lightcurve plot run0012
    """
    app = context.ensure_object(App)
    app.home, app.quiet = home, quiet


def main() -> None:
    """Run the command and leave with its exit status."""
    # imports make many objects and no garbage: looking for it between them is a tenth of a short command's time
    gc.set_threshold(100_000, 20, 20)
    try:
        cli.main(prog_name="roque")
    finally:
        gc.freeze()  # nor is the end of the process the time to look through all of them: the operating system takes them back
