"""Kinds of jobs: which service does them, and what their parameters are."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import MISSING, asdict, dataclass, field, fields
from enum import StrEnum
from functools import cache
from typing import Any, Self, get_type_hints

from roque.errors import BadInput

__all__ = [
    "ALGORITHM",
    "PARAMETERS",
    "SERVICE",
    "BuildMaster",
    "ExportReduction",
    "Kind",
    "Parameters",
    "PrepareReduction",
    "ReduceRange",
    "read_parameters",
]


class Kind(StrEnum):
    """What a job does."""

    BUILD_MASTER = "build_master"
    PREPARE_REDUCTION = "prepare_reduction"
    REDUCE_RANGE = "reduce_range"
    EXPORT_REDUCTION = "export_reduction"


@dataclass(frozen=True, kw_only=True)
class Parameters:
    """Base of the parameters of a job: plain values that go through JSON unchanged."""

    @classmethod
    def from_dict(cls, given: Mapping[str, Any]) -> Self:
        """Check what a row holds.

        Raises
        ------
        BadInput
            A parameter is missing, unknown, or not of its type; the message names it.
        """
        kinds = _types(cls)
        for name in given:
            if name not in kinds:
                raise BadInput(f"a job of this kind has no parameter '{name}'", place=f"{cls.__name__}", remedy=_AGAIN)
        for item in fields(cls):
            if item.name not in given:
                if item.default is MISSING and item.default_factory is MISSING:
                    raise BadInput(f"parameter '{item.name}' is missing", place=cls.__name__, remedy=_AGAIN)
                continue
            value, kind = given[item.name], kinds[item.name]
            wanted = getattr(kind, "__origin__", kind)
            if not isinstance(value, wanted) or (wanted is int and isinstance(value, bool)):
                raise BadInput(
                    f"parameter '{item.name}' is {type(value).__name__}, not {wanted.__name__}",
                    place=cls.__name__,
                    remedy=_AGAIN,
                )
        return cls(**given)

    def to_dict(self) -> dict[str, Any]:
        """Give what a row holds."""
        return asdict(self)


_types: Callable[[Any], dict[str, Any]] = cache(get_type_hints)
_AGAIN = "the job was written by another version of roque: bring both to the same one"


@dataclass(frozen=True, kw_only=True)
class BuildMaster(Parameters):
    """Build a calibration master from a run."""

    run_id: int
    kind: str  # bias, dark, flat
    masters: dict[str, int | None] = field(default_factory=dict)  # kind -> master to apply first, None: done without
    choices: dict[str, Any] = field(default_factory=dict)  # kind -> why that master, or none
    options: dict[str, Any] = field(default_factory=dict)  # how to combine


@dataclass(frozen=True, kw_only=True)
class PrepareReduction(Parameters):
    """Fix recipe, masters and apertures of a reduction."""

    run_id: int
    recipe_id: int
    masters: dict[str, int | None]  # kind -> master, None: done without
    choices: dict[str, Any]  # kind -> why that master, or none
    hints: dict[str, Any] = field(default_factory=dict)  # what the user said: target, apertures, reduce file


@dataclass(frozen=True, kw_only=True)
class ReduceRange(Parameters):
    """Measure the frames `first` to `last`, both included, of a reduction."""

    reduction_id: int
    first: int
    last: int


@dataclass(frozen=True, kw_only=True)
class ExportReduction(Parameters):
    """Write the products of a reduction."""

    reduction_id: int


SERVICE: dict[Kind, str] = {
    Kind.BUILD_MASTER: "calibrator",
    Kind.PREPARE_REDUCTION: "reducer",
    Kind.REDUCE_RANGE: "reducer",
    Kind.EXPORT_REDUCTION: "exporter",
}
"""Kind of job to the service, and so the queue, that does it."""

PARAMETERS: dict[Kind, type[Parameters]] = {
    Kind.BUILD_MASTER: BuildMaster,
    Kind.PREPARE_REDUCTION: PrepareReduction,
    Kind.REDUCE_RANGE: ReduceRange,
    Kind.EXPORT_REDUCTION: ExportReduction,
}
"""Kind of job to its parameters."""

ALGORITHM: dict[Kind, int] = {
    Kind.BUILD_MASTER: 1,
    Kind.PREPARE_REDUCTION: 1,
    Kind.REDUCE_RANGE: 1,
    Kind.EXPORT_REDUCTION: 1,
}
"""Version of what a job computes: raised when its results change, so that they are made anew."""


def read_parameters(kind: Kind, given: Mapping[str, Any]) -> Parameters:
    """Check the parameters of a job.

    Raises
    ------
    BadInput
        See `Parameters.from_dict`.
    """
    return PARAMETERS[kind].from_dict(given)
