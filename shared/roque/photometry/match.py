"""Which star of one list is which of another: lists of two frames, or of two CCDs that see the same field."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["IDENTITY", "Match", "Transform", "match_positions", "pair_up"]

Floats = NDArray[np.floating[Any]]
Indices = NDArray[np.int64]

_BRIGHTEST = 30  # stars of each list that the pattern is looked for in
_TURN = math.radians(3.0)  # largest rotation
_STRETCH = 0.02  # largest difference of scale
_ENOUGH = 0.5  # share of the shorter list above which a mere shift is believed
_FEW, _MANY = 3, 6  # stars that can tell a rotation, and that tell it well
_LOOSE = 0.2  # rms about a mere shift, in units of the tolerance, from which few stars are asked for a rotation
_ROUNDS = 5


@dataclass(frozen=True, slots=True)
class Transform:
    """A shift with a small rotation and change of scale: ``x' = a x - b y + dx``, ``y' = b x + a y + dy``."""

    a: float = 1.0
    b: float = 0.0
    dx: float = 0.0
    dy: float = 0.0

    def __call__(self, xy: Floats) -> NDArray[np.float64]:
        """Transform positions, shape (n, 2)."""
        x, y = xy[..., 0], xy[..., 1]
        return np.stack([self.a * x - self.b * y + self.dx, self.b * x + self.a * y + self.dy], axis=-1)

    def inverse(self) -> Transform:
        """The way back."""
        norm = self.a**2 + self.b**2
        a, b = self.a / norm, -self.b / norm
        return Transform(a, b, -(a * self.dx - b * self.dy), -(b * self.dx + a * self.dy))

    @property
    def rotation(self) -> float:
        """Rotation, radians, counter-clockwise."""
        return math.atan2(self.b, self.a)

    @property
    def scale(self) -> float:
        """Change of scale."""
        return math.hypot(self.a, self.b)


IDENTITY = Transform()


@dataclass(frozen=True, slots=True, eq=False)
class Match:
    """Pairs of the same star in two lists, and the transform from the first list to the second."""

    transform: Transform
    first: Indices
    """Indices into the first list."""
    second: Indices
    """Indices into the second list, in the same order."""


def match_positions(
    first: Floats, second: Floats, *, tolerance: float, max_shift: float, guess: Transform = IDENTITY
) -> Match | None:
    """Match two lists of positions.

    Parameters
    ----------
    first, second : array
        Positions, shape (n, 2), brightest first: only the order matters, so lists of different filters can be compared.
    tolerance : float
        Distance up to which two positions are the same star, in the positions' unit.
    max_shift : float
        Farthest that stars may lie from where `guess` puts them.
    guess : Transform
        Where to look: the transform of the frame before, say.

    Returns
    -------
    Match or None
        None if nothing in the lists agrees.

    Notes
    -----
    Each pair of stars is a hypothesis on the shift; the one under which most of the brightest stars meet wins, and among
    equals the one that is nearest to the guess. If less than half of the stars meet, rotations up to 3 degrees and scales
    that differ by up to 2 % are tried too: each pair of pairs of equal separation is then a hypothesis.
    """
    if not len(first) or not len(second):
        return None
    seen, wanted = guess(first[:_BRIGHTEST]), second[:_BRIGHTEST]
    shift, met = _best_shift(seen, wanted, tolerance, max_shift)
    if not met:
        return None
    start = _after(guess, shift)
    fewest = min(len(seen), len(wanted))
    if met < _ENOUGH * fewest and fewest >= 4:
        turned, met_turned = _best_turn(seen, wanted, tolerance, max_shift)
        if met_turned > met:
            start = _after(guess, turned)
    return _refine(first, second, start, tolerance)


def _best_shift(seen: Floats, wanted: Floats, tolerance: float, max_shift: float) -> tuple[Transform, int]:
    shifts = (wanted[None, :, :] - seen[:, None, :]).reshape(-1, 2)
    shifts = shifts[np.hypot(shifts[:, 0], shifts[:, 1]) <= max_shift]
    return _best(seen, wanted, [Transform(dx=dx, dy=dy) for dx, dy in shifts.tolist()], tolerance, max_shift)


def _best_turn(seen: Floats, wanted: Floats, tolerance: float, max_shift: float) -> tuple[Transform, int]:
    i, j, length, angle = _separations(seen)
    k, m, other_length, other_angle = _separations(wanted)
    turn = (other_angle[None, :] - angle[:, None] + np.pi) % (2 * np.pi) - np.pi
    fits = (np.abs(turn) < _TURN) & (np.abs(other_length[None, :] / length[:, None] - 1.0) < _STRETCH)
    fits &= length[:, None] > 10.0 * tolerance
    trials = []
    for p, q in np.argwhere(fits).tolist():
        trial = _similarity(seen[[i[p], j[p]]], wanted[[k[q], m[q]]])
        if np.hypot(*(trial(seen[i[p]]) - seen[i[p]])) <= max_shift:
            trials.append(trial)
    return _best(seen, wanted, trials, tolerance, max_shift)


def _separations(xy: Floats) -> tuple[Indices, Indices, Floats, Floats]:
    """All ordered pairs: indices, distances and directions."""
    i, j = np.nonzero(~np.eye(len(xy), dtype=bool))
    d = xy[j] - xy[i]
    return i, j, np.hypot(d[:, 0], d[:, 1]), np.arctan2(d[:, 1], d[:, 0])


def _best(seen: Floats, wanted: Floats, trials: list[Transform], tolerance: float, max_shift: float) -> tuple[Transform, int]:
    """Trial under which most stars meet, and how many."""
    best, best_score, most = IDENTITY, 0.0, 0
    centre = seen.mean(axis=0)
    for trial in trials:
        met = len(pair_up(trial(seen), wanted, tolerance)[0])
        away = float(np.hypot(*(trial(centre) - centre))) / max(max_shift, tolerance)
        score = met + 0.5 * (1.0 - min(away, 1.0))
        if met and score > best_score:
            best, best_score, most = trial, score, met
    return best, most


def pair_up(seen: Floats, wanted: Floats, tolerance: float) -> tuple[Indices, Indices]:
    """Indices of pairs of two lists that are each other's nearest and no farther apart than the tolerance."""
    square = ((seen[:, None, :] - wanted[None, :, :]) ** 2).sum(axis=2)
    nearest = square.argmin(axis=1)
    index = np.arange(len(seen))
    mutual = (square.argmin(axis=0)[nearest] == index) & (square[index, nearest] <= tolerance**2)
    return index[mutual], nearest[mutual]


