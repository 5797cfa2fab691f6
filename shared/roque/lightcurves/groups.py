"""Rows of a log in the order of the HiPERCAM pipeline's parallel reductions."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np

from roque.photometry.measurements import Measurements

__all__ = ["by_ccd"]


def by_ccd(group: Measurements, ccds: Iterable[str]) -> Iterator[Measurements]:
    """Give the rows of a group of frames CCD by CCD, as a reduction with ncpu > 1 logs them.

    Parameters
    ----------
    group : array of dtype `MEASUREMENT`
        Rows of successive frames.
    ccds : iterable of str
        Labels of the CCDs in the order of the data: one that is skipped in the first frame may yet come first.

    Notes
    -----
    Each frame of the group gets the mean FWHM and beta of the last one in which its CCD was read out: the HiPERCAM pipeline
    hands them over once a group.
    """
    for ccd in ccds:
        rows = group[group["ccd"] == ccd]
        if not len(rows):
            continue
        last = rows[np.argmax(rows["frame"])]
        rows["mfwhm"], rows["mbeta"] = last["mfwhm"], last["mbeta"]
        yield rows
