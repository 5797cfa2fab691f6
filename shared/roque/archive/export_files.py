"""The files that leave: logs in ASCII, FITS, columns, ECSV and Parquet, light curves as tables and pictures.

Each is written whole or not at all, and is the same bytes whenever it is written.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from numpy.typing import NDArray

from roque.archive.exports import Export
from roque.archive.radii import EVERY_RADIUS
from roque.errors import BadInput, Conflict, NotFound
from roque.lightcurves import detrend_files
from roque.lightcurves.airmass import airmass
from roque.lightcurves.barycentre import Barycentre
from roque.lightcurves.columns import write_columns as write_column_files
from roque.lightcurves.detrend import between, detrend, in_phase, regressors_in_frames
from roque.lightcurves.detrend_files import DetrendedCurve
from roque.lightcurves.detrend_plot import plot_detrended
from roque.lightcurves.ensemble import LightCurve, light_curves
from roque.lightcurves.hlog import Hlog
from roque.lightcurves.log_writer import LogHeader, write_log
from roque.lightcurves.measurement_tables import write_ecsv as write_ecsv_file
from roque.lightcurves.measurement_tables import write_parquet as write_parquet_file
from roque.lightcurves.plots import plot_light_curves
from roque.lightcurves.tables import write_csv
from roque.photometry.apertures import dumps
from roque.photometry.measurements import MEASUREMENT

__all__ = [
    "curves_of",
    "detrended_curves",
    "log_of",
    "write_ascii_log",
    "write_columns",
    "write_detrended",
    "write_detrended_plot",
    "write_ecsv",
    "write_fits_log",
    "write_light_curve",
    "write_parquet",
    "write_plot",
]

RAW_NAMED = 3
"""Raw files named at the top of a log; a run of single images has hundreds."""


def write_ascii_log(export: Export, path: Path) -> None:
    """Write the log as ASCII, over what stands there."""
    header = LogHeader(
        version=export.software,
        parameters=dict(_parameters(export)),
        reduce_file=export.reduce_file.splitlines(),
        offset=export.recipe.general.toffset,
        barycentre=export.barycentre,
    )
    write_log(path, export.parts(), export.apertures, header)


def write_fits_log(export: Export, path: Path) -> None:
    """Write the log as FITS, with apertures, reduce file, recipe and provenance behind the tables.

    Raises
    ------
    Conflict
        The file exists.
    """
    log_of(export).to_fits(path, f"{export.run_name}.log", {name.upper(): text for name, text in _texts(export).items()})


def write_ecsv(export: Export, path: Path, *, every_radius: bool = False) -> None:
    """Write all measurements as ECSV, a row for each star, frame and CCD, over what stands there; provenance is in its meta.

    With `every_radius` there is a row for each of the recipe's further radii, with the columns factor and radius.
    """
    about = {"run": export.run, "object": export.object, "provenance": export.provenance}
    parts, dtype = (export.parts_of_radii(), EVERY_RADIUS) if every_radius else (export.parts(), MEASUREMENT)
    write_ecsv_file(path, parts, about, export.barycentre, dtype)


def write_parquet(export: Export, path: Path, *, every_radius: bool = False) -> None:
    """Write the same as Parquet, with apertures, reduce file, recipe and provenance as metadata.

    Raises
    ------
    BadInput
        The package pyarrow is not installed.
    """
    texts = {name.replace(" ", "_"): text for name, text in _texts(export).items()}
    parts, dtype = (export.parts_of_radii(), EVERY_RADIUS) if every_radius else (export.parts(), MEASUREMENT)
    write_parquet_file(path, parts, {"run": export.run, "object": export.object, **texts}, export.barycentre, dtype)


def write_columns(export: Export, folder: Path, star: str, against: str | None, *, overwrite: bool) -> list[Path]:
    """Write the ratio of two stars as columns of text, a file for each CCD that has both.

    Parameters
    ----------
    export : Export
    folder : Path
        Where to write.
    star, against : str
        Labels of the apertures; against None: the first other one.
    overwrite : bool
        Whether files that stand there are replaced.

    Raises
    ------
    NotFound
        No CCD has both.
    Conflict
        One of the files exists, and must not be replaced; none is written.
    """
    others = [label for members in export.apertures.values() for label in members if label != star]
    if not others:
        raise NotFound(f"there is no other star than {star}", place=export.run, remedy="export the log instead")
    # beside their places, so that they are renamed and not copied
    with TemporaryDirectory(prefix=".roque-", dir=folder) as temporary:
        source = Path(f"{export.run_name}.log")
        made = write_column_files(log_of(export), source, Path(temporary), star, against or others[0])
        targets = [folder / path.name for path in made]
        for target in targets:
            if target.exists() and not overwrite:
                raise Conflict("the file exists already", file=str(target), remedy="choose another folder, or say --overwrite")
        for path, target in zip(made, targets, strict=True):
            path.replace(target)
    return targets


def curves_of(
    export: Export, star: str, against: str | None = None, ccd: str | None = None, *, scintillating: bool = False
) -> dict[str, LightCurve]:
    """Light curves of a star by CCD, with a row for every frame in which the CCD was read out.

    Parameters
    ----------
    export : Export
    star : str
        Label of its aperture, or ``target``.
    against : str or None
        Label of the one star to divide by; None: the ensemble of the good other stars.
    ccd : str or None
        This CCD alone; None: each that has the star.
    scintillating : bool
        Whether errors have scintillation in them.

    Raises
    ------
    NotFound
        No such star or CCD, or nothing of it is measured.
    BadInput
        Scintillation is asked for, and nothing says how large the telescope is, where it stands, or where the target is.
    """
    label = export.target if star == "target" else star
    ccds = [name for name, members in export.apertures.items() if label in members and ccd in (None, name)]
    if not ccds:
        place = export.run if ccd is None else f"{export.run}, CCD {ccd}"
        raise NotFound(f"there is no star {label}", place=place, remedy=f"there are {_stars(export)}")
    comparisons = [against] if against is not None else None
    air = export.scintillation() if scintillating else None
    found: dict[str, LightCurve] = {}
    for name in ccds:
        measurements = export.of_ccd(name)
        if len(measurements):  # a CCD may not have been read out in any frame so far
            found |= light_curves(measurements, label, comparisons=comparisons, times=export.times, scintillation=air)
    if not found:
        raise NotFound(f"star {label} was not measured", place=export.run, remedy="'roque run show' says how far the run is")
    return found


def write_light_curve(export: Export, curves: Mapping[str, LightCurve], path: Path) -> None:
    """Write light curves as CSV, over what stands there."""
    write_csv(path, curves, {ccd: _airmass(export, curve) for ccd, curve in curves.items()}, export.barycentre)


def write_plot(export: Export, curves: Mapping[str, LightCurve], path: Path) -> None:
    """Draw light curves as PNG, over what stands there.

    Raises
    ------
    BadInput
        No point could be measured.
    """
    title = _title(export, next(iter(curves.values())).star)
    plot_light_curves(path, curves, title=title, bands=export.filters)


def detrended_curves(
    export: Export,
    curves: Mapping[str, LightCurve],
    terms: Sequence[str] | None,
    *,
    exclude: Sequence[tuple[float, float]] = (),
    phases: Sequence[tuple[float, float]] = (),
    ephemeris: tuple[float, float] | None = None,
    clip: float = 5.0,
    prune: bool = False,
) -> dict[str, DetrendedCurve]:
    """Fit the trends of light curves, and divide them out.

    Parameters
    ----------
    export : Export
    curves : mapping of str to LightCurve
        By CCD, from `curves_of`.
    terms : sequence of str or None
        What they may follow: airmass, x, y, sky, fwhm, time, and powers, as in ``x^2``; None: the first five, without
        airmass where it is not known.
    exclude : sequence of (float, float)
        Times, MJD(UTC), between which nothing is fitted.
    phases : sequence of (float, float)
        Phases between which nothing is fitted; the second may be over 1: 0.9 to 1.1.
    ephemeris : (float, float), optional
        For them: time of phase 0, BJD(TDB) or that less 2400000.5, and period, days.
    clip, prune
        As of `roque.lightcurves.trend.fit_trend`.

    Raises
    ------
    BadInput
        Airmass or phases are asked for and nothing says where the target is; too few points are left; or a term cannot be.
    NotFound
        There is no such term.
    """
    wanted = terms if terms is not None else ["airmass", "x", "y", "sky", "fwhm"]
    with_airmass = any(term.partition("^")[0] == "airmass" for term in wanted)
    if terms is None and (export.site is None or export.position is None):
        wanted, with_airmass = wanted[1:], False
    there = export.place() if with_airmass or phases else None
    found = {}
    for ccd, curve in curves.items():
        series = curve.series()
        regressors = regressors_in_frames(export.of_ccd(ccd), curve.star, curve.rows["frame"])
        if with_airmass:
            regressors = {"airmass": _airmass(export, curve), **regressors}
        left = between(series.t, exclude)
        if phases and there is not None:
            left |= in_phase(there.bmjd(curve.rows["mjd_int"], curve.rows["mjd_frac"]), phases, ephemeris)
        try:
            done = detrend(series, regressors, wanted, exclude=left, clip=clip, prune=prune)
        except BadInput as error:
            raise BadInput(error.message, place=f"{export.run}, CCD {ccd}", remedy=error.remedy) from None
        found[ccd] = DetrendedCurve(curve, regressors, done)
    return found


def write_detrended(export: Export, curves: Mapping[str, DetrendedCurve], path: Path, form: str, **said: Any) -> None:
    """Write detrended light curves over what stands there.

    Parameters
    ----------
    export : Export
    curves : mapping of str to DetrendedCurve
        By CCD.
    path : Path
        File to write.
    form : str
        csv, ecsv or fits.
    said
        What was asked for, to stand with the model: of ECSV in meta, of FITS in the table ABOUT.
    """
    about = {"run": export.run, "object": export.object, "provenance": export.provenance, **said}
    match form:
        case "csv":
            detrend_files.write_csv(path, curves, export.barycentre)
        case "fits":
            detrend_files.write_fits(path, curves, about, export.barycentre)
        case _:
            detrend_files.write_ecsv(path, curves, about, export.barycentre)


def write_detrended_plot(export: Export, curves: Mapping[str, DetrendedCurve], path: Path) -> None:
    """Draw light curves before and after as PNG, over what stands there."""
    star = next(iter(curves.values())).curve.star
    shown = {ccd: curve.detrended for ccd, curve in curves.items()}
    plot_detrended(path, shown, title=_title(export, star), bands=export.filters)


def _title(export: Export, star: str) -> str:
    name = export.object or export.run_name
    return f"{name if star == export.target else f'{name}, star {star}'}, {export.run}"


def _texts(export: Export) -> dict[str, str]:
    """What goes with the measurements wherever there is room for it."""
    texts = {
        "apertures": dumps(export.apertures),
        "reduce file": export.reduce_file,
        "recipe": json.dumps(export.recipe.to_dict(), indent=1),
        "provenance": json.dumps(export.provenance, indent=1),
    }
    return {name: text for name, text in texts.items() if text}


def log_of(export: Export) -> Hlog:
    """All measurements as a log in memory."""
    tables: dict[str, NDArray[np.void]] = {}
    for ccd, members in export.apertures.items():
        if members:
            tables |= Hlog.from_measurements(export.of_ccd(ccd), export.recipe.general.toffset, export.barycentre)
    return Hlog(tables)


def _airmass(export: Export, curve: LightCurve) -> NDArray[np.float64]:
    if export.site is None or export.position is None:
        return np.full(len(curve.rows), np.nan)
    longitude, latitude, _ = export.site
    return airmass(curve.rows["mjd_int"] + curve.rows["mjd_frac"], *export.position, longitude, latitude)


def _stars(export: Export) -> str:
    return "; ".join(f"on CCD {ccd}: {', '.join(members)}" for ccd, members in export.apertures.items() if members)


def _parameters(export: Export) -> Iterator[tuple[str, str]]:
    """What stands at the top of a log: what was reduced, with what, and why."""
    told = export.provenance
    yield "run", export.run
    yield "object", export.object
    raw = told["raw"]
    for k, file in enumerate(raw[:RAW_NAMED], 1):
        yield f"raw file {k}" if len(raw) > 1 else "raw file", f"{file['file']}, sha256 {file['sha256']}"
    if len(raw) > RAW_NAMED:
        yield "raw files in all", str(len(raw))
    yield "reduction", told["reduction"]
    yield "recipe", f"{told['recipe']['name']} v{told['recipe']['version']} for {told['recipe']['camera']}"
    yield "apertures", f"{told['apertures']['origin']}, {told['apertures']['source']}"
    yield "target", told["target"]
    if export.barycentre is not None:
        there = export.barycentre
        yield "BJD and HJD", f"RA {there.ra:.6f}, Dec {there.dec:.6f}, {told['barycentre']['position']}; {_site(there)}"
    if export.radius is not None:
        yield "target radius", _radius(told["radius"])
    for kind, master in told["masters"].items():
        name = f"{master['file']}, sha256 {master['sha256']}" if master["file"] else "none"
        yield kind, f"{name}; {master['why']}" if master["why"] else name
    if not export.reduce_file:
        yield from _flat(export.recipe.to_dict())


def _radius(told: Mapping[str, Any]) -> str:
    factors = ", ".join(f"{factor:g} FWHM on CCD {ccd}" for ccd, factor in told["factor"].items())
    corrected = "; counts corrected to the largest radius" if told["corrected to the largest radius"] else ""
    without = "".join(f"; the recipe's own on CCD {ccd}: {why}" for ccd, why in told["the recipe's own"].items())
    return f"{factors}; {told['chosen']}{without}{corrected}"


def _site(there: Barycentre) -> str:
    return f"site at longitude {there.longitude}, latitude {there.latitude}, height {there.height:g} m"


def _flat(values: Mapping[str, Any], path: str = "") -> Iterator[tuple[str, str]]:
    for name, value in values.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{path}{name}.")
        else:
            yield f"{path}{name}", json.dumps(value)