def _refine(first: Floats, second: Floats, start: Transform, tolerance: float) -> Match | None:
    """Improve the transform with all the stars that meet, and pair them."""
    transform = start
    for _ in range(_ROUNDS):
        i, j = pair_up(transform(first), second, tolerance)
        if not len(i):
            return None
        better = _fit(first[i], second[j], transform, tolerance)
        if better == transform:
            break
        transform = better
    i, j = pair_up(transform(first), second, tolerance)
    return Match(transform, i, j) if len(i) else None


def _fit(first: Floats, second: Floats, before: Transform, tolerance: float) -> Transform:
    """Fit a similarity where the stars can tell and need one, else a shift that keeps the rotation and scale found before."""
    left = second - before(first)
    dx, dy = np.median(left, axis=0).tolist()
    rms = float(np.sqrt(((left - [dx, dy]) ** 2).sum(axis=1).mean()))
    spread = float(np.sqrt(((first - first.mean(axis=0)) ** 2).sum(axis=1).mean()))
    if spread > 10.0 * tolerance and (len(first) >= _MANY or (len(first) >= _FEW and rms > _LOOSE * tolerance)):
        trial = _similarity(first, second)
        if abs(trial.rotation) < _TURN and abs(trial.scale - 1.0) < _STRETCH:
            return trial
    return Transform(before.a, before.b, before.dx + dx, before.dy + dy)


def _similarity(first: Floats, second: Floats) -> Transform:
    """Least squares over shift, rotation and scale."""
    p, q = first.mean(axis=0), second.mean(axis=0)
    u, v = first - p, second - q
    norm = float((u**2).sum())
    a = float((u * v).sum()) / norm
    b = float((u[:, 0] * v[:, 1] - u[:, 1] * v[:, 0]).sum()) / norm
    return Transform(a, b, float(q[0] - a * p[0] + b * p[1]), float(q[1] - b * p[0] - a * p[1]))


def _after(guess: Transform, step: Transform) -> Transform:
    """One transform after the other, as one."""
    dx, dy = step(np.array([guess.dx, guess.dy])).tolist()
    return Transform(step.a * guess.a - step.b * guess.b, step.b * guess.a + step.a * guess.b, dx, dy)
