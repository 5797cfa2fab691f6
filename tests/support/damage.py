"""Raw runs and what may happen to them, for the tests of bad input."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from roque.errors import RoqueError
from roque.photometry.apertures import Aperture, dumps

GONE = "COMMENT the keyword that stood here is gone"
"""A card that says nothing, in place of one that did."""

BLOCK, STAMP = 2880, 36
RADII = (5.0, 8.0, 12.0)


class Raw:
    """A raw HiPERCAM run as bytes, with its layout."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.header = -(-(data.index(b"END".ljust(80)) + 80) // BLOCK) * BLOCK
        self.frame = 2 * self._number(b"NAXIS1  =")
        self.frames = self._number(b"NAXIS3  =")

    def _number(self, card: bytes) -> int:
        start = self.data.index(card)
        return int(self.data[start + 10 : start + 30])

    def cut(self, frames: float) -> bytes:
        """Leave so many frames."""
        return self.data[: self.header + int(frames * self.frame)]

    def card(self, keyword: str, text: str) -> bytes:
        """Put a card in the place of another."""
        start = self.data.index(keyword.encode())
        start -= start % 80
        return self.data[:start] + text.encode().ljust(80) + self.data[start + 80 :]

    def number(self, keyword: str, value: int) -> bytes:
        """Let a card hold another number."""
        return self.card(f"{keyword:<8}=", f"{keyword:<8}= {value:>20}")

    def stamped(self, frames: Mapping[int, bytes]) -> bytes:
        """Put other time stamps into frames."""
        data = bytearray(self.data)
        for number, stamp in frames.items():
            end = self.header + number * self.frame
            data[end - STAMP : end - STAMP + len(stamp)] = stamp
        return bytes(data)

    def flipped(self) -> bytes:
        """Change a bit of a pixel."""
        data = bytearray(self.data)
        data[self.header + self.frame // 2] ^= 1
        return bytes(data)


def place(path: Path, *apertures: tuple[str, str, float, float]) -> None:
    """Write an aperture file: CCD, label, x and y of each."""
    made: dict[str, dict[str, Aperture]] = {}
    for ccd, label, x, y in apertures:
        made.setdefault(ccd, {})[label] = Aperture(x, y, *RADII)
    path.write_text(dumps(made))


def errors(shown: Mapping[str, Any]) -> list[dict[str, Any]]:
    """All that `run show` says went wrong with a run: problems of its files, and jobs that failed."""
    return [p for p in shown["problems"] if p["severity"] == "error"] + [job["error"] for job in shown["jobs"]["failed"]]


def check_told(error: RoqueError, file: str) -> None:
    """An error of bad input names file, place and remedy, in characters that can be printed."""
    assert (error.file, bool(error.place), bool(error.remedy)) == (file, True, True)
    assert str(error).isprintable()
