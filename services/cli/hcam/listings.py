"""`hls` and `uls`: runs on file servers."""

from __future__ import annotations

from services.cli.hcam.command import Tell, hcam_command
from services.cli.hcam.parameters import Values

__all__ = ["hls", "uls"]


@hcam_command()
def hls(_values: Values, tell: Tell) -> None:
    """List the runs on the HiPERCAM file server at HIPERCAM_DEFAULT_URL, an address without http (localhost:8007/).

    \b
    Example:
      HIPERCAM_DEFAULT_URL=192.168.1.2:8007/ roque hcam hls
    """
    from roque.spool.servers.addresses import hipercam_address
    from roque.spool.servers.listings import hipercam_runs

    for run in hipercam_runs(hipercam_address()):
        tell.line(run, run=run)


@hcam_command()
def uls(_values: Values, tell: Tell) -> None:
    """List the runs on the ULTRACAM file server at ULTRACAM_DEFAULT_URL (http://localhost:8007/).

    \b
    Example:
      ULTRACAM_DEFAULT_URL=http://192.168.1.3:8007/ roque hcam uls
    """
    from roque.spool.servers.addresses import ultracam_address
    from roque.spool.servers.listings import ultracam_runs

    for run in ultracam_runs(ultracam_address()):
        tell.line(run, run=run)
