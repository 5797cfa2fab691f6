"""The page of `roque run watch`: a run's light curve, transmission, seeing and positions, drawn anew as it grows."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from plotille import Canvas, color

from services.cli.output import clean
from services.cli.watch_curves import Curve

__all__ = ["Size", "draw", "page", "whole_screen"]

Floats = NDArray[np.float64]

COLOURS = ("bright_magenta", "bright_green", "bright_yellow", "bright_red", "bright_cyan", "bright_blue")
LEAST_WIDTH, LEAST_HEIGHT = 60, 18
LABEL = 8
"""Columns of the numbers beside a panel."""

OWN_PANEL = 7
"""Lines that each CCD's light curve must get to have a panel of its own."""

_WILD = 3.0  # percentiles beyond which points do not decide what a panel shows
_UNITS = ((3600.0, "h"), (60.0, "min"), (1.0, "s"))


class Size(NamedTuple):
    """Of a terminal, characters."""

    columns: int
    lines: int


@dataclass(frozen=True)
class _Points:
    """What is drawn into a panel in one colour."""

    seconds: Floats
    values: Floats
    colour: str


@contextmanager
def whole_screen() -> Iterator[None]:
    """Take the terminal for pages; what stood there before is there again afterwards, however it ends."""
    sys.stdout.write("\x1b[?1049h\x1b[?25l\x1b[?7l")  # another screen, no cursor, and what is too long is cut
    try:
        yield
    finally:
        sys.stdout.write("\x1b[?7h\x1b[?25h\x1b[?1049l")
        sys.stdout.flush()


def draw(lines: Sequence[str]) -> None:
    """Draw a page over the one before, without a flicker."""
    # what stood there is cleared before a line is written: after a full one the cursor still stands on its last character
    *above, last = lines
    sys.stdout.write("\x1b[H" + "".join(f"\x1b[K{line}\r\n" for line in above) + f"\x1b[J{last}")
    sys.stdout.flush()


