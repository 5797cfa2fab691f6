"""`roque demo`: a simulated night goes in while the system runs, and what comes out is compared with what was put in."""

from __future__ import annotations

import time
from pathlib import Path

import click

from services.cli.app import App, pass_app

__all__ = ["demo"]


@click.command()
@click.option("--seed", default=1, show_default=True, help="Seed of the simulated night.")
@click.option("--frames", default=360, show_default=True, help="Frames of the eclipsing binary.")
@click.option(
    "--folder",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path("demo-night"),
    show_default=True,
    help="Where everything goes; what an earlier demo left there is removed.",
)
@pass_app
def demo(app: App, seed: int, frames: int, folder: Path) -> None:
    """Simulate a night, reduce it as it comes in, compare with what was put in.

    The night has a bias run, twilight flats, an eclipsing binary with two comparison stars on five CCDs, a run cut short
    inside a frame and a file that is not FITS. The exit status is not 0 if a depth or a mid-time is off, or if anything
    failed that should not have.

    \b
    Example:
      roque demo --seed 7
    """
    from roque.settings import load_settings
    from roque.simulation.night import simulate_night
    from services.cli.demo_camera import Camera, fresh_folder
    from services.cli.demo_report import report
    from services.cli.idle import Idle
    from services.cli.nightly import show_progress
    from services.cli.system import System, only_one

    began = time.monotonic()
    folder = fresh_folder(folder.absolute())
    app.say(f"simulating a night of five CCDs, seed {seed}, {frames} frames of the binary")
    truth = simulate_night(folder / "camera", seed, frames=frames)
    settings = load_settings(
        home=folder / "roque-data", incoming=[folder / "incoming"], silent_seconds=3.0, calibration_wait_seconds=60.0,
        log_format="console",
    )  # fmt: skip
    app = App(settings.folder, quiet=app.quiet)
    record = app.new_record
    idle = Idle(record, settings)
    app.say(f"the system starts and watches {settings.incoming[0]}; a camera writes into it")
    with (
        only_one(settings),
        (settings.folder / "up.log").open("ab") as log,
        System(settings, ("ingest", "planner", "worker"), log) as system,
        Camera(folder / "camera", folder / "incoming") as camera,
        show_progress(app, record) as show,
    ):
        while not (camera.done and idle.reached()):
            time.sleep(0.1)
            system.revive()
            show()
    good = report(record, app.products, truth, folder)
    click.echo(f"\n{time.monotonic() - began:.0f} s in all; look further: roque --home {settings.folder} run list")
    raise click.exceptions.Exit(0 if good else 1)
