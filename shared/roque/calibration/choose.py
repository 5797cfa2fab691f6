"""Which master serves a run: the rules, with the reason why each other one does not."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from roque.frames import Geometry

__all__ = ["Candidate", "Choice", "Policy", "Wanted", "choose", "rule"]

Windows = Mapping[str, Mapping[str, Geometry]]
"""Geometry of each window, by CCD label and window label."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What the data need of a master."""

    instrument: str
    windows: Windows
    mode: str
    speed: str
    filters: Mapping[str, str]  # by CCD
    exposure: Mapping[str, float | None]  # by CCD, s; None: not known
    mjd: float  # middle of the run
    temperature: float | None = None  # of the detectors, K


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """What a master offers."""

    id: str
    kind: str  # bias, dark, flat, fringe
    name: str
    good: bool = True
    state: str = "good"  # word for what it is if not good
    instrument: str
    windows: Windows
    mode: str
    speed: str
    filters: Mapping[str, str]
    exposure: Mapping[str, float | None]  # by CCD, s, net of the bias for darks
    mjd: float
    temperature: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """How far a master may be from the data; None: any distance."""

    days: Mapping[str, float | None] = field(default_factory=lambda: {"bias": 30.0, "dark": 60.0, "flat": 10.0, "fringe": None})
    """Greatest distance in time by kind, days. Dust moves, so flats age fastest; fringes belong to the chip."""
    exposure_ratio: float = 0.2
    """Least exposure of a dark, in exposures of the data: scaling up multiplies its noise."""
    temperature_step: float = 2.0
    """Greatest difference of detector temperatures of dark and data, K."""
    binned_bias: bool = False
    """Whether a bias of a finer binning serves, averaged: its level is right where pixels are summed on the chip."""


@dataclass(frozen=True, slots=True)
class Choice:
    """The master chosen, why, and why each other candidate lost."""

    winner: Candidate | None
    reason: str
    rejected: tuple[tuple[Candidate, str], ...]


def choose(kind: str, wanted: Wanted, candidates: Sequence[Candidate], policy: Policy | None = None) -> Choice:
    """Choose the master of a kind for a run.

    Parameters
    ----------
    kind : str
        bias, dark, flat or fringe.
    wanted : Wanted
        What the data are.
    candidates : sequence of Candidate
        Masters to choose from, in any order; the order does not matter.
    policy : Policy, optional
        Limits of distance.

    Returns
    -------
    Choice
        ``winner`` is None if none will do; ``reason`` then says what stands in the way.

    Notes
    -----
    A master must be good, of the same instrument, cover each window of the data on each CCD in step, and lie within the
    policy's distance. A bias has the same read-out speed and the same binning, and is of drift mode if the data are; other
    modes read the same pixels in the same way. A dark has the same binning, is long enough and about as cold. A flat has the
    same filter on each CCD and a binning that divides the data's; so has a fringe map. Of those that serve, the nearest
    night wins, then the same binning and mode, then the nearest in time, then the lesser id.
    """
    policy = policy or Policy()
    serving: list[Candidate] = []
    rejected: list[tuple[Candidate, str]] = []
    for candidate in sorted(candidates, key=lambda c: _rank(c, wanted)):
        fault = _fault(kind, wanted, candidate, policy)
        if fault:
            rejected.append((candidate, fault))
        else:
            serving.append(candidate)
    if not serving:
        return Choice(None, _none_serves(kind, rejected), tuple(rejected))
    winner, *others = serving
    reason = f"{_distance(winner, wanted)}, " + (
        "the only one that matches" if not others else f"the best of {len(serving)} that match"
    )
    lost = tuple((other, _why_second(winner, other, wanted)) for other in others)
    return Choice(winner, reason, lost + tuple(rejected))


def rule(kind: str, policy: Policy | None = None) -> str:
    """Say in a sentence what `choose` asks of a master of a kind."""
    policy = policy or Policy()
    asked = ["good", "of the same instrument", "covering every window in step"]
    match kind:
        case "bias":
            asked += ["of the same binning and read-out speed", "in drift mode if the data are"]
        case "dark":
            asked += [
                "of the same binning",
                f"at least {policy.exposure_ratio:g} times as long an exposure",
                f"within {policy.temperature_step:g} K of the detectors' temperature",
            ]
        case _:
            asked += ["of the same filter on each CCD", "of a binning that divides the data's"]
    limit = policy.days.get(kind)
    asked += [f"within {limit:g} days"] if limit is not None else []
    return f"{', '.join(asked)}; of those the nearest night, then the same binning and mode, then the nearest in time"


