"""The shape of the stars of a frame, as weights and profile fits need it."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from roque.photometry.kernels.compiled import kernel
from roque.photometry.kernels.followed import BETA_A, BETA_ERROR, FWHM_A, FWHM_ERROR, MBETA, MFWHM

__all__ = ["mean_shape"]

Floats = NDArray[np.float64]


@kernel
def mean_shape(strict: bool, values: Floats, ccd: Floats) -> tuple[float, float]:
    """Mean FWHM and beta of the stars of a CCD in a frame.

    Parameters
    ----------
    strict : bool
        Whether they are the means that logs have, as in the HiPERCAM pipeline.
    values, ccd : array of float64
        After the apertures were moved, see `roque.photometry.kernels.followed`.

    Notes
    -----
    The means of logs weight with absolute errors. These are small where the fit of a faint star happened to come out narrow, or
    with wide wings: beta near 1, where a profile has no finite flux. A faint star can so outweigh a bright one, and the flux of
    the whole profile swing by factors. Errors of the logarithm of the FWHM and of 1/beta hardly depend on the value: these are
    averaged.
    """
    logs, log_weights, inverse, inverse_weights = 0.0, 0.0, 0.0, 0.0
    for k in range(0 if strict else values.shape[0]):
        fwhm, fwhm_error, beta, beta_error = values[k, FWHM_A], values[k, FWHM_ERROR], values[k, BETA_A], values[k, BETA_ERROR]
        if fwhm > 0.0 and fwhm_error > 0.0:
            weight = (fwhm / fwhm_error) ** 2
            logs += weight * math.log(fwhm)
            log_weights += weight
        if beta > 0.0 and beta_error > 0.0:
            weight = (beta * beta / beta_error) ** 2
            inverse += weight / beta
            inverse_weights += weight
    mfwhm = math.exp(logs / log_weights) if log_weights > 0.0 else ccd[MFWHM]
    mbeta = inverse_weights / inverse if inverse > 0.0 else ccd[MBETA]
    return mfwhm, mbeta
