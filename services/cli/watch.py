"""`roque run watch`: how far runs are, and what was measured of one, until all have ended."""

from __future__ import annotations

import datetime as dt
import shutil
import sys
import time
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import click

from services.cli.app import App, pass_app
from services.cli.output import clean, json_line, json_option

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

__all__ = ["watch"]

LOOK_SECONDS = 0.5
LINE_SECONDS = 5.0
"""Time between two lines about a run whose state stays the same, where no line can be written over."""

RATE_SECONDS = 30.0
"""Over how long the rate is averaged."""

SILENT_SECONDS = 5.0
"""After so long without a new frame a page says so."""

OLD_SECONDS = 3600.0
"""An older frame was not taken just now: how old it is, tells nothing."""

UNDER_WAY = ("growing", "waiting", "working", "reducing")


@dataclass(frozen=True)
class _Facts:
    """A run at a moment."""

    name: str
    state: str
    detail: str
    failed: bool
    frames: int
    done: int
    jobs: int  # waiting, queued or running

    @property
    def ended(self) -> bool:
        return self.state not in UNDER_WAY


class _Length(click.ParamType):
    """So many frames, or with an s so many seconds."""

    name = "length"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[int | None, float | None]:
        try:
            if str(value).endswith("s"):
                return None, abs(float(str(value)[:-1]))
            return max(2, int(value)), None
        except ValueError:
            self.fail(f"{value!r} is neither a number of frames nor one of seconds like 600s", param, ctx)


@click.command()
@click.argument("names", metavar="RUN...", nargs=-1, required=True)
@click.option("--ccd", "ccds", metavar="LABEL", multiple=True, help="Show this CCD; may be repeated. Default: all.")
@click.option("--star", metavar="LABEL", help="The star of the light curve; default: the target.")
@click.option("--comparison", metavar="LABEL", help="The star to divide by; default: the first other one.")
@click.option("--last", type=_Length(), default="600", show_default=True, metavar="N[s]", help="Frames shown, or seconds.")
@click.option("--once", is_flag=True, help="Print one page, and end.")
@click.option("--wait", is_flag=True, help="Wait for a run whose first frame has yet to come.")
@json_option
@pass_app
def watch(
    app: App,
    names: tuple[str, ...],
    ccds: tuple[str, ...],
    star: str | None,
    comparison: str | None,
    last: tuple[int | None, float | None],
    *,
    once: bool,
    wait: bool,
    as_json: bool,
) -> int:
    """Show how far runs are, until all have ended.

    Of one run a page is drawn on a terminal: how far it is, the light curve of a star, transmission, seeing and positions, as
    the frames come. Otherwise a line is written whenever something has changed. Exit status 0 if all ended well, 1 if one
    failed or was cancelled.

    \b
    Examples:
      roque run watch run0012
      roque run watch run0012 --ccd 2 --star 1 --comparison 3 --last 900s
      roque run watch run0012 run0013 --json
      roque run watch run0014 --wait
    """
    paths = list(dict.fromkeys(_path(app, name, wait=wait) for name in names))
    if once and (as_json or len(paths) > 1):
        raise click.UsageError("a page is of one run, and for people")
    terminal = sys.stderr.isatty() and sys.stdout.isatty() and not as_json and not app.quiet
    if once or (terminal and len(paths) == 1):
        return _pages(app, paths[0], _Choice(ccds, star, comparison, *last), once=once)
    return _lines(app, paths, terminal=terminal, as_json=as_json)


def _path(app: App, name: str, *, wait: bool) -> str:
    """Full name of a run; one that is not there yet may be waited for."""
    from roque.archive.names import find_run, runs_named

    told = False
    while True:
        with app.record.reading() as session:
            if not wait or runs_named(session, name):
                return find_run(session, name).path
        if not told:
            app.say(f"waiting for {name}; Ctrl-C ends it")
            told = True
        time.sleep(LOOK_SECONDS)


class _Choice(NamedTuple):
    """What a page is to show."""

    ccds: tuple[str, ...]
    star: str | None
    comparison: str | None
    frames: int | None
    seconds: float | None


def _pages(app: App, path: str, choice: _Choice, *, once: bool) -> int:
    """Draw page after page of a run until it has ended; the last one stays."""
    from roque.archive.names import find_run
    from services.cli.watch_curves import Curves, Wanted
    from services.cli.watch_page import draw, page, whole_screen

    camera = app.cameras.get(path.partition("/")[0])
    wanted = Wanted(choice.ccds, choice.star, choice.comparison, choice.frames or Wanted.frames, choice.seconds)
    curves = Curves(wanted, camera.pixel_scale if camera is not None else None)
    pace = _Pace()

    def compose() -> tuple[_Facts, list[str]]:
        with app.record.reading() as session:
            facts = _look(session, path)
            shown = curves.read(session, find_run(session, path))
        pace.add(facts)
        # how many frames are there is told below it
        detail = facts.detail if facts.state not in ("reducing", "growing") else ""
        head = [f"{facts.name}  {facts.state}  {detail}".rstrip(), _how_far(facts, pace, curves.newest)]
        return facts, page(head, shown, shutil.get_terminal_size(), arcsec=curves.in_arcsec)

    facts, lines = compose()
    if not once and not facts.ended:
        with whole_screen():
            while not facts.ended:
                draw(lines[: shutil.get_terminal_size().lines])
                time.sleep(LOOK_SECONDS)
                facts, lines = compose()
    for line in lines:
        click.echo(line)
    return int(facts.failed and facts.ended)


