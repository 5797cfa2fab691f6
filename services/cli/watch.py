"""`roque run watch`: how far runs are, until all have ended."""

from __future__ import annotations

import sys
import time
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

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


@click.command()
@click.argument("names", metavar="RUN...", nargs=-1, required=True)
@json_option
@pass_app
def watch(app: App, names: tuple[str, ...], *, as_json: bool) -> int:
    """Show how far runs are, until all have ended.

    A line is written whenever something has changed; on a terminal the last one keeps up with the frames. Exit status 0 if all
    ended well, 1 if one failed or was cancelled.

    \b
    Examples:
      roque run watch run0012
      roque run watch run0012 run0013 --json
    """
    from roque.archive.names import find_run

    with app.record.reading() as session:
        paths = list(dict.fromkeys(find_run(session, name).path for name in names))
    terminal = sys.stderr.isatty() and sys.stdout.isatty() and not as_json and not app.quiet
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


class _Shown:
    """What was said of a run, and how fast it gets on."""

    def __init__(self, *, as_json: bool, every: float) -> None:
        self._as_json, self._every = as_json, every
        self._last: _Facts | None = None
        self._at = 0.0
        self._seen: deque[tuple[float, int]] = deque()

    def rate(self) -> float | None:
        """Frames a second of late; None if there are none."""
        (t0, n0), (t1, n1) = self._seen[0], self._seen[-1]
        return (n1 - n0) / (t1 - t0) if n1 > n0 else None

    def show(self, facts: _Facts, *, terminal: bool) -> None:
        """Say what there is to say of a run now."""
        now = time.monotonic()
        if self._seen and facts.done < self._seen[-1][1]:
            self._seen.clear()  # it is reduced anew
        self._seen.append((now, facts.done))
        while now - self._seen[0][0] > RATE_SECONDS:
            self._seen.popleft()
        new_state = self._last is None or self._last.state != facts.state
        if not new_state and (facts == self._last or now - self._at < self._every):
            return
        self._last, self._at = facts, now
        if self._as_json:
            json_line(_plain(facts, self.rate()))
            return
        if terminal:
            _write_over("")
        text = _line(facts.done, facts.frames, self.rate()) if facts.state == "reducing" else facts.detail
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
    rates = [rate for one in shown if (rate := one.rate())]
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
