"""The record: tables of runs, frames, masters, reductions, measurements, products and jobs.

Written for SQLite and PostgreSQL alike: portable types alone, names in the singular, states as short strings that a
CHECK constraint knows.
"""

from __future__ import annotations

import datetime as dt
from typing import Any

from sqlalchemy import (
    JSON,
    BigInteger,
    CheckConstraint,
    Date,
    DateTime,
    Double,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Text,
    UniqueConstraint,
    text,
)
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, relationship
from sqlalchemy.types import TypeDecorator

__all__ = [
    "Aperture",
    "ApertureSet",
    "Base",
    "DeadLetter",
    "Frame",
    "Instrument",
    "Job",
    "JobNeed",
    "Master",
    "Measurement",
    "Night",
    "Outbox",
    "Product",
    "RadiusMeasurement",
    "RangeDone",
    "RawFile",
    "Recipe",
    "Reduction",
    "Run",
    "Site",
    "Target",
    "UtcDateTime",
]


class UtcDateTime(TypeDecorator[dt.datetime]):
    """Times are aware and in UTC on both databases; SQLite keeps none of it by itself."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: dt.datetime | None, dialect: Any) -> dt.datetime | None:
        """Refuse naive times, store UTC."""
        if value is not None and value.tzinfo is None:
            raise ValueError("a time without its zone")
        return value.astimezone(dt.UTC) if value is not None else None

    def process_result_value(self, value: dt.datetime | None, dialect: Any) -> dt.datetime | None:
        """Give UTC back."""
        return value.replace(tzinfo=dt.UTC) if value is not None and value.tzinfo is None else value


# sorted by their bytes, as on SQLite: not by the language of the server, whose rules change with its operating system and
# then spoil indices; and of any length, as on SQLite: what a header holds must not be refused by one database alone
_SERVER_TEXT = Text(collation="C")
LongText = Text().with_variant(_SERVER_TEXT, "postgresql")


def _text(length: int) -> String:
    return String(length).with_variant(_SERVER_TEXT, "postgresql")


class Base(DeclarativeBase):
    """Common base: naming of constraints, Python type to column type."""

    metadata = MetaData(
        naming_convention={
            "ix": "ix_%(table_name)s_%(column_0_N_name)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "ck": "ck_%(table_name)s_%(constraint_name)s",
            "fk": "fk_%(table_name)s_%(column_0_N_name)s",
            "pk": "pk_%(table_name)s",
        }
    )
    type_annotation_map = {  # noqa: RUF012 - read by SQLAlchemy
        # JSON as text: JSONB would lose the order of keys and the form of numbers (1e22 would come back as an integer)
        dict[str, Any]: JSON,
        list[Any]: JSON,
        dt.datetime: UtcDateTime,
        dt.date: Date,
        float: Double,
        str: _text(64),
    }


def _states(*names: str) -> CheckConstraint:
    listed = ", ".join(f"'{name}'" for name in names)
    return CheckConstraint(f"state IN ({listed})", name="state")


class Site(Base):
    """An observatory."""

    __tablename__ = "site"
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(unique=True)
    longitude: Mapped[float]  # degrees, east positive
    latitude: Mapped[float]  # degrees
    height: Mapped[float]  # m


class Instrument(Base):
    """A camera at a site."""

    __tablename__ = "instrument"
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(unique=True)  # also the name of the camera description
    site_id: Mapped[int | None] = mapped_column(ForeignKey("site.id"))
    site: Mapped[Site | None] = relationship()


class Night(Base):
    """A night, by the date of its local noon before."""

    __tablename__ = "night"
    id: Mapped[int] = mapped_column(primary_key=True)
    date: Mapped[dt.date] = mapped_column(unique=True)


class Target(Base):
    """Where an object is in the sky, as somebody said."""

    __tablename__ = "target"
    key: Mapped[str] = mapped_column(_text(128), primary_key=True)  # the name as it is compared: roque.archive.targets
    name: Mapped[str] = mapped_column(_text(128))
    ra: Mapped[float]  # ICRS, degrees
    dec: Mapped[float]
    said_at: Mapped[dt.datetime]


class Run(Base):
    """A run of frames, by instrument, night and name; a new version when bytes already read have changed."""

    __tablename__ = "run"
    __table_args__ = (
        UniqueConstraint("instrument_id", "night_id", "name", "version"),
        _states("growing", "complete", "failed", "superseded", "conflict"),
        Index("ix_run_unsettled", "unsettled"),
    )
    id: Mapped[int] = mapped_column(primary_key=True)
    instrument_id: Mapped[int] = mapped_column(ForeignKey("instrument.id"))
    night_id: Mapped[int] = mapped_column(ForeignKey("night.id"))
    name: Mapped[str]
    version: Mapped[int] = mapped_column(default=1)
    state: Mapped[str] = mapped_column(default="growing")
    source: Mapped[str]  # hl, hf, fits
    kind: Mapped[str]  # bias, dark, flat, science, other
    object: Mapped[str] = mapped_column(_text(128))
    mode: Mapped[str]
    xbin: Mapped[int]
    ybin: Mapped[int]
    speed: Mapped[str]
    filters: Mapped[dict[str, Any]]  # by CCD
    nskips: Mapped[dict[str, Any]]  # by CCD
    clear: Mapped[bool | None]
    exposure: Mapped[float]  # s
    windows: Mapped[dict[str, Any]]  # CCD -> window -> [llx, lly, xbin, ybin, nx, ny]
    header: Mapped[dict[str, Any]]
    mjd_first: Mapped[float | None]
    mjd_last: Mapped[float | None]
    frames_expected: Mapped[int | None]  # by the header
    frames: Mapped[int] = mapped_column(default=0)  # read and registered
    frames_dropped: Mapped[int] = mapped_column(default=0)  # lost by the camera, by the numbers of the others
    frames_missing: Mapped[int] = mapped_column(default=0)  # dropped, or lost at the end
    bad_times: Mapped[int] = mapped_column(default=0)
    problems: Mapped[list[Any]] = mapped_column(default=list)  # readable errors, as dicts
    hints: Mapped[dict[str, Any]] = mapped_column(default=dict)  # what the user said of it: target, recipe, apertures
    recipe_id: Mapped[int | None] = mapped_column(ForeignKey("recipe.id"))  # a version; none: the newest, when it is planned
    unsettled: Mapped[bool] = mapped_column(default=True)  # the planner still has to look at it
    waiting: Mapped[str | None] = mapped_column(LongText)  # what it waits for, in words
    urgent: Mapped[bool] = mapped_column(default=False)  # somebody waits at a terminal: no waiting for missing masters
    priority: Mapped[str | None]  # live, archive, as somebody said; none: see roque.jobs.priority
    held: Mapped[bool] = mapped_column(default=False)  # cancelled: nothing is begun until somebody says so
    on_request: Mapped[bool] = mapped_column(default=False)  # of an archive: nothing is begun until somebody asks for it
    trace: Mapped[str | None] = mapped_column(_text(32))  # in every log line of what is done for it since it was submitted
    registered_at: Mapped[dt.datetime]
    grown_at: Mapped[dt.datetime]
    instrument: Mapped[Instrument] = relationship(lazy="joined")
    night: Mapped[Night] = relationship(lazy="joined")
    files: Mapped[list[RawFile]] = relationship(back_populates="run", order_by="RawFile.position")

    @property
    def path(self) -> str:
        """Full name: INSTRUMENT/NIGHT/NAME."""
        return f"{self.instrument.name}/{self.night.date.isoformat()}/{self.name}"


class RawFile(Base):
    """A file of an incoming folder, whatever became of it."""

    __tablename__ = "raw_file"
    __table_args__ = (Index("ix_raw_file_run_id", "run_id"), Index("ix_raw_file_sha256", "sha256"))
    id: Mapped[int] = mapped_column(primary_key=True)
    path: Mapped[str] = mapped_column(LongText, unique=True)
    size: Mapped[int] = mapped_column(BigInteger)
    mtime_ns: Mapped[int] = mapped_column(BigInteger)
    sha256: Mapped[str | None]  # of the file as it lies there, once it has ended
    data_sha256: Mapped[str | None]  # of the frames' bytes alone: a header may be rewritten while a run grows
    data_start: Mapped[int] = mapped_column(BigInteger, default=0)  # where these bytes begin in the unpacked file
    data_size: Mapped[int] = mapped_column(BigInteger, default=0)
    run_id: Mapped[int | None] = mapped_column(ForeignKey("run.id"))
    position: Mapped[int] = mapped_column(default=0)  # order of the files of one run
    duplicate: Mapped[bool] = mapped_column(default=False)  # second location of the same content
    seen_at: Mapped[dt.datetime]
    run: Mapped[Run | None] = relationship(back_populates="files")


class Frame(Base):
    """A frame of one CCD."""

    __tablename__ = "frame"
    __table_args__ = ({"sqlite_with_rowid": False},)
    run_id: Mapped[int] = mapped_column(ForeignKey("run.id"), primary_key=True)
    number: Mapped[int] = mapped_column(primary_key=True)
    ccd: Mapped[str] = mapped_column(_text(8), primary_key=True)
    mjd_int: Mapped[int]
    mjd_frac: Mapped[float | None]
    exposure: Mapped[float | None]
    time_ok: Mapped[bool]
    data_ok: Mapped[bool]


class Master(Base):
    """A calibration master and what it is valid for."""

    __tablename__ = "master"
    __table_args__ = (_states("good", "bad", "superseded"), Index("ix_master_kind", "kind", "instrument_id"))
    id: Mapped[int] = mapped_column(primary_key=True)
    kind: Mapped[str]  # bias, dark, flat
    state: Mapped[str] = mapped_column(default="good")
    instrument_id: Mapped[int] = mapped_column(ForeignKey("instrument.id"))
    run_id: Mapped[int] = mapped_column(ForeignKey("run.id"))  # the run it was made from
    product_id: Mapped[int] = mapped_column(ForeignKey("product.id"))
    mode: Mapped[str]
    speed: Mapped[str]
    xbin: Mapped[int]
    ybin: Mapped[int]
    filters: Mapped[dict[str, Any]]
    windows: Mapped[dict[str, Any]]
    exposure: Mapped[dict[str, Any]]  # by CCD, s; net of the bias for darks
    mjd: Mapped[float]  # middle of the run
    report: Mapped[dict[str, Any]]
    made_at: Mapped[dt.datetime]
    instrument: Mapped[Instrument] = relationship(lazy="joined")
    run: Mapped[Run] = relationship(lazy="joined")
    product: Mapped[Product] = relationship(lazy="joined")


class Recipe(Base):
    """A version of a set of reduction parameters of a camera."""

    __tablename__ = "recipe"
    __table_args__ = (UniqueConstraint("camera", "name", "version"),)
    id: Mapped[int] = mapped_column(primary_key=True)
    camera: Mapped[str]
    name: Mapped[str]
    version: Mapped[int]
    digest: Mapped[str]
    parameters: Mapped[dict[str, Any]]
    comment: Mapped[str] = mapped_column(_text(200), default="")
    created_at: Mapped[dt.datetime]


class ApertureSet(Base):
    """A set of apertures, and where it came from."""

    __tablename__ = "aperture_set"
    id: Mapped[int] = mapped_column(primary_key=True)
    digest: Mapped[str] = mapped_column(unique=True)
    origin: Mapped[str]  # automatic, file
    source: Mapped[str] = mapped_column(LongText)  # the file, or how they were found
    created_at: Mapped[dt.datetime]
    apertures: Mapped[list[Aperture]] = relationship(order_by="Aperture.position")


class Aperture(Base):
    """An aperture as it stood before the first frame."""

    __tablename__ = "aperture"
    aperture_set_id: Mapped[int] = mapped_column(ForeignKey("aperture_set.id"), primary_key=True)
    ccd: Mapped[str] = mapped_column(_text(8), primary_key=True)
    label: Mapped[str] = mapped_column(_text(16), primary_key=True)
    position: Mapped[int]  # order in the set
    x: Mapped[float]
    y: Mapped[float]
    rtarg: Mapped[float]
    rsky1: Mapped[float]
    rsky2: Mapped[float]
    ref: Mapped[bool]
    compo: Mapped[bool]
    mask: Mapped[list[Any]]
    extra: Mapped[list[Any]]
    link: Mapped[str] = mapped_column(_text(16))


class Reduction(Base):
    """One reduction of a run: its recipe, apertures and masters are fixed; what a paper cites is its name."""

    __tablename__ = "reduction"
    __table_args__ = (_states("running", "done", "failed", "superseded", "cancelled"), Index("ix_reduction_run_id", "run_id"))
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(_text(12), unique=True)  # the short id, from the key
    key: Mapped[str] = mapped_column(unique=True)
    run_id: Mapped[int] = mapped_column(ForeignKey("run.id"))
    recipe_id: Mapped[int] = mapped_column(ForeignKey("recipe.id"))
    parameters: Mapped[dict[str, Any]]  # the recipe as it was used, every number settled
    aperture_set_id: Mapped[int] = mapped_column(ForeignKey("aperture_set.id"))
    target: Mapped[str] = mapped_column(_text(16), default="1")  # label of the target's aperture
    hints: Mapped[dict[str, Any]]  # what the user had said of the run
    masters: Mapped[dict[str, Any]]  # kind -> master id, or null for a kind that is done without
    choices: Mapped[dict[str, Any]]  # kind -> why, in words
    state: Mapped[str] = mapped_column(default="running")
    frames_done: Mapped[int] = mapped_column(default=0)  # every frame up to this one is committed
    notes: Mapped[list[Any]] = mapped_column(default=list)
    code_version: Mapped[str]
    created_at: Mapped[dt.datetime]
    finished_at: Mapped[dt.datetime | None]
    run: Mapped[Run] = relationship(lazy="joined")
    recipe: Mapped[Recipe] = relationship(lazy="joined")
    aperture_set: Mapped[ApertureSet] = relationship()


class RangeDone(Base):
    """A range of frames of a reduction that is committed, with the tracker's state after it."""

    __tablename__ = "range_done"
    reduction_id: Mapped[int] = mapped_column(ForeignKey("reduction.id"), primary_key=True)
    first: Mapped[int] = mapped_column(primary_key=True)
    last: Mapped[int]
    state: Mapped[dict[str, Any]]
    seconds: Mapped[dict[str, Any]]  # per stage


