"""What notebooks are given by ``from roque import Hlog``: logs from files, or straight from the record."""

from __future__ import annotations

from pathlib import Path
from typing import Self

from roque import lightcurves
from roque.errors import Unreachable

__all__ = ["Hlog"]


class Hlog(lightcurves.Hlog):
    """A log, from a file or from the record.

    All but `from_record` is that of `roque.lightcurves.hlog.Hlog`, which knows no database.
    """

    @classmethod
    def from_record(
        cls,
        run: str,
        *,
        reduction: str | None = None,
        recipe: str | None = None,
        position: tuple[float, float] | str | None = None,
        home: str | Path | None = None,
    ) -> Self:
        """Take the measurements of a reduction from the record.

        Parameters
        ----------
        run : str
            ``[INSTRUMENT/]NIGHT/NAME``, or ``NAME`` where that is unique.
        reduction : str, optional
            Id of a reduction, or its beginning; by default the newest finished one.
        recipe : str, optional
            Name of a recipe: the newest finished reduction with it.
        position : tuple of float or str, optional
            RA and Dec of the star, ICRS, degrees, or a text as `roque.lightcurves.barycentre.read_position` reads it: adds the
            columns BJD and HJD.
        home : path, optional
            Folder of everything that roque keeps; by default what the settings say (ROQUE_HOME, ROQUE_DATABASE_URL, ...).

        Returns
        -------
        Hlog
            All numbers as they were measured, not as a log prints them (though float32, as in any log).

        Raises
        ------
        NotFound
            There is no such run, or no such reduction of it.
        Unreachable
            There is no record there, or it does not answer.
        BadInput
            A setting is wrong, or `position` is none.
        """
        from roque.archive import Record  # noqa: PLC0415 - who reads files should not wait for it
        from roque.archive.export_files import log_of  # noqa: PLC0415
        from roque.archive.exports import load_export  # noqa: PLC0415
        from roque.archive.names import find_reduction, find_run  # noqa: PLC0415
        from roque.archive.session import record_address  # noqa: PLC0415
        from roque.instruments import cameras  # noqa: PLC0415
        from roque.lightcurves.barycentre import read_position  # noqa: PLC0415
        from roque.settings import load_settings  # noqa: PLC0415

        settings = load_settings(**({"home": home} if home else {}))
        address = record_address(settings.database)
        if address.get_backend_name() == "sqlite" and not Path(address.database or "").is_file():
            remedy = "set ROQUE_HOME, or name the folder with home="
            raise Unreachable("there is no record here yet", file=address.database, remedy=remedy)
        record = Record(settings.database)
        try:
            with record.reading() as session:
                chosen = find_reduction(session, find_run(session, run), reduction, recipe)
                export = load_export(session, chosen, cameras(settings.cameras))
                if position is not None:
                    export = export.at(read_position(position) if isinstance(position, str) else position).at_barycentre()
                return cls(log_of(export))
        finally:
            record.close()
