"""Sources of frames: raw files of every format, lists, described FITS files."""

from roque.spool.follow import follow
from roque.spool.inspect import Inspected, inspect
from roque.spool.open import data_source
from roque.spool.source import TIMES, FrameSource, RunInfo, Times
from roque.spool.unpack import unpack

__all__ = ["TIMES", "FrameSource", "Inspected", "RunInfo", "Times", "data_source", "follow", "inspect", "unpack"]
