"""What one look at the incoming folders does: files that are new or have changed are registered."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping
from pathlib import Path

from sqlalchemy import or_, select

from roque.archive import Record
from roque.archive.models import RawFile, Run
from roque.errors import Transient
from roque.instruments import CameraDescription
from roque.registration import registrar
from roque.registration.batch import Outcome
from roque.registration.registrar import Registrar
from roque.registration.said import sidecar_gone, tell_registered
from roque.registration.seen import Seen
from roque.settings import Settings
from roque.spool.folders import Scanner, Stat, is_sidecar
from roque.telemetry import logger

__all__ = ["Watch"]


class Watch:
    """The incoming folders, and what was seen in them.

    Parameters
    ----------
    record : Record
        Where runs are registered.
    settings : Settings
        The folders, how long a silent file takes to end, the cache, the home folder, what is said of the runs.
    cameras : mapping of str to CameraDescription
        What files may be.
    stop : Event, optional
        Asked between two runs: a first look at a large folder takes its time.
    """

    def __init__(
        self,
        record: Record,
        settings: Settings,
        cameras: Mapping[str, CameraDescription],
        stop: threading.Event | None = None,
    ) -> None:
        self._record = record
        self._settings = settings
        self._folders = settings.watched
        self._scanner = Scanner(self._folders, settings.folder)
        # what is to be reduced at once needs its masters at once, however large
        self._registrar = Registrar(
            record, settings, cameras, stop or threading.Event(), self._silent, _tell, looks_again=not settings.urgent
        )
        self._files = self._registrar.files
        self._undone: list[str] = []
        self.full_look_seconds = 0.0
        inside = [RawFile.path.startswith(f"{folder}/", autoescape=True) for folder in self._folders]
        with record.writing() as session:
            columns = RawFile.path, RawFile.size, RawFile.mtime_ns, RawFile.sha256, Run.frames_expected
            rows = session.execute(select(*columns).outerjoin(Run, Run.id == RawFile.run_id).where(or_(False, *inside))).all()
            tell_registered(session, settings)
        for path, size, mtime_ns, sha256, announced in rows:
            # without a digest: not ended; with an empty one: refused, which may be over by now
            stat = Stat(size, mtime_ns)
            self._files[path] = Seen(stat, -1e9, done=bool(sha256), refused=sha256 == "", registered=True, announced=announced)

    def look(self) -> int:
        """Look at every file, once; returns the number of runs and files whose registration changed.

        What looking alone took, without registering, is then in `full_look_seconds`.
        """
        began = time.monotonic()
        seen = self._scanner.look()
        self.full_look_seconds = time.monotonic() - began
        return self._see(seen, whole=True)

    def look_for_news(self) -> int:
        """Look at new files and those that are not done, which is cheap; files that are done may change unseen until `look`."""
        return self._see(self._scanner.look_for_news(self._undone), whole=False)

    def _see(self, seen: Mapping[str, Stat], *, whole: bool) -> int:
        due = [path for path, stat in sorted(seen.items()) if self._is_due(path, stat)]
        if not due and not whole:
            return 0
        found = self._scanner.found
        try:
            return self._registrar.register(due, found) + self._sidecars_gone(found)
        except Transient:
            for known in (self._files[path] for path in due if path in self._files):
                known.again = None if known.done else time.monotonic() + registrar.AGAIN_SECONDS
            raise
        finally:
            self._undone = [path for path, known in self._files.items() if not known.done]

    def _is_due(self, path: str, stat: Stat) -> bool:
        known, now = self._files.get(path), time.monotonic()
        if known is None or known.stat != stat:
            before = known or Seen(stat, now)
            frames = 0 if before.done else before.frames
            self._files[path] = Seen(
                stat, now, tried=now, registered=before.registered, announced=before.announced, frames=frames
            )
            return True
        if known.again is not None:
            if now < known.again:
                return False
            known.again = None
        elif known.done or not self._silent(path):
            return False
        known.tried = now
        return True

    def _silent(self, path: str) -> bool:
        known = self._files[path]
        quiet, age = time.monotonic() - known.changed, time.time() - known.stat.mtime_ns * 1e-9
        if age >= 0:  # else somebody's clock is wrong
            quiet = min(quiet, age)
        return quiet >= self._settings.silent_seconds or self._settings.silent_seconds == 0

    def _sidecars_gone(self, found: Mapping[str, Stat]) -> int:
        """Take back what aperture and reduce files said that are there no more."""
        changed, inside = 0, tuple(f"{folder}/" for folder in self._folders)
        for path in [path for path in self._files if is_sidecar(path) and path not in found and path.startswith(inside)]:
            with self._record.writing() as session:
                changed += sidecar_gone(session, Path(path), found.keys())
            del self._files[path]
        return changed


def _tell(outcome: Outcome) -> None:
    if outcome.what == "failed":
        logger.warning("file_failed", file=outcome.files[0], error=str(outcome.error))
    else:
        about = {"run": outcome.run, "trace": outcome.trace, "what": outcome.what}
        logger.info("run_registered", **about, frames=outcome.frames, ended=outcome.ended)
