"""Reduce logs in memory: read from ASCII or FITS, or made from measurements; written as either."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Self

import numpy as np
from numpy.typing import NDArray

from roque.errors import BadInput, NotFound
from roque.frames.files import write_whole
from roque.lightcurves._text import merge_rows
from roque.lightcurves.barycentre import Barycentre
from roque.lightcurves.fits_reader import read_tables
from roque.lightcurves.fits_table import text_table, write_primary, write_table
from roque.lightcurves.log_columns import APERTURE_COLUMNS, MEASUREMENT_FIELD, aperture_labels, log_dtype
from roque.lightcurves.log_reader import read_log
from roque.lightcurves.log_writer import LogRows, exposure_texts, row_text
from roque.lightcurves.series import Series
from roque.lightcurves.ulog_reader import flags_of, read_ulog
from roque.photometry.flags import Flag
from roque.photometry.measurements import Measurements

__all__ = ["Hlog"]

_DAY = 86400.0
_ERRORS_OF = {
    "xe": ("xe",),
    "ye": ("ye",),
    "fwhme": ("fwhm", "fwhme", "beta", "betae"),
    "countse": ("counts", "countse"),
    "skye": ("sky", "skye"),
}
"""What a negative error of old logs says was not measured."""


class Hlog(dict[str, NDArray[np.void]]):
    """A log: structured arrays by CCD label, one row per frame: ``hlog["2"]["counts_1"]``.

    Parameters
    ----------
    tables : mapping of str to structured array
        Columns as in `roque.lightcurves.log_columns`.
    comments : sequence of str
        Lines of comment, each with its ``#``, that came with an ASCII log.

    Attributes
    ----------
    comments : list of str
        As above; empty if the log did not come from ASCII.
    """

    def __init__(self, tables: Mapping[str, NDArray[np.void]], comments: Sequence[str] = ()) -> None:
        super().__init__(tables)
        self.comments = list(comments)

    @property
    def cnames(self) -> dict[str, list[str]]:
        """Names of the columns, by CCD."""
        return {ccd: list(table.dtype.names or ()) for ccd, table in self.items()}

    @property
    def apnames(self) -> dict[str, list[str]]:
        """Labels of the apertures, sorted, by CCD."""
        return {ccd: sorted(aperture_labels(names)) for ccd, names in self.cnames.items()}

    @property
    def writable(self) -> bool:
        """Whether the log can be written as ASCII: it needs comments that define its columns."""
        return any("Start of column name definitions" in line for line in self.comments)

    @classmethod
    def from_ascii(cls, names: str | os.PathLike[str] | Iterable[str | os.PathLike[str]]) -> Self:
        """Read one or more ASCII logs.

        Parameters
        ----------
        names : path or iterable of paths
            Logs of equal layout, joined in this order; the comments are those of the first.

        Returns
        -------
        Hlog
            Numbers as printed. Where an old log marks what was not measured with a negative error, error and value are
            NaN; positions stay, as in later logs. (An error of -1 of beta alone says that beta was held.)

        Raises
        ------
        NotFound
            There is no such file.
        BadInput
            Not a log, a row that does not fit the columns, or logs of different layouts.
        """
        paths = [names] if isinstance(names, str | os.PathLike) else list(names)
        logs = [read_log(Path(path)) for path in paths]
        if not logs:
            raise BadInput("no log to read")
        for path, (_, tables) in zip(paths, logs, strict=True):
            if {ccd: table.dtype for ccd, table in tables.items()} != {ccd: t.dtype for ccd, t in logs[0][1].items()}:
                raise BadInput(f"its columns are not those of {os.fspath(paths[0])}", file=os.fspath(path))
        joined = logs[0][1]
        if len(logs) > 1:
            joined = {ccd: np.concatenate([tables[ccd] for _, tables in logs]) for ccd in joined}
        for table in joined.values():
            _mend_old_errors(table)
        return cls(joined, logs[0][0])

    rascii = read = from_ascii

    @classmethod
    def from_ulog(cls, name: str | os.PathLike[str]) -> Self:
        """Read a log of the C++ ULTRACAM pipeline; `roque.lightcurves.ulog_reader.read_ulog` says what its columns are.

        Raises
        ------
        NotFound
            There is no such file.
        BadInput
            Not such a log, or a row that does not fit.
        """
        comments, tables = read_ulog(Path(name))
        return cls(tables, comments)

    rulog = from_ulog

    @classmethod
    def from_fits(cls, name: str | os.PathLike[str]) -> Self:
        """Read a FITS log.

        Raises
        ------
        NotFound
            There is no such file.
        BadInput
            Not FITS, or no tables of CCDs in it.
        """
        tables = read_tables(name)
        if not tables:
            place, remedy = "keyword CCDNAME", "give a log made from a reduce log"
            raise BadInput("no table in it belongs to a CCD", file=os.fspath(name), place=place, remedy=remedy)
        return cls(tables)

    rfits = from_fits

    @classmethod
    def from_measurements(cls, measurements: Measurements, offset: int = 0, barycentre: Barycentre | None = None) -> Self:
        """Make a log of measurements.

        Parameters
        ----------
        measurements : array of dtype `MEASUREMENT`
            In any order; an aperture without a row in a frame gets NaN and the flag NO_DATA there.
        offset : int
            Days to take off the times.
        barycentre : Barycentre, optional
            For columns BJD and HJD behind the others.
        """
        labels = list(dict.fromkeys(measurements["ccd"].tolist()))
        return cls({ccd: _table(measurements[measurements["ccd"] == ccd], offset, barycentre) for ccd in labels})

    def write(self, name: str | os.PathLike[str]) -> None:
        """Write the log as ASCII: its comments, then CCD after CCD; it appears whole or not at all.

        Raises
        ------
        BadInput
            The log has no comments, so that no reader could know its columns.
        """
        if not self.writable:
            raise BadInput("a log that was not read from ASCII cannot be written as such", remedy="export it as FITS")
        with write_whole(name) as part, part.open("wb") as file:
            file.write("".join(f"{line}\n" for line in self.comments).encode())
            for ccd, table in self.items():
                names = table.dtype.names or ()
                values = np.stack([table[column].astype(np.float64) for column in names], axis=1)
                text, starts = row_text(LogRows(ccd, names, values, exposure_texts(table["Exptim"])))
                out = np.empty(len(text) + 2 * len(table), np.uint8)
                merge_rows(text, starts[:-1], starts[1:], False, out)
                file.write(out.data)

    def to_fits(
        self,
        name: str | os.PathLike[str],
        source: str,
        texts: Mapping[str, str] | None = None,
        *,
        comments: Iterable[str] = (),
    ) -> None:
        """Write the log as FITS, a table per CCD in the order of their labels; never over a file that exists.

        The same log gives the same bytes.

        Parameters
        ----------
        name : path
            File to write.
        source : str
            Name of the log that it comes from, for the keyword LOGFILE.
        texts : mapping of str to str, optional
            Texts to keep behind the tables, by the name of their HDU: apertures, reduce file, provenance. Each is a
            table with a line in each row of its column TEXT. Their CCDNAME is empty: the HiPERCAM pipeline's reader wants
            one everywhere.
        comments : iterable of str, optional
            Lines to keep in the first header.

        Raises
        ------
        Conflict
            The file exists.
        """
        with write_whole(name, overwrite=False) as part, part.open("wb") as file:
            write_primary(file, {"LOGFILE": (source, "Original log file")}, comments)
            for ccd, table in sorted(self.items()):
                write_table(file, f"CCD {ccd}", table, {"CCDNAME": (ccd, "CCD name")})
            for title, text in (texts or {}).items():
                write_table(file, title, text_table(text.splitlines()), {"CCDNAME": ("", "not of a CCD")})

    def tseries(self, ccd: str | int, ap: str | int | None, name: str = "counts", *, ecol: bool = True) -> Series:
        """Take a column as a series.

        Parameters
        ----------
        ccd : str or int
            Label of the CCD.
        ap : str, int or None
            Label of the aperture; None for what belongs to the frame, such as mfwhm.
        name : str
            Name of the column, without the label.
        ecol : bool
            Whether it has a column of errors; else they are zero.

        Returns
        -------
        Series
            Copies: the log never changes with it. Times are those of the log, exposures in days, flags bits of
            `roque.photometry.flags.Flag`, also where the log has codes.

        Raises
        ------
        NotFound
            There is no such CCD, aperture or column.
        BadInput
            The log has no times, exposures or flags as logs have them.
        """
        ccd, ap = str(ccd), None if ap is None else str(ap)
        if ccd not in self:
            raise NotFound(f"no CCD {ccd} in the log, only {', '.join(self)}")
        table = self[ccd]
        names = table.dtype.names or ()
        value = name if ap is None else f"{name}_{ap}"
        error = f"{name}e" if ap is None else f"{name}e_{ap}"
        if ap is not None and f"e{value}" in names:  # exm of xm in logs of the C++ ULTRACAM pipeline
            error = f"e{value}"
        for column in (value, error) if ecol and ap is not None else (value,):
            if column not in names:
                raise NotFound(f"CCD {ccd} has no column {column}", remedy=f"its apertures are {', '.join(self.apnames[ccd])}")
        flags = {} if ap is None else {f"flag_{ap}": "iu"}
        for column, kinds in ({"MJDok": "b", "Exptim": "f", self.time_column(ccd): "f"} | flags).items():
            if column not in names or table.dtype[column].kind not in kinds:
                remedy = "give the log of a reduction"
                raise BadInput(f"the log has no column {column} as logs have it", place=f"CCD {ccd}", remedy=remedy)
        bits = np.zeros(len(table), np.uint32) if ap is None else self._flags(ccd, ap)
        bits[~table["MJDok"]] |= np.uint32(Flag.BAD_TIME)
        has_error = ecol and error in names
        return Series(
            t=table[self.time_column(ccd)].astype(np.float64),
            y=table[value].copy(),
            ye=table[error].copy() if has_error else np.zeros(len(table), table[value].dtype),
            bmask=bits,
            te=table["Exptim"].astype(np.float64) / _DAY,
        )

    def _flags(self, ccd: str, ap: str) -> NDArray[np.uint32]:
        codes = self[ccd][f"flag_{ap}"]
        of_ultracam = f"worst_{ap}" in (self[ccd].dtype.names or ())
        return flags_of(codes) if of_ultracam else codes.astype(np.uint32)

    def time_column(self, ccd: str) -> str:
        """Name of the column of times: MJD, or MJD less an offset in days, as in MJD-61000."""
        return next((name for name in self[ccd].dtype.names or () if name == "MJD" or name.startswith("MJD-")), "MJD")

    def offset(self, ccd: str) -> int:
        """Days that were taken off the times of a CCD."""
        return int(self.time_column(ccd).removeprefix("MJD").removeprefix("-") or 0)


def _mend_old_errors(table: NDArray[np.void]) -> None:
    """Make NaN of what logs of old versions mark by negative errors; not all of them have every column."""
    names = table.dtype.names or ()
    for label in aperture_labels(names):
        for error, columns in _ERRORS_OF.items():
            if f"{error}_{label}" not in names:
                continue
            bad = table[f"{error}_{label}"] < 0
            if error == "skye" and f"flag_{label}" in names:
                # of today's logs too: a sky of 0, not of nothing, was taken where all of its pixels were rejected
                bad &= ~((table[f"sky_{label}"] == 0) & (table[f"flag_{label}"] & Flag.NO_SKY > 0))
            for column in (f"{column}_{label}" for column in columns):
                if column in names and table.dtype[column].kind == "f":
                    table[column][bad] = np.nan


def _table(measurements: Measurements, offset: int, barycentre: Barycentre | None) -> NDArray[np.void]:
    """Put the apertures of a CCD side by side, frame by frame."""
    labels = list(dict.fromkeys(measurements["aperture"].tolist()))
    frames, first = np.unique(measurements["frame"], return_index=True)
    dtype = log_dtype(labels, offset, barycentric=barycentre is not None)
    table = np.zeros(len(frames), dtype)
    time = (dtype.names or ())[1]
    head = measurements[first]
    table["nframe"] = frames
    table[time] = (head["mjd_int"] - offset) + head["mjd_frac"]
    for column, field in (("MJDok", "time_ok"), ("Exptim", "exposure"), ("mfwhm", "mfwhm"), ("mbeta", "mbeta")):
        table[column] = head[field]
    for label in labels:
        rows = measurements[measurements["aperture"] == label]
        place = np.searchsorted(frames, rows["frame"])
        for name, kind in APERTURE_COLUMNS:
            missing = np.nan if kind == "f4" else Flag.NO_DATA if name == "flag" else 0
            values = np.full(len(frames), missing, kind)
            values[place] = rows[MEASUREMENT_FIELD[name]]
            table[f"{name}_{label}"] = values
    if barycentre is not None:
        table["BJD"] = barycentre.bjd(head["mjd_int"], head["mjd_frac"])
        table["HJD"] = barycentre.hjd(head["mjd_int"], head["mjd_frac"])
    return table
