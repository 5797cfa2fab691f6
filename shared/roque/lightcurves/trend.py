"""Trends of a light curve with airmass, position, sky and the like: robust fits, and whether each term earns its place."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, NamedTuple, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from roque.errors import BadInput, NotFound
from roque.lightcurves._running import scatter

__all__ = ["Term", "Trend", "fit_trend"]

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

_LEAST, _EACH = 10, 5  # points that a fit needs: altogether, and for each of its parameters
_CONSTANT = 1e-10  # of its mean: what changes less does not change
_COPY, _ALIKE = (
    1000.0,
    10.0,
)  # inflation of a coefficient's variance by the terms before it: it is one of them; it resembles them
_SINGULAR = 1e-10
_HUBER = 1.345  # sigma from which on points lose weight while it is not known yet which are outliers
_TURNS, _SETTLED = 20, 1e-3  # of the scatter
_BEYOND = 0.1  # of a regressor's range, from which on a trend is extrapolated
_MANY = 0.05  # part of the points clipped that is worth a word
_HIGHEST = 3


@dataclass(frozen=True)
class Term:
    """A term of a trend.

    Parameters
    ----------
    name : str
        The regressor, or a power of it: ``airmass``, ``x^2``.
    coefficient, error : float
        Relative change of the flux where the regressor is a standard deviation off its mean (a power: to that power), and its
        standard error.
    centre, scale : float
        Mean and standard deviation of the regressor over the points that were fitted.
    bic : float
        By how much the Bayesian information criterion would be higher without the term: it earns its place if above 0, and
        clearly so from 6 on. Correlated noise makes terms look better than they are.
    """

    name: str
    coefficient: float
    error: float
    centre: float
    scale: float
    bic: float


@dataclass(frozen=True)
class Trend:
    """A trend: the factor ``1 + sum(coefficient*((value - centre)/scale)**power)`` that a constant star would show.

    Parameters
    ----------
    terms : tuple of Term
        Those fitted.
    covariance : tuple of tuples of float
        Of their coefficients.
    level, level_error : float
        Value of the light curve where all regressors have their means.
    points, clipped : int
        Number of points fitted, and of outliers left out by the fit.
    chi_square : float
        Reduced chi-square of the fit, by the errors of the light curve. Errors of coefficients are scaled up by its root if it
        is above 1.
    left_out : tuple of (str, str)
        Terms that were asked for and not fitted, and why.
    notes : tuple of str
        What else a person should know.
    """

    terms: tuple[Term, ...]
    covariance: tuple[tuple[float, ...], ...]
    level: float
    level_error: float
    points: int
    clipped: int
    chi_square: float
    left_out: tuple[tuple[str, str], ...]
    notes: tuple[str, ...]

    def factor(self, regressors: Mapping[str, ArrayLike]) -> tuple[Floats, Floats]:
        """Compute the factor and its standard error for values of the regressors; NaN where one is, or it is not positive.

        The errors of different points are not independent: all of them come from those of a few coefficients.
        """
        z = np.array([_standardised(term.name, regressors, term.centre, term.scale) for term in self.terms])
        if not self.terms:
            number = len(np.asarray(next(iter(regressors.values()))))
            return np.ones(number), np.zeros(number)
        value = 1.0 + np.array([term.coefficient for term in self.terms]) @ z
        error = np.sqrt(np.maximum(0.0, np.einsum("in,ij,jn->n", z, np.array(self.covariance), z)))
        with np.errstate(invalid="ignore"):
            good = value > 0.0
        return np.where(good, value, np.nan), np.where(good, error, np.nan)

    def to_dict(self) -> dict[str, Any]:
        """As JSON can hold it, every number to the bit."""
        plain = asdict(self)
        plain["terms"] = [asdict(term) for term in self.terms]
        return {name: _lists(value) for name, value in plain.items()}

    @classmethod
    def from_dict(cls, made: Mapping[str, Any]) -> Self:
        """Trend from what `to_dict` gave.

        Raises
        ------
        BadInput
            It is something else.
        """
        try:
            terms = tuple(Term(**{**term, "name": str(term["name"])}) for term in made["terms"])
            rows = tuple(tuple(float(value) for value in row) for row in made["covariance"])
            left_out = tuple((str(name), str(why)) for name, why in made["left_out"])
            numbers = {name: made[name] for name in ("level", "level_error", "points", "clipped", "chi_square")}
            return cls(terms=terms, covariance=rows, left_out=left_out, notes=tuple(map(str, made["notes"])), **numbers)
        except (KeyError, TypeError, ValueError) as error:
            raise BadInput(f"not a trend ({error!r})", remedy="give one that Trend.to_dict has made") from error


class _Fit(NamedTuple):
    """A least-squares fit: parameters (the level first), the inverse of the normal matrix, chi-square, points used."""

    parameters: Floats
    inverse: Floats
    chi_square: float
    kept: Bools


def fit_trend(
    values: ArrayLike,
    errors: ArrayLike,
    regressors: Mapping[str, ArrayLike],
    terms: Sequence[str],
    use: ArrayLike,
    *,
    clip: float = 5.0,
    prune: bool = False,
) -> tuple[Trend, Bools]:
    """Fit a light curve by a level and terms linear in their coefficients.

    Parameters
    ----------
    values, errors : array
        The light curve; errors are standard deviations.
    regressors : mapping of str to array
        What may be behind trends, a value for each point.
    terms : sequence of str
        Which of them to fit, in this order of precedence; ``NAME^2`` or ``NAME^3`` is a power.
    use : array of bool
        Points that may be fitted: out of eclipse, without flags. Those without a value of one of the regressors are not.
    clip : float
        Points farther off than this many times the usual scatter are left out.
    prune : bool
        Whether terms that do not lower the Bayesian information criterion are left out, the worst first.

    Returns
    -------
    Trend
    array of bool
        Points that were fitted.

    Raises
    ------
    NotFound
        A term names no regressor.
    BadInput
        There are too few points for so many terms, or `clip` is not above 1.

    Notes
    -----
    Regressors are standardised, so that coefficients can be compared and powers are not copies of each other. What is constant,
    or all but a combination of the terms before it, is not fitted, and said. The first fit is Huber's, which outliers cannot
    pull far; then points are clipped and the rest fitted by least squares until the set of them no longer changes.
    """
    y, e, usable = np.asarray(values, np.float64), np.asarray(errors, np.float64), np.asarray(use, np.bool_).copy()
    if not clip > 1.0:
        raise BadInput(f"points cannot be clipped at {clip} sigma", remedy="clip at 3 to 6 sigma")
    names = list(dict.fromkeys(terms))
    plain = {name: np.asarray(value, np.float64) for name, value in regressors.items()}
    for name in names:
        base = _read(name, plain)[0]
        usable &= np.isfinite(plain[base])
    usable &= np.isfinite(y) & np.isfinite(e) & (e > 0.0)
    _insist_on_points(int(usable.sum()), len(names))
    scales = {name: _scale(plain[_read(name, plain)[0]][usable]) for name in names}
    kept, left_out, notes = _independent(names, plain, scales, usable)
    while True:
        design = np.stack([np.ones(len(y)), *(_standardised(name, plain, *scales[name]) for name in kept)], axis=1)
        fit = _robust_fit(design, y, e, usable, clip)
        gains = _gains(design, y, e, fit)
        if not prune or not kept or min(gains) > 0.0:
            break
        worst = int(np.argmin(gains))
        left_out.append((kept.pop(worst), f"BIC is {-gains[worst]:.1f} lower without it"))
    clipped = int(usable.sum() - fit.kept.sum())
    if clipped > _MANY * usable.sum():
        notes.append(f"{clipped} of {usable.sum()} points were clipped: leave an eclipse out of the fit yourself")
    weak = [name for name, gain in zip(kept, gains, strict=True) if gain <= 0.0]
    if weak:
        notes.append(f"not worth their place, by BIC: {', '.join(weak)}")
    beyond = np.zeros(len(y), np.bool_)
    for regressor in (plain[_read(name, plain)[0]] for name in kept):
        low, high = regressor[fit.kept].min(), regressor[fit.kept].max()
        room = _BEYOND * (high - low)
        beyond |= np.isfinite(y) & ((regressor < low - room) | (regressor > high + room))
    if beyond.any():
        notes.append(f"{beyond.sum()} points lie beyond what was fitted: there the trend is extrapolated")
    return _trend(kept, scales, fit, gains, clipped, left_out, notes), fit.kept


def _trend(
    names: list[str],
    scales: Mapping[str, tuple[float, float]],
    fit: _Fit,
    gains: list[float],
    clipped: int,
    left_out: list[tuple[str, str]],
    notes: list[str],
) -> Trend:
    """Turn slopes into relative ones."""
    number = int(fit.kept.sum())
    reduced = fit.chi_square / max(1, number - len(fit.parameters))
    covariance = fit.inverse * max(1.0, reduced)
    level = float(fit.parameters[0])
    if not level > 0.0:
        raise BadInput(
            f"the level of the light curve is {level:.3g}: a trend has no relative size", remedy="check the light curve"
        )
    relative = fit.parameters[1:] / level
    jacobian = np.concatenate([-relative[:, np.newaxis], np.eye(len(names))], axis=1) / level
    of_relative = jacobian @ covariance @ jacobian.T
    terms = tuple(
        Term(name, float(c), float(np.sqrt(v)), *scales[name], gain)
        for name, c, v, gain in zip(names, relative, np.diag(of_relative), gains, strict=True)
    )
    rows = tuple(tuple(row) for row in of_relative.tolist())
    error = float(np.sqrt(covariance[0, 0]))
    return Trend(terms, rows, level, error, number, clipped, reduced, tuple(left_out), tuple(notes))


def _read(term: str, regressors: Mapping[str, Any]) -> tuple[str, int]:
    """Name of the regressor of a term, and its power."""
    found = re.fullmatch(rf"(.+?)(?:\^([1-{_HIGHEST}]))?", term)
    if found is None or found[1] not in regressors:
        remedy = f"choose among {', '.join(sorted(regressors))}; a power is NAME^2 or NAME^3"
        raise NotFound(f"nothing is known of a trend with {term}", remedy=remedy)
    return found[1], int(found[2] or 1)


def _scale(values: Floats) -> tuple[float, float]:
    return float(values.mean()), float(values.std())


def _standardised(term: str, regressors: Mapping[str, ArrayLike], centre: float, scale: float) -> Floats:
    base, power = _read(term, regressors)
    values: Floats = ((np.asarray(regressors[base], np.float64) - centre) / scale) ** power
    return values


def _insist_on_points(number: int, terms: int) -> None:
    needed = max(_LEAST, _EACH * (terms + 1))
    if number < needed:
        raise BadInput(
            f"{number} good points are too few to fit a level and {terms} terms: {needed} are needed",
            remedy="fit fewer terms, or exclude less",
        )


def _independent(
    names: list[str], regressors: Mapping[str, Floats], scales: Mapping[str, tuple[float, float]], use: Bools
) -> tuple[list[str], list[tuple[str, str]], list[str]]:
    """Terms that can be told apart; those that cannot, and why; what to say of those that nearly cannot."""
    kept: list[str] = []
    left_out: list[tuple[str, str]] = []
    notes: list[str] = []
    columns = [np.ones(int(use.sum()))]
    for name in names:
        centre, scale = scales[name]
        if not scale > _CONSTANT * max(abs(centre), 1e-300):
            left_out.append((name, "it does not change"))
            continue
        z = _standardised(name, regressors, centre, scale)[use]
        before = np.stack(columns, axis=1)
        rest = z - before @ np.linalg.lstsq(before, z, rcond=None)[0]
        spread = float(np.var(z))
        inflation = spread / max(float(np.var(rest)), 1e-300) if spread > 0.0 else np.inf
        if inflation > _COPY:
            left_out.append((name, f"it cannot be told from {', '.join(kept) or 'a constant'}"))
            continue
        if inflation > _ALIKE:
            notes.append(f"{name} resembles {', '.join(kept)}: its coefficient is {np.sqrt(inflation):.0f} times less certain")
        kept.append(name)
        columns.append(z)
    return kept, left_out, notes


def _robust_fit(design: Floats, y: Floats, e: Floats, use: Bools, clip: float) -> _Fit:
    """Fit by Huber's weights first, then by least squares of what is not clipped."""
    residual = np.full(len(y), np.nan)
    huber = np.ones(int(use.sum()))
    for _ in range(_TURNS):
        before = residual[use]
        residual = (y - design @ _solve(design[use], y[use], e[use] / np.sqrt(huber)).parameters) / e
        usual = scatter(residual[use])
        if not usual > 0.0 or np.all(np.abs(residual[use] - before) < _SETTLED * usual):
            break
        huber = np.minimum(1.0, _HUBER * usual / np.maximum(np.abs(residual[use]), 1e-300))
    kept = use
    for _ in range(_TURNS):
        usual = scatter(residual[kept])
        with np.errstate(invalid="ignore"):
            now = use & (np.abs(residual) <= clip * usual) if usual > 0.0 else use
        fit = _solve(design[now], y[now], e[now])._replace(kept=now)
        residual = (y - design @ fit.parameters) / e
        if np.array_equal(now, kept):
            break
        kept = now
    return fit


