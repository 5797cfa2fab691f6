"""Small FITS images of cameras that are described, written card by card."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from astropy.io import fits

STAR = {
    "CREATOR": "MicroObservatory2014-05-23",
    "INSTRUME": "Main",
    "UT-OBS": "2017-12-20T01:33:43.317-0000",
    "EXPTIME": 60.0,
    "OBJECT": "HATP-32",
    "FILTER": "Clear",
}
"""Header of a frame of the camera `microobservatory`."""


def image(path: Path, cards=None, shape=(50, 65), *, common=STAR, **changes) -> Path:
    """Write an image whose header is `common` with changes; a keyword that is 'gone' is left out."""
    header = fits.Header(common | (cards or {}) | changes)
    for key in [k for k, v in header.items() if v == "gone"]:
        del header[key]
    fits.PrimaryHDU(np.ones(shape, np.int16), header).writeto(path)
    return path
