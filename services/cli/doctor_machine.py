"""What `roque doctor` looks at on this machine: packages, folders, disk, processors, compiled kernels."""

from __future__ import annotations

import os
import re
import shutil
import stat
import tempfile
import time
from collections.abc import Iterable, Iterator
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING

from roque.settings import Settings
from services.cli.findings import Finding, fail, ok, warn
from services.cli.output import size

if TYPE_CHECKING:
    from roque.errors import RoqueError
    from roque.instruments import CameraDescription

__all__ = ["machine", "packages"]

LEAST_ROOM, LITTLE_ROOM = 200_000_000, 5_000_000_000
"""Bytes: with less than the first nothing works, with less than the second not for long."""

CLOCK_SECONDS = 2.0


def packages() -> Iterator[Finding]:
    """Whether what roque needs is installed, in versions that it works with."""
    wrong = []
    needed = [text for text in metadata.requires("roque") or [] if "extra ==" not in text]
    for text in needed:
        name, wanted = _requirement(text)
        try:
            found = metadata.version(name)
        except metadata.PackageNotFoundError:
            wrong.append(f"{name} is missing")
            continue
        if not all(_holds(found, relation, version) for relation, version in wanted):
            wrong.append(f"{name} is {found}, needed is {text.partition(';')[0].strip()}")
    if wrong:
        yield fail("packages", "; ".join(wrong), "install roque again: uv sync, or pip install .")
    else:
        yield ok("packages", f"roque {metadata.version('roque')}, and the {len(needed)} packages that it needs")


def machine(settings: Settings) -> Iterator[Finding]:
    """Look at folders, disk, processors and compiled kernels."""
    yield from _secrets(settings)
    yield _folder("home folder", settings.folder)
    if settings.products != settings.folder / "products":
        yield _folder("products", settings.products)
    yield from _room(settings)
    yield from _incoming(settings)
    yield from _file_servers(settings)
    yield from _cameras(settings)
    yield _processors(settings)
    yield _kernels()


def _requirement(text: str) -> tuple[str, list[tuple[str, str]]]:
    name = re.match(r"[A-Za-z0-9_.-]+", text)
    versions = re.findall(r"(>=|<)\s*([0-9.]+)", text.partition(";")[0])
    return (name.group() if name else text), versions


def _holds(found: str, relation: str, version: str) -> bool:
    have, want = ([int(part) for part in re.findall(r"\d+", text)[:3]] for text in (found, version))
    return have >= want if relation == ">=" else have < want


def _secrets(settings: Settings) -> Iterator[Finding]:
    """Addresses with passwords are for their owner alone; files named by settings have been checked when they were read."""
    file = settings.folder / "settings.toml"
    if not file.is_file():
        return
    holds_secret = bool(
        re.search(r"^\s*(database_url|broker_url)\s*=.*:[^/]*@", file.read_text("utf-8", "replace"), re.MULTILINE)
    )
    mode = stat.S_IMODE(file.stat().st_mode)
    if holds_secret and mode & 0o077:
        do = f"chmod 600 {file}; better, keep the address in a file of its own: settings database_url_file, broker_url_file"
        yield fail("settings file", f"{file} holds a password, and others may read it (mode {mode:04o})", do)
    else:
        yield ok("settings file", str(file))


def _folder(name: str, folder: Path) -> Finding:
    """Whether files can be made in a folder, and what time its disk has."""
    there = next(path for path in (folder, *folder.parents) if path.exists())
    try:
        with tempfile.NamedTemporaryFile(dir=there, prefix=".roque-doctor-") as file:
            file.write(b"x" * 4096)
            file.flush()
            os.fsync(file.fileno())
            ahead = os.fstat(file.fileno()).st_mtime - time.time()
    except OSError as error:
        do = "let the user that roque runs as write there, make room, or name another folder"
        return fail(name, f"{there}: {(error.strerror or str(error)).lower()}", do)
    if abs(ahead) > CLOCK_SECONDS:
        do = "set the clocks of this machine and of the file server by NTP: files would seem silent too early or too late"
        return warn(name, f"{there}: its disk's clock differs by {ahead:+.0f} s from this machine's", do)
    return ok(name, f"{folder} can be written" if there == folder else f"{folder} will be made when it is needed")