def _solve(design: Floats, y: Floats, e: Floats) -> _Fit:
    """Weighted least squares, by singular values."""
    weighted, target = design / e[:, np.newaxis], y / e
    u, s, vt = np.linalg.svd(weighted, full_matrices=False)
    if not s[-1] > _SINGULAR * s[0]:
        raise BadInput("without outliers, terms cannot be told apart", remedy="fit fewer terms, or clip at more sigma")
    parameters = vt.T @ ((u.T @ target) / s)
    inverse = (vt.T / s**2) @ vt
    return _Fit(parameters, inverse, float(((target - weighted @ parameters) ** 2).sum()), np.ones(len(y), np.bool_))


def _gains(design: Floats, y: Floats, e: Floats, fit: _Fit) -> list[float]:
    """By how much the Bayesian information criterion rises when each term is left out.

    ``BIC = n ln(chi^2/n) + k ln n``: whatever the errors leave out changes all models alike.
    """
    use = fit.kept
    number = int(use.sum())
    least = np.finfo(float).tiny
    gains = []
    for column in range(1, design.shape[1]):
        without = _solve(np.delete(design[use], column, axis=1), y[use], e[use]).chi_square
        gains.append(number * float(np.log(max(without, least) / max(fit.chi_square, least))) - float(np.log(number)))
    return gains


def _lists(value: Any) -> Any:
    return [_lists(item) for item in value] if isinstance(value, tuple) else value
