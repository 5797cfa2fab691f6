"""From what a .xml says to how a run was read out, for ULTRACAM and ULTRASPEC."""

from __future__ import annotations

from roque.errors import BadInput
from roque.instruments import ultracam, ultraspec
from roque.instruments.ultra import UltraHeader, UltraReadOut
from roque.instruments.ultra_values import Values
from roque.instruments.ultracam import ultracam_read_out
from roque.instruments.ultraspec import ultraspec_read_out

__all__ = ["POWER", "ultra_read_out"]

POWER = "PONOFF"
"""Mode of a run that switched the power of the CCDs: it has a header and no data."""

_MODES = {"ULTRACAM": ultracam.MODES, "ULTRASPEC": ultraspec.MODES}


def ultra_read_out(header: UltraHeader) -> UltraReadOut:
    """Work out the read-out of a run.

    Raises
    ------
    BadInput
        An unknown instrument or application, a parameter that is missing or impossible, or windows that do not fill a frame.
    """
    instrument = header.instrument.strip().upper()
    if instrument not in _MODES:
        raise BadInput(
            f"neither ULTRACAM nor ULTRASPEC: the instrument is called {header.instrument[:40]!r}",
            file=header.file,
            place="element name",
            remedy="take it out of the incoming folder if it is no run",
        )
    mode = _MODES[instrument].get(header.application)
    if mode is None:
        raise BadInput(
            f"{instrument} has no application {header.application[:60]!r}",
            file=header.file,
            place="element application_status",
            remedy="copy the .xml again from the camera",
        )
    if mode == POWER:
        return _power_only(instrument, header)
    return ultracam_read_out(header, mode) if instrument == "ULTRACAM" else ultraspec_read_out(header, mode)


def _power_only(instrument: str, header: UltraHeader) -> UltraReadOut:
    values = Values(header)
    return UltraReadOut(
        instrument=instrument,
        mode=POWER,
        clear=False,
        clears=False,
        ccds=ultracam.CCDS if instrument == "ULTRACAM" else ("1",),
        nxtot=0,
        nytot=0,
        xbin=1,
        ybin=1,
        version=values.version(),
        stamp_format=2,
        header_words=0,
        frame_bytes=1,
        exposure_units=0.0,
        unit=1e-3,
        nblue=1,
        early=False,
        shift_clock=0,
        read_out=(),
        drift_rows=1,
        drift_start=1,
        windows=(),
        keywords={
            **values.user_keywords(),
            "INSTRUME": instrument,
            "APPLICAT": header.application,
            "MODE": POWER,
            "CLEAR": False,
        },
    )