def _fault(kind: str, wanted: Wanted, candidate: Candidate, policy: Policy) -> str:
    """What stands against a candidate, in words; empty if nothing does."""
    if candidate.kind != kind:
        return f"a {candidate.kind}, needs a {kind}"
    if not candidate.good:
        return f"marked {candidate.state}"
    if candidate.instrument != wanted.instrument:
        return f"instrument {candidate.instrument}, needs {wanted.instrument}"
    fault = _window_fault(
        wanted.windows, candidate.windows, same_binning=kind == "dark" or (kind == "bias" and not policy.binned_bias)
    )
    if fault:
        return fault
    match kind:
        case "bias":
            fault = _bias_fault(wanted, candidate)
        case "dark":
            fault = _dark_fault(wanted, candidate, policy)
        case _:
            fault = _filter_fault(wanted, candidate)
    if fault:
        return fault
    limit = policy.days.get(kind)
    if limit is not None and abs(candidate.mjd - wanted.mjd) > limit:
        return f"{_distance(candidate, wanted)}, at most {limit:g} days allowed"
    return ""


def _bias_fault(wanted: Wanted, candidate: Candidate) -> str:
    if candidate.speed != wanted.speed:
        return f"read-out speed {candidate.speed or 'not known'}, needs {wanted.speed or 'not known'}"
    if _is_drift(candidate.mode) != _is_drift(wanted.mode):
        return f"mode {candidate.mode or 'not known'}, needs {wanted.mode or 'not known'}"
    return ""


def _dark_fault(wanted: Wanted, candidate: Candidate, policy: Policy) -> str:
    for ccd in wanted.windows:
        have, need = candidate.exposure.get(ccd), wanted.exposure.get(ccd)
        if have is not None and need is not None and have < policy.exposure_ratio * need:
            return f"exposure {have:g} s on CCD {ccd}, needs {policy.exposure_ratio * need:g} s or more"
    have, need = candidate.temperature, wanted.temperature
    if have is not None and need is not None and abs(have - need) > policy.temperature_step:
        return f"detector at {have:g} K, needs {need:g} within {policy.temperature_step:g} K"
    return ""


def _filter_fault(wanted: Wanted, candidate: Candidate) -> str:
    for ccd in wanted.windows:
        have, need = (side.filters.get(ccd) or "not known" for side in (candidate, wanted))
        if have != need:
            return f"filter {have} on CCD {ccd}, needs {need}"
    return ""


def _window_fault(wanted: Windows, offered: Windows, *, same_binning: bool) -> str:
    for ccd, windows in wanted.items():
        if not offered.get(ccd):
            return f"has no CCD {ccd}"
        for label, need in windows.items():
            have = list(offered[ccd].values())
            binned = [g for g in have if _binning_serves(g, need, same_binning=same_binning)]
            if not binned:
                return f"binning {have[0].xbin}x{have[0].ybin}, needs {need.xbin}x{need.ybin}"
            if not any(g.contains(need) for g in binned):
                place = f"window {label} of CCD {ccd}"
                return f"does not cover {place}" if not any(_covers(g, need) for g in binned) else f"out of step with {place}"
    return ""


def _binning_serves(have: Geometry, need: Geometry, *, same_binning: bool) -> bool:
    if same_binning:
        return (have.xbin, have.ybin) == (need.xbin, need.ybin)
    return need.xbin % have.xbin == 0 and need.ybin % have.ybin == 0


def _covers(have: Geometry, need: Geometry) -> bool:
    return have.xlo <= need.xlo and have.xhi >= need.xhi and have.ylo <= need.ylo and have.yhi >= need.yhi


def _is_drift(mode: str) -> bool:
    return "drift" in mode.lower()


def _rank(candidate: Candidate, wanted: Wanted) -> tuple[int, bool, bool, float, float, str]:
    """Order of those that serve: nearest night, same binning, same mode, nearest in time, and the rest makes it definite."""
    apart = abs(candidate.mjd - wanted.mjd)
    other_binning = _binnings(candidate.windows) != _binnings(wanted.windows)
    return round(apart), other_binning, candidate.mode != wanted.mode, apart, candidate.mjd, candidate.id


def _binnings(windows: Windows) -> set[tuple[int, int]]:
    return {(g.xbin, g.ybin) for inner in windows.values() for g in inner.values()}


def _why_second(winner: Candidate, other: Candidate, wanted: Wanted) -> str:
    mine, its = _rank(other, wanted), _rank(winner, wanted)
    if mine[0] == its[0] and mine[1] != its[1]:
        return "matches, but the chosen one has the binning of the data"
    if mine[:2] == its[:2] and mine[2] != its[2]:
        return "matches, but the chosen one has the mode of the data"
    return f"matches, but is {_distance(other, wanted)}; the chosen one is nearer"


def _none_serves(kind: str, rejected: list[tuple[Candidate, str]]) -> str:
    if not rejected:
        return f"no {kind} is recorded"
    reasons = list(dict.fromkeys(why for _, why in rejected))
    shown = "; ".join(reasons[:3]) + ("; ..." if len(reasons) > 3 else "")
    return f"none of {len(rejected)} serves: {shown}"


def _distance(candidate: Candidate, wanted: Wanted) -> str:
    days = candidate.mjd - wanted.mjd
    size = f"{abs(days):.1f} days" if abs(days) >= 1 else f"{abs(days) * 24:.1f} hours"
    return f"taken {size} {'before' if days < 0 else 'after'}"
