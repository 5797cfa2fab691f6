"""The files that leave: logs in ASCII, FITS, columns, ECSV and Parquet, light curves as tables and pictures.

Each is written whole or not at all, and is the same bytes whenever it is written.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from numpy.typing import NDArray

from roque.archive.exports import Export
from roque.errors import Conflict, NotFound
from roque.lightcurves.airmass import airmass
from roque.lightcurves.barycentre import Barycentre
from roque.lightcurves.columns import write_columns as write_column_files
from roque.lightcurves.ensemble import LightCurve, light_curves
from roque.lightcurves.hlog import Hlog
from roque.lightcurves.log_writer import LogHeader, write_log
from roque.lightcurves.measurement_tables import write_ecsv as write_ecsv_file
from roque.lightcurves.measurement_tables import write_parquet as write_parquet_file
from roque.lightcurves.plots import plot_light_curves
from roque.lightcurves.tables import write_csv
from roque.photometry.apertures import dumps

__all__ = [
    "curves_of",
    "log_of",
    "write_ascii_log",
    "write_columns",
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


def write_ecsv(export: Export, path: Path) -> None:
    """Write all measurements as ECSV, a row for each star, frame and CCD, over what stands there; provenance is in its meta."""
    about = {"run": export.run, "object": export.object, "provenance": export.provenance}
    write_ecsv_file(path, export.parts(), about, export.barycentre)


def write_parquet(export: Export, path: Path) -> None:
    """Write the same as Parquet, with apertures, reduce file, recipe and provenance as metadata.

    Raises
    ------
    BadInput
        The package pyarrow is not installed.
    """
    texts = {name.replace(" ", "_"): text for name, text in _texts(export).items()}
    write_parquet_file(path, export.parts(), {"run": export.run, "object": export.object, **texts}, export.barycentre)


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


def curves_of(export: Export, star: str, against: str | None = None, ccd: str | None = None) -> dict[str, LightCurve]:
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

    Raises
    ------
    NotFound
        No such star or CCD, or nothing of it is measured.
    """
    label = export.target if star == "target" else star
    ccds = [name for name, members in export.apertures.items() if label in members and ccd in (None, name)]
    if not ccds:
        place = export.run if ccd is None else f"{export.run}, CCD {ccd}"
        raise NotFound(f"there is no star {label}", place=place, remedy=f"there are {_stars(export)}")
    comparisons = [against] if against is not None else None
    found: dict[str, LightCurve] = {}
    for name in ccds:
        measurements = export.of_ccd(name)
        if len(measurements):  # a CCD may not have been read out in any frame so far
            found |= light_curves(measurements, label, comparisons=comparisons, times=export.times)
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
    star = next(iter(curves.values())).star
    name = export.object or export.run_name
    title = f"{name if star == export.target else f'{name}, star {star}'}, {export.run}"
    plot_light_curves(path, curves, title=title, bands=export.filters)


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


def _airmass(export: Export, curve: LightCurve) -> Any:
    if export.site is None or export.pointing is None:
        return np.full(len(curve.rows), np.nan)
    longitude, latitude, _ = export.site
    return airmass(curve.rows["mjd_int"] + curve.rows["mjd_frac"], *export.pointing, longitude, latitude)


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
    for kind, master in told["masters"].items():
        name = f"{master['file']}, sha256 {master['sha256']}" if master["file"] else "none"
        yield kind, f"{name}; {master['why']}" if master["why"] else name
    if not export.reduce_file:
        yield from _flat(export.recipe.to_dict())


def _site(there: Barycentre) -> str:
    return f"site at longitude {there.longitude}, latitude {there.latitude}, height {there.height:g} m"


def _flat(values: Mapping[str, Any], path: str = "") -> Iterator[tuple[str, str]]:
    for name, value in values.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{path}{name}.")
        else:
            yield f"{path}{name}", json.dumps(value)