def _how_far(facts: _Facts, pace: _Pace, newest: dt.datetime | None) -> str:
    """How far a run is, how old what is shown is, and how fast it goes."""
    behind = facts.frames - facts.done
    parts = [f"{facts.done} of {facts.frames} frames" + (f", {behind} behind" if behind > 0 else "")]
    if newest is not None:
        age = (dt.datetime.now(dt.UTC) - newest).total_seconds()
        parts.append(f"last at {newest:%H:%M:%S} UTC" + (f", {age:.1f} s ago" if 0.0 <= age < OLD_SECONDS else ""))
    if not facts.ended and pace.silent > SILENT_SECONDS:
        parts.append(f"no new frame for {pace.silent:.0f} s")
    rate = pace.rate()
    return "; ".join([*parts, f"{rate:.1f} frames/s"] if rate else parts)


def _lines(app: App, paths: list[str], *, terminal: bool, as_json: bool) -> int:
    """Write a line whenever something has changed, until all runs have ended."""
    shown = {path: _Shown(as_json=as_json, every=1e9 if terminal else 1.0 if as_json else LINE_SECONDS) for path in paths}
    try:
        while True:
            with app.record.reading() as session:
                found = [_look(session, path) for path in paths]
            for facts in found:
                shown[facts.name].show(facts, terminal=terminal)
            if all(facts.ended for facts in found):
                return int(any(facts.failed for facts in found))
            if terminal:
                _write_over(_together(found, list(shown.values())))
            time.sleep(LOOK_SECONDS)
    finally:
        if terminal:
            _write_over("")


class _Pace:
    """How fast a run gets on."""

    def __init__(self) -> None:
        self._seen: deque[tuple[float, int]] = deque()
        self._frames, self._grown = -1, time.monotonic()

    def add(self, facts: _Facts) -> None:
        """Note how far it is now."""
        now = time.monotonic()
        if facts.frames != self._frames:
            self._frames, self._grown = facts.frames, now
        if self._seen and facts.done < self._seen[-1][1]:
            self._seen.clear()  # it is reduced anew
        self._seen.append((now, facts.done))
        while now - self._seen[0][0] > RATE_SECONDS:
            self._seen.popleft()

    def rate(self) -> float | None:
        """Frames a second of late; None if there are none."""
        (t0, n0), (t1, n1) = self._seen[0], self._seen[-1]
        return (n1 - n0) / (t1 - t0) if n1 > n0 else None

    @property
    def silent(self) -> float:
        """Seconds since the last new frame was seen."""
        return time.monotonic() - self._grown


class _Shown:
    """What was said of a run, and how fast it gets on."""

    def __init__(self, *, as_json: bool, every: float) -> None:
        self._as_json, self._every = as_json, every
        self._last: _Facts | None = None
        self._at = 0.0
        self.pace = _Pace()

    def show(self, facts: _Facts, *, terminal: bool) -> None:
        """Say what there is to say of a run now."""
        now = time.monotonic()
        self.pace.add(facts)
        new_state = self._last is None or self._last.state != facts.state
        if not new_state and (facts == self._last or now - self._at < self._every):
            return
        self._last, self._at = facts, now
        if self._as_json:
            json_line(_plain(facts, self.pace.rate()))
            return
        if terminal:
            _write_over("")
        text = _line(facts.done, facts.frames, self.pace.rate()) if facts.state == "reducing" else facts.detail
        click.echo(clean(f"{time.strftime('%H:%M:%S', time.gmtime())}  {facts.name}  {facts.state:<9} {text}".rstrip()))


def _look(session: Session, path: str) -> _Facts:
    """See how far a run is; of one whose bytes have changed, its new version."""
    from sqlalchemy import func, select

    from roque.archive.models import Job, Reduction
    from roque.archive.names import find_run
    from roque.archive.progress import run_state
    from roque.jobs.life import unfinished

    run = find_run(session, path)
    come_to = run_state(session, run)
    newest = select(Reduction.frames_done).where(Reduction.run_id == run.id, Reduction.state.in_(("running", "done")))
    done = (
        session.scalar(
            newest.order_by(Reduction.state.desc(), Reduction.id.desc()).limit(1)  # one that runs before one that is done
        )
        or 0
    )
    jobs = session.scalar(select(func.count()).where(Job.run_id == run.id, unfinished())) or 0
    return _Facts(path, come_to.word, come_to.detail, come_to.failed, run.frames, done, jobs)


def _plain(facts: _Facts, rate: float | None) -> dict[str, Any]:
    left = _left(facts.frames - facts.done, rate)
    return {
        "name": facts.name,
        "state": facts.state,
        "detail": facts.detail,
        "frames": facts.frames,
        "frames_done": facts.done,
        "frames_per_second": round(rate, 2) if rate else None,
        "seconds_left": round(left, 1) if left is not None else None,
        "jobs": facts.jobs,
        "ended": facts.ended,
    }


def _together(found: list[_Facts], shown: list[_Shown]) -> str:
    """All runs in one line."""
    rates = [rate for one in shown if (rate := one.pace.rate())]
    text = _line(sum(facts.done for facts in found), sum(facts.frames for facts in found), sum(rates) or None)
    if len(found) == 1:
        return f"{found[0].state}, {text}"
    return f"{sum(facts.ended for facts in found)} of {len(found)} runs ended, {text}"


def _line(done: int, frames: int, rate: float | None) -> str:
    left = _left(frames - done, rate)
    parts = [f"{done} of {frames} frames", f"{rate:.0f} frames/s" if rate else "", f"{left:.0f} s left" if left else ""]
    return ", ".join(part for part in parts if part)


def _left(frames: int, rate: float | None) -> float | None:
    return frames / rate if rate else None


def _write_over(text: str) -> None:
    sys.stderr.write(f"\r{text}\x1b[K")
    sys.stderr.flush()