class Measurement(Base):
    """One row per reduction, frame, CCD and aperture; NaN is NULL."""

    __tablename__ = "measurement"
    # on PostgreSQL it also has a BRIN index on its time, which only migrations know
    __table_args__ = ({"sqlite_with_rowid": False, "postgresql_partition_by": "RANGE (night)"},)
    night: Mapped[dt.date] = mapped_column(primary_key=True)  # PostgreSQL parts the table by it
    reduction_id: Mapped[int] = mapped_column(
        primary_key=True
    )  # no foreign key: checked row by row it costs two thirds of the rate
    ccd: Mapped[str] = mapped_column(_text(8), primary_key=True)
    aperture: Mapped[str] = mapped_column(_text(16), primary_key=True)
    frame: Mapped[int] = mapped_column(primary_key=True)
    mjd_int: Mapped[int]
    mjd_frac: Mapped[float | None]
    time_ok: Mapped[bool]
    exposure: Mapped[float | None]
    mfwhm: Mapped[float | None]
    mbeta: Mapped[float | None]
    x: Mapped[float | None]
    xe: Mapped[float | None]
    y: Mapped[float | None]
    ye: Mapped[float | None]
    fwhm: Mapped[float | None]
    fwhme: Mapped[float | None]
    beta: Mapped[float | None]
    betae: Mapped[float | None]
    counts: Mapped[float | None]
    countse: Mapped[float | None]
    sky: Mapped[float | None]
    skye: Mapped[float | None]
    nsky: Mapped[int]
    nrej: Mapped[int]
    peak: Mapped[int]
    flag: Mapped[int] = mapped_column(BigInteger)  # unsigned 32 bits


