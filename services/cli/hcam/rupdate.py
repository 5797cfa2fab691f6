"""`rupdate`: old reduce files brought up to date."""

from __future__ import annotations

from services.cli.hcam.command import Tell, hcam_command
from services.cli.hcam.parameters import Parameter, Values, in_file

__all__ = ["rupdate"]


@hcam_command(Parameter("rfile", in_file(".red"), "reduce.red", "reduce file to bring up to date"))
def rupdate(values: Values, tell: Tell) -> None:
    """Bring a reduce file of an older version up to date, in place.

    \b
    Example:
      roque hcam rupdate run0012
    """
    from roque.frames.files import write_whole
    from roque.photometry.reduce_update import update

    path = values["rfile"]
    made, changes = update(path.read_text(encoding="utf-8"), file=str(path))
    for change in changes:
        tell.say(change)
    if not changes:
        tell.say("it is up to date")
    else:
        with write_whole(path) as part:
            part.write_text(made, encoding="utf-8")
    tell.made(path)
