"""What `roque camera check` prints of a file."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import click

from services.cli.output import Column, days, field, table

if TYPE_CHECKING:
    from roque.instruments.explain import Reading, Trial
    from roque.spool.check import Checked

__all__ = ["as_json", "print_checked"]

_MISSES = 3  # cameras named that it is not
_UNITS = {"exposure": "s", "gain": "electrons/ADU", "read_noise": "ADU", "saturation": "ADU", "ra": "degrees", "dec": "degrees"}
_ORIGINS = {
    "header": "header",
    "rule": "default",
    "description": "description",
    "image": "size of image",
    "name": "object's name",
    "nothing": "-",
}
_LAST = ("limits", "middle", "last", "bad_times", "header", "windows", "expected", "source")


def print_checked(found: Checked, *, asked: bool = False) -> None:
    """Print how a file is understood, for people; `asked`: as a file of the camera that was asked for."""
    click.secho(str(found.path), bold=True)
    _print_camera(found, asked=asked)
    if found.readings:
        click.echo()
        titles = [("RULE", False), ("IN THE FILE", True), ("BECOMES", True), ("FROM", False), ("NOTE", True)]
        table([Column(title, shrinks=shrinks) for title, shrinks in titles], [_row(reading) for reading in found.readings])
        click.echo()
    _print_facts(found)
    for warning in found.warnings:
        field("warning", warning, style="yellow")


def as_json(found: Checked) -> dict[str, Any]:
    """What `print_checked` prints, and more, for programs."""
    error = found.error
    return {
        "file": str(found.path),
        "state": "failed" if error else "good",
        "camera": found.camera.name if found.camera else None,
        "tried": [
            {"camera": t.camera, "matches": t.matches, "conditions": [asdict(condition) for condition in t.conditions]}
            for t in found.trials
            if t.conditions
        ],
        "rules": {reading.name: {k: v for k, v in asdict(reading).items() if k != "name"} for reading in found.readings},
        "facts": found.facts,
        "warnings": found.warnings,
        "error": {"code": error.code, "message": error.message, "place": error.place, "remedy": error.remedy}
        if error
        else None,
    }


def _print_camera(found: Checked, *, asked: bool) -> None:
    told = next((t for t in found.trials if found.camera and t.camera == found.camera.name), None)
    if found.camera is None:
        field("camera", "none is known that writes such a file", style="red")
    elif told is not None:
        field("camera", f"{found.camera.name}, since {_said(told)}")
    else:
        field("camera", f"{found.camera.name}, {'as was asked for' if asked else 'told by its reader'}")
    for trial in [t for t in found.trials if t is not told and t.conditions][:_MISSES]:
        why = "it has fewer conditions" if trial.matches else " and ".join(str(c) for c in trial.conditions if not c.met)
        field("not", f"{trial.camera}: {why}")
    untold = sorted(t.camera for t in found.trials if not t.conditions)
    if found.camera is None and untold:
        field("by name only", f"{', '.join(untold)}: nothing in their headers tells them, name one with --camera")


def _said(trial: Trial) -> str:
    return " and ".join(str(condition) for condition in trial.conditions)


def _row(reading: Reading) -> tuple[str, str, str, str, str]:
    seen = ", ".join(f"{k} {'is missing' if v is None else f'= {v!r}'}" for k, v in reading.seen.items())
    value = reading.value
    number = f"{value:.10g}" if isinstance(value, float) else repr(value)
    becomes = "MISSING" if reading.missing else "-" if value is None else f"{number} {_UNITS.get(reading.name, '')}".strip()
    return reading.name, seen or "no keyword", becomes, _ORIGINS[reading.origin], reading.note


def _print_facts(found: Checked) -> None:
    facts = found.facts
    for name, value in facts.items():
        if name not in _LAST and value not in {"", None}:
            unit = " s" if name == "exposure" else ""
            expected = f" of {facts['expected']}" if name == "frames" and facts.get("expected") is not None else ""
            field(name, f"{value}{expected}{unit}")
    for ccd, windows in facts.get("windows", {}).items():
        field(f"CCD {ccd}", "; ".join(f"{label}: {where}" for label, where in windows.items()))
    if facts:
        last = f" to {days(facts['last'])}" if facts.get("last") is not None else ""
        middle = facts["middle"]
        field("middle", f"{days(middle)}{last} UTC, MJD {middle:.9f}" if middle is not None else "no time that can be trusted")
    if facts.get("bad_times"):
        field("bad times", str(facts["bad_times"]), style="yellow")
    for text, ccds in _alike(facts.get("limits", {})).items():
        field("limits", f"{text} (CCD {' '.join(ccds)})")


def _alike(limits: dict[str, dict[str, float]]) -> dict[str, list[str]]:
    """CCDs by what is said of them."""
    found: dict[str, list[str]] = {}
    for ccd, of in limits.items():
        text = (
            f"gain {of['gain']:g} electrons/ADU, read noise {of['read_noise']:g} ADU, "
            f"non-linear from {of['nonlinear']:g} ADU, saturated from {of['saturation']:g} ADU"
        )
        found.setdefault(text, []).append(ccd)
    return found