class RadiusMeasurement(Base):
    """What a further radius of the target gave, where a recipe asks for some: a row per radius beside that of `Measurement`."""

    __tablename__ = "radius_measurement"
    __table_args__ = ({"sqlite_with_rowid": False, "postgresql_partition_by": "RANGE (night)"},)
    night: Mapped[dt.date] = mapped_column(primary_key=True)
    reduction_id: Mapped[int] = mapped_column(primary_key=True)  # no foreign key, as for measurements
    ccd: Mapped[str] = mapped_column(_text(8), primary_key=True)
    aperture: Mapped[str] = mapped_column(_text(16), primary_key=True)
    frame: Mapped[int] = mapped_column(primary_key=True)
    factor: Mapped[float] = mapped_column(primary_key=True)  # the radius by the recipe
    radius: Mapped[float | None]  # in this frame, unbinned pixels
    counts: Mapped[float | None]
    countse: Mapped[float | None]
    peak: Mapped[int]
    flag: Mapped[int] = mapped_column(BigInteger)


class Product(Base):
    """A file that was made, with all that it was made from."""

    __tablename__ = "product"
    __table_args__ = (_states("current", "superseded"), Index("ix_product_run_id", "run_id"))
    id: Mapped[int] = mapped_column(primary_key=True)
    kind: Mapped[str]  # master, log, fits_log, light_curve_plot ...
    state: Mapped[str] = mapped_column(default="current")
    uri: Mapped[str] = mapped_column(LongText, unique=True)  # relative to the product store
    sha256: Mapped[str]
    size: Mapped[int] = mapped_column(BigInteger)
    run_id: Mapped[int | None] = mapped_column(ForeignKey("run.id"))
    reduction_id: Mapped[int | None] = mapped_column(ForeignKey("reduction.id"))
    job_id: Mapped[str | None] = mapped_column(ForeignKey("job.id"))
    inputs: Mapped[list[Any]]  # [{"kind": "raw"|"product"|"recipe"|"apertures"|"reduction", "name": ..., "sha256": ...}]
    code_version: Mapped[str]
    made_at: Mapped[dt.datetime]


