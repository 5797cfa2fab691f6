"""The group `roque hcam`."""

from __future__ import annotations

import click

from services.cli.lazy import Lazily, LazyGroup

__all__ = ["COMMANDS", "hcam"]

_HERE = "services.cli.hcam"

COMMANDS = {
    "grab": Lazily(f"{_HERE}.grab:grab", "Write frames of a run as hcm files, calibrated."),
    "ltimes": Lazily(f"{_HERE}.ltimes:ltimes", "List the times of a run."),
    "stats": Lazily(f"{_HERE}.stats:stats", "Statistics of each window of a frame."),
    "mstats": Lazily(f"{_HERE}.stats:mstats", "Statistics of each window of many frames, as a table."),
    "hinfo": Lazily(f"{_HERE}.hinfo:hinfo", "Print headers and a part of the data of a frame."),
    "fits2hcm": Lazily(f"{_HERE}.fits2hcm:fits2hcm", "Make hcm files of FITS images of other cameras."),
    "makebias": Lazily(f"{_HERE}.masters:makebias", "Make a bias."),
    "makedark": Lazily(f"{_HERE}.masters:makedark", "Make a dark."),
    "makeflat": Lazily(f"{_HERE}.masters:makeflat", "Make a flat field."),
    "makefringe": Lazily(f"{_HERE}.masters:makefringe", "Make a fringe map."),
    "averun": Lazily(f"{_HERE}.combining:averun", "Average a run, calibrated."),
    "combine": Lazily(f"{_HERE}.combining:combine", "Combine the frames of a list."),
    **{
        name: Lazily(f"{_HERE}.arithmetic:{name}", summary)
        for name, summary in {
            "add": "Add two frames.",
            "sub": "Subtract a frame from another.",
            "mul": "Multiply two frames.",
            "div": "Divide a frame by another.",
            "cadd": "Add a number to a frame.",
            "csub": "Subtract a number from a frame.",
            "cmul": "Multiply a frame by a number.",
            "cdiv": "Divide a frame by a number.",
            "splice": "Replace parts of a frame by those of another.",
            "hfilter": "Smooth the windows of a frame.",
        }.items()
    },
    "reduce": Lazily(f"{_HERE}.reduce:reduce", "Photometry of a run by a reduce file."),
    "genred": Lazily(f"{_HERE}.genred:genred", "Write a reduce file."),
    "ftargets": Lazily(f"{_HERE}.ftargets:ftargets", "Make a table of the stars of each frame."),
    "rupdate": Lazily(f"{_HERE}.rupdate:rupdate", "Bring an old reduce file up to date."),
    "redanal": Lazily(f"{_HERE}.logs:redanal", "Tell how well a reduction went."),
    "hlog2fits": Lazily(f"{_HERE}.logs:hlog2fits", "Write a log as FITS."),
    "hlog2col": Lazily(f"{_HERE}.logs:hlog2col", "Write ratios of two apertures as columns."),
    "plog": Lazily(f"{_HERE}.logs:plog", "Draw columns of a log into a file."),
    "hls": Lazily(f"{_HERE}.listings:hls", "List the runs on a HiPERCAM file server."),
    "uls": Lazily(f"{_HERE}.listings:uls", "List the runs on an ULTRACAM file server."),
}
"""Command to the module that has it, in the order of the help."""


@click.group(cls=LazyGroup, commands_at=COMMANDS)
def hcam() -> None:
    """Run a command of the HiPERCAM pipeline by its own name, on files in the current folder.

    Parameters are given as name=value in any order, or bare in the order in which --help lists them. A backslash stands for the
    defaults of all that follows. The words list, prompt and nodefs may stand anywhere.

    \b
    Example:
      roque hcam grab run=run0012 first=1 last=3 bias=bias trim=no \\\\
      roque hcam reduce run=run0012 rfile=run0012 log=run0012 \\\\
    """
