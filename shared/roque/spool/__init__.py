"""Sources of frames: raw files of every format, lists, described FITS files."""

from __future__ import annotations

import os

from roque.spool.hipercam import HipercamRun
from roque.spool.source import TIMES, FrameSource, RunInfo, Times

__all__ = ["TIMES", "FrameSource", "RunInfo", "Times", "data_source"]


def data_source(source: str, resource: str | os.PathLike[str], first: int = 1) -> FrameSource:
    if source == "hl":
        return HipercamRun(resource, first)
    raise ValueError(source)