def _room(settings: Settings) -> Iterator[Finding]:
    seen = set()
    for folder in (settings.folder, settings.products, settings.cache):
        there = next(path for path in (folder, *folder.parents) if path.exists())
        if (device := there.stat().st_dev) in seen:
            continue
        seen.add(device)
        usage = shutil.disk_usage(there)
        text = f"{size(usage.free)} of {size(usage.total)} free at {there}"
        do = "make room: roque goes on by itself; the cache of unpacked files in the home folder may be removed at any time"
        judge = fail if usage.free < LEAST_ROOM else warn
        yield judge("disk", text, do) if usage.free < LITTLE_ROOM else ok("disk", text)


def _file_servers(settings: Settings) -> Iterator[Finding]:
    from roque.errors import RoqueError
    from roque.spool.servers.listings import served_runs

    for url in settings.servers:
        try:
            yield ok("file server", f"{url} answers and has {len(served_runs(url))} runs")
        except (RoqueError, OSError) as error:
            yield warn(
                "file server", f"{url}: {error}", "start it, or correct the setting servers: it is tried again by itself"
            )


def _incoming(settings: Settings) -> Iterator[Finding]:
    if not settings.watched:
        yield warn("incoming", "no folder is watched", "name folders in the setting incoming, or when 'roque up' is started")
    for folder in settings.watched:
        if folder == settings.spool:
            continue  # made when it is needed
        if not folder.is_dir():
            yield fail("incoming", f"{folder} is not there", "mount or make it, or correct the setting incoming")
        elif not os.access(folder, os.R_OK | os.X_OK):
            yield fail("incoming", f"{folder} cannot be read", f"let the user that roque runs as read it: chmod o+rx {folder}")
        elif settings.folder.is_relative_to(folder):
            yield fail("incoming", f"the home folder {settings.folder} lies in it", "keep home and raw data apart: set home")
        else:
            yield ok("incoming", f"{folder} can be read")


def _cameras(settings: Settings) -> Iterator[Finding]:
    from roque.instruments import known_cameras

    known = known_cameras(settings.cameras)
    for error in [*known.problems, *_recipe_faults(known.cameras.values())]:
        where = ", ".join(part for part in (error.file, error.place) if part)
        yield fail(
            "cameras", f"{where}: {error.message}" if where else error.message, error.remedy or "correct the description"
        )
    yield ok("cameras", f"{len(known.cameras)} are known")


def _recipe_faults(cameras: Iterable[CameraDescription]) -> Iterator[RoqueError]:
    """Sections [recipe] of descriptions that no reduction could use."""
    from roque.errors import RoqueError
    from roque.photometry.typical import typical_recipe

    for camera in cameras:
        try:
            typical_recipe(camera)
        except RoqueError as error:
            yield type(error)(error.message, file=f"camera {camera.name}", place=error.place, remedy=error.remedy)


def _processors(settings: Settings) -> Finding:
    usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    text = f"{settings.workers} processes that compute with one thread each, on {usable} processors"
    if settings.workers > usable:
        return warn("threads", text, f"set workers to {usable}: more take turns, and memory")
    return ok("threads", text)


def _kernels() -> Finding:
    from roque.photometry.kernels.ccd import measure_ccd

    cache = measure_ccd._cache  # type: ignore[attr-defined] # noqa: SLF001 - there is no public way
    if cache._cache_file._load_index():  # noqa: SLF001
        return ok("kernels", f"compiled, in {cache.cache_path}")
    return warn("kernels", "not compiled yet: the first job takes a minute longer", "python -m roque.warm")
