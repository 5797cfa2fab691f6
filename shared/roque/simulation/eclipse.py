"""An eclipse: its shape averaged over exposures, and a fit of it to a light curve with honest errors."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from roque.errors import BadInput

__all__ = ["Eclipse", "EclipseFit", "eclipse_flux", "fit_eclipse"]

Floats = NDArray[np.float64]
DAY = 86400.0
_STEPS = 200
_MINIMUM_POINTS = 12


@dataclass(frozen=True, kw_only=True)
class Eclipse:
    """A symmetric eclipse with smooth walls.

    Parameters
    ----------
    mid_int, mid_frac : int, float
        Mid-time, MJD(UTC) in two parts.
    depth : float
        Fraction of the light that is lost at the centre, 0 to 1.
    width : float
        Full width at half depth, s.
    ingress : float
        Time scale of the walls, s: from 12 to 88 % of the depth takes two of them.
    """

    mid_int: int
    mid_frac: float
    depth: float
    width: float
    ingress: float

    def flux(self, mjd_int: ArrayLike, mjd_frac: ArrayLike, exposure: ArrayLike) -> Floats:
        """Light left, averaged over exposures (s) centred on the given MJD(UTC)."""
        days = (np.asarray(mjd_int) - self.mid_int) + (np.asarray(mjd_frac) - self.mid_frac)
        return eclipse_flux(days * DAY, exposure, depth=self.depth, width=self.width, ingress=self.ingress)


@dataclass(frozen=True, kw_only=True)
class EclipseFit:
    """What a fit found; errors are one standard deviation, from the errors of the points alone.

    `mid` is in the unit and from the zero of the times given (days), `mid_error`, `width` and `ingress` in seconds.
    """

    depth: float
    depth_error: float
    mid: float
    mid_error: float
    width: float
    ingress: float
    level: float  # light outside the eclipse, in the unit of the light curve
    chi2: float
    points: int

    @property
    def reduced_chi2(self) -> float:
        """Chi squared per degree of freedom (five parameters)."""
        return self.chi2 / (self.points - 5)


def eclipse_flux(seconds: ArrayLike, exposure: ArrayLike, *, depth: float, width: float, ingress: float) -> Floats:
    r"""Light left during an eclipse, averaged over each exposure.

    Parameters
    ----------
    seconds : array_like
        Middle of the exposures from mid-eclipse, s.
    exposure : array_like
        Their lengths, s, above 0.
    depth, width, ingress : float
        As in `Eclipse`.

    Returns
    -------
    array of float64
        1 far outside, ``1 - depth`` at the centre.

    Notes
    -----
    The instantaneous loss is :math:`d\,[\tanh((w/2 + t)/s) + \tanh((w/2 - t)/s)] / (2 \tanh(w/2s))`. Its mean over an
    exposure has a closed form, since the integral of tanh is ln cosh: no sampling inside exposures is needed.
    """
    t = np.asarray(seconds, float)
    half = 0.5 * np.asarray(exposure, float)
    edge = 0.5 * width
    rising = _log_cosh((edge + t + half) / ingress) - _log_cosh((edge + t - half) / ingress)
    falling = _log_cosh((edge - t + half) / ingress) - _log_cosh((edge - t - half) / ingress)
    loss = ingress * (rising + falling) / (4.0 * half * np.tanh(edge / ingress))
    return np.asarray(1.0 - depth * loss)


def fit_eclipse(times: ArrayLike, exposures: ArrayLike, values: ArrayLike, errors: ArrayLike) -> EclipseFit:
    """Fit level, depth, mid-time, width and ingress to a light curve with one eclipse, by weighted least squares.

    Parameters
    ----------
    times : array_like
        Mid-exposure times, days from any zero.
    exposures : array_like
        Exposure times, s.
    values, errors : array_like
        Light and its standard deviation. Points that are not finite, or without a positive error, are left out.

    Returns
    -------
    EclipseFit
        Errors are from the inverse of the normal matrix, not scaled by chi squared.

    Raises
    ------
    BadInput
        Too few points, or nothing in them that looks like an eclipse.
    """
    t, e, y, ye = (np.asarray(a, float) for a in (times, exposures, values, errors))
    good = np.isfinite(t) & np.isfinite(e) & np.isfinite(y) & np.isfinite(ye) & (ye > 0) & (e > 0)
    if good.sum() < _MINIMUM_POINTS:
        raise BadInput(f"{good.sum()} usable points are too few for an eclipse", remedy=f"give at least {_MINIMUM_POINTS}")
    t, e, y, ye = t[good], e[good], y[good], ye[good]
    zero = float(t[0])
    seconds = (t - zero) * DAY
    parameters, covariance, chi2 = _least_squares(seconds, e, y, ye, _guess(seconds, y))
    level, depth, mid, width, ingress = (float(p) for p in parameters)
    sigma = np.sqrt(np.diag(covariance))
    return EclipseFit(
        depth=depth,
        depth_error=float(sigma[1]),
        mid=zero + mid / DAY,
        mid_error=float(sigma[2]),
        width=width,
        ingress=ingress,
        level=level,
        chi2=chi2,
        points=len(y),
    )


def _guess(seconds: Floats, y: Floats) -> Floats:
    """Start values from the light curve: level from its upper half, the eclipse from the points below half depth."""
    level = float(np.percentile(y, 75))
    bottom = float(np.percentile(y, 3))
    low = seconds[y < 0.5 * (level + bottom)]
    if not level > bottom or level <= 0 or len(low) < 2:
        raise BadInput("no eclipse in the light curve", remedy="give a light curve that covers one whole eclipse")
    mid = float(np.median(low))
    width = float(len(low) * np.median(np.diff(seconds)))
    return np.array([level, 1.0 - bottom / level, mid, width, width / 10.0])


def _model(parameters: Floats, seconds: Floats, exposures: Floats) -> Floats:
    level, depth, mid, width, ingress = parameters
    return np.asarray(level * eclipse_flux(seconds - mid, exposures, depth=depth, width=width, ingress=ingress))


def _least_squares(seconds: Floats, exposures: Floats, y: Floats, ye: Floats, start: Floats) -> tuple[Floats, Floats, float]:
    """Levenberg-Marquardt with a numerical Jacobian: parameters, covariance and chi squared."""
    p = start
    steps = np.array([1e-6 * start[0], 1e-6, 1e-4, 1e-4, 1e-4])
    residual = (y - _model(p, seconds, exposures)) / ye
    chi2 = float(residual @ residual)
    damping = 1e-3
    for _ in range(_STEPS):
        jacobian = _jacobian(p, steps, seconds, exposures) / ye[:, None]
        normal = jacobian.T @ jacobian
        step = _solve(normal + damping * np.diag(np.diag(normal)), jacobian.T @ residual)
        trial = p + step
        if trial[3] <= 0 or trial[4] <= 0:
            damping *= 10.0
            continue
        trial_residual = (y - _model(trial, seconds, exposures)) / ye
        trial_chi2 = float(trial_residual @ trial_residual)
        if not trial_chi2 < chi2 + 1e-9:
            damping *= 10.0
            if damping > 1e12:
                break
            continue
        done = chi2 - trial_chi2 < 1e-8 * chi2
        p, residual, chi2, damping = trial, trial_residual, trial_chi2, max(damping / 10.0, 1e-12)
        if done:
            break
    jacobian = _jacobian(p, steps, seconds, exposures) / ye[:, None]
    return p, _solve(jacobian.T @ jacobian, np.eye(5)), chi2


def _jacobian(p: Floats, steps: Floats, seconds: Floats, exposures: Floats) -> Floats:
    columns = []
    for k, h in enumerate(steps):
        shift = np.zeros(len(p))
        shift[k] = h
        columns.append((_model(p + shift, seconds, exposures) - _model(p - shift, seconds, exposures)) / (2.0 * h))
    return np.stack(columns, axis=1)


def _solve(matrix: Floats, right: Floats) -> Floats:
    try:
        return np.asarray(np.linalg.solve(matrix, right))
    except np.linalg.LinAlgError as error:
        raise BadInput(
            "the light curve does not constrain an eclipse", remedy="give a light curve that covers one whole eclipse"
        ) from error


def _log_cosh(x: NDArray[Any]) -> Floats:
    """Logarithm of cosh without overflow, less the constant ln 2."""
    a = np.abs(x)
    return np.asarray(a + np.log1p(np.exp(-2.0 * a)))
