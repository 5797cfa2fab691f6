"""The reducer: prepares reductions and measures ranges of frames."""

from __future__ import annotations

from roque.jobs.handlers import Handler
from roque.jobs.kinds import Kind
from services.reducer.prepare import prepare
from services.reducer.ranges import reduce_range

__all__ = ["HANDLERS"]

HANDLERS: dict[Kind, Handler] = {Kind.PREPARE_REDUCTION: prepare, Kind.REDUCE_RANGE: reduce_range}
