"""What a command works with: settings, record and product store, each opened when it is first asked for."""

from __future__ import annotations

import os
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from roque.archive import Record
    from roque.archive.products import ProductStore
    from roque.instruments import CameraDescription, Known
    from roque.settings import Settings

__all__ = ["App", "pass_app", "sqlite_file"]


class App:
    """The global options, and what follows from them.

    Parameters
    ----------
    home : Path or None
        Folder of everything that roque keeps; None: as the settings say.
    quiet : bool
        Whether messages are left out.
    """

    def __init__(self, home: Path | None = None, *, quiet: bool = False) -> None:
        self.home = home
        self.quiet = quiet

    def say(self, message: str) -> None:
        """Tell the user something that is not data: on stderr, unless --quiet."""
        if not self.quiet:
            from services.cli.output import clean

            click.echo(clean(message), err=True)

    @property
    def error_log(self) -> Path:
        """Where tracebacks go; found without the settings, which may be what is wrong."""
        home = self.home or Path(os.environ.get("ROQUE_HOME") or "roque-data")
        return home.expanduser().absolute() / "errors.log"

    @cached_property
    def settings(self) -> Settings:
        """The settings.

        Raises
        ------
        BadInput
            One of them is wrong.
        """
        from roque.settings import load_settings

        return load_settings(**({"home": self.home} if self.home else {}))

    @cached_property
    def record(self) -> Record:
        """The record, which must be there: asking must not make an empty one.

        Raises
        ------
        Unreachable
            There is none: nothing was ever reduced in this home folder.
        """
        from roque.archive import Record

        self.insist_on_record()
        return Record(self.settings.database)

    def insist_on_record(self) -> None:
        """Refuse to go on where nothing was ever reduced.

        Raises
        ------
        Unreachable
            The record is a file, and it is not there.
        """
        from roque.errors import Unreachable

        file = sqlite_file(self.settings)
        if file is not None and not file.is_file():
            raise Unreachable(
                "there is no record here yet",
                file=str(file),
                remedy="name the right folder with --home, or begin one with 'roque night reduce FOLDER'",
            )

    @cached_property
    def new_record(self) -> Record:
        """The record, made if it is not there yet, its tables up to date."""
        from roque.archive import Record
        from roque.archive.schema import upgrade

        record = Record(self.settings.database)
        upgrade(record)
        return record

    def close(self) -> None:
        """Close what was opened."""
        for name in ("record", "new_record"):
            if name in self.__dict__:
                self.__dict__[name].close()

    @property
    def products(self) -> ProductStore:
        """The product store."""
        from roque.archive.products import ProductStore

        return ProductStore(self.settings.products)

    @property
    def cameras(self) -> dict[str, CameraDescription]:
        """Descriptions of cameras, the observatory's own among them."""
        return self.known_cameras.cameras

    @cached_property
    def known_cameras(self) -> Known:
        """Descriptions of cameras, and what is wrong with those that cannot be used."""
        from roque.instruments import known_cameras

        return known_cameras(self.settings.cameras)


def sqlite_file(settings: Settings) -> Path | None:
    """File of the record, if it is one."""
    scheme, _, path = settings.database.partition(":///")
    return Path(path) if scheme.startswith("sqlite") else None


pass_app = click.make_pass_decorator(App)