_URGENT = text("state = 'queued' AND priority > 0")


class Job(Base):
    """A piece of work of seconds; the row is the truth, the message only wakes a worker."""

    __tablename__ = "job"
    __table_args__ = (
        _states("waiting", "queued", "running", "done", "failed", "cancelled"),
        Index("ix_job_state", "state", "not_before"),
        Index("ix_job_run_id", "run_id"),
        Index("ix_job_reduction_id", "reduction_id"),
        Index("ix_job_urgent", "priority", postgresql_where=_URGENT, sqlite_where=_URGENT),
    )
    id: Mapped[str] = mapped_column(_text(36), primary_key=True)  # UUIDv7
    kind: Mapped[str]
    service: Mapped[str]
    key: Mapped[str] = mapped_column(unique=True)
    parameters: Mapped[dict[str, Any]]
    priority: Mapped[int] = mapped_column(default=0)
    state: Mapped[str] = mapped_column(default="waiting")
    reason: Mapped[str | None] = mapped_column(LongText)  # what it waits for, in words
    attempts: Mapped[int] = mapped_column(default=0)  # claims
    lost: Mapped[int] = mapped_column(default=0)  # claims that ended without an answer
    not_before: Mapped[dt.datetime | None]
    claim_token: Mapped[str | None] = mapped_column(_text(36))
    lease_until: Mapped[dt.datetime | None]
    worker: Mapped[str | None] = mapped_column(_text(128))
    error: Mapped[dict[str, Any] | None]
    result: Mapped[dict[str, Any] | None]
    run_id: Mapped[int | None] = mapped_column(ForeignKey("run.id"))
    reduction_id: Mapped[int | None] = mapped_column(ForeignKey("reduction.id"))
    parent_id: Mapped[str | None] = mapped_column(ForeignKey("job.id"))
    trace: Mapped[str | None] = mapped_column(_text(32))  # that of its run when it was submitted
    created_at: Mapped[dt.datetime]
    queued_at: Mapped[dt.datetime | None]
    started_at: Mapped[dt.datetime | None]
    finished_at: Mapped[dt.datetime | None]


