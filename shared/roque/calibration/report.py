"""How a master was made."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from typing import Any

__all__ = ["CCDReport", "MasterReport"]


@dataclass(slots=True, kw_only=True)
class CCDReport:
    """What went into one CCD of a master."""

    used: list[int]  # numbers of the frames
    levels: list[float]  # mean counts of each of them, after the masters were applied and before any adjustment
    exposure: float  # s: of the first frame used; net of the bias for a dark
    rejected: float = 0.0  # fraction of the values clipped


@dataclass(slots=True, kw_only=True)
class MasterReport:
    """How a master was made, in values that JSON can hold."""

    kind: str  # bias, dark, flat, fringe, average
    method: str
    sigma: float | None = None  # of the clipping
    adjust: str = "none"
    parameters: dict[str, Any] = field(default_factory=dict)  # other settings it was made with
    ccds: dict[str, CCDReport] = field(default_factory=dict)
    left_out: dict[str, str] = field(default_factory=dict)  # CCDs that the master lacks, and why
    excluded: dict[int, str] = field(default_factory=dict)  # frames left out of all CCDs, and why
    warnings: list[str] = field(default_factory=list)

    def to_dict(self) -> dict[str, Any]:
        """Make plain dicts and lists of it; frame numbers as keys become strings."""
        made = dataclasses.asdict(self)
        return made | {"excluded": {str(number): why for number, why in self.excluded.items()}}
