"""Settings: one typed, frozen object, read once from ROQUE_... variables and ROQUE_HOME/settings.toml, and passed down."""

from __future__ import annotations

import os
from collections.abc import Collection
from functools import cached_property
from pathlib import Path
from typing import Any, Self
from urllib.parse import urlsplit

from pydantic import Field, SecretStr, ValidationError, model_validator
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict, TomlConfigSettingsSource

from roque.errors import BadInput
from roque.secret_files import check_address, read_address

__all__ = ["Settings", "load_settings"]

_DATABASES = ("postgresql", "sqlite")
_SERVERS = ("hipercam", "ultracam")
_BROKERS = ("amqp", "amqps", "memory")


class Settings(BaseSettings):
    """What differs between a laptop and an observatory; nothing else does."""

    model_config = SettingsConfigDict(env_prefix="ROQUE_", frozen=True, extra="forbid", env_ignore_empty=True)

    home: Path = Field(Path("roque-data"), description="folder of everything that roque keeps")
    database_url: SecretStr | None = Field(None, description="PostgreSQL URL; default an SQLite file in the home folder")
    database_url_file: Path | None = Field(None, description="file that holds database_url; only its owner may read it")
    broker_url: SecretStr | None = Field(None, description="RabbitMQ URL; default the memory of the worker process")
    broker_url_file: Path | None = Field(None, description="file that holds broker_url; only its owner may read it")
    products_url: str | None = Field(None, description="folder of products; default 'products' in the home folder")
    incoming: list[Path] = Field(default_factory=list, description="folders that are watched for raw files")
    servers: list[str] = Field(
        default_factory=list, description="camera file servers whose runs are copied and taken up: hipercam:// or ultracam://"
    )
    cameras: Path | None = Field(None, description="folder of the observatory's own camera descriptions (TOML)")
    workers: int = Field(2, ge=1, le=64, description="pool processes of the worker")
    poll_seconds: float = Field(0.25, gt=0, le=60, description="seconds between two looks at the incoming folders")
    silent_seconds: float = Field(60.0, ge=0, description="a file silent for so long is taken as ended")
    calibration_wait_seconds: float = Field(600.0, ge=0, description="how long a run waits for missing masters")
    hints: dict[str, Any] = Field(default_factory=dict, description="what is said of every science run found: recipe, target")
    urgent: bool = Field(False, description="runs found are reduced at once, with the masters there are")
    health_port: int | None = Field(
        None, ge=0, le=65533, description="port of /healthz, /readyz, /metrics; default none; 'roque up' takes three in a row"
    )
    health_address: str = Field("127.0.0.1", description="address at which they answer; 0.0.0.0 for every network")
    log_format: str = Field("auto", pattern="^(auto|json|console)$", description="auto: readable on a terminal, else JSON")

    @cached_property
    def folder(self) -> Path:
        """The home folder, absolute."""
        return _absolute(self.home)

    @property
    def watched(self) -> list[Path]:
        """Folders that are watched, absolute: the incoming ones, and that of runs copied from file servers."""
        return [*(_absolute(path) for path in self.incoming), *([self.spool] if self.servers else [])]

    @property
    def spool(self) -> Path:
        """Folder of runs that are copied from file servers."""
        return self.folder / "spool"

    @property
    def database(self) -> str:
        """URL of the record, with its password: never print it."""
        return self._address("database_url", _DATABASES) or f"sqlite:///{self.folder / 'record.sqlite'}"

    @property
    def broker(self) -> str:
        """URL of the broker, with its password: never print it."""
        return self._address("broker_url", _BROKERS) or "memory://"

    @property
    def products(self) -> Path:
        """Folder of products."""
        if self.products_url is None:
            return self.folder / "products"
        parts = urlsplit(self.products_url)
        if parts.scheme not in ("", "file"):
            raise BadInput(
                f"products cannot be kept at a {parts.scheme}: address",
                place="setting products_url",
                remedy="give a folder, or leave it out",
            )
        return Path(parts.path).expanduser().absolute()

    @property
    def cache(self) -> Path:
        """Folder of unpacked files."""
        return self.folder / "cache"

    @model_validator(mode="after")
    def _addresses_can_be_used(self) -> Self:
        """Say at the start what would go wrong later."""
        _ = self.database, self.broker
        for server in self.servers:
            _check_server(server)
        return self

    def _address(self, setting: str, schemes: Collection[str]) -> str | None:
        given: SecretStr | None = getattr(self, setting)
        file: Path | None = getattr(self, f"{setting}_file")
        if given is not None and file is not None:
            raise BadInput(
                "the address is given twice, by itself and in a file",
                place=f"settings {setting} and {setting}_file",
                remedy="leave one of them out",
            )
        if file is not None:
            setting, file = f"{setting}_file", _absolute(file)
            address = read_address(file, setting)
        elif given is not None:
            address = given.get_secret_value()
        else:
            return None
        check_address(address, setting, schemes, file)
        return address

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Arguments first, then the environment, then the file in the home folder."""
        home = init_settings().get("home") or env_settings().get("home") or cls.model_fields["home"].default
        file = Path(str(home)).expanduser() / "settings.toml"
        return init_settings, env_settings, TomlConfigSettingsSource(settings_cls, toml_file=file)


def _check_server(url: str) -> None:
    try:
        parts = urlsplit(url)
        good = parts.scheme in _SERVERS and bool(parts.hostname) and "@" not in parts.netloc and parts.port != 0
    except ValueError:
        good = False
    if not good or parts.query or parts.fragment:
        shown = url.rpartition("@")[2][:80]  # what stands before may be a password
        raise BadInput(
            f"{shown!r} is not the address of a camera file server",
            place="setting servers",
            remedy="write hipercam://HOST:PORT/ or ultracam://HOST:PORT/",
        )


def _absolute(path: Path) -> Path:
    """One way to write a path, whatever folder a command was given in: files are known by theirs."""
    return Path(os.path.abspath(path.expanduser()))  # noqa: PTH100 - absolute() leaves '..' in, resolve() follows links


def load_settings(**given: Any) -> Settings:
    """Read the settings; `given` values (from the command line) come first.

    Raises
    ------
    BadInput
        A value is not of its kind; the message names the setting.
    """
    try:
        return Settings(**given)
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        name = ".".join(str(part) for part in first["loc"])
        raise BadInput(
            first["msg"],
            place=f"setting {name}",
            remedy=f"correct ROQUE_{name.upper()} or the line '{name} = ...' of settings.toml in the home folder",
        ) from None
    except ValueError as error:
        raise BadInput(str(error), file="settings.toml", remedy="the file must be TOML: name = value") from None