class JobNeed(Base):
    """A job that another one waits for."""

    __tablename__ = "job_need"
    __table_args__ = (Index("ix_job_need_needs_id", "needs_id"),)
    job_id: Mapped[str] = mapped_column(ForeignKey("job.id"), primary_key=True)
    needs_id: Mapped[str] = mapped_column(ForeignKey("job.id"), primary_key=True)


class Outbox(Base):
    """Messages that a transaction wants sent: work for a queue, or an event."""

    __tablename__ = "outbox"
    __table_args__ = (Index("ix_outbox_sent_at", "sent_at"),)
    id: Mapped[int] = mapped_column(BigInteger().with_variant(Integer, "sqlite"), primary_key=True)
    topic: Mapped[str]  # job.<service>, or the name of an event
    job_id: Mapped[str | None] = mapped_column(ForeignKey("job.id"))
    payload: Mapped[dict[str, Any]]
    created_at: Mapped[dt.datetime]
    sent_at: Mapped[dt.datetime | None]


class DeadLetter(Base):
    """A message that was given up, as the broker had it: nothing in it can be trusted."""

    __tablename__ = "dead_letter"
    __table_args__ = (_states("new", "replayed", "dropped"), Index("ix_dead_letter_state", "state"))
    id: Mapped[int] = mapped_column(BigInteger().with_variant(Integer, "sqlite"), primary_key=True)
    key: Mapped[str] = mapped_column(unique=True)  # digest: the same death told twice is one
    state: Mapped[str] = mapped_column(default="new")
    queue: Mapped[str]  # where it died
    reason: Mapped[str]  # the broker's word: rejected, delivery_limit ...
    properties: Mapped[dict[str, Any]]
    headers: Mapped[dict[str, Any]]  # x-death among them
    body: Mapped[bytes] = mapped_column(LargeBinary)  # at most the beginning of it
    size: Mapped[int]  # of the whole body, bytes
    received_at: Mapped[dt.datetime]
    settled_at: Mapped[dt.datetime | None]  # replayed or dropped
