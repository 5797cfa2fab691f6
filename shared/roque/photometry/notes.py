"""Things that a person should know of a reduction and that stopped nothing."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from roque.photometry.flags import DESCRIPTIONS, Flag
from roque.photometry.kernels.left_out import MOST_LOST
from roque.photometry.kernels.outcome import OK, UNITS, WORDS

__all__ = ["Note", "Notes"]

_MOST = 1000
"""Different notes kept of a range; there are fewer as long as the apertures are not many hundreds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Note:
    """Something that happened to an aperture, a CCD or the run, in one frame or more.

    Parameters
    ----------
    kind : str
        Stable name of what happened, for filters: 'reference', 'fit', 'monitor', 'no_window', 'levels', 'calibration', 'box',
        'trim', 'pixels'.
    text : str
        In words.
    ccd, aperture : str
        Labels; '' where the note is about more.
    frame, last_frame : int
        First and last frame concerned; 0 where it is not about frames.
    count : int
        Number of frames.
    detail : str
        A number that goes with the first of them, with its unit.
    """

    kind: str
    text: str
    ccd: str = ""
    aperture: str = ""
    frame: int = 0
    last_frame: int = 0
    count: int = 1
    detail: str = ""

    def __str__(self) -> str:
        where = [f"CCD {self.ccd}"] if self.ccd else []
        where += [f"aperture {self.aperture}"] if self.aperture else []
        if self.count > 1:
            where.append(f"{self.count} frames from {self.frame} to {self.last_frame}")
        elif self.frame:
            where.append(f"frame {self.frame}")
        text = f"{self.text} ({self.detail})" if self.detail else self.text
        return f"{', '.join(where)}: {text}" if where else text


class Notes:
    """Notes of a range of frames; what repeats is counted, so that their number stays small."""

    def __init__(self) -> None:
        self._notes: dict[tuple[str, str, str, str], Note] = {}

    def add(self, note: Note) -> None:
        """Take a note down, or count it if there is the like of it."""
        key = note.kind, note.text, note.ccd, note.aperture
        known = self._notes.get(key)
        if known is not None:
            first, last = min(known.frame, note.frame), max(known.last_frame, note.last_frame)
            self._notes[key] = replace(known, frame=first, last_frame=last, count=known.count + note.count)
        elif len(self._notes) < _MOST:
            self._notes[key] = note

    def extend(self, notes: Iterable[Note]) -> None:
        """Take several down."""
        for note in notes:
            self.add(note)

    def add_outcomes(
        self,
        ccd: str,
        labels: tuple[str, ...],
        references: NDArray[np.bool_],
        frames: NDArray[np.int32],
        outcomes: NDArray[np.int64],
        details: NDArray[np.float64],
    ) -> None:
        """Take down what became of the apertures of a CCD; `outcomes` and `details` have shape (frames, apertures)."""
        for k, label in enumerate(labels):
            for outcome in np.unique(outcomes[:, k]):
                if outcome == OK:
                    continue
                where = outcomes[:, k] == outcome
                what, unit = WORDS[int(outcome)], UNITS.get(int(outcome))
                detail = f"{details[where, k][0]:.1f} {unit}" if unit else ""
                if references[k]:
                    text = f"{what}; the CCD followed its other references, or stayed where it was"
                else:
                    text = f"{what}; the aperture moved as the references did, or stayed"
                self._add_frames("reference" if references[k] else "fit", text, ccd, label, frames[where], detail)

    def add_flags(
        self,
        ccd: str,
        labels: tuple[str, ...],
        monitor: Mapping[str, Iterable[str]],
        frames: NDArray[np.int32],
        flags: NDArray[np.int64],
    ) -> None:
        """Take down the flags that are to be told of; `flags` has shape (frames, apertures)."""
        for k, label in enumerate(labels):
            for name in monitor.get(label, ()):
                flag = Flag[name]
                at = frames[(flags[:, k] & int(flag)) != 0]
                if at.size:
                    self._add_frames("monitor", f"{name}: {DESCRIPTIONS[flag]}", ccd, label, at)

    def add_lost(self, ccd: str, labels: tuple[str, ...], frames: NDArray[np.int32], lost: NDArray[np.float64]) -> None:
        """Take down what share of the light of stars was not measured but made up for; `lost` has shape (frames, apertures)."""
        for k, label in enumerate(labels):
            where = (lost[:, k] > 0.0) & (lost[:, k] <= MOST_LOST)
            if where.any():
                text = "light on pixels that are left out is made up for by the profile"
                detail = f"{lost[where, k][0]:.2%}"
                self._add_frames("pixels", text, ccd, label, frames[where], detail)

    def list(self) -> list[Note]:
        """Notes in the order in which they were first taken."""
        return list(self._notes.values())

    def _add_frames(self, kind: str, text: str, ccd: str, label: str, at: NDArray[Any], detail: str = "") -> None:
        first, last = int(at.min()), int(at.max())
        self.add(
            Note(
                kind=kind,
                text=text,
                ccd=ccd,
                aperture=label,
                frame=first,
                last_frame=last,
                count=int(at.size),
                detail=f"{detail} in frame {first}" if detail and at.size > 1 else detail,
            )
        )