def page(head: Sequence[str], curves: Sequence[Curve], size: Size, *, arcsec: bool) -> list[str]:
    """Compose a page.

    Parameters
    ----------
    head : sequence of str
        First lines: which run, and how far it is.
    curves : sequence of Curve
        Of the CCDs that are shown.
    size : Size
    arcsec : bool
        Whether the seeing is in arcsec.

    Returns
    -------
    list of str
        Lines, one fewer than fit, none wider than the terminal.
    """
    width, height = max(size.columns, LEAST_WIDTH), max(size.lines, LEAST_HEIGHT) - 1
    lines = [clean(line)[:width] for line in head]
    if not curves:
        return [*lines, "", "nothing is measured yet: masters, or the first frames for the apertures, are waited for"]
    lines += [_flags(curves, width), _legend(curves)]
    span = min(float(curve.seconds[0]) for curve in curves)
    below = max(6, (height - len(lines)) * 9 // 20)
    lines += _light_curves(curves, width, height - len(lines) - below, span)
    third = (width - 2) // 3
    panels = [
        _panel("transmission", _each(curves, "transmission"), third, below, span, floor=0.0),
        _panel(f"seeing, {'arcsec' if arcsec else 'pixels'}", _each(curves, "seeing"), third, below, span),
        _positions(curves, width - 2 - 2 * third, below, span),
    ]
    return lines + [" ".join(parts) for parts in zip(*panels, strict=True)]


def _flags(curves: Sequence[Curve], width: int) -> str:
    counts: Counter[str] = Counter()
    for curve in curves:
        counts.update(curve.flags)
    told = ", ".join(f"{name} {number}" for name, number in counts.most_common())
    return f"flags  {told or 'none'}"[:width]


def _legend(curves: Sequence[Curve]) -> str:
    shown = [_paint(f"CCD {c.ccd}{f' {c.band}' if c.band else ''}", _colour(k)) for k, c in enumerate(curves)]
    return "  ".join(shown)


def _light_curves(curves: Sequence[Curve], width: int, height: int, span: float) -> list[str]:
    """One panel for all CCDs, or one for each where there is room."""
    first = curves[0]
    title = f"star {first.star} over {first.comparison}" if first.comparison is not None else f"star {first.star}"
    if len(curves) == 1 or height // len(curves) < OWN_PANEL:
        return _panel(title, _each(curves, "flux"), width, height, span)
    lines: list[str] = []
    for k, (curve, points) in enumerate(zip(curves, _each(curves, "flux"), strict=True)):
        room = (height - len(lines)) // (len(curves) - k)
        lines += _panel(f"{title}, CCD {curve.ccd}", [points], width, room, span)
    return lines


def _positions(curves: Sequence[Curve], width: int, height: int, span: float) -> list[str]:
    """How far stars have gone, in the CCD in the middle of those that are shown: all move together."""
    curve = curves[len(curves) // 2]
    x, y = _Points(curve.seconds, curve.x, "bright_cyan"), _Points(curve.seconds, curve.y, "bright_yellow")
    named = f"{_paint('x', x.colour)} {_paint('y', y.colour)}"
    return _panel("", [x, y], width, height, span, named=(f"x y, pixels, CCD {curve.ccd}", f"{named}, pixels, CCD {curve.ccd}"))


def _panel(
    title: str,
    points: Sequence[_Points],
    width: int,
    height: int,
    span: float,
    *,
    floor: float | None = None,
    named: tuple[str, str] | None = None,
) -> list[str]:
    """Lines of a panel: title, points with their range beside them, and the time below.

    Parameters
    ----------
    title : str
    points : sequence of _Points
    width, height : int
        Of all of it, characters.
    span : float
        Time of the first frame, s before the last.
    floor : float, optional
        What the range begins with.
    named : (str, str), optional
        The title plain and with colours.
    """
    plain, painted = named or (title, title)
    low, high = _limits(np.concatenate([one.values for one in points]), floor)
    body = max(2, height - 2)
    canvas = Canvas(width - LABEL, body, span - 1e-6, low, 1e-3 * max(1.0, -span), high, mode="names")
    for one in points:
        shown = np.isfinite(one.values)
        for t, value in zip(one.seconds[shown].tolist(), np.clip(one.values[shown], low, high).tolist(), strict=True):
            # what lies on the upper edge is outside for a canvas
            canvas.point(t, min(value, high - 1e-9 * (high - low)), color=one.colour)
    digits = max(0, min(5, 2 - int(np.floor(np.log10(high - low)))))
    beside = [""] * body
    beside[0], beside[-1] = f"{high:.{digits}f}", f"{low:.{digits}f}"
    head = f"{painted}{_now(points, digits, width - len(plain))}"
    rows = [
        f"{text[: LABEL - 1]:>{LABEL - 1}} {line}" for text, line in zip(beside, canvas.plot("\n").split("\n"), strict=True)
    ]
    return [head, *rows, _time_axis(width, span)]


def _now(points: Sequence[_Points], digits: int, width: int) -> str:
    """Newest value of each, in its colour if there are several, filled up to a width; nothing where they have no room."""
    latest = [(one.values[np.isfinite(one.values)][-1:], one.colour) for one in points]
    told = [(f"{value[0]:.{digits}f}" if len(value) else "-", colour) for value, colour in latest]
    plain = "  now " + " ".join(text for text, _ in told)
    if len(plain) > width or not any(len(value) for value, _ in latest):
        return " " * width
    shown = plain if len(told) == 1 else "  now " + " ".join(_paint(text, colour) for text, colour in told)
    return shown + " " * (width - len(plain))


def _time_axis(width: int, span: float) -> str:
    unit, name = next(((u, n) for u, n in _UNITS if -span >= 3.0 * u), _UNITS[-1])
    begin, end = f"{span / unit:.3g} {name}", "0"
    return f"{' ' * LABEL}{begin}{end:>{max(1, width - LABEL - len(begin))}}"


def _limits(values: Floats, floor: float | None) -> tuple[float, float]:
    """Range that shows the points but for wild ones."""
    good = values[np.isfinite(values)]
    if not len(good):
        return (0.0, 1.0)
    low, high = np.percentile(good, [_WILD, 100.0 - _WILD])
    reach = 0.6 * (high - low)
    low, high = max(float(good.min()), low - reach), min(float(good.max()), high + reach)
    room = 0.08 * (high - low) or 1e-3 * max(1.0, abs(high))
    return (low - room if floor is None else floor, high + room)


def _each(curves: Sequence[Curve], what: str) -> list[_Points]:
    return [_Points(curve.seconds, getattr(curve, what), _colour(k)) for k, curve in enumerate(curves)]


def _colour(k: int) -> str:
    return COLOURS[k % len(COLOURS)]


def _paint(text: str, colour: str) -> str:
    return color(clean(text), fg=colour, mode="names")
