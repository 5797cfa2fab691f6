"""What the columns of the views mean, and examples of what to ask them."""

from __future__ import annotations

__all__ = ["COLUMNS", "EXAMPLES"]

_RUN = {"run": "name of the run", "night": "date of its evening", "instrument": "camera"}
_MEASURED = {"frame": "number of the frame, from 1", "ccd": "label of the CCD"}

COLUMNS: dict[str, dict[str, str]] = {
    "runs": {
        "run_id": "number of the run in this record",
        **{name: _RUN[name] for name in ("instrument", "night", "run")},
        "version": "counts up when frames that were read have changed",
        "state": "growing, complete, failed, conflict",
        "kind": "bias, dark, flat, science, other",
        "object": "as the observer called it",
        "mode": "read-out mode",
        "xbin": "binning in x",
        "ybin": "binning in y",
        "speed": "read-out speed",
        "exposure": "s, by the header",
        "frames_expected": "by the header, NULL if it does not say",
        "frames": "read",
        "frames_dropped": "lost by the camera, by the numbers of the others",
        "frames_missing": "dropped, or lost at the end",
        "bad_times": "frames whose time cannot be trusted",
        "mjd_first": "middle of the first exposure, MJD (UTC)",
        "mjd_last": "middle of the last exposure, MJD (UTC)",
        "site": "observatory",
        "reduction": "id of the newest finished reduction",
    },
    "headers": {
        "run_id": "number of the run in this record",
        **{name: _RUN[name] for name in ("instrument", "night", "run")},
        "version": "counts up when frames that were read have changed",
        "header": "the whole header of the run, as JSON: header->>'OBSERVER' is a keyword of it",
    },
    "frames": {
        "run_id": "number of the run in this record",
        **{name: _RUN[name] for name in ("run", "night")},
        **_MEASURED,
        "mjd": "middle of the exposure, MJD (UTC)",
        "exposure": "s",
        "time_ok": "whether the time can be trusted",
        "data_ok": "whether the CCD was read out in this frame",
    },
    "measurements": {
        **_RUN,
        "reduction": "id of the reduction",
        "state": "of the reduction: running, done, superseded ...",
        **_MEASURED,
        "aperture": "label of the aperture",
        "mjd": "middle of the exposure, MJD (UTC)",
        "time_ok": "whether the time can be trusted",
        "exposure": "s",
        "mfwhm": "mean FWHM of the CCD's stars, unbinned pixels",
        "mbeta": "mean Moffat exponent",
        "x": "position, unbinned pixels",
        "xe": "its error",
        "y": "position, unbinned pixels",
        "ye": "its error",
        "fwhm": "FWHM of the star, unbinned pixels",
        "fwhme": "its error",
        "beta": "Moffat exponent",
        "betae": "its error, -1 where it was held",
        "counts": "in the aperture, less sky, ADU",
        "countse": "their error",
        "sky": "ADU per binned pixel",
        "skye": "its error",
        "nsky": "sky pixels kept",
        "nrej": "sky pixels rejected",
        "peak": "brightest raw pixel, ADU (cmax in logs)",
        "flag": "bits of what is wrong, 0 if nothing is",
    },
    "light_curves": {
        **{name: _RUN[name] for name in ("run", "night", "instrument")},
        "object": "as the observer called it",
        "reduction": "id of the reduction; finished ones alone",
        **_MEASURED,
        "target": "label of the target's aperture",
        "comparison": "label of the other star",
        "mjd": "middle of the exposure, MJD (UTC)",
        "exposure": "s",
        "ratio": "counts of the target over those of the other star",
        "ratio_error": "its error",
        "flag": "bits of the target; points that cannot be used are left out",
        "comparison_flag": "bits of the other star",
    },
}
"""View to its columns, in their order, each with its meaning and unit."""

EXAMPLES: dict[str, str] = {
    "runs": "SELECT run, object, frames FROM runs WHERE night = '2026-11-01' AND kind = 'science'",
    "headers": "SELECT night, run, header->>'OBSERVER' FROM headers WHERE header->>'OBJECT' LIKE 'HS%'",
    "frames": "SELECT run, count(*) FROM frames WHERE NOT time_ok GROUP BY run",
    "measurements": "SELECT mjd, counts, countse FROM measurements WHERE run = 'run0012' AND ccd = '2' AND aperture = '1'",
    "light_curves": "SELECT mjd, ratio, ratio_error FROM light_curves WHERE run = 'run0012' AND ccd = '2' AND comparison = '2'",
}
"""View to an example."""
