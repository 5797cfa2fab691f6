"""`ltimes`: times of a run as text."""

from __future__ import annotations

from itertools import islice
from typing import Any

from services.cli.hcam.command import Tell, hcam_command
from services.cli.hcam.common import RUN_SOURCE, first, last, run_or_list
from services.cli.hcam.parameters import WHOLE, Parameter, Values

__all__ = ["ltimes"]

_BLOCK = 1000  # lines written at once


@hcam_command(
    *run_or_list(first(), last(), source=RUN_SOURCE),
    Parameter("tdigit", WHOLE, 6, "decimals of seconds", hidden=True, least=1, most=9),
    Parameter("edigit", WHOLE, 3, "decimals of exposures", hidden=True, least=1, most=9),
)
def ltimes(values: Values, tell: Tell) -> None:
    """List the times of a run, a line a frame.

    HiPERCAM: place in the run, time stamp as MJD and UTC, whether it is good, then for each CCD its label, the middle of its
    exposure as MJD and time of day, its exposure in seconds, and whether it was read out. ULTRACAM, ULTRASPEC: place, time
    stamp and middle of the exposure as MJD and time of day, whether it is good, exposure; of ULTRACAM also the middle of the
    blue exposure and whether the blue CCD was read out.

    \b
    Example:
      roque hcam ltimes run=run0012 first=1 last=0
    """
    from roque.spool.listing import list_times
    from services.cli.hcam.runs import is_served, open_run, places_of

    with open_run(values) as source:
        if is_served(source):
            _follow(values, source, tell)
            return
        timed = getattr(source, "timed", source.available)
        # 0 is the newest frame
        places = places_of(values | {"first": values["first"] or timed}, source, timed)
        if tell.as_json:
            times = source.times()
            ccds = len(times) // max(1, source.available)
            for row in times[ccds * (places[0] - 1) : ccds * places[-1]]:
                tell.line("", **dict(zip(row.dtype.names, row.tolist(), strict=True)))
            return
        lines = list_times(source, places[0], places[-1], digits=values["tdigit"], exposure_digits=values["edigit"])
        while block := list(islice(lines, _BLOCK)):
            tell.block("".join(f"{line}\n" for line in block))


def _follow(values: Values, source: Any, tell: Tell) -> None:
    """List frames of a server as they come.

    They are those from `first` on: the HiPERCAM pipeline asks for all from frame 1 on, and gives them other numbers [defect].
    """
    from roque.spool.listing import list_times
    from services.cli.hcam.runs import frames_of

    for _, frame in frames_of(values, source, tell):
        if tell.as_json:
            for label, ccd in frame.ccds.items():
                facts = {name: getattr(ccd, name) for name in ("mjd_int", "mjd_frac", "exposure", "time_ok", "data_ok")}
                tell.line("", frame=frame.number, ccd=label, **facts)
            continue
        place = source.cursor.place
        lines = list_times(source, place, place, digits=values["tdigit"], exposure_digits=values["edigit"])
        tell.block("".join(f"{line}\n" for line in lines))
